"""Where a rolling spacecraft puts a star: arclength along its path, and thruster firings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astroprep.period import FrequencyGrid, log10_false_alarm, power

__all__ = ["arclength", "find_firings", "find_oscillations", "roll_frequency"]

ARC_DEGREE = 5  # of the polynomial that bends the path, as Vanderburg & Johnson 2014 took
MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
JUMP = 8.0  # robust sigmas of the steps from cadence to cadence that make a firing
CHANCE = -3.0  # log10 of the false alarm at which a sinusoid is believed
OVERSAMPLING = 5.0
ROLL_SEARCH = (2.0, 6.0)  # cycles per day: thrusters may fire every six hours, or every twelve
ROLL_WIDTH = 3.0  # resolution elements around a multiple of the roll frequency that are left out


def arclength(
    x: NDArray[np.float64], y: NDArray[np.float64], good: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Path of a star on the detector: length along it and distance from it.

    Parameters
    ----------
    x, y : float64 array, shape (n_points,)
        Position in pixels, finite.
    good : bool array, shape (n_points,)
        Points that shape the path.

    Returns
    -------
    along, across : float64 array, shape (n_points,)
        Pixels. Both zero where the good points do not move.

    References
    ----------
    .. [1] Vanderburg & Johnson 2014, PASP 126, 948, arXiv:1408.3853 (section 3)
    """
    if not good.any():
        return np.zeros(x.size), np.zeros(x.size)
    place = np.column_stack([x, y])
    place = place - np.median(place[good], axis=0)
    _, size, axes = np.linalg.svd(place[good], full_matrices=False)
    if size.size == 0 or not size[0] > 1e-12 * max(np.abs([x[good], y[good]]).max(), 1.0):
        return np.zeros(x.size), np.zeros(x.size)
    axes *= np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])[:, None]
    turned = place @ axes.T
    low, high = turned[good, 0].min(), turned[good, 0].max()
    half = 0.5 * (high - low)
    z = np.clip((turned[:, 0] - low) / half - 1.0, -1.0, 1.0)
    degree = min(ARC_DEGREE, np.unique(z[good]).size - 1)
    bend = np.polynomial.Chebyshev.fit(z[good], turned[good, 1], degree, domain=[-1, 1])
    nodes = np.linspace(-1.0, 1.0, 501)
    speed = np.hypot(half, bend.deriv()(nodes))
    length = np.append(0.0, np.cumsum(0.5 * (speed[1:] + speed[:-1]) * np.diff(nodes)))
    return np.interp(z, nodes, length), turned[:, 1] - bend(z)


def find_firings(along: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Cadences in which a thruster fired: the position jumps back against its drift.

    Parameters
    ----------
    along : float64 array, shape (n_points,)
        Arclength at consecutive cadences, finite.

    Returns
    -------
    bool array, shape (n_points,)
        True for the first cadence behind each jump, whose exposure the firing smeared.
    """
    fired = np.zeros(along.size, bool)
    if along.size < 3:
        return fired
    step = np.diff(along)
    step -= np.median(step)
    spread = MAD_TO_SIGMA * np.median(np.abs(step))
    fired[1:] = np.abs(step) > JUMP * max(spread, 1e-12)
    return fired


def roll_frequency(time: NDArray[np.float64], along: NDArray[np.float64]) -> float:
    """Frequency at which the arclength repeats, cycles per day; zero if it does not move.

    Parameters
    ----------
    time, along : float64 array, shape (n_points,)
        Sorted times in days and arclength.
    """
    days = float(time[-1] - time[0]) if time.size > 3 else 0.0
    if days < 1.0 or np.ptp(along) == 0:
        return 0.0
    step = 1 / (OVERSAMPLING * days)
    low, high = ROLL_SEARCH
    grid = FrequencyGrid(low, step, int((high - low) / step) + 1)
    height = power(time, along, np.ones(time.size), grid)
    return float(grid.frequencies[np.argmax(height)])


def find_oscillations(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    slowest: float,
    roll: float,
    limit: int,
) -> NDArray[np.float64]:
    """Frequencies of the coherent oscillations of a star, one after the other.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted; the value is what a first fit left.
    slowest : float
        Lowest frequency looked at, cycles per day: slower ones belong to the slow curve.
    roll : float
        Frequency of the roll, cycles per day; what is as fast or a multiple is left out. Zero
        where there is none.
    limit : int
        Frequencies at most.

    Returns
    -------
    float64 array, shape (n_found,)
        Cycles per day, each with a false-alarm probability below 0.001 after those before it.
    """
    baseline = float(time[-1] - time[0]) if time.size else 0.0
    found: list[float] = []
    if limit < 1 or baseline <= 0 or time.size < 20:
        return np.array(found)
    step = 1 / (OVERSAMPLING * baseline)
    # of an even cadence this is the Nyquist frequency; clustered times are not searched further
    fastest = 0.5 * (time.size - 1) / baseline
    fastest = max(fastest, min(0.5 / max(float(np.median(np.diff(time))), 1e-9), 2 * fastest))
    if slowest >= fastest:
        return np.array(found)
    grid = FrequencyGrid(slowest, step, int((fastest - slowest) / step) + 1)
    frequency = grid.frequencies
    allowed = np.ones(frequency.size, bool)
    if roll > 0:
        away = np.abs(frequency - roll * np.maximum(np.round(frequency / roll), 1.0))
        allowed = away > ROLL_WIDTH / baseline
    rest = value
    deviation = np.array([np.std(time)])
    while len(found) < limit and allowed.any():
        height = np.where(allowed, power(time, rest, error, grid), 0.0)
        best = int(np.argmax(height))
        chance = log10_false_alarm(
            height[best : best + 1], np.array([time.size]), deviation, grid.stop
        )
        if chance[0] > CHANCE:
            break
        found.append(float(frequency[best]))
        angle = 2 * np.pi * frequency[best] * (time - time[0])
        wave = np.column_stack([np.cos(angle), np.sin(angle), np.ones(time.size)]) / error[:, None]
        coefficient = np.linalg.lstsq(wave, rest / error, rcond=None)[0]
        rest = rest - (wave @ coefficient) * error
        allowed &= np.abs(frequency - frequency[best]) > 1 / baseline
    return np.array(found)
