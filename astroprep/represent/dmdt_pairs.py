"""Pairs of points by time and brightness difference: the counts behind a dm-dt image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.represent.dmdt_kernel import MAX_PAIRS, count_pairs

__all__ = ["DmDtCounts", "checked_edges", "dmdt_counts", "dmdt_edges"]

MOST_BINS = 1024  # on an axis; an image beyond holds more bins than a curve has pairs


class DmDtCounts(NamedTuple):
    """What `dmdt_counts` gives.

    Parameters
    ----------
    counts : float64 array, shape (n_curves, n_dt, n_dm)
        Pairs in each bin; whole numbers without errors.
    pairs : int64 array, shape (n_curves, n_dt)
        Pairs at each time difference, whatever their brightness difference. Always exact.
    looked_at : int64 array, shape (n_curves, n_dt)
        Pairs whose brightness difference was taken; less than ``pairs`` where a long curve was
        sampled.
    """

    counts: NDArray[np.float64]
    pairs: NDArray[np.int64]
    looked_at: NDArray[np.int64]


def dmdt_edges(
    n_dt: int = 24,
    n_dm: int = 24,
    dt_range: tuple[float, float] = (0.01, 3000.0),
    dm_range: tuple[float, float] = (0.02, 5.0),
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges of the bins, evenly spaced in the logarithm on both axes.

    Parameters
    ----------
    n_dt, n_dm : int, default 24
        Bins of time and of brightness difference; the latter even, half of them negative.
    dt_range : tuple of float, default (0.01, 3000.0)
        First and last edge of the time difference, days.
    dm_range : tuple of float, default (0.02, 5.0)
        Least and largest edge beside zero, in the unit of the brightness. The two bins at zero
        reach to the least.

    Returns
    -------
    dt_edges : float64 array, shape (n_dt + 1,)
        Days.
    dm_edges : float64 array, shape (n_dm + 1,)
        Symmetric, zero in the middle.

    Raises
    ------
    ConfigError
        If a number of bins or a range is none.

    Notes
    -----
    Mahabal et al. 2017 choose 23 x 24 edges by hand, unequal on both axes and, in brightness,
    finest near zero. Logarithmic edges share that and need no list.

    References
    ----------
    .. [1] Mahabal et al. 2017, "Deep-learnt classification of light curves", arXiv:1709.06257
    """
    if not (n_dt == int(n_dt) and 1 <= n_dt <= MOST_BINS):
        raise ConfigError(f"dmdt_edges: n_dt must be 1 to {MOST_BINS}, got {n_dt!r}")
    if not (n_dm == int(n_dm) and 2 <= n_dm <= MOST_BINS and n_dm % 2 == 0):
        raise ConfigError(f"dmdt_edges: n_dm must be even, 2 to {MOST_BINS}, got {n_dm!r}")
    for name, (low, high) in (("dt_range", dt_range), ("dm_range", dm_range)):
        if not 0 < low < high < np.inf:
            raise ConfigError(f"dmdt_edges: {name} must be 0 < low < high, got {(low, high)!r}")
    positive = np.geomspace(*dm_range, n_dm // 2) if n_dm > 2 else np.array(dm_range[1:])
    return (
        np.geomspace(*dt_range, n_dt + 1),
        np.concatenate([-positive[::-1], [0.0], positive]),
    )


def checked_edges(edges: ArrayLike, name: str) -> NDArray[np.float64]:
    """Edges as an array.

    Parameters
    ----------
    edges : array-like of float
        As a user gave them.
    name : {"dt_edges", "dm_edges"}
        Named in errors; the former must be positive.

    Returns
    -------
    float64 array, shape (n_bins + 1,)
        Increasing.

    Raises
    ------
    ConfigError
        If they are not.
    """
    try:
        array = np.ascontiguousarray(edges, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"{name} must be numbers, got {edges!r}") from None
    bad = array.ndim != 1 or not 2 <= array.size <= MOST_BINS + 1 or not np.isfinite(array).all()
    if bad or not (np.diff(array) > 0).all():
        raise ConfigError(
            f"{name} must be 2 to {MOST_BINS + 1} finite numbers that increase, got {edges!r}"
        )
    if name == "dt_edges" and not array[0] > 0:
        raise ConfigError(
            "dt_edges must begin above 0: of two points at one time none is the later, "
            f"got {float(array[0])!r}"
        )
    return array


def dmdt_counts(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    dt_edges: ArrayLike,
    dm_edges: ArrayLike,
    *,
    error: NDArray[np.float64] | None = None,
    max_pairs: int = MAX_PAIRS,
    seed: int = 0,
) -> DmDtCounts:
    """Pairs of points of each curve by time and brightness difference.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, sorted within each curve.
    value : float64 array, shape (n_points,)
        Magnitude or flux, no NaN. The difference is the later less the earlier.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``; curves of no point or one have no pair.
    dt_edges, dm_edges : array-like of float
        Increasing edges in days (from above zero) and in the unit of `value`. A bin holds its
        lower edge and not its upper one.
    error : float64 array, shape (n_points,), optional
        Of `value`. Each pair is then spread over brightness difference as its Gaussian error
        says; what falls beyond the edges is lost.
    max_pairs : int, default `MAX_PAIRS`
        Pairs of one curve to look at. A curve that has more within `dt_edges` is sampled.
    seed : int, default 0
        Of the sample; the same for each curve, so that neighbours do not matter.

    Returns
    -------
    DmDtCounts
        Counts, pairs and pairs looked at.

    Raises
    ------
    ConfigError
        If edges do not increase or a number is out of range.
    DataError
        If arrays differ in length, or hold NaN or infinity, or a curve is not sorted.

    Notes
    -----
    A pair with difference d and variance s² = e_i² + e_j² adds Φ((b - d) / s) - Φ((a - d) / s)
    to the bin [a, b). Φ is a table of cubic pieces, within 1e-10.

    A sample is stratified: rows of few pairs are taken whole, the pairs of any other row, in
    the order of their points, are cut into equal runs and one pair drawn from each stands for
    its run. Each bin is unbiased and each row keeps its exact total.

    References
    ----------
    .. [1] Mahabal et al. 2017, arXiv:1709.06257
    .. [2] Soraisam et al. 2020, ApJ 892, 112, doi:10.3847/1538-4357/ab7b61 (conditional form)
    """
    dt, dm = checked_edges(dt_edges, "dt_edges"), checked_edges(dm_edges, "dm_edges")
    if max_pairs != int(max_pairs) or max_pairs < dt.size:
        raise ConfigError(f"max_pairs must be {dt.size} or more, one a row, got {max_pairs!r}")
    if seed != int(seed) or not 0 <= seed < 1 << 63:
        raise ConfigError(f"seed must be a whole number from 0 to 2**63 - 1, got {seed!r}")
    t, x = np.ascontiguousarray(time, np.float64), np.ascontiguousarray(value, np.float64)
    errors = None if error is None else np.ascontiguousarray(error, np.float64)
    starts = np.ascontiguousarray(offsets, np.int64)
    for name, array in (("time", t), ("value", x), ("error", errors)):
        if array is None:
            continue
        if array.shape != t.shape or starts.size < 1 or starts[-1] != t.size:
            raise DataError(
                f"dmdt_counts needs {starts[-1:].sum()} numbers in {name!r}, as offsets say, "
                f"got shape {array.shape}"
            )
        if not np.isfinite(array).all():
            raise DataError(f"dmdt_counts needs finite numbers in {name!r}; see FlagBad")
    if errors is not None and (errors < 0).any():
        raise DataError("dmdt_counts needs errors that are not negative; see FlagBad")
    back = np.flatnonzero(np.diff(t) < 0) + 1
    if np.setdiff1d(back, starts).size:
        raise DataError("dmdt_counts needs times sorted within each curve; see batch.usable")
    return DmDtCounts(*count_pairs(t, x, errors, starts, dt, dm, int(max_pairs), int(seed)))
