"""`FeatureExtractor`: the step that describes each light curve by numbers with names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.features.feature import Feature
from astroprep.features.folded import FOLDED, folded_statistics
from astroprep.features.fourier import FOURIER, fourier_statistics
from astroprep.features.noise import NOISE, noise_statistics
from astroprep.features.series import (
    CADENCE,
    SERIES,
    SERIES_NOISE,
    series_noise_statistics,
    series_statistics,
)
from astroprep.features.statistics import DISTRIBUTION, distribution_statistics

__all__ = ["DEFAULT_FEATURES", "FEATURES", "GROUPS", "FeatureExtractor", "extract_features"]

PERIOD = (
    Feature(
        "log10_period", "period", 1, "log10 of P in days", "", "objects['period']", period=True
    ),
)

FEATURES: dict[str, Feature] = {
    feature.name: feature
    for table in (PERIOD, DISTRIBUTION, NOISE, SERIES, SERIES_NOISE, CADENCE, FOURIER, FOLDED)
    for feature in table
}
"""Every feature by name; the order is that of the default columns."""

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(feature.group for feature in FEATURES.values()))

# Apparent brightness and cadence tell which survey looked and how often, not what the star is.
SURVEY_GROUPS = ("brightness", "cadence")

DEFAULT_FEATURES: tuple[str, ...] = tuple(
    name for name, feature in FEATURES.items() if feature.group not in SURVEY_GROUPS
)


def _resolve(features: Sequence[str] | str) -> tuple[Feature, ...]:
    """Features that a setting names: feature names, group names or "default", in that order."""
    words = (features,) if isinstance(features, str) else tuple(features)
    if not words:
        raise ConfigError("FeatureExtractor: features is empty; name some, or 'default'")
    names: list[str] = []
    for word in words:
        if word == "default":
            names.extend(DEFAULT_FEATURES)
        elif word in GROUPS:
            names.extend(name for name, feature in FEATURES.items() if feature.group == word)
        elif word in FEATURES:
            names.append(word)
        else:
            known = [*FEATURES, *GROUPS, "default"]
            close = difflib.get_close_matches(str(word), known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; groups: {', '.join(GROUPS)}"
            raise ConfigError(f"FeatureExtractor: unknown feature {word!r}{hint}")
    return tuple(FEATURES[name] for name in dict.fromkeys(names))


def extract_features(
    batch: LightCurveBatch, features: Sequence[str] | str = "default"
) -> NDArray[np.float64]:
    """Features of each curve; NaN where one is not defined.

    Parameters
    ----------
    batch : LightCurveBatch
        Its usable points count. Features of the fold read ``objects["period"]``, days.
    features : "default", name or sequence of names
        Names of features or of groups, see `FEATURES` and `GROUPS`.

    Returns
    -------
    float64 array, shape (n_curves, n_features)
        Columns as the names resolve. A feature is NaN with fewer than its ``min_points`` usable
        points, where its ``undefined`` holds, and where it needs errors and one is missing.

    Raises
    ------
    ConfigError
        If a name is unknown; the nearest known one is suggested.
    """
    chosen = _resolve(features)
    usable = batch.usable
    counts = np.diff(usable.offsets)
    columns = _columns(batch, chosen)
    lacking = np.zeros(batch.n_curves, bool)
    if any(feature.errors for feature in chosen):
        good = np.isfinite(usable.error) & (usable.error > 0)
        curve = np.repeat(np.arange(batch.n_curves), counts)
        lacking[curve[~good]] = True
    result = np.empty((batch.n_curves, len(chosen)))
    for k, feature in enumerate(chosen):
        undefined = counts < feature.min_points
        if feature.errors:
            undefined = undefined | lacking
        result[:, k] = np.where(undefined, np.nan, columns[feature.name])
    return result


def _columns(batch: LightCurveBatch, chosen: Sequence[Feature]) -> dict[str, NDArray[np.float64]]:
    """Run the kernels that the chosen features come from."""
    usable = batch.usable
    time, value, error, offsets = usable.time, usable.value, usable.error, usable.offsets
    sign = 1.0 if batch.meta.quantity == "mag" else -1.0
    names = {feature.name for feature in chosen}
    columns: dict[str, NDArray[np.float64]] = {}

    def wanted(*tables: tuple[Feature, ...]) -> bool:
        return any(feature.name in names for table in tables for feature in table)

    def keep(table: tuple[Feature, ...], rows: NDArray[np.float64]) -> None:
        columns.update({feature.name: rows[:, k] for k, feature in enumerate(table)})

    distribution = distribution_statistics(value, offsets, sign)
    keep(DISTRIBUTION, distribution)
    moments = np.column_stack(
        [columns[name] for name in ("mean", "standard_deviation", "amplitude")]
    )
    if wanted(NOISE):
        keep(NOISE, noise_statistics(value, error, offsets, distribution))
    if wanted(SERIES, CADENCE):
        keep(SERIES + CADENCE, series_statistics(time, value, offsets, moments))
    if wanted(SERIES_NOISE):
        keep(SERIES_NOISE, series_noise_statistics(time, value, error, offsets))
    if any(feature.period for feature in chosen):
        period = np.ascontiguousarray(batch.objects["period"], dtype=np.float64)
        columns["log10_period"] = np.log10(period)
        if wanted(FOURIER):
            deviation = np.ascontiguousarray(columns["median_absolute_deviation"])
            keep(
                FOURIER,
                fourier_statistics(time, value, error, offsets, period, sign, deviation),
            )
        if wanted(FOLDED):
            keep(FOLDED, folded_statistics(time, value, offsets, period, sign, moments))
    return columns


class _NeedsOfChoice:
    """Needs of the default set on the class, and of the chosen features on an instance."""

    default = Needs(min_points=1, errors=True, objects=("period",))

    def __get__(self, step: FeatureExtractor | None, owner: type) -> Needs:
        if step is None:
            return self.default
        chosen = _resolve(step.features)
        period = any(feature.period for feature in chosen)
        return Needs(
            min_points=1,
            errors=any(feature.errors for feature in chosen),
            objects=(("period",) if period else ()) + tuple(step.extra or ()),
        )


class FeatureExtractor(Transformer):
    """Describe each light curve by numbers, written to ``objects["features"]``.

    `feature_names` names the columns. What a feature means, where it is undefined (NaN there, never
    a sentinel) and where it comes from is data: `FEATURES`. The needs follow the choice: errors
    and ``objects["period"]`` are asked for only when a chosen feature uses them.

    Parameters
    ----------
    features : "default" or sequence of str, default "default"
        Names of features or groups (see `GROUPS`). The default leaves out the groups
        ``"brightness"`` and ``"cadence"``, which tell surveys apart better than stars.
    extra : sequence of str, optional
        Numeric object columns to append, such as ``("period_power",)``; one value a curve.
    on_bad : {"raise", "reject"}, default "raise"
        What happens to a curve without points, errors or a positive period.

    Raises
    ------
    ConfigError
        If a feature is unknown or named twice.
    DataError
        If ``objects`` lacks a column that is needed, or an extra column is not one number a curve.
    """

    needs: ClassVar[Needs] = _NeedsOfChoice()  # type: ignore[assignment]

    def __init__(
        self,
        features: Sequence[str] | Literal["default"] = "default",
        extra: Sequence[str] | None = None,
        on_bad: OnBad = "raise",
    ) -> None:
        self.features = features
        self.extra = extra
        self.on_bad = on_bad

    def feature_names(self) -> list[str]:
        """Names of the columns of ``objects["features"]``, in order."""
        return [feature.name for feature in _resolve(self.features)] + list(self.extra or ())

    def _check(self) -> None:
        if isinstance(self.extra, str):
            raise ConfigError(
                f"FeatureExtractor: extra must be a sequence of column names, got {self.extra!r}; "
                f"write ({self.extra!r},)"
            )
        names = self.feature_names()
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"FeatureExtractor: extra repeats the features {', '.join(twice)}")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        if "period" in self.needs.objects:
            batch = self.refuse(batch, ~(batch.objects["period"] > 0), "a positive 'period'")
        parts: list[NDArray[Any]] = [extract_features(batch, self.features)]
        for name in self.extra or ():
            column = batch.objects[name]
            if column.ndim != 1 or column.dtype.kind not in "biuf":
                raise DataError(
                    f"FeatureExtractor: the extra column {name!r} must hold one number a curve, "
                    f"got dtype {column.dtype} and shape {column.shape}"
                )
            parts.append(column[:, None].astype(np.float64))
        return batch.with_columns(objects={"features": np.concatenate(parts, axis=1)})
