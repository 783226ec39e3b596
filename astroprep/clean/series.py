"""Points of one curve in one band, as ragged arrays: what most kernels mean by a light curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, PointFlag

__all__ = ["Series", "band_names", "series_of"]


@dataclass(frozen=True, eq=False)
class Series:
    """Usable points by curve, then band, then time; series ``k`` is curve ``k // n_bands``.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_used,)
        As in `astroprep.data.Usable`: the error grows where the weight is small.
    offsets : int64 array, shape (n_curves * n_bands + 1,)
        Series k is ``offsets[k]:offsets[k + 1]``; a band that a curve lacks is empty.
    index : int64 array, shape (n_used,)
        Position of each point in the full columns of the batch.
    n_bands : int
        1 for a batch without bands.
    n_points : int
        Length of the full columns.
    """

    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    offsets: NDArray[np.int64]
    index: NDArray[np.int64]
    n_bands: int
    n_points: int

    @property
    def n_curves(self) -> int:
        """Curves of the batch."""
        return (self.offsets.size - 1) // self.n_bands

    def counts(self) -> NDArray[np.int64]:
        """Points of each series, int64, shape (n_curves * n_bands,)."""
        return np.diff(self.offsets)


def band_names(batch: LightCurveBatch) -> tuple[str, ...]:
    """Names of the bands that the codes of a batch index; ``("",)`` where it has none."""
    if batch.band is None:
        return ("",)
    known = batch.meta.bands
    size = max(len(known), int(batch.band.max(initial=-1)) + 1, 1)
    return known + tuple(str(code) for code in range(len(known), size))


def series_of(batch: LightCurveBatch, without: PointFlag | None = None) -> Series:
    """Usable points of a batch, one series a curve and band.

    Parameters
    ----------
    batch : LightCurveBatch
        With or without bands.
    without : PointFlag, optional
        Points with one of these bits are left out too: ``PointFlag.EVENT`` keeps a flare or
        an eclipse out of what is averaged.
    """
    usable = batch.usable
    index = usable.index
    curve = np.repeat(np.arange(batch.n_curves, dtype=np.int64), usable.counts())
    time, value, error, band = usable.time, usable.value, usable.error, usable.band
    n_bands = len(band_names(batch))
    key = curve if band is None else curve * n_bands + band
    choose: NDArray[Any] | None = None
    if without is not None:
        quiet = (batch.flags[index] & np.uint32(without)) == 0
        choose = None if quiet.all() else np.flatnonzero(quiet)
    if band is not None and n_bands > 1:
        chosen = np.arange(index.size) if choose is None else choose
        choose = chosen[np.argsort(key[chosen], kind="stable")]  # the order in time stays
    if choose is not None:
        time, value, error = time[choose], value[choose], error[choose]
        index, key = index[choose], key[choose]
    counts = np.bincount(key, minlength=batch.n_curves * n_bands)
    return Series(
        time=time,
        value=value,
        error=error,
        offsets=np.concatenate(([0], np.cumsum(counts, dtype=np.int64))),
        index=index,
        n_bands=n_bands,
        n_points=batch.n_points,
    )
