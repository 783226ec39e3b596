"""`SelectFeatures`: the step that keeps the features that are worth having."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from astroprep.base import OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.reduce.folds import Estimator, check_estimator
from astroprep.reduce.select import check_selection, select_features
from astroprep.reduce.table import block_of, column_names

__all__ = ["SelectFeatures"]

TREES = 200


class SelectFeatures(Transformer):
    """Choose features on one batch, write those of others to ``objects["features"]``.

    Parameters
    ----------
    keep : sequence of str, optional
        Names to keep; nothing is then learned from the batch. Default: what `select_features`
        chooses.
    labels : str, optional
        Object column of classes. Without it only constant, often missing and twin features go.
    estimator : "trees" or anything with ``fit`` and ``predict``, optional
        Makes the elimination; ``"trees"`` are 200 of scikit-learn's extremely randomized ones with
        balanced classes. Needs `labels`.
    groups : str, optional
        Object column of groups that stay on one side of a fold.
    columns : str or sequence of str, default "features"
        Object columns to choose from: one block, or several of one number an object.
    names : sequence of str or str, optional
        Names of the columns of a block, or the word that `FeatureExtractor` was given
        (``"default"``, ``"all"``); numbered without.
    max_missing, twin_rho, alpha, drop, n_folds, n_repeats, seed
        As of `select_features`.
    on_bad : {"raise", "reject"}, default "raise"
        Curves are never refused: features that are kept may be missing, as before.

    Attributes
    ----------
    names_ : list of str
        Columns that were chosen from.
    kept_ : list of str
        Columns that are written.
    reasons_ : list of str
        Why each of `names_` stays or goes.

    Raises
    ------
    ConfigError
        If a setting is wrong, or a name to keep is not there.
    DataError
        If a column is not there or has another width than in ``fit``, or nothing stays.
    """

    example: ClassVar[dict[str, Any]] = {"columns": ("period", "ra", "dec")}

    def __init__(
        self,
        keep: Sequence[str] | None = None,
        labels: str | None = None,
        estimator: Estimator | Literal["trees"] | None = None,
        groups: str | None = None,
        columns: Sequence[str] | str = "features",
        names: Sequence[str] | str | None = None,
        max_missing: float = 0.5,
        twin_rho: float = 0.95,
        alpha: float = 0.01,
        drop: float = 0.25,
        n_folds: int = 5,
        n_repeats: int = 3,
        seed: int = 0,
        on_bad: OnBad = "raise",
    ) -> None:
        self.keep = keep
        self.labels = labels
        self.estimator = estimator
        self.groups = groups
        self.columns = columns
        self.names = names
        self.max_missing = max_missing
        self.twin_rho = twin_rho
        self.alpha = alpha
        self.drop = drop
        self.n_folds = n_folds
        self.n_repeats = n_repeats
        self.seed = seed
        self.on_bad = on_bad

    def feature_names(self) -> list[str]:
        """Names of the columns that are written.

        Raises
        ------
        DataError
            If the step was not fitted.
        """
        if not hasattr(self, "kept_"):
            raise DataError("SelectFeatures learns from data: call fit before feature_names")
        return list(self.kept_)

    def _check(self) -> None:
        check_selection(
            self.max_missing, self.twin_rho, self.alpha, self.drop, self.n_folds, self.n_repeats
        )
        column_names(self.names, self.columns)
        if isinstance(self.keep, str) or (self.keep is not None and not len(self.keep)):
            raise ConfigError(f"SelectFeatures: keep must be a list of names, got {self.keep!r}")
        if self.estimator is None or self.estimator == "trees":
            pass
        elif isinstance(self.estimator, str):
            raise ConfigError(
                f"SelectFeatures: estimator must be 'trees' or an object, got {self.estimator!r}"
            )
        else:
            check_estimator(self.estimator, "SelectFeatures")
        if self.estimator is not None and self.labels is None:
            raise ConfigError("SelectFeatures: an estimator needs labels, the name of a column")

    def _column(self, batch: LightCurveBatch, name: str | None) -> Any:
        if name is None:
            return None
        if name not in batch.objects:
            raise DataError(
                f"SelectFeatures needs the column {name!r} per object, but the batch has "
                f"{', '.join(sorted(batch.objects))}"
            )
        return batch.objects[name]

    def _fit(self, batch: LightCurveBatch) -> None:
        names = column_names(self.names, self.columns)
        table = block_of(batch, self.columns, names, "SelectFeatures")
        self.names_ = list(table.names)
        if self.keep is not None:
            strange = [name for name in self.keep if name not in table.names]
            if strange:
                raise ConfigError(
                    f"SelectFeatures: keep names {strange[0]!r}, which is none of "
                    f"{', '.join(table.names)}"
                )
            self.kept_ = list(self.keep)
            self.reasons_ = ["named" if n in self.kept_ else "not named" for n in self.names_]
            return
        estimator: Any = self.estimator
        if estimator == "trees":
            estimator = ExtraTreesClassifier(
                TREES, min_samples_leaf=3, class_weight="balanced", random_state=self.seed
            )
        chosen = select_features(
            table,
            self._column(batch, self.labels),
            estimator,
            groups=self._column(batch, self.groups),
            max_missing=self.max_missing,
            twin_rho=self.twin_rho,
            alpha=self.alpha,
            drop=self.drop,
            n_folds=self.n_folds,
            n_repeats=self.n_repeats,
            seed=self.seed,
        )
        self.kept_, self.reasons_ = list(chosen.kept), list(chosen.reason)

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        table = block_of(batch, self.columns, self.names_, "SelectFeatures")
        index = [table.names.index(name) for name in self.kept_]
        return batch.with_columns(objects={"features": np.asarray(table.values[:, index])})
