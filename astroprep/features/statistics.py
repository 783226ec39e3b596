"""How the values of one light curve are distributed."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL, columns
from astroprep.features.ordering import sorted_values
from astroprep.features.statistics_table import DISTRIBUTION
from astroprep.threads import for_objects

__all__ = ["distribution_statistics", "median_deviation", "quantile"]

FOURTH_POWERS = (1e-290, 1e290)  # sums that neither underflow nor overflow; others are scaled first
# A tenth and a fifth of half the range, a float32 rounding wider: in data of three decimals many
# points lie on the very edge, and all of them are then inside, whatever the last bit says.
NEAR_10, NEAR_20 = 0.5 * float(np.float32(0.1)), 0.5 * float(np.float32(0.2))

D = columns(DISTRIBUTION)
N_DISTRIBUTION = len(DISTRIBUTION)
RATIO_QUANTILES = np.array([0.325, 0.25, 0.175, 0.1])


@njit(**KERNEL)
def quantile(ordered: NDArray[np.float64], p: float) -> float:
    """Hazen's p-quantile of ascending values: linear between the points (i + 1/2) / n.

    Parameters
    ----------
    ordered : float64 array, shape (n_points,)
        Ascending, any unit, at least one.
    p : float
        From 0 to 1; beyond half a point from an end it is the end.

    Returns
    -------
    float
        In the unit of the values.
    """
    n = ordered.size
    position = n * p - 0.5
    if position <= 0:
        return float(ordered[0])
    if position >= n - 1:
        return float(ordered[n - 1])
    below = int(position)
    share = position - below
    return float(ordered[below] + share * (ordered[below + 1] - ordered[below]))


@njit(**KERNEL)
def median_deviation(ordered: NDArray[np.float64], median: float) -> float:
    """Median absolute deviation, by walking outwards from the middle of ascending values.

    Parameters
    ----------
    ordered : float64 array, shape (n_points,)
        Ascending, any unit, at least one.
    median : float
        Their median.

    Returns
    -------
    float
        Median of ``|ordered - median|``, in the same unit.
    """
    n = ordered.size
    left, right = (n - 1) // 2, (n - 1) // 2 + 1
    last = before = 0.0
    for _ in range(n // 2 + 1):
        before = last
        below = median - ordered[left] if left >= 0 else np.inf
        above = ordered[right] - median if right < n else np.inf
        if below <= above:
            last = below
            left -= 1
        else:
            last = above
            right += 1
    return last if n % 2 else 0.5 * (before + last)


@njit(**KERNEL)
def _otsu(
    ordered: NDArray[np.float64],
    centre: float,
    total: float,
    square: float,
    row: NDArray[np.float64],
) -> None:
    """Split ascending values where the variance between the two sets is largest.

    ``total`` and ``square`` are the sums of ``x - centre`` and of its square.
    """
    n = ordered.size
    best, where, best_sum = -1.0, 1, 0.0
    running = 0.0
    for k in range(1, n):
        running += ordered[k - 1] - centre
        gap = running * n - total * k
        between = gap * gap / (float(k) * (n - k))
        if between > best and ordered[k] > ordered[k - 1]:
            best, where, best_sum = between, k, running
    below = 0.0
    for k in range(where):
        below += (ordered[k] - centre) ** 2
    above = square - below
    n_above = n - where
    mean_below, mean_above = best_sum / where, (total - best_sum) / n_above
    row[D.OTSU_MEAN_DIFF] = mean_above - mean_below
    below -= where * mean_below**2
    above -= n_above * mean_above**2
    row[D.OTSU_STD_LOWER] = math.sqrt(max(below, 0.0) / (where - 1)) if where > 1 else 0.0
    row[D.OTSU_STD_UPPER] = math.sqrt(max(above, 0.0) / (n_above - 1)) if n_above > 1 else 0.0
    row[D.OTSU_LOWER_TO_ALL_RATIO] = where / n


@njit(**KERNEL)
def _anderson_darling(ordered: NDArray[np.float64], mean: float, std: float) -> float:
    """Distance of ascending values from a Gaussian of their own mean and scatter."""
    n = ordered.size
    total = 0.0
    for i in range(n):
        z = (ordered[i] - mean) / (std * math.sqrt(2.0))
        # the small tail is exact from erfc, where 1 - erf would round to nothing
        tail = 0.5 * math.erfc(abs(z))
        near, far = math.log(tail), math.log1p(-tail)
        below, above = (near, far) if z < 0 else (far, near)
        total += (2 * i + 1) * below + (2 * (n - i) - 1) * above
    return (1.0 + 4.0 / n - 25.0 / n**2) * (-n - total / n)


@njit(**KERNEL)
def _tails(ordered: NDArray[np.float64], median: float) -> float:
    """Mean of the lowest and highest tenths of ascending values, less their median."""
    n = ordered.size
    tail = (n + 9) // 10
    total = 0.0
    for j in range(tail):
        total += (ordered[j] - median) + (ordered[n - 1 - j] - median)
    return total / (2 * tail)


@njit(**KERNEL)
def _robust_shape(ordered: NDArray[np.float64], spread: float, row: NDArray[np.float64]) -> None:
    """Ratios of quantile differences."""
    if spread > 0:
        for i in range(4):
            low = RATIO_QUANTILES[i]
            width = quantile(ordered, 1.0 - low) - quantile(ordered, low)
            row[D.MAGNITUDE_PERCENTAGE_RATIO_32_5 + i] = width / spread
    half = quantile(ordered, 0.75) - quantile(ordered, 0.25)
    if half > 0:
        upper = quantile(ordered, 0.875) - quantile(ordered, 0.625)
        lower = quantile(ordered, 0.375) - quantile(ordered, 0.125)
        row[D.MOORS_KURTOSIS] = (upper + lower) / half


@njit(**KERNEL)
def _moments(
    x: NDArray[np.float64], ordered: NDArray[np.float64], sign: float, row: NDArray[np.float64]
) -> None:
    """Mean, scatter and shape; sums run over differences from the median, which keeps digits."""
    n = x.size
    median = row[D.MEDIAN]
    total = 0.0
    for j in range(n):
        total += x[j] - median
    shift = total / n
    mean = median + shift
    row[D.MEAN] = mean
    two = three = four = 0.0
    for j in range(n):
        d = (x[j] - median) - shift
        two += d * d
        three += d * d * d
        four += d * d * d * d
    if n < 2:
        return
    std = math.sqrt(two / (n - 1))
    row[D.STANDARD_DEVIATION] = std
    if mean != 0:
        row[D.MEAN_VARIANCE] = std / mean
    one_std = two_std = three_std = 0
    for j in range(n):
        d = abs((x[j] - median) - shift)
        one_std += d > std
        two_std += d > 2 * std
        three_std += d > 3 * std
    row[D.BEYOND_1_STD] = one_std / n
    row[D.BEYOND_2_STD] = two_std / n
    row[D.BEYOND_3_STD] = three_std / n
    if ordered[0] == ordered[n - 1]:
        return
    row[D.TAIL_ASYMMETRY] = sign * _tails(ordered, median) / std
    if FOURTH_POWERS[0] < four < FOURTH_POWERS[1]:
        three, four = three / std**3, four / std**4
    else:
        three = four = 0.0
        for j in range(n):
            z = ((x[j] - median) - shift) / std
            three += z * z * z
            four += z * z * z * z
    if n > 2:
        row[D.SKEW] = n / ((n - 1.0) * (n - 2.0)) * three
    if n > 3:
        lead = n * (n + 1.0) / ((n - 1.0) * (n - 2.0) * (n - 3.0))
        row[D.KURTOSIS] = lead * four - 3 * (n - 1.0) ** 2 / ((n - 2.0) * (n - 3.0))
        row[D.ANDERSON_DARLING_NORMAL] = _anderson_darling(ordered, mean, std)
    _otsu(ordered, median, total, two + n * shift * shift, row)


@njit(**KERNEL)
def _order_statistics(ordered: NDArray[np.float64], sign: float, row: NDArray[np.float64]) -> None:
    """Everything that ascending values alone tell."""
    n = ordered.size
    low, high = ordered[0], ordered[n - 1]
    median = quantile(ordered, 0.5)
    q05, q95 = quantile(ordered, 0.05), quantile(ordered, 0.95)
    q10, q90 = quantile(ordered, 0.10), quantile(ordered, 0.90)
    row[D.MEDIAN] = median
    row[D.AMPLITUDE] = 0.5 * (high - low)
    row[D.INTER_PERCENTILE_RANGE_2] = quantile(ordered, 0.98) - quantile(ordered, 0.02)
    row[D.INTER_PERCENTILE_RANGE_10] = q90 - q10
    row[D.INTER_PERCENTILE_RANGE_25] = quantile(ordered, 0.75) - quantile(ordered, 0.25)
    row[D.PERCENT_AMPLITUDE] = max(high - median, median - low)
    row[D.MEDIAN_ABSOLUTE_DEVIATION] = median_deviation(ordered, median)
    if median != 0:
        row[D.PERCENT_DIFFERENCE_MAGNITUDE_PERCENTILE_5] = (q95 - q05) / median
        row[D.PERCENT_DIFFERENCE_MAGNITUDE_PERCENTILE_10] = (q90 - q10) / median
    if q95 > q05:
        middle = quantile(ordered, 0.6) - quantile(ordered, 0.4)
        row[D.MAGNITUDE_PERCENTAGE_RATIO_40_5] = middle / (q95 - q05)
        wide = quantile(ordered, 0.8) - quantile(ordered, 0.2)
        row[D.MAGNITUDE_PERCENTAGE_RATIO_20_5] = wide / (q95 - q05)
        row[D.PERCENTILE_SKEW] = sign * (q95 + q05 - 2 * median) / (q95 - q05)
    _robust_shape(ordered, q95 - q05, row)
    if high > low:
        reach = high - median if sign > 0 else median - low
        row[D.FAINT_REACH] = reach / (high - low)
    centre = 0.5 * (q05 + q95)
    near_10 = near_20 = fainter = 0
    for j in range(n):
        distance = abs(ordered[j] - median)
        near_10 += distance < NEAR_10 * (high - low)
        near_20 += distance < NEAR_20 * (high - low)
        fainter += sign * (ordered[j] - centre) > 0
    row[D.MEDIAN_BUFFER_RANGE_PERCENTAGE_10] = near_10 / n
    row[D.MEDIAN_BUFFER_RANGE_PERCENTAGE_20] = near_20 / n
    row[D.FAINT_HALF] = fainter / n


@njit(nogil=True, **KERNEL)
def _distribution_statistics_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    sign: float,
    result: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        x = value[offsets[i] : offsets[i + 1]]
        if x.size:
            ordered = sorted_values(x)
            _order_statistics(ordered, sign, result[i])
            _moments(x, ordered, sign, result[i])


def distribution_statistics(
    value: NDArray[np.float64], offsets: NDArray[np.int64], sign: float
) -> NDArray[np.float64]:
    """Statistics of the values alone, one row a curve, in the order of `DISTRIBUTION`.

    Parameters
    ----------
    value : float64 array, shape (n_points,)
        Magnitudes or flux, finite, in any order.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    sign : float
        1 where large values are faint (magnitudes), -1 for flux.

    Returns
    -------
    float64 array, shape (n_curves, len(DISTRIBUTION))
        NaN where the table says so.
    """
    result = np.full((offsets.size - 1, N_DISTRIBUTION), np.nan)
    for_objects(_distribution_statistics_range, offsets.size - 1, value, offsets, sign, result)
    return result
