"""What speaks for and against two light curves being one star: log likelihood ratios of pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import logsumexp

from astroprep.integrate.star_traits import Traits

__all__ = ["EVIDENCE", "Calibration", "calibrate", "score_pairs"]

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

EVIDENCE = ("position", "period", "phase", "brightness", "amplitude", "shape", "exposures", "label")
FAIL = 0.02  # share of true pairs whose trait is wrong: a blend, a wrong period, a bad night
RELATED = 0.05  # share of true pairs whose periods differ by a harmonic or a daily alias
RATIOS = (0.5, 2.0)
DAY = 1.00273790935  # sidereal days in a day: aliases of a site lie at these steps, cycles/day
PERIOD_FLOOR = 1e-5  # relative; pulsators change their periods by that within decades
PHASE_FLOOR = 0.03  # periods, between bands
AMPLITUDE = (0.05, 0.25)  # dex, within a band and between bands
AMPLITUDE_ERROR = 0.6  # dex times the root of the number of points
LEVEL = 0.15  # in the unit of magnitudes, zero points of one band in two surveys
SHAPE_FLOOR = 0.08
LABEL_RIGHT = 0.9
LEAST_PAIRS = 10  # for a calibration
SAME_TIME = 2e-6  # days; the heliocentric correction differs less within some arcseconds
KERNEL = 0.02  # in ln(frequency)

Calibration = Mapping[tuple[int, int, str], tuple[float, float]]
"""Mean and sigma of a trait's difference (second less first) for two systems, lower code first."""


def _mixture(same: Array, other: Array) -> Array:
    """Log ratio of a likelihood that fails in a share of cases, of two log densities."""
    return np.asarray(np.logaddexp(np.log1p(-FAIL) + same - other, np.log(FAIL)))


def _normal(x: Array, sigma: Array | float) -> Array:
    """Log density of a normal variable of mean 0."""
    return np.asarray(-0.5 * (x / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi))


def _population(values: Array) -> Callable[[Array], Array]:
    """Log density of a sample, by a Gaussian kernel, with a uniform part of a tenth."""
    values = values[np.isfinite(values)]
    if values.size < 2:
        return lambda x: np.full(x.shape, -np.log(10.0))
    low, high = float(values.min()) - 0.5, float(values.max()) + 0.5
    edges = np.linspace(low, high, 4097)
    step = edges[1] - edges[0]
    counts = np.histogram(values, edges)[0] / values.size / step
    width = max(KERNEL, 1.06 * min(float(values.std()), 1.0) * values.size**-0.2)
    smooth = gaussian_filter1d(counts, width / step, mode="constant")
    centre = edges[:-1] + step / 2

    def log_density(x: Array) -> Array:
        kernel = np.interp(x, centre, smooth, left=0.0, right=0.0)
        return np.asarray(np.log(0.9 * kernel + 0.1 / (high - low)))

    return log_density


def _period(traits: Traits, left: Rows, right: Rows) -> tuple[Array, Array]:
    """Ratio for the frequencies, and the probability that they are the same one, given one star."""
    f1, f2 = traits.frequency[left], traits.frequency[right]
    known = np.isfinite(f1) & np.isfinite(f2)
    a, b = np.where(known, f1, 1.0), np.where(known, f2, 1.0)
    floor = np.sqrt(2.0) * PERIOD_FLOOR * 0.5 * (a + b)
    sigma = np.sqrt(
        np.where(known, traits.frequency_err[left], 1.0) ** 2
        + np.where(known, traits.frequency_err[right], 1.0) ** 2
        + floor**2
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        unrelated = _population(np.log(traits.frequency))(np.log(b)) - np.log(b)
    direct = np.log1p(-RELATED) + _normal(b - a, sigma)
    others = [a * ratio for ratio in RATIOS]
    others += [np.abs(a + side * DAY) for side in (-1.0, 1.0)]
    share = np.log(RELATED / len(others))
    total = np.logaddexp.reduce([direct, *(share + _normal(b - x, sigma) for x in others)])
    ratio = _mixture(total, unrelated)
    weight = np.exp(direct - np.logaddexp(total, unrelated + np.log(FAIL)))
    return np.where(known, ratio, np.nan), np.where(known, weight, 0.0)


def phase_difference(traits: Traits, left: Rows, right: Rows) -> tuple[Array, Array]:
    """Phase of the right curve less the left's at one time, in periods, and its sigma."""
    f1, f2 = traits.frequency[left], traits.frequency[right]
    w1, w2 = (
        1.0 / (traits.frequency_err[k] ** 2 + (PERIOD_FLOOR * f1) ** 2) for k in (left, right)
    )
    common = (w1 * f1 + w2 * f2) / (w1 + w2)
    apart = traits.middle[right] - traits.middle[left]
    # the right curve is faintest at middle2 + phase2 / f; the left one predicts phase1 - f * apart
    gap = traits.phase[right] - traits.phase[left] + common * apart
    sigma = np.sqrt(
        traits.phase_err[left] ** 2
        + traits.phase_err[right] ** 2
        + PHASE_FLOOR**2
        + apart**2 / (w1 + w2)
    )
    return (gap + 0.5) % 1.0 - 0.5, sigma


def _wrapped(gap: Array, sigma: Array) -> Array:
    """Log density on the circle of one period; uniform, 0, where sigma is large."""
    wide = ~(sigma < 0.4)
    width = np.where(wide, 0.4, sigma)
    turns = np.arange(-2, 3)[:, None]
    return np.where(wide, 0.0, logsumexp(_normal(gap + turns, width), axis=0))


def _difference(
    name: str,
    traits: Traits,
    left: Rows,
    right: Rows,
    sigma: tuple[float, float],
    learned: Calibration,
) -> Array:
    """Ratio for a trait that is compared by its difference, with what systems are known to differ.

    Unrelated stars differ by a normal variable with the means and variances of their systems.
    """
    value = getattr(traits, name)
    s1, s2 = traits.system[left], traits.system[right]
    mean, variance = _moments(value, traits.system, len(traits.systems))
    gap = value[right] - value[left]
    names = np.array([band for _, band in traits.systems], dtype=object)
    expected = np.zeros(left.size)
    width = np.where(names[s1] == names[s2], *sigma)
    for (a, b, trait), (shift, spread) in learned.items():
        if trait == name:
            forward, backward = (s1 == a) & (s2 == b), (s1 == b) & (s2 == a)
            expected[forward], expected[backward] = shift, -shift
            width[forward | backward] = spread
    if name == "amplitude":  # percentiles of few points are rough
        least = np.maximum(traits.n_points, 1)
        few = 1.0 / least[left] + 1.0 / least[right]
        width = np.sqrt(width**2 + AMPLITUDE_ERROR**2 * few)
    if name == "shape":
        width = np.sqrt(width**2 + traits.shape_err[left] ** 2 + traits.shape_err[right] ** 2)
    other = np.sqrt(variance[s1] + variance[s2])
    with np.errstate(invalid="ignore", divide="ignore"):
        unrelated = _normal(gap - (mean[s2] - mean[s1]), np.maximum(other, width))
        return _mixture(_normal(gap - expected, width), unrelated)


def _moments(value: Array, system: Rows, n_systems: int) -> tuple[Array, Array]:
    """Median and robust variance of each system, of all together where it has few curves."""
    mean, variance = np.empty(n_systems), np.empty(n_systems)
    for k in range(n_systems):
        own = value[(system == k) & np.isfinite(value)]
        if own.size < LEAST_PAIRS:
            own = value[np.isfinite(value)]
        if own.size < 2:
            own = np.array([-1.0, 1.0]) if own.size == 0 else own[0] + np.array([-1.0, 1.0])
        low, middle, high = np.percentile(own, (16, 50, 84))
        mean[k], variance[k] = middle, max((high - low) / 2, 1e-3) ** 2
    return mean, variance


def calibrate(traits: Traits, left: Rows, right: Rows) -> Calibration:
    """Learn how the traits of two systems differ, from pairs that are surely one star.

    Parameters
    ----------
    traits : Traits
        Of all curves.
    left, right : int64 array, shape (n_pairs,)
        Rows of sure pairs.

    Returns
    -------
    dict
        Median and robust sigma of the difference, for each two systems with ten pairs or more.
    """
    learned: dict[tuple[int, int, str], tuple[float, float]] = {}
    swap = traits.system[left] > traits.system[right]
    a, b = np.where(swap, right, left), np.where(swap, left, right)
    n = len(traits.systems)
    key = traits.system[a] * n + traits.system[b]
    for name, floor in (("level", 0.03), ("amplitude", 0.03)):
        value = getattr(traits, name)
        gap = value[b] - value[a]
        for code in np.unique(key):
            own = gap[(key == code) & np.isfinite(gap)]
            if own.size >= LEAST_PAIRS:
                middle = float(np.median(own))
                # inflated by the few pairs that it was learned from
                spread = 1.4826 * float(np.median(np.abs(own - middle))) * (1 + 3 / own.size)
                system = (int(code) // n, int(code) % n, name)
                learned[system] = (middle, float(np.hypot(spread, floor)))
    return learned


@njit(cache=True)
def _shared_exposures(time, value, band, offsets, left, right, tolerance):  # type: ignore[no-untyped-def]
    """Exposures of two curves at one time in one band, and how many have one value; of each pair.

    Times are sorted within a curve.
    """
    shared, equal = np.zeros(left.size, np.int64), np.zeros(left.size, np.int64)
    for k in range(left.size):
        i, j = offsets[left[k]], offsets[right[k]]
        end_i, end_j = offsets[left[k] + 1], offsets[right[k] + 1]
        while i < end_i and j < end_j:
            step = time[j] - time[i]
            if abs(step) <= tolerance:
                if band[i] == band[j]:
                    shared[k] += 1
                    equal[k] += value[i] == value[j]
                i, j = i + 1, j + 1
            elif step > 0:
                i += 1
            else:
                j += 1
    return shared, equal


def _exposures(batch: object, left: Rows, right: Rows, traits: Traits) -> Array:
    """Against one star where an image shows two sources; for it where they are copies."""
    usable = batch.usable  # type: ignore[attr-defined]
    band = np.zeros(usable.time.size, np.int16) if usable.band is None else usable.band
    shared, equal = _shared_exposures(
        usable.time, usable.value, band, usable.offsets, left, right, SAME_TIME
    )
    fewer = np.maximum(np.minimum(usable.counts()[left], usable.counts()[right]), 1)
    several = (shared >= 3) & (shared > 0.1 * fewer)
    copies = several & (equal > 0.5 * shared)
    # two surveys of one camera, such as a reduction and its successor, share exposures by right
    surveys = np.array([name for name, _ in traits.systems], dtype=object)[traits.system]
    apart = several & (surveys[left] == surveys[right])
    return np.where(copies, -np.log(FAIL), np.where(apart, np.log(FAIL), 0.0))


def _label(label: NDArray[np.object_], left: Rows, right: Rows) -> Array:
    """Ratio for the variability types, where both are known."""
    names, code, counts = np.unique(label.astype(str), return_inverse=True, return_counts=True)
    known = (label[left] != "") & (label[right] != "")
    share = counts / max(int(counts[names != ""].sum()), 1)
    agree = code[left] == code[right]
    other = share[code[right]]
    ratio = np.log(np.where(agree, LABEL_RIGHT, 0.0) + (1 - LABEL_RIGHT) * other) - np.log(other)
    return np.where(known, ratio, np.nan)


def score_pairs(
    batch: object,
    traits: Traits,
    left: Rows,
    right: Rows,
    *,
    position: Array,
    evidence: tuple[str, ...],
    learned: Calibration,
) -> Array:
    """Log likelihood ratio of each piece of evidence for each pair.

    Parameters
    ----------
    batch : LightCurveBatch
        The curves.
    traits : Traits
        Of the same curves.
    left, right : int64 array, shape (n_pairs,)
        Rows.
    position : float64 array, shape (n_pairs,)
        Ratio for the positions, NaN where there are none.
    evidence : tuple of str
        Out of `EVIDENCE`.
    learned : mapping
        See `calibrate`.

    Returns
    -------
    float64 array, shape (n_pairs, len(EVIDENCE))
        Natural logarithm, one star over two; NaN where a curve does not tell.

    Notes
    -----
    Every ratio is ``ln((1 - q) p(d | one star) + q p(d | two)) - ln p(d | two)`` with q = 0.02: a
    single piece of evidence never speaks against a pair by more than ln(0.02) = -3.9.
    """
    same_period, weight = _period(traits, left, right)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap, sigma = phase_difference(traits, left, right)
        # a harmonic or an alias has no common phase
        inside = np.log(weight * np.exp(_wrapped(gap, sigma)) + 1 - weight)
    phase = np.where(np.isfinite(gap + sigma), _mixture(inside, np.zeros(left.size)), np.nan)
    # at a harmonic or an alias of the period neither phases nor shapes can be compared
    shape = _difference("shape", traits, left, right, (SHAPE_FLOOR, SHAPE_FLOOR), learned)
    direct = weight > 0.5
    found = {
        "position": position,
        "period": same_period,
        "phase": np.where(direct, phase, np.nan),
        "brightness": _level(traits, left, right, learned),
        "amplitude": _difference("amplitude", traits, left, right, AMPLITUDE, learned),
        "shape": np.where(direct, shape, np.nan),
        "exposures": _exposures(batch, left, right, traits),
    }
    labels = batch.objects.get("label")  # type: ignore[attr-defined]
    found["label"] = np.full(left.size, np.nan) if labels is None else _label(labels, left, right)
    table = np.full((left.size, len(EVIDENCE)), np.nan)
    for column, name in enumerate(EVIDENCE):
        if name in evidence:
            table[:, column] = found[name]
    return table


def _level(traits: Traits, left: Rows, right: Rows, learned: Calibration) -> Array:
    """Ratio for the brightness: within a band, or between systems whose offset was learned."""
    ratio = _difference("level", traits, left, right, (LEVEL, LEVEL), learned)
    bands = np.array([band for _, band in traits.systems], dtype=object)
    s1, s2 = traits.system[left], traits.system[right]
    comparable = bands[s1] == bands[s2]
    for a, b, trait in learned:
        if trait == "level":
            comparable |= ((s1 == a) & (s2 == b)) | ((s1 == b) & (s2 == a))
    return np.where(comparable, ratio, np.nan)
