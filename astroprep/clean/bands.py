"""Keep the points of some bands; most steps take one at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError, DataError

__all__ = ["SelectBand"]


class SelectBand(Transformer):
    """Flag the points of all bands but the chosen as ``OTHER_BAND``.

    Parameters
    ----------
    band : str, sequence of str or None, default None
        Names out of ``batch.meta.bands``; None for the band in which each curve has most
        usable points, the first in the order of the names where there are several.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves that have no usable point in the bands.

    Notes
    -----
    A batch without bands is left as it is, and so are curves without any usable point.
    """

    needs = Needs(single_band=False)

    def __init__(self, band: str | Sequence[str] | None = None, on_bad: OnBad = "raise") -> None:
        self.band = band
        self.on_bad = on_bad

    def _check(self) -> None:
        names = () if self.band is None or isinstance(self.band, str) else self.band
        if self.band is not None and (
            len(self.band) == 0 or not all(isinstance(name, str) for name in names)
        ):
            raise ConfigError(
                f"SelectBand: band must be a name, a sequence of names or None, got {self.band!r}"
            )

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        if batch.band is None:
            return batch
        names = batch.meta.bands
        wanted = (
            () if self.band is None else (self.band,) if isinstance(self.band, str) else self.band
        )
        for name in wanted:
            if name not in names:
                raise DataError(
                    f"SelectBand: no band {name!r} in this survey; there is {', '.join(names)}"
                )
        usable = batch.usable
        codes = usable.band if usable.band is not None else np.empty(0, np.int16)
        curve = np.repeat(np.arange(batch.n_curves), usable.counts())
        width = max(len(names), 1)
        counts = np.bincount(curve * width + codes, minlength=batch.n_curves * width)
        counts = counts.reshape(batch.n_curves, width)
        if self.band is None:
            chosen = counts.argmax(axis=1)
            other = batch.band != np.repeat(chosen, np.diff(batch.offsets))
        else:
            place = [names.index(name) for name in wanted]
            missing = (counts[:, place].sum(axis=1) == 0) & (usable.counts() > 0)
            text = " or ".join(map(repr, wanted))
            batch = self.refuse(batch, missing, f"usable points in band {text}")
            other = ~np.isin(batch.band, place)  # type: ignore[arg-type]
        flags = batch.flags.copy()
        flags[other] |= np.uint32(PointFlag.OTHER_BAND)
        return batch.with_columns(flags=flags)
