"""Images of brightness difference against time difference, over all pairs of points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.represent.dmdt_kernel import MAX_PAIRS, count_pairs

__all__ = ["DmDtCounts", "DmDtImage", "dmdt_counts", "dmdt_edges"]

Normalization = Literal["counts", "fraction", "conditional"]
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


def _checked_edges(edges: ArrayLike, name: str) -> NDArray[np.float64]:
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
    dt, dm = _checked_edges(dt_edges, "dt_edges"), _checked_edges(dm_edges, "dm_edges")
    if max_pairs != int(max_pairs) or max_pairs < dt.size:
        raise ConfigError(f"max_pairs must be {dt.size} or more, one a row, got {max_pairs!r}")
    if seed != int(seed) or not 0 <= seed < 1 << 63:
        raise ConfigError(f"seed must be a whole number from 0 to 2**63 - 1, got {seed!r}")
    arrays = [np.ascontiguousarray(a, np.float64) for a in (time, value)]
    errors = None if error is None else np.ascontiguousarray(error, np.float64)
    starts = np.ascontiguousarray(offsets, np.int64)
    t = arrays[0]
    for name, array in (("time", t), ("value", arrays[1]), ("error", errors)):
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
    return DmDtCounts(*count_pairs(*arrays, errors, starts, dt, dm, int(max_pairs), int(seed)))


class _NeedsOfChoice:
    """One band unless bands are named, errors only where they are spread."""

    def __get__(self, step: DmDtImage | None, owner: type) -> Needs:
        if step is None:
            return Needs(min_points=2)
        return Needs(min_points=2, errors=bool(step.spread), single_band=step.bands is None)


class DmDtImage(Transformer):
    """Add ``objects["dmdt"]``: an image of brightness against time difference of each curve.

    Beside it stand ``objects["dmdt_pairs"]``, the number of pairs of each row (a row of zeros
    without pairs says nothing, one with pairs lies beyond the brightness edges), and
    ``objects["dmdt_sampled"]``, the share of the pairs that was looked at, 1 for all.

    Parameters
    ----------
    dt_edges, dm_edges : sequence of float, optional
        Edges in days and in the unit of the brightness; those of `dmdt_edges` by default, whose
        brightness edges are magnitudes.
    normalization : {"conditional", "fraction", "counts"}, default "conditional"
        ``"conditional"`` divides each row by its pairs and estimates p(dm | dt), which depends
        on the cadence least; ``"fraction"`` divides by all pairs within `dt_edges`.
    spread : bool, default False
        Spread each pair over brightness difference by its Gaussian error.
    bands : sequence of str, optional
        Names out of ``batch.meta.bands``: an image each, of pairs within the band. Default: all
        points are of one band.
    dtype : {"float32", "uint8"}, default "float32"
        ``"uint8"`` is 255 times the normalised image, rounded up, so that a bin with a pair is
        never 0 (Mahabal et al. 2017).
    min_pairs : int, default 1
        Pairs within `dt_edges` that a curve needs (in all bands together).
    max_pairs : int, default 2,000,000
        Pairs of one curve (and band) to look at; a curve with more is sampled, see
        `dmdt_counts`.
    seed : int, default 0
        Of the sample.
    on_bad : {"raise", "reject"}, default "raise"
        What happens to a curve with fewer pairs.

    Raises
    ------
    DataError
        If the batch holds fluxes and `dm_edges` is not given, or lacks a band.

    Notes
    -----
    The shape is ``(n_curves, n_dt, n_dm)``, with bands ``(n_curves, n_bands, n_dt, n_dm)``.
    ``dm`` is the later less the earlier value, as the survey gave it: of magnitudes fading is
    positive. The sum over dm of a conditional row falls short of 1 by what lies beyond the edges.

    References
    ----------
    .. [1] Mahabal et al. 2017, "Deep-learnt classification of light curves", arXiv:1709.06257
    """

    needs: ClassVar[Needs] = _NeedsOfChoice()  # type: ignore[assignment]

    def __init__(
        self,
        dt_edges: Sequence[float] | None = None,
        dm_edges: Sequence[float] | None = None,
        normalization: Normalization = "conditional",
        spread: bool = False,
        bands: Sequence[str] | None = None,
        dtype: Literal["float32", "uint8"] = "float32",
        min_pairs: int = 1,
        max_pairs: int = MAX_PAIRS,
        seed: int = 0,
        on_bad: OnBad = "raise",
    ) -> None:
        self.dt_edges = dt_edges
        self.dm_edges = dm_edges
        self.normalization = normalization
        self.spread = spread
        self.bands = bands
        self.dtype = dtype
        self.min_pairs = min_pairs
        self.max_pairs = max_pairs
        self.seed = seed
        self.on_bad = on_bad

    def _edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        dt, dm = dmdt_edges()
        if self.dt_edges is not None:
            dt = _checked_edges(self.dt_edges, "dt_edges")
        if self.dm_edges is not None:
            dm = _checked_edges(self.dm_edges, "dm_edges")
        return dt, dm

    def _check(self) -> None:
        dt, _ = self._edges()
        if self.normalization not in ("conditional", "fraction", "counts"):
            raise ConfigError(
                "normalization must be 'conditional', 'fraction' or 'counts', "
                f"got {self.normalization!r}"
            )
        if self.dtype not in ("float32", "uint8"):
            raise ConfigError(f"dtype must be 'float32' or 'uint8', got {self.dtype!r}")
        if self.dtype == "uint8" and self.normalization == "counts":
            raise ConfigError("dtype 'uint8' holds shares; choose another normalization")
        if self.bands is not None and (
            isinstance(self.bands, str) or not self.bands or len(set(self.bands)) < len(self.bands)
        ):
            raise ConfigError(f"bands must be different names in a sequence, got {self.bands!r}")
        least = {"min_pairs": 1, "max_pairs": dt.size, "seed": 0}
        for name, low in least.items():
            number = getattr(self, name)
            if number != int(number) or not low <= number < 1 << 63:
                raise ConfigError(f"{name} must be a whole number from {low}, got {number!r}")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        if self.dm_edges is None and batch.meta.quantity == "flux":
            raise DataError(
                "DmDtImage: the brightness edges by default are magnitudes, but this batch holds "
                "flux; give dm_edges in its unit, or put ToMagnitude before"
            )
        counts, pairs, looked_at = self._count(batch)
        total = _summed(pairs)
        lacking = total < self.min_pairs
        why = np.array(
            [f"at least {self.min_pairs} pairs within dt_edges, has {n}" for n in total], object
        )
        shares = _summed(looked_at) / np.maximum(total, 1)
        kept, batch = ~lacking, self.refuse(batch, lacking, why)
        image = _normalised(counts, pairs, self.normalization)[kept]
        if self.dtype == "uint8":
            image = np.ceil(np.minimum(255.0 * image, 255.0))
        columns = {
            "dmdt": image.astype(self.dtype),
            "dmdt_pairs": pairs[kept],
            "dmdt_sampled": shares[kept],
        }
        return batch.with_columns(objects=columns)

    def _count(self, batch: LightCurveBatch) -> DmDtCounts:
        usable, (dt, dm) = batch.usable, self._edges()
        index, offsets, shape = slice(None), usable.offsets, (batch.n_curves,)
        if self.bands is not None:
            index, offsets = _by_band(batch, self.bands)
            shape = (batch.n_curves, len(self.bands))
        found = dmdt_counts(
            usable.time[index],
            usable.value[index],
            offsets,
            dt,
            dm,
            error=usable.error[index] if self.spread else None,
            max_pairs=int(self.max_pairs),
            seed=int(self.seed),
        )
        return DmDtCounts(*(part.reshape(*shape, *part.shape[1:]) for part in found))


def _summed(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Over all but the curves."""
    return np.asarray(pairs.sum(axis=tuple(range(1, pairs.ndim))))


def _normalised(
    counts: NDArray[np.float64], pairs: NDArray[np.int64], how: Normalization
) -> NDArray[np.float64]:
    if how == "counts":
        return counts
    if how == "fraction":
        by = _summed(pairs)[(slice(None), *[None] * (counts.ndim - 1))]
    else:
        by = pairs[..., None]
    return np.asarray(counts / np.maximum(by, 1))


def _by_band(
    batch: LightCurveBatch, bands: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the usable points by curve, band and time, and where each band begins."""
    known = batch.meta.bands if batch.band is not None else ()
    for name in bands:
        if name not in known:
            there = f"there is {', '.join(known)}" if known else "its points have no band"
            raise DataError(f"DmDtImage: no band {name!r} in this survey; {there}")
    usable = batch.usable
    place = np.full(max(len(known), 1), -1)
    place[[known.index(name) for name in bands]] = np.arange(len(bands))
    where = place[np.asarray(usable.band)]
    curve = np.repeat(np.arange(batch.n_curves), usable.counts())
    group = np.where(where < 0, batch.n_curves * len(bands), curve * len(bands) + where)
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group, minlength=batch.n_curves * len(bands) + 1)[:-1]
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    return order[: offsets[-1]], offsets
