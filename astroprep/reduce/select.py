"""Choose the features that are worth having, and say of each why it stays or goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.reduce.correlation import CorrelationClusters, correlation_clusters
from astroprep.reduce.eliminate import Elimination, SelectionCurve, eliminate
from astroprep.reduce.folds import Estimator, Score, balanced_accuracy, check_estimator
from astroprep.reduce.importance import _some
from astroprep.reduce.information import MutualInformation, mutual_information
from astroprep.reduce.scale import ColumnScale
from astroprep.reduce.table import FeatureTable, as_labels, as_table

__all__ = ["Selection", "check_selection", "select_features"]


@dataclass(frozen=True, eq=False)
class Selection:
    """Which features stay, and why each other goes.

    Parameters
    ----------
    names : tuple of str
        All features that were looked at.
    keep : bool array, shape (n_features,)
        True for those that stay.
    reason : tuple of str
        One a feature.
    missing : float64 array, shape (n_features,)
        Share of objects without it.
    information : MutualInformation or None
        What each tells of the class, where there were labels.
    clusters : CorrelationClusters or None
        Twins, among the features that reached that test.
    elimination : Elimination or None
        Of `candidates`, where an estimator was given.
    candidates : tuple of str
        What was left for the elimination.
    """

    names: tuple[str, ...]
    keep: NDArray[np.bool_]
    reason: tuple[str, ...]
    missing: NDArray[np.float64]
    information: MutualInformation | None
    clusters: CorrelationClusters | None
    elimination: Elimination | None
    candidates: tuple[str, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the features that stay, in the order of the table."""
        return tuple(n for n, k in zip(self.names, self.keep, strict=True) if k)

    @property
    def curve(self) -> SelectionCurve | None:
        """Score against the number of features, where an estimator was given."""
        return None if self.elimination is None else self.elimination.curve

    def apply(self, table: Any) -> FeatureTable:
        """Those features of another table, by name or of an array in this order.

        Raises
        ------
        DataError
            If one is not there.
        """
        return as_table(table, self.names).take(np.flatnonzero(self.keep))

    def table(self) -> pd.DataFrame:
        """One row a feature, in the order of the table: kept, reason and what was measured."""
        frame = pd.DataFrame(
            {
                "feature": self.names,
                "kept": self.keep,
                "reason": self.reason,
                "missing": self.missing,
            }
        )
        if self.information is not None:
            frame["information"] = self.information.information
            frame["p_value"] = self.information.p_value
        if self.elimination is not None:
            place = {name: k for k, name in enumerate(self.candidates)}
            index = [place.get(name, -1) for name in self.names]
            for column in ("importance", "error"):
                values = np.append(getattr(self.elimination, column), np.nan)
                frame[column] = values[index]
        return frame

    def report(self) -> str:
        """Text for people: what stays and what goes, each with its reason."""
        lines = [f"{int(self.keep.sum())} of {len(self.names)} features stay."]
        if (curve := self.curve) is not None:
            at = int(np.flatnonzero(curve.n_features == curve.chosen)[0])
            lines.append(
                f"Held-out score {curve.score[at]:.4f} ± {curve.error[at]:.4f} with "
                f"{curve.chosen}, {curve.score[0]:.4f} ± {curve.error[0]:.4f} with all "
                f"{curve.n_features[0]} candidates."
            )
        width = max(len(name) for name in self.names)
        for stays in (True, False):
            for name, keep, why in zip(self.names, self.keep, self.reason, strict=True):
                if keep == stays:
                    lines.append(f"  {'+' if keep else '-'} {name:<{width}}  {why}")
        return "\n".join(lines)


def check_selection(
    max_missing: float, twin_rho: float, alpha: float, drop: float, n_folds: int, n_repeats: int
) -> None:
    """Raise `ConfigError` where a setting of `select_features` is out of range."""
    wrong = []
    if not 0 <= max_missing < 1:
        wrong.append(f"max_missing must lie in [0, 1), got {max_missing!r}")
    if not 0 < twin_rho <= 1:
        wrong.append(f"twin_rho must lie in (0, 1], got {twin_rho!r}")
    if not 0 < alpha < 1:
        wrong.append(f"alpha must lie in (0, 1), got {alpha!r}")
    if not 0 < drop < 1:
        wrong.append(f"drop must lie in (0, 1), got {drop!r}")
    if n_folds < 2 or n_repeats < 1:
        wrong.append(f"n_folds needs 2 and n_repeats 1 at least, got {n_folds!r}, {n_repeats!r}")
    if wrong:
        raise ConfigError(f"select_features: {'; '.join(wrong)}")


def select_features(
    table: Any,
    labels: ArrayLike | None = None,
    estimator: Estimator | None = None,
    *,
    groups: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    max_missing: float = 0.5,
    twin_rho: float = 0.95,
    alpha: float = 0.01,
    drop: float = 0.25,
    n_folds: int = 5,
    n_repeats: int = 3,
    score: Score = balanced_accuracy,
    seed: int = 0,
) -> Selection:
    """Choose features, on training objects.

    Parameters
    ----------
    table : any table
        See `as_table`; what is not finite is missing.
    labels : sequence of str, shape (n_objects,), optional
        Classes; objects without one are left out. Without labels only what the features say
        of each other counts.
    estimator : anything with ``fit(X, y)`` and ``predict(X)``, optional
        Makes the elimination. It is given NaN where a feature is missing.
    groups : array, shape (n_objects,), optional
        Objects of equal value are never on both sides of a fold.
    names : sequence of str, optional
        Of the columns of an array, or columns to take.
    max_missing : float, default 0.5
        Share of objects without it from which a feature goes.
    twin_rho : float, default 0.95
        Rank correlation from which features are twins; the most informative stays.
    alpha : float, default 0.01
        A feature goes if shuffled labels reach its information more often.
    drop : float, default 0.25
        Share of the features that each round of the elimination leaves out.
    n_folds, n_repeats : int, default 5 and 3
        Folds, and shuffles of each feature in each.
    score : callable, default `balanced_accuracy`
        Of truth and prediction, larger is better.
    seed : int, default 0
        Of folds and shuffles.

    Returns
    -------
    Selection

    Raises
    ------
    ConfigError
        If a setting is out of range, or there is an estimator and no labels.
    DataError
        If nothing stays, or labels and groups do not fit the rows.

    Notes
    -----
    In order: constant; missing too often; no information about the class; twin of another (all
    pairs of a cluster reach `twin_rho`); recursive elimination. The last keeps the smallest set
    whose held-out score is within one standard error of that of all candidates and of the best size
    [1]_ (sect. 3.4.3), with scores of objects that took part neither in learning nor in ranking
    [2]_. A feature that tells something only together with others passes the test of information
    by luck alone: raise `alpha` to keep it in.

    References
    ----------
    .. [1] Breiman et al. 1984, "Classification and regression trees"
    .. [2] Guyon et al. 2002, Machine Learning 46, 389, doi:10.1023/A:1012487302797
    """
    check_selection(max_missing, twin_rho, alpha, drop, n_folds, n_repeats)
    given = as_table(table, names)
    own = None if groups is None else np.asarray(groups).ravel()
    text = None
    if labels is not None:
        text = as_labels(labels, given.n_objects, "select_features")
        known = text != ""
        own = None if own is None else _some(own, known)
        given, text = FeatureTable(given.values[known], given.names), text[known]
    if estimator is not None:
        check_estimator(estimator, "select_features")
        if text is None:
            raise ConfigError("select_features needs labels for an estimator to learn")
    if given.n_objects == 0:
        raise DataError("select_features needs objects, got an empty table (or one without labels)")
    sieve = _Sieve(given)
    sieve.drop_still()
    sieve.drop_missing(max_missing)
    sieve.require("varies and is there often enough")
    information = None
    if text is not None:
        information = mutual_information(given, text, seed=seed)
        sieve.drop_silent(information, alpha)
        sieve.require("tells anything of the class")
    clusters = sieve.drop_twins(twin_rho, information)
    candidates = np.flatnonzero(sieve.keep)
    elimination = None
    if estimator is not None and text is not None:
        elimination = eliminate(
            estimator,
            given.values[:, candidates],
            text,
            own,
            drop=drop,
            n_folds=n_folds,
            n_repeats=n_repeats,
            score=score,
            seed=seed,
        )
        sieve.drop_eliminated(candidates, elimination)
    return Selection(
        names=given.names,
        keep=sieve.keep,
        reason=tuple(sieve.reason),
        missing=sieve.missing,
        information=information,
        clusters=clusters,
        elimination=elimination,
        candidates=tuple(given.names[k] for k in candidates),
    )


class _Sieve:
    """Features, one test after the other."""

    def __init__(self, table: FeatureTable) -> None:
        self.table = table
        self.keep = np.ones(table.n_features, dtype=bool)
        self.reason = [""] * table.n_features
        self.missing = np.mean(~np.isfinite(table.values), axis=0)

    def drop(self, k: int | np.integer[Any], reason: str) -> None:
        self.keep[k], self.reason[k] = False, reason

    def require(self, what: str) -> None:
        if not self.keep.any():
            raise DataError(
                f"select_features: no feature {what}; the first of {len(self.reason)}, "
                f"{self.table.names[0]!r}: {self.reason[0]}"
            )

    def drop_still(self) -> None:
        varies = ColumnScale.fit(self.table, "asinh").varies
        for k in np.flatnonzero(~varies):
            self.drop(k, "missing for all objects" if self.missing[k] == 1 else "constant")

    def drop_missing(self, most: float) -> None:
        for k in np.flatnonzero(self.keep & (self.missing > most)):
            self.drop(k, f"missing for {self.missing[k]:.1%} of the objects")

    def drop_silent(self, found: MutualInformation, alpha: float) -> None:
        for k in np.flatnonzero(self.keep):
            bits = f"{found.information[k]:.3f} bits of the class"
            if found.p_value[k] > alpha:
                self.drop(k, f"no information: {bits}, p = {found.p_value[k]:.2g}")
            else:
                self.reason[k] = bits

    def drop_twins(self, rho: float, found: MutualInformation | None) -> CorrelationClusters:
        index = np.flatnonzero(self.keep)
        clusters = correlation_clusters(self.table.take(index), rho)
        worth = None if found is None else found.information[index]
        chosen = clusters.representatives(worth)[clusters.cluster]
        for j, k in enumerate(index):
            if chosen[j] != j:
                r = clusters.rho[j, chosen[j]]
                self.drop(k, f"twin of {self.table.names[index[chosen[j]]]} (rho = {r:+.3f})")
        return clusters

    def drop_eliminated(self, index: NDArray[np.intp], done: Elimination) -> None:
        for j, k in enumerate(index):
            how = f"importance {done.importance[j]:+.4f} ± {done.error[j]:.4f}"
            if done.kept[j]:
                self.reason[k] = f"{how}, {self.reason[k]}"
            else:
                self.drop(k, f"{how}, least of {done.left_at[j]} features left")
