"""`ComponentFeatures`: the step that replaces features by their principal components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from astroprep.base import OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.reduce.pca import PrincipalComponents, _check, principal_components
from astroprep.reduce.scale import SCALES, Scale
from astroprep.reduce.table import block_of, column_names

__all__ = ["ComponentFeatures"]


class ComponentFeatures(Transformer):
    """Learn principal components on one batch, write those of others to ``objects["features"]``.

    Parameters
    ----------
    n_components : int, float or "parallel", default "parallel"
        How many, as of `principal_components`.
    scale : {"asinh", "standard", "none"}, default "asinh"
        What is done to features first, as of `principal_components`.
    columns : str or sequence of str, default "features"
        Object columns to reduce: one block, or several of one number an object.
    names : sequence of str or str, optional
        Names of the columns of a block, or the word that `FeatureExtractor` was given
        (``"default"``, ``"all"``); numbered without.
    seed : int, default 0
        Of the shuffles that choose the number.
    on_bad : {"raise", "reject"}, default "raise"
        What happens to a curve with fewer finite features than there are components.

    Attributes
    ----------
    components_ : dict
        State of the `PrincipalComponents`, see `components`.

    Raises
    ------
    ConfigError
        If a setting is wrong.
    DataError
        If a column is not there or has another width than in ``fit``.
    """

    example: ClassVar[dict[str, Any]] = {"columns": ("period", "ra", "dec")}

    def __init__(
        self,
        n_components: int | float | Literal["parallel"] = "parallel",
        scale: Scale = "asinh",
        columns: Sequence[str] | str = "features",
        names: Sequence[str] | str | None = None,
        seed: int = 0,
        on_bad: OnBad = "raise",
    ) -> None:
        self.n_components = n_components
        self.scale = scale
        self.columns = columns
        self.names = names
        self.seed = seed
        self.on_bad = on_bad

    def components(self) -> PrincipalComponents:
        """What was learned, with loadings, report and inverse.

        Raises
        ------
        DataError
            If the step was not fitted.
        """
        if not hasattr(self, "components_"):
            raise DataError("ComponentFeatures learns from data: call fit before components")
        return PrincipalComponents.from_state(self.components_)

    def feature_names(self) -> list[str]:
        """Names of the columns that are written: ``pc1``, ``pc2`` and on."""
        return self.components().component_names

    def _check(self) -> None:
        _check(self.n_components, 1.0, 1)
        if self.scale not in SCALES:
            raise ConfigError(
                f"ComponentFeatures: scale must be one of {', '.join(SCALES)}, got {self.scale!r}"
            )
        column_names(self.names, self.columns)

    def _fit(self, batch: LightCurveBatch) -> None:
        names = column_names(self.names, self.columns)
        table = block_of(batch, self.columns, names, "ComponentFeatures")
        self.components_ = principal_components(
            table, self.n_components, scale=self.scale, seed=self.seed
        ).state()

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        found = self.components()
        table = block_of(batch, self.columns, found.names, "ComponentFeatures")
        scores = found.scores(table)
        few = np.asarray(np.isnan(scores).any(axis=1))
        batch = self.refuse(
            batch, few, f"{found.n_components} finite features for as many components"
        )
        return batch.with_columns(objects={"features": scores[~few]})
