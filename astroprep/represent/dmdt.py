"""`DmDtImage`: images of brightness difference against time difference, for the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.represent.dmdt_kernel import MAX_PAIRS
from astroprep.represent.dmdt_pairs import DmDtCounts, checked_edges, dmdt_counts, dmdt_edges

__all__ = ["DmDtImage"]

Normalization = Literal["counts", "fraction", "conditional"]


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
            dt = checked_edges(self.dt_edges, "dt_edges")
        if self.dm_edges is not None:
            dm = checked_edges(self.dm_edges, "dm_edges")
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
        index: slice | NDArray[np.int64] = slice(None)
        offsets, shape = usable.offsets, [batch.n_curves]
        if self.bands is not None:
            index, offsets = _by_band(batch, self.bands)
            shape.append(len(self.bands))
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
        return DmDtCounts(
            found.counts.reshape(*shape, *found.counts.shape[1:]),
            found.pairs.reshape(*shape, *found.pairs.shape[1:]),
            found.looked_at.reshape(*shape, *found.looked_at.shape[1:]),
        )


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
