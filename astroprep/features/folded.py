"""Statistics of the folded light curve itself, at the period and at twice the period."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.eclipses import ECLIPSES, eclipse_shape, folded_slopes, phase_cusum
from astroprep.features.feature import KERNEL, Feature, columns
from astroprep.features.ordering import phase_order
from astroprep.threads import for_objects

__all__ = ["FOLDED", "folded_statistics"]

BINS_PER_PERIOD = 10  # of the phase dispersion
WINDOWS = 32  # the running mean takes 1/32 of the points
OPPOSITE = 0.1  # half width in phase of the search for the second minimum and the maxima

STELLINGWERF = "Stellingwerf 1978, doi:10.1086/156444"
DWORETSKY = "Dworetsky 1983, doi:10.1093/mnras/203.4.917"
LAFLER = (
    "Lafler & Kinman 1965, doi:10.1086/190116; half the phase η of Kim et al. 2014, "
    "doi:10.1051/0004-6361/201323252"
)
OCONNELL = "O'Connell 1951, difference of the maxima of an eclipsing star"
SMOOTH = "g the running mean of N / 32 points (at least 3) of f by phase; "
FLAT = "all values are equal"


def _folded(name: str, points: int, formula: str, undefined: str, reference: str) -> Feature:
    return Feature(name, "folded", points, formula, undefined, reference, period=True)


def _at(suffix: str, fold: str) -> tuple[Feature, ...]:
    return (
        _folded(
            f"lafler_kinman_{suffix}",
            4,
            f"sum (m[i+1] - m[i])² / (2 (N - 1) s²) by phase at {fold}, around the circle",
            FLAT,
            LAFLER,
        ),
        _folded(
            f"string_length_{suffix}",
            4,
            f"sum hypot(Δφ, Δm / (2 (max - min))) by phase at {fold}, around the circle",
            FLAT,
            DWORETSKY,
        ),
        _folded(
            f"phase_dispersion_{suffix}",
            12 if suffix == "p" else 24,
            f"variance within phase bins at {fold}, ten a period, over s²",
            f"{FLAT}, or no bin holds two points",
            STELLINGWERF,
        ),
        _folded(
            f"depth_ratio_{suffix}",
            12,
            f"depth of the second minimum over the first at {fold}, the second within 0.1 of "
            f"half a cycle later; {SMOOTH}depth from min g",
            f"{FLAT}, or no point half a cycle after the minimum",
            "eclipsing stars; Paczyński et al. 2006, doi:10.1111/j.1365-2966.2006.10223.x",
        ),
        _folded(
            f"maxima_difference_{suffix}",
            12,
            f"|g' - g''| / (max g - min g), the brightest g within 0.1 of a quarter and three "
            f"quarters of a cycle after the minimum at {fold}; {SMOOTH}as above",
            f"{FLAT}, or no point there",
            OCONNELL,
        ),
    )


FOLDED = (
    *_at("p", "P"),
    *_at("2p", "2P"),
    _folded(
        "faint_width",
        12,
        f"share of the phase at P where g is fainter than half its range; {SMOOTH}",
        FLAT,
        "duty cycle of an eclipse",
    ),
    _folded(
        "bright_width",
        12,
        f"share of the phase at P where g is in its brightest quarter; {SMOOTH}",
        FLAT,
        "flatness of the maximum",
    ),
    *ECLIPSES,
)

C = columns(FOLDED)
N_FOLDED = len(FOLDED)
AT_P, AT_2P, ECLIPSE = C.LAFLER_KINMAN_P, C.LAFLER_KINMAN_2P, C.FIRST_DEPTH_2P


@njit(**KERNEL)
def _strings(
    phase: NDArray[np.float64],
    y: NDArray[np.float64],
    std: float,
    reach: float,
    out: NDArray[np.float64],
) -> None:
    """Lafler-Kinman statistic and string length of values in phase order."""
    n = y.size
    squares = length = 0.0
    for j in range(n):
        after = j + 1 if j + 1 < n else 0
        step = y[after] - y[j]
        turn = phase[after] - phase[j] + (0.0 if after else 1.0)
        squares += step * step
        height = step / (2 * reach)
        length += math.sqrt(turn * turn + height * height)
    out[0] = squares / (2 * (n - 1) * std * std)
    out[1] = length


@njit(**KERNEL)
def _dispersion(
    phase: NDArray[np.float64], y: NDArray[np.float64], std: float, n_bins: int
) -> float:
    """Variance within bins over the variance of all; NaN if no bin holds two points."""
    n = y.size
    within, mean = 0.0, 0.0
    bins, in_bin, current = 0, 0, -1
    for j in range(n):
        here = int(phase[j] * n_bins)
        if here != current:
            current, in_bin, mean = here, 0, 0.0
            bins += 1
        in_bin += 1
        before = y[j] - mean
        mean += before / in_bin
        within += before * (y[j] - mean)
    return within / (n - bins) / (std * std) if n > bins else np.nan


@njit(**KERNEL)
def _running_mean(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of an odd number of neighbours around each point of a circle."""
    n = y.size
    half = max(3, n // WINDOWS) // 2
    width = 2 * half + 1
    smooth = np.empty(n)
    total = 0.0
    for j in range(-half, half + 1):
        total += y[j % n]
    for j in range(n):
        smooth[j] = total / width
        total += y[(j + half + 1) % n] - y[(j - half) % n]
    return smooth


@njit(**KERNEL)
def _extreme(
    phase: NDArray[np.float64], smooth: NDArray[np.float64], centre: float, sign: float
) -> float:
    """Largest ``sign * smooth`` within `OPPOSITE` of a phase; NaN where there is no point."""
    best = -np.inf
    for j in range(phase.size):
        distance = abs(phase[j] - centre) % 1.0
        if min(distance, 1.0 - distance) <= OPPOSITE:
            best = max(best, sign * smooth[j])
    return best if best > -np.inf else np.nan


@njit(**KERNEL)
def _minima(
    phase: NDArray[np.float64], smooth: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Depth ratio of the two minima and difference of the two maxima."""
    first = np.argmax(smooth)
    bright = np.min(smooth)
    depth = smooth[first] - bright
    if not depth > 0:
        return
    second = _extreme(phase, smooth, phase[first] + 0.5, 1.0)
    out[3] = (second - bright) / depth
    after = _extreme(phase, smooth, phase[first] + 0.25, -1.0)
    before = _extreme(phase, smooth, phase[first] + 0.75, -1.0)
    out[4] = abs(after - before) / depth


@njit(**KERNEL)
def _widths(
    phase: NDArray[np.float64], smooth: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Share of the cycle spent faint and bright; a point stands for half the gaps beside it."""
    n = phase.size
    low, high = np.min(smooth), np.max(smooth)
    if not high > low:
        return
    faint = bright = 0.0
    for j in range(n):
        before = phase[j - 1] if j else phase[n - 1] - 1.0
        after = phase[j + 1] if j + 1 < n else phase[0] + 1.0
        share = 0.5 * (after - before)
        level = (smooth[j] - low) / (high - low)
        if level > 0.5:
            faint += share
        if level < 0.25:
            bright += share
    out[C.FAINT_WIDTH] = faint
    out[C.BRIGHT_WIDTH] = bright


@njit(**KERNEL)
def _fold_once(
    phase: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fold at P from the fold at 2P: merge its two sorted halves."""
    n = phase.size
    half = np.searchsorted(phase, 0.5)
    once, merged = np.empty(n), np.empty(n)
    left, right = 0, half
    for j in range(n):
        if right >= n or (left < half and phase[left] <= phase[right] - 0.5):
            once[j], merged[j] = 2 * phase[left], y[left]
            left += 1
        else:
            once[j], merged[j] = 2 * (phase[right] - 0.5), y[right]
            right += 1
    return once, merged


@njit(nogil=True, **KERNEL)
def _folded_statistics_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    sign: float,
    moments: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        first, n = offsets[i], offsets[i + 1] - offsets[i]
        std, reach = moments[i, 1], 2 * moments[i, 2]
        if n < 4 or not reach > 0:
            continue
        phase = np.empty(n)
        for j in range(n):
            turns = (time[first + j] - time[first]) / (2 * period[i])
            phase[j] = turns - math.floor(turns)
            if phase[j] >= 1.0:  # the difference rounds up just below a whole turn
                phase[j] = 0.0
        order = phase_order(phase)
        twice, y = np.empty(n), np.empty(n)
        for j in range(n):
            twice[j] = phase[order[j]]
            y[j] = sign * (value[first + order[j]] - value[first])  # exact: sums keep ties
        once, y_once = _fold_once(twice, y)
        for fold in range(2):
            at = AT_P if fold == 0 else AT_2P
            p, v = (once, y_once) if fold == 0 else (twice, y)
            out = result[i, at : at + 5]
            _strings(p, v, std, reach, out)
            out[2] = _dispersion(p, v, std, BINS_PER_PERIOD * (fold + 1))
            smooth = _running_mean(v)
            _minima(p, smooth, out)
            if fold == 0:
                _widths(p, smooth, result[i])
                folded_slopes(p, smooth, max(3, n // WINDOWS), result[i, ECLIPSE:])
                result[i, C.PHASE_CUSUM_P] = phase_cusum(v, std)
            else:
                eclipse_shape(p, smooth, result[i, ECLIPSE:])
                result[i, C.PHASE_CUSUM_2P] = phase_cusum(v, std)


def folded_statistics(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    sign: float,
    moments: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Statistics of the folded curve, one row a curve, in the order of `FOLDED`.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, ascending within each curve.
    value : float64 array, shape (n_points,)
        Magnitudes or flux, finite.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_curves,)
        Days, positive.
    sign : float
        1 where large values are faint (magnitudes), -1 for flux.
    moments : float64 array, shape (n_curves, 3)
        Mean, standard deviation and half range of the values.

    Returns
    -------
    float64 array, shape (n_curves, len(FOLDED))
        NaN where the table says so.
    """
    result = np.full((offsets.size - 1, N_FOLDED), np.nan)
    for_objects(
        _folded_statistics_range,
        offsets.size - 1,
        time,
        value,
        offsets,
        period,
        sign,
        moments,
        result,
    )
    return result
