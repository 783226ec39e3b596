"""Features of light curves, of one band or of several, and their standard errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.features.bands import split_bands
from astroprep.features.catalog import FEATURES, Column, resolve
from astroprep.features.cross import PARTS, cross_errors, cross_values
from astroprep.features.feature import Feature
from astroprep.features.measure import FIRST_PHASE, Curves, curves_of, lacking_errors, measure

__all__ = ["band_codes", "extract_features", "feature_errors"]

Table = dict[str, NDArray[np.float64]]


def extract_features(
    batch: LightCurveBatch,
    features: Sequence[str] | str = "default",
    bands: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """Features of each curve; NaN where one is not defined.

    Parameters
    ----------
    batch : LightCurveBatch
        Its usable points count. Features of the fold read ``objects["period"]``, days.
    features : "default", "all", name or sequence of names
        Names of features or of groups, see `FEATURES` and `GROUPS`.
    bands : sequence of str, optional
        Of ``batch.meta.bands``: a column for each feature and band, then those between each band
        and the next (`CROSS_FEATURES`). Without it all points are one curve.

    Returns
    -------
    float64 array, shape (n_curves, n_features)
        Columns as the names resolve. A feature is NaN with fewer than its ``min_points`` usable
        points (of its band; of both), where its ``undefined`` holds, and where it needs errors
        and one is missing. A band without points is therefore NaN.

    Raises
    ------
    ConfigError
        If a name is unknown; the nearest known one is suggested.
    DataError
        If the batch has no such band, or a feature needs a period and it has none.
    """
    return _tabulate(batch, resolve(features, bands), bands, errors=False)


def feature_errors(
    batch: LightCurveBatch,
    features: Sequence[str] | str = "default",
    bands: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """Standard errors of the features that `extract_features` gives, where theory has one.

    Parameters
    ----------
    batch, features, bands
        As of `extract_features`. ``objects["period_err"]``, days, serves the period.

    Returns
    -------
    float64 array, shape (n_curves, n_features)
        NaN where a feature is, and for features whose `Feature.error` is empty.

    Raises
    ------
    ConfigError, DataError
        As of `extract_features`.
    """
    return _tabulate(batch, resolve(features, bands), bands, errors=True)


def band_codes(batch: LightCurveBatch, bands: Sequence[str]) -> NDArray[np.int64]:
    """Codes of bands that are named.

    Parameters
    ----------
    batch : LightCurveBatch
        Points of several bands.
    bands : sequence of str
        Out of ``batch.meta.bands``.

    Returns
    -------
    int64 array, shape (n_bands,)
        As ``batch.band`` holds them.

    Raises
    ------
    DataError
        If the batch has no bands, or not these.
    """
    known = batch.meta.bands if batch.band is not None else ()
    for band in bands:
        if band not in known:
            there = f"there is {', '.join(known)}" if known else "its points have no band"
            raise DataError(f"FeatureExtractor: no band {band!r} in this survey; {there}")
    return np.array([known.index(band) for band in bands], dtype=np.int64)


def _tabulate(
    batch: LightCurveBatch,
    columns: Sequence[Column],
    bands: Sequence[str] | None,
    *,
    errors: bool,
) -> NDArray[np.float64]:
    """Values, or standard errors, of all columns."""
    if any(column.feature.period for column in columns) and "period" not in batch.objects:
        raise DataError("features of a fold need the column 'period' per object")
    curves, n_bands = _curves(batch, bands), len(bands or "-")
    single = {c.feature.name for c in columns if len(c.bands) < 2}
    between = {c.feature.name for c in columns if len(c.bands) == 2}
    single |= {part for name in between for part in PARTS.get(name, ()) if part in FEATURES}
    values = measure(curves, single)
    spread: Table = {}
    if errors:
        period_error = batch.objects.get("period_err")
        if period_error is not None:
            period_error = np.repeat(np.asarray(period_error, np.float64), n_bands)
        from astroprep.features.uncertainty import standard_errors  # nobody else needs its kernels

        spread = standard_errors(curves, values, single, period_error)
    undefined = _Undefined(curves, n_bands)
    values, spread = (undefined.mask(table, batch.n_curves) for table in (values, spread))
    pairs: list[Table] = [{} for _ in range(n_bands)]
    for at in range(n_bands - 1) if between else ():
        pairs[at] = cross_values(curves, values, at, between)
        if errors:
            pairs[at] = cross_errors(pairs[at], values, spread, at, curves.sign < 0)
    result = np.full((batch.n_curves, len(columns)), np.nan)
    names = tuple(bands or ())
    for k, column in enumerate(columns):
        at = names.index(column.bands[0]) if column.bands else 0
        if len(column.bands) == 2:
            if (found := pairs[at].get(column.feature.name)) is not None:
                result[:, k] = np.where(undefined.between(column.feature, at), np.nan, found)
        elif (table := (spread if errors else values).get(column.feature.name)) is not None:
            result[:, k] = table[:, at]
            if errors:
                result[np.isnan(values[column.feature.name][:, at]), k] = np.nan
    return result


def _curves(batch: LightCurveBatch, bands: Sequence[str] | None) -> Curves:
    """One curve an object or, with bands, one for each band of each object."""
    curves = curves_of(batch)
    if bands is None:
        return curves
    codes, band = band_codes(batch, bands), batch.usable.band
    assert band is not None  # or no code was found
    index, starts = split_bands(band, curves.offsets, codes)
    period = curves.period
    return Curves(
        curves.time[index],
        curves.value[index],
        curves.error[index],
        starts,
        None if period is None else np.repeat(period, codes.size),
        curves.sign,
    )


class _Undefined:
    """Where features are undefined because points or errors are too few."""

    def __init__(self, curves: Curves, n_bands: int) -> None:
        self.counts = np.diff(curves.offsets).reshape(-1, n_bands)
        self.lacking = lacking_errors(curves).reshape(-1, n_bands)

    def mask(self, table: Table, n_curves: int) -> Table:
        """Columns of each band as (curve, band), NaN where undefined."""
        known = {**FEATURES, FIRST_PHASE: FEATURES["fourier_r21"]}
        result = {}
        for name, values in table.items():
            feature = known.get(name)
            column = values.reshape(self.counts.shape)
            if feature is not None and feature.group != "period":
                column = np.where(self.where(feature), np.nan, column)
            result[name] = column
        return result

    def where(self, feature: Feature) -> NDArray[np.bool_]:
        """Shape (n_curves, n_bands)."""
        few = self.counts < feature.min_points
        return few | self.lacking if feature.errors else few

    def between(self, feature: Feature, at: int) -> NDArray[np.bool_]:
        """Shape (n_curves,), for a band and the next."""
        return np.asarray(self.where(feature)[:, at : at + 2].any(axis=1))
