"""`FeatureExtractor`: the step that describes each light curve by numbers with names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.features.catalog import resolve
from astroprep.features.extract import band_codes, extract_features, feature_errors

__all__ = ["FeatureExtractor"]


class _NeedsOfChoice:
    """Needs of the default set on the class, and of the chosen features on an instance."""

    default = Needs(min_points=1, errors=True, objects=("period",))

    def __get__(self, step: FeatureExtractor | None, owner: type) -> Needs:
        if step is None:
            return self.default
        chosen = [column.feature for column in resolve(step.features, step.bands)]
        period = any(feature.period for feature in chosen)
        return Needs(
            min_points=1,
            errors=any(feature.errors for feature in chosen) and step.bands is None,
            objects=(("period",) if period else ()) + tuple(step.extra or ()),
            single_band=step.bands is None,
        )


class FeatureExtractor(Transformer):
    """Describe each light curve by numbers, written to ``objects["features"]``.

    `feature_names` names the columns. What a feature means, where it is undefined (NaN there, never
    a sentinel) and where it comes from is data: `FEATURES`. The needs follow the choice: errors
    and ``objects["period"]`` are asked for only when a chosen feature uses them.

    Parameters
    ----------
    features : "default", "all" or sequence of str, default "default"
        Names of features or groups (see `GROUPS`). The default leaves out the groups
        ``"brightness"`` and ``"cadence"``, which tell surveys apart better than stars, and
        stays the same from version to version.
    extra : sequence of str, optional
        Numeric object columns to append, such as ``("period_power",)``; one value a curve.
    bands : sequence of str, optional
        Names out of ``batch.meta.bands``, blue to red: a column per feature and band
        (``"amplitude_g"``), then per band and the next (``"colour_g_r"``, see
        `CROSS_FEATURES`). A band that a curve lacks is NaN, and so is in a band with a missing
        error what needs errors. Default: all points are one curve of one band.
    errors : bool, default False
        Append the standard errors of the features that have one, as ``"<column>_error"``.
    on_bad : {"raise", "reject"}, default "raise"
        What happens to a curve without points (in these bands), errors or a positive period.

    Raises
    ------
    ConfigError
        If a feature is unknown or named twice, or bands are.
    DataError
        If ``objects`` lacks a column that is needed, an extra column is not one number a curve,
        or the survey has no such band.
    """

    needs: ClassVar[Needs] = _NeedsOfChoice()  # type: ignore[assignment]

    def __init__(
        self,
        features: Sequence[str] | Literal["default", "all"] = "default",
        extra: Sequence[str] | None = None,
        bands: Sequence[str] | None = None,
        errors: bool = False,
        on_bad: OnBad = "raise",
    ) -> None:
        self.features = features
        self.extra = extra
        self.bands = bands
        self.errors = errors
        self.on_bad = on_bad

    def feature_names(self) -> list[str]:
        """Names of the columns of ``objects["features"]``, in order."""
        columns = resolve(self.features, self.bands)
        names = [column.name for column in columns]
        if self.errors:
            names += [f"{column.name}_error" for column in columns if column.feature.error]
        return names + list(self.extra or ())

    def _check(self) -> None:
        if isinstance(self.extra, str):
            raise ConfigError(
                f"FeatureExtractor: extra must be a sequence of column names, got {self.extra!r}; "
                f"write ({self.extra!r},)"
            )
        if not isinstance(self.errors, bool | np.bool_):
            raise ConfigError(f"FeatureExtractor: errors must be True or False: {self.errors!r}")
        names = self.feature_names()
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"FeatureExtractor: extra repeats the features {', '.join(twice)}")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        if "period" in self.needs.objects:
            batch = self.refuse(batch, ~(batch.objects["period"] > 0), "a positive 'period'")
        if self.bands is not None:
            batch = self._in_bands(batch, self.bands)
        parts: list[NDArray[Any]] = [extract_features(batch, self.features, self.bands)]
        if self.errors:
            has = [bool(c.feature.error) for c in resolve(self.features, self.bands)]
            parts.append(feature_errors(batch, self.features, self.bands)[:, has])
        for name in self.extra or ():
            column = batch.objects[name]
            if column.ndim != 1 or column.dtype.kind not in "biuf":
                raise DataError(
                    f"FeatureExtractor: the extra column {name!r} must hold one number a curve, "
                    f"got dtype {column.dtype} and shape {column.shape}"
                )
            parts.append(column[:, None].astype(np.float64))
        return batch.with_columns(objects={"features": np.concatenate(parts, axis=1)})

    def _in_bands(self, batch: LightCurveBatch, bands: Sequence[str]) -> LightCurveBatch:
        """Refuse curves without a point in any of the bands."""
        codes, usable = band_codes(batch, bands), batch.usable
        curve = np.repeat(np.arange(batch.n_curves), usable.counts())
        counts = np.bincount(curve[np.isin(usable.band, codes)], minlength=batch.n_curves)  # type: ignore[arg-type]
        return self.refuse(batch, counts == 0, f"a usable point in band {' or '.join(bands)}")
