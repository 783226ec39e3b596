"""What stars do in space photometry: spots, transits, flares, each with its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.synthetic.stars import disc_overlap

__all__ = [
    "FLARE_AREA",
    "MAX_FLARES",
    "Flares",
    "Spots",
    "Transits",
    "draw_flares",
    "draw_spots",
    "draw_transits",
    "flare_light",
    "flare_profile",
    "spot_light",
    "transit_light",
]

MAX_FLARES = 40
LIMB = (0.40, 0.26)  # quadratic law of a Sun-like star in the Kepler band
CENTRAL_DURATION = (
    0.0756  # of a transit over the cube root of its period, d^(2/3): the Sun's density
)
FLARE_SLOPE = 1.9  # dN/dE ~ E^-1.9, within the 1.5 to 2.2 of the literature on cool dwarfs
RISE = (1.0, 1.941, -0.175, -2.246, -1.125)  # Davenport et al. 2014, eq. 1
DECAY = ((0.6890, 1.600), (0.3030, 0.2783))  # Davenport et al. 2014, eq. 4

FLARE_AREA = float(
    sum(a * (-1.0) ** k / (k + 1) for k, a in enumerate(RISE)) + sum(a / b for a, b in DECAY)
)
"""Integral of `flare_profile` in units of its width: equivalent duration of a unit flare."""


@dataclass(frozen=True)
class Spots:
    """Rotation of each star; amplitude 0 for those that do not show it.

    Parameters
    ----------
    period : float64 array, shape (n,)
        Days.
    amplitude : float64 array, shape (n,)
        Bound of the change of flux, relative to the star's; half of it or so is reached.
    phase, lifetime : float64 array, shape (n, 2) and (n,)
        Of the fundamental and its overtone, radians; days over which spots change.
    """

    period: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    phase: NDArray[np.float64]
    lifetime: NDArray[np.float64]


@dataclass(frozen=True)
class Transits:
    """One transiting body a star; depth 0 for those without.

    Parameters
    ----------
    period, epoch, duration : float64 array, shape (n,)
        Days; the epoch is a mid-transit, the duration from first to last contact.
    ratio, impact : float64 array, shape (n,)
        Radius over the star's radius, and impact parameter in stellar radii.
    """

    period: NDArray[np.float64]
    epoch: NDArray[np.float64]
    duration: NDArray[np.float64]
    ratio: NDArray[np.float64]
    impact: NDArray[np.float64]

    def depth(self) -> NDArray[np.float64]:
        """Relative loss of light at mid-transit, without the blur of the exposure."""
        there = self.ratio > 0
        return np.where(there, _loss(self.impact, np.where(there, self.ratio, 0.1)), 0.0)


@dataclass(frozen=True)
class Flares:
    """Flares of each star in a table padded with NaN, shape (n, `MAX_FLARES`).

    Parameters
    ----------
    start, width : float64 array
        Days; full width at half maximum; the rise begins one width before the peak.
    amplitude : float64 array
        Peak over the quiet flux of the star.
    energy : float64 array
        Equivalent duration, seconds: energy over the quiet luminosity (Gershberg 1972).
    """

    start: NDArray[np.float64]
    width: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    energy: NDArray[np.float64]


def draw_spots(rng: np.random.Generator, spotted: NDArray[np.bool_]) -> Spots:
    """Draw rotations: periods of 1 to 25 days, amplitudes of 0.05 to 2 per cent."""
    n = spotted.size
    period = np.exp(rng.uniform(np.log(1.0), np.log(25.0), n))
    amplitude = np.exp(rng.uniform(np.log(5e-4), np.log(2e-2), n))
    return Spots(
        period=np.where(spotted, period, np.nan),
        amplitude=np.where(spotted, amplitude, 0.0),
        phase=rng.uniform(0, 2 * np.pi, (n, 2)),
        lifetime=period * rng.uniform(3.0, 12.0, n),
    )


def spot_light(spots: Spots, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative change of flux by spots, shape (n, n_times)."""
    period = np.where(np.isfinite(spots.period), spots.period, 1.0)[:, None]
    turn = 2 * np.pi * time / period
    grow = 2 * np.pi * time / (2 * spots.lifetime[:, None]) + spots.phase[:, 1:]
    first = np.sin(turn + spots.phase[:, :1])
    second = 0.5 * np.cos(grow) * np.sin(2 * turn + spots.phase[:, 1:])
    return np.asarray(
        spots.amplitude[:, None] * (0.7 + 0.3 * np.sin(grow)) * (first + second) / 1.5
    )


def draw_transits(
    rng: np.random.Generator,
    ratio: NDArray[np.float64],
    first: float,
    days: float,
) -> Transits:
    """Draw orbits around stars of solar density, with at least two transits in `days`.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of chance.
    ratio : float64 array, shape (n,)
        Radius over that of the star; 0 for none.
    first, days : float
        Start and length of the observation, days.
    """
    n = ratio.size
    longest = max(1.2, min(30.0, days / 2.2))
    period = np.exp(rng.uniform(np.log(1.0), np.log(longest), n))
    impact = rng.uniform(0.0, 0.7, n)
    central = CENTRAL_DURATION * np.cbrt(period)
    there = ratio > 0
    return Transits(
        period=np.where(there, period, np.nan),
        epoch=np.where(there, first + period * rng.uniform(0.1, 0.9, n), np.nan),
        duration=np.where(there, central * np.sqrt((1 + ratio) ** 2 - impact**2), np.nan),
        ratio=ratio,
        impact=impact,
    )


def _loss(separation: NDArray[np.float64], ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light that a dark disc takes away: its overlap, times the limb-darkened brightness there.

    Exact for a uniform star; with the quadratic law good to a few per cent of the depth for
    bodies up to a tenth of the star (Mandel & Agol 2002, section 5).
    """
    one = np.ones_like(separation)
    covered = disc_overlap(separation, one, np.broadcast_to(ratio, separation.shape)) / np.pi
    mu = 1 - np.sqrt(1 - np.clip(separation, 0, 1) ** 2)
    bright = 1 - LIMB[0] * mu - LIMB[1] * mu**2
    return np.asarray(covered * bright / (1 - LIMB[0] / 3 - LIMB[1] / 6))


def transit_light(transits: Transits, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative change of flux by transits, shape (n, n_times); never positive."""
    light = np.zeros(np.broadcast_shapes(time.shape, (transits.ratio.size, 1)))
    for i in np.flatnonzero(transits.ratio > 0):
        t = time[i] if time.ndim == 2 else time
        phase = (t - transits.epoch[i] + transits.period[i] / 2) % transits.period[i]
        away = phase - transits.period[i] / 2
        chord = np.sqrt((1 + transits.ratio[i]) ** 2 - transits.impact[i] ** 2)
        along = 2 * chord * away / transits.duration[i]
        near = np.abs(away) < 0.6 * transits.duration[i]
        light[i, near] = -_loss(
            np.hypot(along[near], transits.impact[i]), transits.ratio[i : i + 1]
        )
    return light


def draw_flares(
    rng: np.random.Generator, rate: NDArray[np.float64], first: float, days: float
) -> Flares:
    """Draw flares by a power law of energy; larger ones last longer.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of chance.
    rate : float64 array, shape (n,)
        Flares a day.
    first, days : float
        Start and length of the observation, days.
    """
    n = rate.size
    count = np.minimum(rng.poisson(rate * days), MAX_FLARES)
    there = np.arange(MAX_FLARES) < count[:, None]
    low, high = 3.0 ** (1 - FLARE_SLOPE), 3000.0 ** (1 - FLARE_SLOPE)  # seconds
    energy = (low + (high - low) * rng.random((n, MAX_FLARES))) ** (1 / (1 - FLARE_SLOPE))
    # about as the cube root; Maehara et al. 2015, Earth Planets Space 67, 59
    width = 0.004 * np.cbrt(energy / 10.0) * np.exp(rng.normal(0, 0.2, (n, MAX_FLARES)))
    start = first + days * rng.random((n, MAX_FLARES))
    amplitude = energy / 86400.0 / (width * FLARE_AREA)
    order = np.argsort(np.where(there, start, np.inf), axis=1, kind="stable")
    columns = [
        np.take_along_axis(np.where(there, column, np.nan), order, axis=1)
        for column in (start, width, amplitude, energy)
    ]
    return Flares(*columns)


def flare_profile(time: NDArray[np.float64]) -> NDArray[np.float64]:
    """White-light flare of unit peak at time 0.

    Parameters
    ----------
    time : float64 array
        In units of the flare's full width at half maximum.

    References
    ----------
    .. [1] Davenport et al. 2014, ApJ 797, 122, arXiv:1411.3723, eqs. 1 and 4
    """
    rise = np.polynomial.polynomial.polyval(np.clip(time, -1, 0), RISE)
    late = np.clip(time, 0, None)
    decay = sum(a * np.exp(-b * late) for a, b in DECAY)
    return np.where(time < 0, np.where(time > -1, rise, 0.0), decay)


def flare_light(flares: Flares, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative change of flux by flares, shape (n, n_times); never negative."""
    n = flares.start.shape[0]
    light = np.zeros(np.broadcast_shapes(time.shape, (n, 1)))
    for i, k in zip(*np.nonzero(np.isfinite(flares.start)), strict=True):
        t = time[i] if time.ndim == 2 else time
        scaled = (t - flares.start[i, k]) / flares.width[i, k] - 1
        near = (scaled > -1) & (scaled < 60)  # the tail has fallen below 1e-7 of the peak
        light[i, near] += flares.amplitude[i, k] * flare_profile(scaled[near])
    return light
