"""Eclipses and slopes of a folded curve: depths, widths, symmetry, steepness, running sums."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL, Feature, columns
from astroprep.features.ordering import sorted_values
from astroprep.features.statistics import quantile

__all__ = ["ECLIPSES", "eclipse_shape", "folded_slopes", "phase_cusum"]

OPPOSITE = 0.1  # half width in phase of the search for the second minimum, as of `FOLDED`

KIM = "Kim & Bailer-Jones 2016, doi:10.1051/0004-6361/201527188"
PACZYNSKI = "eclipsing stars; Paczyński et al. 2006, doi:10.1111/j.1365-2966.2006.10223.x"
SMOOTH = "g the running mean of N / 32 points (at least 3) of f by phase at 2P"
FLAT = "all values are equal"
ALONE = f"{FLAT}, or no point half a cycle after the minimum"


def _feature(name: str, formula: str, undefined: str, reference: str) -> Feature:
    return Feature(name, "folded", 12, formula, undefined, reference, period=True, default=False)


ECLIPSES = (
    _feature("first_depth_2p", f"max g - min g, {SMOOTH}", FLAT, PACZYNSKI),
    _feature(
        "second_depth_2p",
        f"max g - min g, the maximum within 0.1 of half a cycle after the first; {SMOOTH}",
        ALONE,
        PACZYNSKI,
    ),
    _feature(
        "second_phase_2p",
        f"phase from the first minimum of light to the second; 0.5 on a circular orbit; {SMOOTH}",
        ALONE,
        "e cos ω; Kallrath & Milone 2009, doi:10.1007/978-1-4419-0699-1",
    ),
    _feature(
        "first_width_2p",
        f"phase around the first minimum where g is fainter than half its depth; {SMOOTH}",
        FLAT,
        "duration of an eclipse at half its depth",
    ),
    _feature(
        "second_width_2p",
        f"the same of the second minimum and its own depth; {SMOOTH}",
        f"{ALONE}, or its depth is 0",
        "duration of an eclipse at half its depth",
    ),
    _feature(
        "first_asymmetry_2p",
        f"(after - before) / (after + before), the two parts of first_width_2p; {SMOOTH}",
        FLAT,
        "of an eclipse; > 0: recovers slower than it fades",
    ),
    _feature(
        "slope_10_p",
        "Q(0.1) of the slopes of f by phase at P, value per cycle, over max(3, N / 32) points of "
        "its running mean; the steepest brightening",
        f"{FLAT}, or all phases are equal",
        KIM,
    ),
    _feature(
        "slope_90_p",
        "Q(0.9) of the same; the steepest fading",
        f"{FLAT}, or all phases are equal",
        KIM,
    ),
    _feature(
        "phase_cusum_p",
        "range of the running sums of (f - <f>) / (N s) by phase at P",
        FLAT,
        "Kim et al. 2014, doi:10.1051/0004-6361/201323252",
    ),
    _feature(
        "phase_cusum_2p",
        "range of the running sums of (f - <f>) / (N s) by phase at 2P",
        FLAT,
        "Kim et al. 2014, doi:10.1051/0004-6361/201323252",
    ),
)

C = columns(ECLIPSES)


@njit(**KERNEL)
def _half_width(
    phase: NDArray[np.float64], smooth: NDArray[np.float64], top: int, level: float, step: int
) -> float:
    """Phase from a minimum of light to where the curve crosses a level, in one direction."""
    n = phase.size
    travelled, here = 0.0, top
    for _ in range(n - 1):
        then = here + step
        there = then % n
        turn = (phase[there] - phase[here]) * step
        turn += 1.0 if turn < 0 or (turn == 0 and (then < 0 or then >= n)) else 0.0
        if smooth[there] < level:
            share = (smooth[here] - level) / (smooth[here] - smooth[there])
            return float(travelled + share * turn)
        travelled += turn
        here = there
    return travelled


@njit(**KERNEL)
def _opposite(phase: NDArray[np.float64], smooth: NDArray[np.float64], first: int) -> int:
    """Faintest point about half a cycle after another, -1 where there is none."""
    best, where = -np.inf, -1
    for j in range(phase.size):
        distance = abs(phase[j] - phase[first] - 0.5) % 1.0
        if min(distance, 1.0 - distance) <= OPPOSITE and smooth[j] > best:
            best, where = smooth[j], j
    return where


@njit(**KERNEL)
def eclipse_shape(
    phase: NDArray[np.float64], smooth: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Depths, widths and distance of the two minima of light.

    Parameters
    ----------
    phase : float64 array, shape (n_points,)
        Ascending, in [0, 1), at twice the period.
    smooth : float64 array, shape (n_points,)
        Running mean of the faintness by phase.
    out : float64 array, shape (len(ECLIPSES),)
        Written where defined.
    """
    first = int(np.argmax(smooth))
    bright = np.min(smooth)
    depth = smooth[first] - bright
    if not depth > 0:
        return
    level = bright + 0.5 * depth
    before = _half_width(phase, smooth, first, level, -1)
    after = _half_width(phase, smooth, first, level, 1)
    out[C.FIRST_DEPTH_2P] = depth
    out[C.FIRST_WIDTH_2P] = min(before + after, 1.0)
    if before + after > 0:
        out[C.FIRST_ASYMMETRY_2P] = (after - before) / (after + before)
    second = _opposite(phase, smooth, first)
    if second < 0:
        return
    depth = smooth[second] - bright
    turn = phase[second] - phase[first]
    out[C.SECOND_DEPTH_2P] = depth
    out[C.SECOND_PHASE_2P] = turn - math.floor(turn)
    if depth > 0:
        level = bright + 0.5 * depth
        width = _half_width(phase, smooth, second, level, -1)
        width += _half_width(phase, smooth, second, level, 1)
        out[C.SECOND_WIDTH_2P] = min(width, 1.0)


@njit(**KERNEL)
def folded_slopes(
    phase: NDArray[np.float64], smooth: NDArray[np.float64], width: int, out: NDArray[np.float64]
) -> None:
    """Percentiles of the slopes of a folded curve.

    Parameters
    ----------
    phase, smooth : float64 array, shape (n_points,)
        Ascending phase at the period, and the running mean of the faintness.
    width : int
        Points that the running mean takes; slopes are taken over so many.
    out : float64 array, shape (len(ECLIPSES),)
        Written where two points of different phase are a width apart.
    """
    n = phase.size
    slope, held = np.empty(n), 0
    for j in range(n):
        there = (j + width) % n
        turn = phase[there] - phase[j] + (1.0 if j + width >= n else 0.0)
        if turn > 0:
            slope[held] = (smooth[there] - smooth[j]) / turn
            held += 1
    if held == 0:
        return
    ordered = sorted_values(slope[:held])
    out[C.SLOPE_10_P] = quantile(ordered, 0.1)
    out[C.SLOPE_90_P] = quantile(ordered, 0.9)


@njit(**KERNEL)
def phase_cusum(y: NDArray[np.float64], std: float) -> float:
    """Range of the running sums of values in phase order; the first point does not matter.

    Parameters
    ----------
    y : float64 array, shape (n_points,)
        Values by phase.
    std : float
        Their standard deviation, positive.

    Returns
    -------
    float
        In units of ``n_points * std``.
    """
    n = y.size
    total = 0.0
    for j in range(n):
        total += y[j]
    mean = total / n
    total, low, high = 0.0, np.inf, -np.inf
    for j in range(n):
        total += y[j] - mean
        low, high = min(low, total), max(high, total)
    return (high - low) / (n * std)
