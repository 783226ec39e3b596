"""Set aside light curves with too few points to say anything."""

from __future__ import annotations

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError

__all__ = ["DropShort"]


class DropShort(Transformer):
    """Refuse curves with fewer than `min_points` usable points.

    Parameters
    ----------
    min_points : int, default 20
        Points that are flagged or have no weight do not count.
    on_bad : {"raise", "reject"}, default "raise"
        ``"reject"`` sets the curve aside with its number of points, and the next step never
        sees it.
    """

    needs = Needs(single_band=False)

    def __init__(self, min_points: int = 20, on_bad: OnBad = "raise") -> None:
        self.min_points = min_points
        self.on_bad = on_bad

    def _check(self) -> None:
        if self.min_points < 1:
            raise ConfigError(f"DropShort: min_points must be at least 1, got {self.min_points!r}")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        counts = batch.usable.counts()
        short = counts < self.min_points
        reason = counts.astype(object)
        for i in short.nonzero()[0]:
            reason[i] = f"at least {self.min_points} usable points, has {counts[i]}"
        return self.refuse(batch, short, reason)
