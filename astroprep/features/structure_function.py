"""Structure function of each light curve: how far the brightness moves in a given time.

The mean-square form needs no list of pairs: the later points within a range of lags are a window
of the sorted times, and sums over a window are differences of running sums. Every pair is used at
the cost of one window per point and bin, and so are the pairs that a jackknife leaves out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError
from astroprep.features.feature import KERNEL
from astroprep.features.random_walk import bands_of
from astroprep.features.structure_robust import robust_structure
from astroprep.threads import for_objects

__all__ = ["DEFAULT_LAGS", "BinnedStructure", "Definition", "structure_function"]

Definition = Literal["mean_square", "mean_absolute", "iqr", "mad"]

DEFAULT_LAGS: tuple[float, ...] = tuple(float(x) for x in np.geomspace(0.01, 10_000.0, 19))
"""Edges, days: three bins a decade, from a quarter of an hour to 27 years."""

N_BLOCKS = 10  # of a jackknife; more say more of short lags, fewer of long ones
LEAST_PAIRS = 10
MAX_PAIRS = 2000  # of a bin, in the robust definitions: 2 % of a quantile's own uncertainty


@dataclass(frozen=True, eq=False)
class BinnedStructure:
    """Structure function of each light curve in bins of lag.

    Parameters
    ----------
    edges : float64 array, shape (n_bins + 1,)
        Days.
    lag : float64 array, shape (n_curves, n_bins)
        Mean lag of the pairs, days; NaN in a bin without pairs.
    squared, squared_error : float64 array, shape (n_curves, n_bins)
        SF², the square of the unit of the value, noise subtracted (so it may be negative, which
        is no mistake: averages over curves stay unbiased), and its jackknife error. NaN with
        fewer than 10 pairs, and in all bins of a curve with an error missing.
    pairs : int64 array, shape (n_curves, n_bins)
        Pairs of points in the bin.
    definition : str
        Which average was taken.
    """

    edges: NDArray[np.float64]
    lag: NDArray[np.float64]
    squared: NDArray[np.float64]
    squared_error: NDArray[np.float64]
    pairs: NDArray[np.int64]
    definition: str

    def root(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """SF and its error, float64, unit of the value; NaN where SF² is not positive."""
        with np.errstate(invalid="ignore", divide="ignore"):
            value = np.sqrt(np.where(self.squared > 0, self.squared, np.nan))
            return value, 0.5 * self.squared_error / value


def structure_function(
    batch: LightCurveBatch,
    lags: ArrayLike = DEFAULT_LAGS,
    definition: Definition = "mean_square",
    max_pairs: int = MAX_PAIRS,
) -> BinnedStructure:
    """Structure function of each light curve in bins of lag, measurement noise subtracted.

    Parameters
    ----------
    batch : LightCurveBatch
        Its usable points count, with their errors.
    lags : float64 array, shape (n_bins + 1,), default DEFAULT_LAGS
        Edges of the bins, days; a pair belongs to ``edges[k] <= dt < edges[k + 1]``. The default
        has three bins a decade from 0.01 to 10,000 days.
    definition : {"mean_square", "mean_absolute", "iqr", "mad"}, default "mean_square"
        Average of the differences d; see the notes.
    max_pairs : int, default 2000
        Pairs of a bin that the other three definitions draw at most, evenly from all pairs, each
        equally likely; the mean square always takes all.

    Returns
    -------
    BinnedStructure
        One row a curve.

    Raises
    ------
    ConfigError
        If the edges do not ascend from above zero, or a setting is unknown or too small.
    DataError
        If a curve has several bands.

    Notes
    -----
    With d the later value less the earlier one and n the sum of the two squared errors:

    - ``"mean_square"``: ``SF² = <d²> - <n>``, unbiased for any distribution with those errors;
    - ``"mean_absolute"``: ``SF² = π/2 <|d|>² - <n>`` [1]_;
    - ``"iqr"``: ``SF² = (0.7413 IQR(d))² - <n>`` [2]_;
    - ``"mad"``: ``SF² = (1.4826 median |d|)² - <n>``.

    The last three hold for Gaussian differences and errors of similar size, and resist outliers.

    The error is that of a jackknife over ten stretches of equally many points, leaving out the
    pairs that touch a stretch: it says how well this curve's own structure function is known. At
    lags near the baseline, where all pairs share one rise or fall, it says little of what another
    realisation of the same process would show.

    References
    ----------
    .. [1] Vanden Berk et al. 2004, ApJ 601, 692, arXiv:astro-ph/0310336
    .. [2] MacLeod et al. 2012, ApJ 753, 106, arXiv:1112.0679
    """
    edges = np.ascontiguousarray(lags, np.float64)
    ascending = edges.ndim == 1 and edges.size > 1 and edges[0] > 0 and (np.diff(edges) > 0).all()
    if not (ascending and np.isfinite(edges).all()):
        raise ConfigError("structure_function: lags must be at least two ascending positive days")
    if definition not in get_args(Definition):
        raise ConfigError(
            f"structure_function: definition must be one of {', '.join(get_args(Definition))}, "
            f"got {definition!r}"
        )
    if max_pairs < 10 * N_BLOCKS:
        raise ConfigError(f"structure_function: max_pairs must be 100 or more, got {max_pairs!r}")
    bands_of(batch, False, "structure_function")
    usable = batch.usable
    columns = usable.time, usable.value, usable.error, usable.offsets
    lag, squared, error, pairs = squared_structure(*columns, edges)
    if definition != "mean_square":
        kind = get_args(Definition).index(definition)
        squared, error = robust_structure(*columns, edges, kind, int(max_pairs), N_BLOCKS)
    few = pairs < LEAST_PAIRS
    bad = ~(np.isfinite(usable.error) & (usable.error >= 0))
    few[np.repeat(np.arange(batch.n_curves), usable.counts())[bad]] = True
    squared[few], error[few] = np.nan, np.nan
    return BinnedStructure(edges, lag, squared, error, pairs, definition)


@njit(**KERNEL)
def _window(sums: NDArray[np.float64], i: int, first: int, last: int) -> tuple[float, float, float]:
    """Squared differences, noise and lags of the pairs of point i with a window of others."""
    count = last - first
    m, noise, time = sums[4, i], sums[5, i], sums[6, i]
    s1 = sums[0, last] - sums[0, first]
    s2 = sums[1, last] - sums[1, first]
    d2 = s2 - 2.0 * m * s1 + count * m * m
    n2 = sums[2, last] - sums[2, first] + count * noise
    dt = sums[3, last] - sums[3, first] - count * time
    return d2, n2, dt


@njit(**KERNEL)
def _running_sums(
    time: NDArray[np.float64], value: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Rows: sums of m, m², e², t before each point, then m, e² and t; m from the median."""
    n = value.size
    sums = np.zeros((7, n + 1))
    centre = np.median(value)
    scale = np.abs(value - centre).max()
    if not scale > 0:
        scale = 1.0
    for i in range(n):
        m, e, t = (value[i] - centre) / scale, error[i] / scale, time[i] - time[0]
        sums[4, i], sums[5, i], sums[6, i] = m, e * e, t
        sums[0, i + 1] = sums[0, i] + m
        sums[1, i + 1] = sums[1, i] + m * m
        sums[2, i + 1] = sums[2, i] + e * e
        sums[3, i + 1] = sums[3, i] + t
    return sums, scale


@njit(**KERNEL)
def _bin(
    time: NDArray[np.float64], sums: NDArray[np.float64], low: float, high: float
) -> tuple[NDArray[np.float64], float, float, float]:
    """One bin: sums of d² - n and counts by stretch (pairs that touch it), totals, sum of lags."""
    n = time.size
    touch = np.zeros((2, N_BLOCKS))
    total = count = lags = 0.0
    first = last = back_first = back_last = 0
    for i in range(n):
        block = i * N_BLOCKS // n
        end = ((block + 1) * n + N_BLOCKS - 1) // N_BLOCKS  # of the stretch
        while first < n and time[first] - time[i] < low:
            first += 1
        last = max(last, first)
        while last < n and time[last] - time[i] < high:
            last += 1
        while back_first < i and time[i] - time[back_first] >= high:
            back_first += 1
        back_last = max(back_last, back_first)
        while back_last < i and time[i] - time[back_last] >= low:
            back_last += 1
        if last > first:
            d2, n2, dt = _window(sums, i, first, last)
            total += d2 - n2
            count += last - first
            lags += dt
            touch[0, block] += d2 - n2
            touch[1, block] += last - first
        if back_last > back_first:
            d2, n2, _ = _window(sums, i, back_first, back_last)
            touch[0, block] += d2 - n2
            touch[1, block] += back_last - back_first
        inside = min(last, end)
        if inside > first:  # both ends in the stretch: counted twice
            d2, n2, _ = _window(sums, i, first, inside)
            touch[0, block] -= d2 - n2
            touch[1, block] -= inside - first
    return touch, total, count, lags


@njit(nogil=True, **KERNEL)
def _squared_structure_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    edges: NDArray[np.float64],
    n_bins: int,
    lag: NDArray[np.float64],
    squared: NDArray[np.float64],
    spread: NDArray[np.float64],
    pairs: NDArray[np.int64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        if offsets[i + 1] - offsets[i] < 2:
            continue
        t = time[part]
        sums, scale = _running_sums(t, value[part], error[part])
        for k in range(n_bins):
            touch, total, count, lags = _bin(t, sums, edges[k], edges[k + 1])
            pairs[i, k] = int(count)
            if count > 0:
                lag[i, k] = lags / count
                squared[i, k] = total / count * scale * scale
                spread[i, k] = _jackknife(touch, total, count) * scale * scale


def squared_structure(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    edges: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean-square structure function of each curve, all pairs, O(n_points n_bins).

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days in ascending order in each curve; values with their errors.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    edges : float64 array, shape (n_bins + 1,)
        Days, ascending.

    Returns
    -------
    lag, squared, squared_error : float64 array, shape (n_curves, n_bins)
        Mean lag, SF² less noise, its jackknife error.
    pairs : int64 array, shape (n_curves, n_bins)
        Pairs.
    """
    n_curves, n_bins = offsets.size - 1, edges.size - 1
    lag = np.full((n_curves, n_bins), np.nan)
    squared = np.full((n_curves, n_bins), np.nan)
    spread = np.full((n_curves, n_bins), np.nan)
    pairs = np.zeros((n_curves, n_bins), np.int64)
    for_objects(
        _squared_structure_range,
        n_curves,
        time,
        value,
        error,
        offsets,
        edges,
        n_bins,
        lag,
        squared,
        spread,
        pairs,
    )
    return lag, squared, spread, pairs


@njit(**KERNEL)
def _jackknife(touch: NDArray[np.float64], total: float, count: float) -> float:
    """Error of a mean over pairs when stretches of points are left out; NaN if too few can be."""
    left = np.empty(N_BLOCKS)
    n = 0
    for b in range(N_BLOCKS):
        rest = count - touch[1, b]
        if rest > 0 and touch[1, b] > 0:
            left[n] = (total - touch[0, b]) / rest
            n += 1
    if n < 2:
        return math.nan
    mean = left[:n].mean()
    return math.sqrt((n - 1.0) / n * ((left[:n] - mean) ** 2).sum())
