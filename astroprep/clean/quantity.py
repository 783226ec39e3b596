"""Magnitudes to fluxes and back, when a step or a survey wants the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch, PointFlag, Quantity
from astroprep.errors import ConfigError, DataError
from astroprep.units import flux_to_mag, mag_to_flux

__all__ = ["AB_ZERO_POINTS", "ToFlux", "ToMagnitude"]

AB_ZERO_POINTS = {"Jy": 8.9, "mJy": 16.4, "uJy": 23.9, "nJy": 31.4}
"""AB magnitude of unit flux, from 3631 Jy at magnitude 0 rounded to 8.90; Oke & Gunn 1983."""

Convert = Callable[
    [NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]
]


def _converted(
    batch: LightCurveBatch, convert: Convert, quantity: Quantity, unit: str, who: str
) -> LightCurveBatch:
    """Batch in the other quantity; points that have no such value are flagged."""
    if "normalize_scale" in batch.objects:
        raise DataError(
            f"{who}: the values of this batch are normalised, and no {batch.meta.quantity} any "
            "more; call Normalize.inverse_transform first"
        )

    def other(value: NDArray[np.float64], error: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        with np.errstate(all="ignore"):
            new, uncertain = convert(np.asarray(value, float), np.asarray(error, float))
        lost = ~np.isfinite(new) | (
            (quantity == "flux") & (new == 0)
        )  # 10**-400 is 0, with error 0
        return [np.where(lost, np.nan, new), np.where(lost, np.nan, uncertain)]

    value, error = other(batch.value, batch.error)
    flags = batch.flags.copy()
    flags[np.isnan(value) & ~np.isnan(batch.value)] |= np.uint32(PointFlag.MISSING_VALUE)
    unknown = np.full(batch.n_points, np.nan)
    columns = {}
    if "trend" in batch.points:
        trend_err = batch.points.get("trend_err", unknown)
        columns["trend"], converted = other(batch.points["trend"], trend_err)
        if "trend_err" in batch.points:
            columns["trend_err"] = converted
    if "upper_limit" in batch.points:
        columns["upper_limit"] = other(batch.points["upper_limit"], unknown)[0]
    meta = replace(batch.meta, quantity=quantity, unit=unit)
    return batch.with_columns(value=value, error=error, flags=flags, points=columns, meta=meta)


class ToFlux(Transformer):
    """Magnitudes as fluxes, their errors, trends and upper limits too.

    Parameters
    ----------
    zero_point : float, default 31.4
        Magnitude of unit flux; 31.4 makes nJy of AB magnitudes.
    unit : str, default "nJy"
        Unit of the fluxes, for the metadata. Magnitudes that are not on the AB system have
        another zero point for each band, or are fluxes in an arbitrary unit: ``""``.
    on_bad : {"raise", "reject"}, default "raise"
        Every curve can be served, so it makes no difference here.

    Raises
    ------
    DataError
        If the batch is normalised.

    Notes
    -----
    ``f = 10**(0.4 (zero_point - m))`` with the error ``0.921 f e`` to first order. A batch of
    fluxes is left as it is. A magnitude whose flux is beyond float64 gets the value NaN and
    ``MISSING_VALUE``. Flag sentinels before (`FlagBad`): 99.99 as a flux looks like a faint star.

    References
    ----------
    .. [1] Oke & Gunn 1983, ApJ 266, 713, doi:10.1086/160817 (AB magnitudes)
    """

    needs = Needs(single_band=False)

    def __init__(
        self, zero_point: float = 31.4, unit: str = "nJy", on_bad: OnBad = "raise"
    ) -> None:
        self.zero_point = zero_point
        self.unit = unit
        self.on_bad = on_bad

    def _check(self) -> None:
        if not abs(self.zero_point) < np.inf:
            raise ConfigError(f"ToFlux: zero_point must be finite, got {self.zero_point!r}")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        if batch.meta.quantity == "flux":
            return batch
        zero = float(self.zero_point)
        return _converted(batch, lambda m, e: mag_to_flux(m, e, zero), "flux", self.unit, "ToFlux")


class ToMagnitude(Transformer):
    """Fluxes as magnitudes, their errors, trends and upper limits too.

    Parameters
    ----------
    zero_point : float or None, default None
        Magnitude of unit flux; None for AB magnitudes of fluxes in Jy, mJy, uJy or nJy.
    on_bad : {"raise", "reject"}, default "raise"
        Every curve can be served, so it makes no difference here.

    Raises
    ------
    DataError
        If the batch is normalised, or ``zero_point`` is None and its unit is another.

    Notes
    -----
    ``m = zero_point - 2.5 log10 f`` with the error ``1.0857 e / f`` to first order, which is
    fair above five sigma. A batch of magnitudes is left as it is. A flux that is not positive
    has no magnitude: the point gets the value NaN and ``MISSING_VALUE``. Put `MarkUpperLimits`
    before, which keeps what such a point says; difference fluxes should stay fluxes.

    References
    ----------
    .. [1] Oke & Gunn 1983, ApJ 266, 713, doi:10.1086/160817 (AB magnitudes)
    """

    needs = Needs(single_band=False)

    def __init__(self, zero_point: float | None = None, on_bad: OnBad = "raise") -> None:
        self.zero_point = zero_point
        self.on_bad = on_bad

    def _check(self) -> None:
        if self.zero_point is not None and not abs(self.zero_point) < np.inf:
            raise ConfigError(
                f"ToMagnitude: zero_point must be finite or None, got {self.zero_point!r}"
            )

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        if batch.meta.quantity == "mag":
            return batch
        zero = AB_ZERO_POINTS.get(batch.meta.unit) if self.zero_point is None else self.zero_point
        if zero is None:
            raise DataError(
                f"ToMagnitude knows no zero point for fluxes in {batch.meta.unit!r} (it knows "
                f"{', '.join(AB_ZERO_POINTS)}); give zero_point, the magnitude of unit flux"
            )
        found = float(zero)
        return _converted(batch, lambda f, e: flux_to_mag(f, e, found), "mag", "mag", "ToMagnitude")
