"""The step that takes the zero points between surveys and bands out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError
from astroprep.integrate.zeropoint import (
    Array,
    Method,
    Per,
    Text,
    ZeroPoints,
    codes,
    field_names,
    measure_zero_points,
    point_names,
)

__all__ = ["ZeroPointCorrection"]


class ZeroPointCorrection(Transformer):
    """Learn the offsets between surveys and bands of the same stars, and take them out.

    Parameters
    ----------
    system, reference, per, method, window, harmonics, period, field
        See `measure_zero_points`. With ``per="star"`` each curve is corrected by its own offsets
        and nothing is learned but the names and the reference.
    combine : bool, default False
        Make the corrected points one band, so that single-band steps take them; where each came
        from is then in ``points["system"]``.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with a curve that has usable points, none of which can be corrected.

    Attributes
    ----------
    systems_, fields_ : list of str
        Names, sorted.
    reference_ : str
        System whose offset is zero.
    offset_, error_, scatter_, n_stars_, n_points_ : arrays, shape (n_fields, n_systems)
        As in `ZeroPoints`.

    Notes
    -----
    ``value - offset``; ``points["zero_point"]`` and ``points["zero_point_err"]`` keep the offset
    and its error, which the points of a system share and which is therefore not in their
    errors. Points of a system that nothing ties to the reference keep their value, have NaN
    there, and get the flag OTHER_BAND.
    """

    needs = Needs(quantity="mag", single_band=False)

    def __init__(
        self,
        system: str = "band",
        reference: str | None = None,
        per: Per = "field",
        method: Method = "epochs",
        window: float = 0.1,
        harmonics: int = 4,
        period: str = "period",
        field: str | None = None,
        combine: bool = False,
        on_bad: OnBad = "raise",
    ) -> None:
        self.system = system
        self.reference = reference
        self.per = per
        self.method = method
        self.window = window
        self.harmonics = harmonics
        self.period = period
        self.field = field
        self.combine = combine
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = []
        if self.per not in ("field", "star"):
            wrong.append(f"per must be 'field' or 'star', got {self.per!r}")
        if self.method not in ("epochs", "fold"):
            wrong.append(f"method must be 'epochs' or 'fold', got {self.method!r}")
        if not 0 < self.window < np.inf:
            wrong.append(f"window must be positive, got {self.window!r}")
        if not (1 <= self.harmonics <= 50 and self.harmonics == int(self.harmonics)):
            wrong.append(f"harmonics must be a whole number from 1 to 50, got {self.harmonics!r}")
        if wrong:
            raise ConfigError("ZeroPointCorrection: " + "; ".join(wrong))

    def _measure(self, batch: LightCurveBatch, reference: str | None) -> ZeroPoints:
        return measure_zero_points(
            batch,
            system=self.system,
            reference=reference,
            per=self.per,
            method=self.method,
            window=self.window,
            harmonics=self.harmonics,
            period=self.period,
            field=self.field,
        )

    def _fit(self, batch: LightCurveBatch) -> None:
        learned = self._measure(batch, self.reference)
        self.systems_, self.reference_ = list(learned.systems), learned.reference
        keep = slice(None) if self.per == "field" else slice(0)
        self.fields_ = list(learned.fields[keep])
        self.offset_, self.error_ = learned.offset[keep], learned.error[keep]
        self.scatter_ = learned.scatter[keep]
        self.n_stars_, self.n_points_ = learned.n_stars[keep], learned.n_points[keep]

    @property
    def zero_points(self) -> ZeroPoints:
        """What ``fit`` learned, as a result with a table."""
        return ZeroPoints(
            tuple(self.systems_),
            tuple(self.fields_),
            self.reference_,
            np.asarray(self.offset_),
            np.asarray(self.error_),
            np.asarray(self.scatter_),
            np.asarray(self.n_stars_),
            np.asarray(self.n_points_),
        )

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
        names = point_names(batch, self.system)
        if self.per == "star":
            zero, error = self._by_star(batch, names, curve)
        else:
            field = field_names(batch, self.field)[curve]
            less, error = self.zero_points.apply(np.zeros(batch.n_points), names, field)
            zero = 0.0 - less
        known = np.isfinite(zero)
        other = np.uint32(PointFlag.OTHER_BAND)
        result = batch.with_columns(
            value=np.where(known, batch.value - zero, batch.value),
            flags=np.where(known, batch.flags, batch.flags | other),
            points={"zero_point": zero, "zero_point_err": error},
        )
        if self.combine:
            system = names.astype(str) if names.size else np.empty(0, "U1")
            result = replace(
                result.with_columns(points={"system": system}),
                band=None,
                meta=replace(batch.meta, bands=()),
            )
        lost = (batch.usable.counts() > 0) & (result.usable.counts() == 0)
        return self.refuse(
            result, lost, f"common epochs with {self.reference_!r}, directly or through others"
        )

    def _by_star(
        self, batch: LightCurveBatch, names: Text, curve: NDArray[np.int64]
    ) -> tuple[Array, Array]:
        """Offset and error of every point from its own star, by row and not by id."""
        usable = batch.usable
        zero = np.where(names.astype(str) == self.reference_, 0.0, np.nan)
        error = zero.copy()
        if (names[usable.index].astype(str) == self.reference_).any():
            own = self._measure(batch, self.reference_)
            column = codes(names, own.systems)
            known = column >= 0
            zero = np.where(known, own.offset[curve, column], np.nan)
            error = np.where(known, own.error[curve, column], np.nan)
        has = np.zeros(batch.n_curves, bool)
        own_curve = np.repeat(np.arange(batch.n_curves), usable.counts())
        has[own_curve[names[usable.index].astype(str) == self.reference_]] = True
        return np.where(has[curve], zero, np.nan), np.where(has[curve], error, np.nan)
