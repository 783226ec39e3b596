"""Variable stars by class: true parameters from published shapes, and their noise-free light."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLASSES", "Stars", "disc_overlap", "draw_stars", "magnitude"]

HARMONICS = 6

# Cepheid shape against log10 period: R21, R31, R41, phi21, phi31, phi41 (sine series, rad,
# phases unwrapped). The progression of Hertzsprung: phases climb to the resonance at 10 days,
# where the second harmonic vanishes, and start again beyond it.
_CEPHEID_KNOTS = np.array([0.40, 0.55, 0.73, 0.90, 1.10, 1.30, 1.60])
_CEPHEID_SHAPE = np.array(
    [
        [0.46, 0.44, 0.42, 0.27, 0.22, 0.37, 0.42],
        [0.26, 0.23, 0.16, 0.07, 0.13, 0.22, 0.24],
        [0.13, 0.11, 0.05, 0.05, 0.08, 0.13, 0.14],
        [2.40, 2.60, 2.95, 3.40, 2.10, 2.45, 2.90],
        [5.10, 5.40, 6.00, 7.20, 4.20, 4.70, 5.50],
        [1.50, 1.90, 2.70, 4.40, 6.90, 7.30, 8.00],
    ]
)


@dataclass(frozen=True)
class Stars:
    """True parameters of stars, one entry a star.

    A star is a sine series (``ratio``, ``phase``) or, where ``radius`` is positive, two discs.

    Parameters
    ----------
    period : float64 array, shape (n_stars,)
        Days; NaN where nothing repeats. Two eclipses to a period.
    amplitude : float64 array, shape (n_stars,)
        Magnitudes, peak to peak, at rest.
    ratio, phase : float64 array, shape (n_stars, 6)
        Harmonics of a series with peak-to-peak amplitude 1; phases in rad.
    radius : float64 array, shape (n_stars, 2)
        Discs, in units of their separation; 0 for single stars.
    brightness : float64 array, shape (n_stars,)
        Surface brightness of the second disc over that of the first.
    inclination : float64 array, shape (n_stars,)
        Of the orbit, rad.
    distortion : float64 array, shape (n_stars,)
        Relative light that tides cost at the conjunctions.
    unrest : float64 array, shape (n_stars,)
        Relative change of the amplitude over a year or two.
    epoch : float64 array, shape (n_stars,)
        MJD of phase 0, days.
    """

    period: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    ratio: NDArray[np.float64]
    phase: NDArray[np.float64]
    radius: NDArray[np.float64]
    brightness: NDArray[np.float64]
    inclination: NDArray[np.float64]
    distortion: NDArray[np.float64]
    unrest: NDArray[np.float64]
    epoch: NDArray[np.float64]

    def take(self, index: NDArray[np.intp]) -> Stars:
        """Stars at `index`, in its order."""
        return Stars(**{name: column[index] for name, column in vars(self).items()})


def _between(
    rng: np.random.Generator, low: float, high: float, n: int, *, log: bool = False
) -> NDArray[np.float64]:
    if log:
        return np.exp(rng.uniform(np.log(low), np.log(high), n))
    return rng.uniform(low, high, n)


def _near(
    rng: np.random.Generator, centre: float, sigma: float, low: float, high: float, n: int
) -> NDArray[np.float64]:
    return np.clip(rng.normal(centre, sigma, n), low, high)


def _stars(period: NDArray[np.float64], **given: NDArray[np.float64]) -> Stars:
    """Stars with zeros for whatever is not given."""
    n = period.size
    wide = {"ratio": HARMONICS, "phase": HARMONICS, "radius": 2}
    columns = {
        name: np.zeros((n, wide[name]) if name in wide else n) for name in Stars.__annotations__
    }
    return Stars(**{**columns, "period": period, **given})


def _series(
    rng: np.random.Generator,
    period: NDArray[np.float64],
    amplitude: NDArray[np.float64],
    ratio: NDArray[np.float64],
    phase: NDArray[np.float64],
    unrest: float = 0.0,
) -> Stars:
    """Pulsating and spotted stars: `ratio` and `phase` from the second harmonic on."""
    n = period.size
    all_ratios = np.zeros((n, HARMONICS))
    all_phases = np.zeros((n, HARMONICS))
    all_ratios[:, 0] = 1.0
    all_ratios[:, 1 : 1 + ratio.shape[1]] = ratio
    all_phases[:, 1 : 1 + phase.shape[1]] = phase
    return _stars(
        period,
        amplitude=amplitude,
        ratio=all_ratios,
        phase=all_phases,
        unrest=unrest * rng.uniform(0.3, 1.0, n),
    )


def _rrab(rng: np.random.Generator, n: int) -> Stars:
    period = _near(rng, 0.57, 0.07, 0.42, 0.80, n)
    iron = _near(rng, -1.3, 0.35, -2.2, -0.3, n)
    phi31 = (iron + 5.038 + 5.394 * period) / 1.345  # Jurcsik & Kovacs 1996, eq. 3
    late = phi31 - 5.1
    phase = np.stack(
        [2.4 + 0.5 * late, phi31, 1.6 + 1.5 * late, 4.4 + 1.75 * late, 0.95 + 1.75 * late], axis=1
    )
    ratio = np.array([0.47, 0.34, 0.21, 0.13, 0.07]) * rng.normal(1.0, 0.06, (n, 5))
    # Bailey's diagram: long periods have small amplitudes
    amplitude = np.clip(0.95 - 2.6 * (period - 0.57) + rng.normal(0, 0.13, n), 0.35, 1.35)
    return _series(rng, period, amplitude, ratio, phase + rng.normal(0, 0.06, (n, 5)))


def _rrc(rng: np.random.Generator, n: int) -> Stars:
    period = _near(rng, 0.32, 0.035, 0.24, 0.42, n)
    ratio = np.array([0.15, 0.07, 0.04]) * rng.normal(1.0, 0.2, (n, 3))
    phase = np.array([3.15, 6.2, 3.4]) + rng.normal(0, [0.15, 0.3, 0.4], (n, 3))
    phase[:, 1] += 6.0 * (period - 0.32)  # phi31 climbs with period; Clement et al. 1992
    return _series(rng, period, _near(rng, 0.45, 0.06, 0.25, 0.62, n), ratio, phase)


def _cepheid(rng: np.random.Generator, n: int) -> Stars:
    logp = np.where(rng.random(n) < 0.7, rng.uniform(0.40, 0.90, n), rng.uniform(1.10, 1.60, n))
    shape = np.stack([np.interp(logp, _CEPHEID_KNOTS, row) for row in _CEPHEID_SHAPE], axis=1)
    ratio = shape[:, :3] * rng.normal(1.0, 0.08, (n, 3))
    phase = shape[:, 3:] + rng.normal(0, [0.08, 0.15, 0.25], (n, 3))
    return _series(rng, 10.0**logp, _near(rng, 0.7, 0.15, 0.3, 1.2, n), ratio, phase)


def _delta_scuti(rng: np.random.Generator, n: int) -> Stars:
    ratio = np.array([0.27, 0.10, 0.05]) * rng.normal(1.0, 0.2, (n, 3))
    phase = np.array([2.45, 4.9, 1.3]) + rng.normal(0, [0.15, 0.3, 0.5], (n, 3))
    period = _between(rng, 0.05, 0.20, n, log=True)
    return _series(rng, period, _near(rng, 0.38, 0.1, 0.18, 0.7, n), ratio, phase)


def _lpv(rng: np.random.Generator, n: int) -> Stars:
    # a third of the Miras deviates from a sine, most by a faster rise or a hump; Lebzelter 2011
    ratio = np.stack([np.abs(rng.normal(0, 0.12, n)), np.abs(rng.normal(0, 0.05, n))], axis=1)
    phase = np.array([2.6, 5.0]) + rng.normal(0, [0.8, 1.0], (n, 2))
    period = _between(rng, 90.0, 480.0, n, log=True)
    amplitude = _between(rng, 0.5, 3.5, n, log=True)
    return _series(rng, period, amplitude, ratio, phase, unrest=0.25)


def _rotational(rng: np.random.Generator, n: int) -> Stars:
    ratio = rng.uniform(0.05, 0.45, (n, 1))
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    period = _between(rng, 0.5, 30.0, n, log=True)
    return _series(rng, period, _between(rng, 0.08, 0.3, n, log=True), ratio, phase, unrest=0.5)


def _constant(rng: np.random.Generator, n: int) -> Stars:
    nothing = np.zeros((n, 1))
    return _series(rng, np.full(n, np.nan), np.zeros(n), nothing, nothing)


def _detached(rng: np.random.Generator, n: int) -> Stars:
    radius = np.stack([rng.uniform(0.10, 0.25, n), rng.uniform(0.08, 0.24, n)], axis=1)
    # the discs overlap by half the smaller one at least, or no survey would list the star
    reach = radius.max(axis=1) * rng.uniform(0.0, 1.0, n)
    return _stars(
        _between(rng, 0.6, 6.0, n, log=True),
        radius=radius,
        brightness=_between(rng, 0.08, 1.0, n, log=True),
        inclination=np.arccos(reach),
        distortion=rng.uniform(0.0, 0.03, n),
    )


def _contact(rng: np.random.Generator, n: int) -> Stars:
    mass_ratio = _between(rng, 0.12, 0.95, n)
    cube = np.stack([1 / mass_ratio, mass_ratio], axis=1) ** (1 / 3)
    lobe = 0.49 * cube**2 / (0.6 * cube**2 + np.log1p(cube))  # Eggleton 1983, eq. 2
    return _stars(
        _near(rng, 0.36, 0.07, 0.24, 0.62, n),
        radius=lobe * rng.uniform(1.0, 1.1, (n, 1)),  # from touching to well overfilled
        brightness=_near(rng, 0.93, 0.07, 0.7, 1.1, n),
        inclination=np.deg2rad(rng.uniform(50.0, 90.0, n)),
        distortion=rng.uniform(0.18, 0.28, n),
    )


CLASSES: Mapping[str, Callable[[np.random.Generator, int], Stars]] = {
    "RRab": _rrab,
    "RRc": _rrc,
    "Cepheid": _cepheid,
    "delta-Scuti": _delta_scuti,
    "EA": _detached,
    "EW": _contact,
    "LPV": _lpv,
    "rotational": _rotational,
    "constant": _constant,
}
"""What draws the stars of each class."""


def disc_overlap(
    separation: NDArray[np.float64], r1: NDArray[np.float64], r2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Area that two discs share; Mandel & Agol 2002, eq. 1, times pi."""
    d = np.clip(separation, 1e-12, None)
    a = np.clip((d**2 + r1**2 - r2**2) / (2 * d * r1), -1, 1)
    b = np.clip((d**2 + r2**2 - r1**2) / (2 * d * r2), -1, 1)
    kite = (r1 + r2 - d) * (d + r1 - r2) * (d - r1 + r2) * (d + r1 + r2)
    lens = r1**2 * np.arccos(a) + r2**2 * np.arccos(b) - 0.5 * np.sqrt(np.clip(kite, 0, None))
    inside = np.pi * np.minimum(r1, r2) ** 2
    return np.where(d >= r1 + r2, 0.0, np.where(d <= np.abs(r1 - r2), inside, lens))


def _binary_light(stars: Stars, phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two uniform discs on a circular orbit, magnitudes; at phase 0 the second is in front."""
    angle = 2 * np.pi * phase
    tilt = np.sin(stars.inclination)
    separation = np.sqrt(1.0 - (tilt * np.cos(angle)) ** 2)
    r1, r2 = stars.radius[:, 0], stars.radius[:, 1]
    hidden = disc_overlap(separation, r1, r2)
    light1, light2 = np.pi * r1**2, stars.brightness * np.pi * r2**2
    lost = np.where(np.cos(angle) > 0, hidden, stars.brightness * hidden)
    light = 1.0 - lost / (light1 + light2)
    light *= 1.0 - stars.distortion * (tilt * np.cos(angle)) ** 2
    return -2.5 * np.log10(light)


def _series_light(stars: Stars, phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sine series about zero, magnitudes."""
    total = np.zeros(phase.size)
    for k in range(stars.ratio.shape[1]):
        total += stars.ratio[:, k] * np.sin(2 * np.pi * (k + 1) * phase + stars.phase[:, k])
    return total


def magnitude(
    stars: Stars, index: NDArray[np.intp], time: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Noise-free magnitudes, relative to the mean level (series) or the uneclipsed light (discs).

    Parameters
    ----------
    stars : Stars
        One entry a star.
    index : integer array, shape (n_points,)
        The star that each point belongs to.
    time : float64 array, shape (n_points,)
        MJD, days.

    Returns
    -------
    float64 array, shape (n_points,)
        Magnitudes; bright is small.
    """
    here = stars.take(index)
    since = time - here.epoch
    phase = np.where(here.period > 0, since / np.where(here.period > 0, here.period, 1.0), 0.0)
    # spots and long-period stars change within a year or two, each at its own pace
    slow = 2 * np.pi * since / (410.0 + 300.0 * (here.epoch % 1.0))
    phase += 0.12 * here.unrest * np.sin(0.7 * slow + 1.0)
    scale = here.amplitude * (1.0 + here.unrest * np.sin(slow))
    light = scale * _series_light(here, phase)
    double = np.flatnonzero(here.radius[:, 0] > 0)
    light[double] = _binary_light(here.take(double), phase[double])
    return light


def draw_stars(rng: np.random.Generator, label: NDArray[np.object_]) -> Stars:
    """Stars of the given classes with parameters drawn from their published ranges.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    label : object array of str, shape (n_stars,)
        Keys of `CLASSES`.

    Returns
    -------
    Stars
        In the order of `label`, epochs at random within a period.
    """
    n = label.size
    stars = _stars(np.full(n, np.nan))
    columns = {name: column.copy() for name, column in vars(stars).items()}
    for name, make in CLASSES.items():
        where = np.flatnonzero(label == name)
        for column, values in vars(make(rng, where.size)).items():
            columns[column][where] = values
    columns["epoch"] = 53550.0 + rng.random(n) * np.nan_to_num(columns["period"], nan=1.0)
    return _normalised(Stars(**columns))


def _normalised(stars: Stars) -> Stars:
    """Scale each series to a peak-to-peak amplitude of 1 and measure that of the binaries."""
    phase = np.linspace(0.0, 1.0, 512, endpoint=False)
    n = stars.period.size
    amplitude, ratio = stars.amplitude.copy(), stars.ratio.copy()
    for i in range(n):
        here = stars.take(np.full(phase.size, i))
        if stars.radius[i, 0] > 0:
            amplitude[i] = np.ptp(_binary_light(here, phase))
        else:
            ratio[i] /= np.ptp(_series_light(here, phase))
    return Stars(**{**vars(stars), "amplitude": amplitude, "ratio": ratio})
