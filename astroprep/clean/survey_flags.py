"""Turn a survey's own quality bits into the one flag that all steps know."""

from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError
from astroprep.surveys.flags import describe_flags, pack_flags, survey_bits

__all__ = ["SurveyFlags", "describe_flags", "pack_flags", "survey_bits"]

logger = logging.getLogger(__name__)

WIDEST = 64  # bits of an int64


class SurveyFlags(Transformer):
    """Set `PointFlag.SURVEY` where the survey's own flags say that a point is wrong.

    Parameters
    ----------
    survey : str or None, default None
        Whose bits they are: ``"Kepler"``, ``"K2"``, ``"TESS"``, ``"ZTF"`` (catflags),
        ``"ZTF infobits"``, ``"LSST"`` (see `pack_flags`) or another key of `SURVEY_BITS`. By
        default ``meta.survey``, which batches made by a schema have right.
    mask : {"default", "hard", "none"} or int, default "default"
        Which bits spoil a point. ``"default"`` are those that make the measurement wrong
        whatever the star does. Bits that say that a point stood out (cosmic rays, impulsive
        outliers) are not among them, because flares stand out. ``"hard"`` adds cosmic rays and
        what is merely doubtful, ``"none"`` flags nothing, a number is taken as it is. See
        `SURVEY_BITS` and `describe_flags`.
    column : str, default "survey_flags"
        Column of ``points`` that holds the bits, as whole numbers.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with a curve whose bits are no whole numbers.

    Notes
    -----
    A batch without the column is left as it is, with a warning in the log: photometry of other
    surveys goes through the same recipe. The masks for Kepler and K2 are lightkurve's; for TESS
    lightkurve's default also has the impulsive outliers.
    """

    needs = Needs(single_band=False)

    def __init__(
        self,
        survey: str | None = None,
        mask: Literal["default", "hard", "none"] | int = "default",
        column: str = "survey_flags",
        on_bad: OnBad = "raise",
    ) -> None:
        self.survey = survey
        self.mask = mask
        self.column = column
        self.on_bad = on_bad

    def _check(self) -> None:
        if self.survey is not None:
            survey_bits(self.survey)
        number = isinstance(self.mask, int | np.integer) and not isinstance(self.mask, bool)
        if not (self.mask in ("default", "hard", "none") if not number else self._fits_int64()):
            raise ConfigError(
                "SurveyFlags: mask must be 'default', 'hard', 'none' or the bits as a number from "
                f"0 to 2^63 - 1, got {self.mask!r}"
            )

    def _fits_int64(self) -> bool:
        return 0 <= int(self.mask) < 1 << (WIDEST - 1)

    def _bits(self, batch: LightCurveBatch) -> int:
        """The mask as a number."""
        if self.mask == "none":
            return 0
        if isinstance(self.mask, int | np.integer):
            return int(self.mask)
        bits = survey_bits(batch.meta.survey if self.survey is None else self.survey)
        return bits.default if self.mask == "default" else bits.hard

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        if self.column not in batch.points:
            logger.warning(
                "SurveyFlags: no column %r per point (there is %s), so no point is flagged",
                self.column, ", ".join(batch.points) or "none",
            )  # fmt: skip
            return batch
        if batch.n_points == 0:  # files that could not be read name no survey either
            return batch
        mask = self._bits(batch)
        broken = _broken(batch.points[self.column])
        curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
        bad = np.zeros(batch.n_curves, bool)
        bad[curve[broken]] = True
        batch = self.refuse(batch, bad, f"whole numbers in the column {self.column!r} per point")
        if batch.n_points == 0:
            return batch
        raised = (batch.points[self.column].astype(np.int64) & mask) != 0
        return batch.with_columns(
            flags=np.where(raised, batch.flags | np.uint32(PointFlag.SURVEY), batch.flags)
        )


def _broken(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a column of bits holds none: a fraction, a NaN, a text, more than one number."""
    if column.ndim == 1 and column.dtype.kind in "iub":
        return np.zeros(column.size, bool)
    if column.ndim != 1 or column.dtype.kind != "f":
        return np.ones(column.shape[0], bool)
    whole: NDArray[np.bool_] = np.isfinite(column) & (column == np.round(column))
    broken: NDArray[np.bool_] = ~(whole & (np.abs(column) < 2.0**53))
    return broken
