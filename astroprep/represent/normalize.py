"""Light curves on a common scale, and back again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.clean.series import band_names, series_of
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.threads import for_objects

__all__ = ["Normalize", "scale_of_series"]

METHODS = ("min_max", "z_score", "robust_z", "decimal")
MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
TINY = 2.3e-308  # smallest normal float64: less is no scale that errors can be divided by
OFFSET, SCALE, UNIT = "normalize_offset", "normalize_scale", "normalize_unit"
LARGEST_POWER = 300  # of ten: its inverse is still a normal float64


@njit(cache=True)
def _decimal(largest: float) -> float:
    """Smallest power of ten above `largest`; 1 for zero."""
    if largest == 0.0:
        return 1.0
    power = int(np.floor(np.log10(largest))) + 1
    power = min(max(power, -LARGEST_POWER), LARGEST_POWER)
    while power < LARGEST_POWER and not largest < 10.0**power:  # the logarithm was rounded
        power += 1
    while power > -LARGEST_POWER and largest < 10.0 ** (power - 1):
        power -= 1
    return float(10.0**power)


@njit(cache=True)
def _offset_and_scale(value: NDArray[np.float64], method: int) -> tuple[float, float]:
    """Offset and scale of one series; scale 1 where all values are one."""
    if value.size == 0:
        return 0.0, 1.0
    low, high = value.min(), value.max()
    if method == 3:
        return 0.0, _decimal(max(abs(low), abs(high)))
    if high - low < TINY:
        return low, 1.0
    if method == 0:
        return low, high - low
    centre = low + np.mean(value - low)
    spread = (high - low) * np.sqrt(np.mean(((value - centre) / (high - low)) ** 2))  # no underflow
    if method == 2:
        middle = np.median(value)
        scatter = MAD_TO_SIGMA * np.median(np.abs(value - middle))
        if scatter == 0.0:  # more than half the values are one number, as after rounding
            scatter = spread
        centre, spread = middle, scatter
    return centre, spread if spread > 0 else 1.0


@njit(nogil=True, cache=True)
def _scale_of_series_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    method: int,
    offset: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        offset[i], scale[i] = _offset_and_scale(value[offsets[i] : offsets[i + 1]], method)


def scale_of_series(
    value: NDArray[np.float64], offsets: NDArray[np.int64], method: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Offset and scale that put each series on the common range.

    Parameters
    ----------
    value : float64 array, shape (n_points,)
        Finite, any unit.
    offsets : int64 array, shape (n_series + 1,)
        Series i is ``offsets[i]:offsets[i + 1]``.
    method : int
        0 for the smallest value and the range, 1 for mean and standard deviation (of the
        points at hand, divided by n), 2 for median and 1.4826 MAD (the standard deviation where
        that is zero), 3 for 0 and the smallest power of ten above all sizes.

    Returns
    -------
    offset, scale : float64 arrays, shape (n_series,)
        Unit of the value. An empty series has 0 and 1, a constant one its value and 1.
    """
    offset, scale = np.empty(offsets.size - 1), np.empty(offsets.size - 1)
    for_objects(_scale_of_series_range, offsets.size - 1, value, offsets, method, offset, scale)
    return offset, scale


class Normalize(Transformer):
    """Put values on a common scale, ``(value - offset) / scale``; errors are divided too.

    Parameters
    ----------
    method : {"min_max", "z_score", "robust_z", "decimal"}, default "robust_z"
        ``"min_max"``: smallest value to 0, largest to 1. ``"z_score"``: mean 0, standard
        deviation 1 (divided by n). ``"robust_z"``: median 0, 1.4826 times the median deviation
        1, which a few outliers or an eclipse do not move. ``"decimal"``: divided by the smallest
        power of ten that brings all sizes below 1; digits stay what they were.
    per : {"object", "band", "survey"}, default "object"
        Which points share offset and scale: all of a curve, those of one band of it, or all of
        a band of the survey that ``fit`` saw, so that amplitudes of curves stay comparable.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves that have usable points in a band that the survey had none of, or
        values too far apart for float64.

    Attributes
    ----------
    bands_ : list of str
        With ``per="survey"``: names of the bands; ``[""]`` where there are none.
    offset_, scale_ : float64 array, shape (n_bands,)
        With ``per="survey"``: learned, NaN for a band without usable points.

    Notes
    -----
    Offset and scale are taken from usable points and applied to all, so flagged points keep
    their place relative to the others (infinite ones stay infinite). They are stored as
    ``objects["normalize_offset"]`` and ``objects["normalize_scale"]``, one number a curve, or
    one a curve and band unless ``per="object"`` (0 and 1 for a band without points), and the
    unit as ``objects["normalize_unit"]``, so that `inverse_transform` needs nothing but its
    batch. It is exact to rounding: within a few units in the last place of the larger of value
    and offset. ``points["trend"]``, ``points["trend_err"]`` and ``points["upper_limit"]``, which
    are in the unit of the value, go along. The values have no unit then.

    A constant curve becomes 0 (with ``"decimal"`` it is divided), a curve of one point too, and
    an empty curve stays as it is: scale 1. ``fit`` learns nothing unless ``per="survey"``, but
    is asked for always.

    References
    ----------
    .. [1] Han, Kamber & Pei 2012, Data Mining, 3rd ed., sect. 3.5.2
    """

    needs = Needs(single_band=False)

    def __init__(
        self,
        method: Literal["min_max", "z_score", "robust_z", "decimal"] = "robust_z",
        per: Literal["object", "band", "survey"] = "object",
        on_bad: OnBad = "raise",
    ) -> None:
        self.method = method
        self.per = per
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = []
        if self.method not in METHODS:
            wrong.append(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        if self.per not in ("object", "band", "survey"):
            wrong.append(f"per must be 'object', 'band' or 'survey', got {self.per!r}")
        if wrong:
            raise ConfigError("Normalize: " + "; ".join(wrong))

    def _fit(self, batch: LightCurveBatch) -> None:
        if self.per != "survey":
            return
        series = series_of(batch)
        band = np.repeat(np.arange(series.offsets.size - 1) % series.n_bands, series.counts())
        order = np.argsort(band, kind="stable")
        counts = np.bincount(band, minlength=series.n_bands)
        if not band.size:
            raise DataError("Normalize: no usable point to learn the scale of the survey from")
        offset, scale = scale_of_series(
            series.value[order], np.concatenate(([0], np.cumsum(counts))), self._code
        )
        self.bands_ = list(band_names(batch))
        self.offset_ = np.where(counts > 0, offset, np.nan)
        self.scale_ = np.where(counts > 0, scale, np.nan)

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        if OFFSET in batch.objects:
            raise DataError(
                "Normalize: this batch is normalised already, and a second time could not be "
                "undone; call inverse_transform first"
            )
        offset, scale = self._learned(batch) if self.per == "survey" else self._own(batch)
        strange = np.asarray(~np.isfinite(offset) | ~np.isfinite(scale))
        wide = np.asarray(strange if strange.ndim == 1 else strange.any(axis=1))
        if wide.any():
            reason = (
                f"only bands that the survey had ({', '.join(map(repr, self.bands_))})"
                if self.per == "survey"
                else "values whose differences are finite in float64"
            )
            batch = self.refuse(batch, wide, reason)
            offset, scale = offset[~wide], scale[~wide]
        return _apply(
            batch.with_columns(
                objects={OFFSET: offset, SCALE: scale, UNIT: _unit_column(batch)},
                meta=replace(batch.meta, unit=""),
            ),
            inverse=False,
        )

    def inverse_transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        """Values, errors, trends, limits and unit as they were before.

        Parameters
        ----------
        batch : LightCurveBatch
            Normalised by any `Normalize`; offset and scale are in its columns, which are
            taken out.

        Raises
        ------
        DataError
            If the batch was not normalised.
        """
        stored = (OFFSET, SCALE, UNIT)
        if not all(name in batch.objects for name in stored):
            raise DataError(
                f"Normalize.inverse_transform needs the columns {', '.join(map(repr, stored))} "
                f"per object, but the batch has {', '.join(sorted(batch.objects))}"
            )
        back = _apply(batch, inverse=True)
        units = batch.objects[UNIT]
        return replace(
            back,
            objects={k: v for k, v in back.objects.items() if k not in stored},
            meta=replace(batch.meta, unit=str(units[0]) if units.size else ""),
        )

    @property
    def _code(self) -> int:
        return METHODS.index(self.method)

    def _own(self, batch: LightCurveBatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Offset and scale of each curve, or of each curve and band."""
        if self.per == "object":
            usable = batch.usable
            return scale_of_series(usable.value, usable.offsets, self._code)
        series = series_of(batch)
        offset, scale = scale_of_series(series.value, series.offsets, self._code)
        shape = (batch.n_curves, series.n_bands)
        return offset.reshape(shape), scale.reshape(shape)

    def _learned(self, batch: LightCurveBatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Offset and scale of the survey for each curve and band; NaN in a band not learned."""
        names = band_names(batch)
        offset, scale = np.full(len(names), np.nan), np.full(len(names), np.nan)
        for code, name in enumerate(names):
            if name in self.bands_:
                offset[code] = self.offset_[self.bands_.index(name)]
                scale[code] = self.scale_[self.bands_.index(name)]
        empty = series_of(batch).counts().reshape(batch.n_curves, len(names)) == 0
        return np.where(empty, 0.0, offset), np.where(empty, 1.0, scale)


def _unit_column(batch: LightCurveBatch) -> NDArray[np.object_]:
    """Unit of the values, once a curve, so that every part of the batch knows it."""
    column = np.empty(batch.n_curves, dtype=object)
    column[:] = batch.meta.unit
    return column


def _apply(batch: LightCurveBatch, *, inverse: bool) -> LightCurveBatch:
    """Values, errors, trends and limits by the offset and scale in the batch's columns, or back."""
    offset, scale = _at_points(batch, OFFSET), _at_points(batch, SCALE)

    def moved(column: NDArray[Any]) -> NDArray[np.float64]:
        with np.errstate(over="ignore", invalid="ignore"):
            result = column * scale + offset if inverse else (column - offset) / scale
        return np.asarray(result, dtype=np.float64)

    def stretched(column: NDArray[Any]) -> NDArray[np.float64]:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(column * scale if inverse else column / scale, dtype=np.float64)

    columns = {
        name: change(batch.points[name])
        for name, change in (("trend", moved), ("trend_err", stretched), ("upper_limit", moved))
        if name in batch.points
    }
    return batch.with_columns(
        value=moved(batch.value), error=stretched(batch.error), points=columns
    )


def _at_points(batch: LightCurveBatch, name: str) -> NDArray[np.float64]:
    """A column per object, or per object and band, at every point."""
    column = np.asarray(batch.objects[name], dtype=np.float64)
    curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
    if column.ndim == 1:
        return np.asarray(column[curve])
    band = np.zeros(batch.n_points, np.int16) if batch.band is None else batch.band
    return np.asarray(column[curve, band])
