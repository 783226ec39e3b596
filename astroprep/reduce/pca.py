"""Principal components of a feature table, missing entries left out rather than filled."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.reduce.missing import Model, fit_model, noise_of, project
from astroprep.reduce.parallel import ParallelAnalysis, pairwise_correlation, parallel_analysis
from astroprep.reduce.scale import ColumnScale, Scale
from astroprep.reduce.table import FeatureTable, as_table

__all__ = ["PrincipalComponents", "principal_components"]

logger = logging.getLogger(__name__)
STRONGEST = 5  # loadings that a report names


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Directions in which features vary together, and how to go there and back.

    Parameters
    ----------
    names : tuple of str
        Features, in the order of the columns.
    scale : ColumnScale
        Brings features on one scale; components live in its units.
    center : float64 array, shape (n_features,)
        Mean on that scale, with missing entries accounted for.
    directions : float64 array, shape (n_components, n_features)
        Orthonormal; 0 for a feature that does not vary. The largest entry is positive.
    variance : float64 array, shape (n_varying,)
        Along all directions, also those that are no component; largest first.
    n_missing : int64 array, shape (n_features,)
        Entries that were missing among the objects learned from.
    n_objects : int
        Objects learned from: those with a finite feature.
    converged : bool
        Whether the fit did; always so for a complete table.
    parallel : ParallelAnalysis or None
        What chose the number of components.
    """

    names: tuple[str, ...]
    scale: ColumnScale
    center: NDArray[np.float64]
    directions: NDArray[np.float64]
    variance: NDArray[np.float64]
    n_missing: NDArray[np.int64]
    n_objects: int
    converged: bool = True
    parallel: ParallelAnalysis | None = None

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self.directions)

    @property
    def component_names(self) -> list[str]:
        """``pc1``, ``pc2`` and on."""
        return [f"pc{k + 1}" for k in range(self.n_components)]

    @property
    def explained(self) -> NDArray[np.float64]:
        """Share of the variance of each component, float64, shape (n_components,)."""
        return np.asarray(self.variance[: self.n_components] / self.variance.sum())

    @property
    def noise(self) -> float:
        """Variance along each direction that is no component."""
        return noise_of(self.variance, self.n_components)

    @property
    def loadings(self) -> pd.DataFrame:
        """Feature by component: ``direction sqrt(variance)``, with one scale the correlation."""
        root = np.sqrt(self.variance[: self.n_components])
        return pd.DataFrame(
            self.directions.T * root, index=list(self.names), columns=self.component_names
        )

    def scores(self, table: Any) -> NDArray[np.float64]:
        """Components of objects.

        Parameters
        ----------
        table : any table
            With these features by name, or an array of them in this order.

        Returns
        -------
        float64 array, shape (n_objects, n_components)
            Expected values where an object misses features. NaN for an object with fewer finite
            features than there are components: it does not determine them.

        Raises
        ------
        DataError
            If a feature is not there.
        """
        return self._project(table)[0]

    def score_errors(self, table: Any) -> NDArray[np.float64]:
        """One sigma of each score from the missing features, 0 for a complete object.

        Parameters, Raises
            As of `scores`.

        Returns
        -------
        float64 array, shape (n_objects, n_components)
        """
        return self._project(table)[1]

    def fill(self, table: Any) -> NDArray[np.float64]:
        """Features with missing ones expected from the others of the same object.

        Returns
        -------
        float64 array, shape (n_objects, n_features)
            In their own units; finite features as they were. NaN where `scores` is.
        """
        given = as_table(table, self.names)
        filled = self.scale.invert(self._project(given)[2] + self.center)
        return np.where(np.isfinite(given.values), given.values, filled)

    def inverse(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Features that scores stand for.

        Parameters
        ----------
        scores : float array, shape (n_objects, n_components)
            As `scores` gives.

        Returns
        -------
        float64 array, shape (n_objects, n_features)
            In their own units; exact with as many components as varying features.

        Raises
        ------
        DataError
            If the number of components is another one.
        """
        t = np.asarray(scores, dtype=np.float64)
        if t.ndim != 2 or t.shape[1] != self.n_components:
            raise DataError(
                f"PrincipalComponents needs scores of {self.n_components} components, got an "
                f"array of shape {t.shape}"
            )
        return self.scale.invert(t @ self.directions + self.center)

    def table(self) -> pd.DataFrame:
        """Variance, share and running share of each component, and chance where it was asked."""
        share = self.explained
        rows = {
            "component": self.component_names,
            "variance": self.variance[: self.n_components],
            "explained": share,
            "explained_to_here": np.cumsum(share),
        }
        if self.parallel is not None:
            rows["chance"] = self.parallel.chance[: self.n_components]
        return pd.DataFrame(rows)

    def report(self) -> str:
        """Text for people: each component with its share and its strongest loadings."""
        share, loading = self.explained, self.loadings
        lines = [
            f"{self.n_components} components of {len(self.names)} features and {self.n_objects} "
            f"objects explain {share.sum():.1%} of the variance (scale {self.scale.kind!r})."
        ]
        if self.parallel is not None:
            lines.append("Their number: eigenvalues above those of shuffled columns.")
        missing = int(self.n_missing.sum())
        if missing:
            part = missing / (self.n_objects * len(self.names))
            how = "converged" if self.converged else "NOT converged"
            lines.append(f"{missing} entries ({part:.2%}) are missing and left out ({how}).")
        if not self.scale.varies.all():
            still = [n for n, v in zip(self.names, self.scale.varies, strict=True) if not v]
            lines.append(f"No part, for they do not vary: {', '.join(still)}.")
        for k, name in enumerate(self.component_names):
            column = loading[name]
            strong = column.abs().sort_values(ascending=False, kind="stable").index[:STRONGEST]
            text = ", ".join(f"{column[f]:+.2f} {f}" for f in strong)
            lines.append(f"{name:>5} {share[k]:6.1%}  {text}")
        return "\n".join(lines)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays from which `from_state` makes it again."""
        return {
            "names": list(self.names),
            "scale": dataclasses.asdict(self.scale),
            "center": self.center,
            "directions": self.directions,
            "variance": self.variance,
            "n_missing": self.n_missing,
            "n_objects": self.n_objects,
            "converged": self.converged,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Take up what `state` gave; the parallel analysis is not kept.

        Raises
        ------
        DataError
            If the parts do not fit together.
        """
        try:
            made = cls(
                **{**state, "names": tuple(state["names"]), "scale": ColumnScale(**state["scale"])}
            )
            made.scores(np.zeros((1, len(made.names))))
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise DataError(f"PrincipalComponents: its state is damaged: {error}") from error
        return made

    def _project(
        self, table: Any
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        z = self.scale.apply(as_table(table, self.names).values) - self.center
        varies, noise = self.scale.varies, self.noise
        directions = np.ascontiguousarray(self.directions[:, varies])
        root = np.sqrt(np.maximum(self.variance[: self.n_components] - noise, 0.0))
        score, error, part = project(
            np.ascontiguousarray(z[:, varies]),
            directions,
            np.ascontiguousarray(directions.T * root),
            noise,
        )
        filled = np.zeros(z.shape)
        filled[:, varies] = part
        few = np.isfinite(z).sum(axis=1) < self.n_components
        for array in (score, error, filled):
            array[few] = np.nan
        return score, error, filled


def principal_components(
    table: Any,
    n_components: int | float | Literal["parallel"] = "parallel",
    *,
    scale: Scale = "asinh",
    names: Sequence[str] | None = None,
    seed: int = 0,
    tolerance: float = 1e-4,
    max_iterations: int = 500,
) -> PrincipalComponents:
    """Find the directions in which features vary together.

    Parameters
    ----------
    table : any table
        See `as_table`. Features that are not finite are missing; objects without any are left
        out, features that do not vary take no part. Never changed.
    n_components : int, float or "parallel", default "parallel"
        How many; or the share of variance that they must explain, within (0, 1); or those whose
        eigenvalue exceeds chance (`parallel_analysis`), one at least.
    scale : {"asinh", "standard", "none"}, default "asinh"
        Features to unit variance, after an inverse hyperbolic sine in their interquartile
        ranges or as they are; or only centred. See `ColumnScale`.
    names : sequence of str, optional
        Of the columns of an array, or columns to take.
    seed : int, default 0
        Of the shuffles.
    tolerance : float, default 1e-4
        Rise of the mean log-likelihood per object at which the fit with missing entries ends.
    max_iterations : int, default 500
        Of that fit; `PrincipalComponents.converged` tells.

    Returns
    -------
    PrincipalComponents

    Raises
    ------
    ConfigError
        If a setting is wrong, or more components are asked for than the table can give.
    DataError
        If fewer than two objects or no feature have anything to vary.

    Notes
    -----
    Missing entries are neither filled nor do they cost the object: the components maximise the
    likelihood of the entries that are there, under the model of probabilistic principal
    components [1]_ [2]_, ``z ~ N(center, Dᵀ (Λ - σ²) D + σ²)``. This is right if whether an entry
    is missing depends on entries that are there only; a feature that is missing because of its
    own value is biased by any method. A complete table gives ordinary principal components.

    References
    ----------
    .. [1] Tipping & Bishop 1999, JRSS B 61, 611, doi:10.1111/1467-9868.00196
    .. [2] Ilin & Raiko 2010, JMLR 11, 1957
    """
    _check(n_components, tolerance, max_iterations)
    given = as_table(table, names)
    learned = ColumnScale.fit(given, scale)
    varies = learned.varies
    z = learned.apply(given.values)[:, varies]
    z = z[np.isfinite(z).any(axis=1)]
    if len(z) < 2 or not varies.any():
        raise DataError(
            f"principal_components needs two objects and a feature that varies, got {len(z)} "
            f"objects with a finite value and {int(varies.sum())} features that vary"
        )
    analysis = None
    if n_components == "parallel":
        analysis = parallel_analysis(z, seed=seed)
    count = _count(z, n_components, analysis)
    model = fit_model(z, count, tolerance, max_iterations)
    if not model.converged:
        logger.warning("principal_components did not converge in %d iterations", max_iterations)
    return _result(given, learned, model, len(z), analysis)


def _check(n_components: Any, tolerance: float, max_iterations: int) -> None:
    whole = isinstance(n_components, int | np.integer) and not isinstance(n_components, bool)
    share = isinstance(n_components, float) and 0 < n_components < 1
    if n_components != "parallel" and not share and not (whole and n_components >= 1):
        raise ConfigError(
            "principal_components: n_components must be a number from 1, a share within (0, 1) "
            f"or 'parallel', got {n_components!r}"
        )
    if not tolerance > 0 or max_iterations < 1:
        raise ConfigError(
            "principal_components: tolerance and max_iterations must be positive, got "
            f"{tolerance!r} and {max_iterations!r}"
        )


def _count(z: NDArray[np.float64], wanted: Any, analysis: ParallelAnalysis | None) -> int:
    """Components that the setting stands for."""
    most = min(z.shape[1], len(z) - 1)
    if analysis is not None:
        return int(min(max(analysis.n_components, 1), most))
    if isinstance(wanted, float):
        spread = np.nanstd(z, axis=0)
        cov = pairwise_correlation(z) * np.outer(spread, spread)
        value = np.maximum(np.linalg.eigvalsh(cov)[::-1], 0.0)
        reached = np.cumsum(value) / value.sum() >= wanted - 1e-12
        return int(min(int(np.argmax(reached)) + 1, most))
    if wanted > most:
        raise ConfigError(
            f"principal_components: n_components={wanted} is more than {len(z)} objects and "
            f"{z.shape[1]} varying features give, {most}"
        )
    return int(wanted)


def _result(
    given: FeatureTable,
    learned: ColumnScale,
    model: Model,
    n_objects: int,
    analysis: ParallelAnalysis | None,
) -> PrincipalComponents:
    """Put the model of the varying features back among all."""
    center = np.zeros(given.n_features)
    directions = np.zeros((len(model.directions), given.n_features))
    center[learned.varies] = model.mean
    directions[:, learned.varies] = model.directions
    some = np.isfinite(given.values).any(axis=1)
    return PrincipalComponents(
        names=given.names,
        scale=learned,
        center=center,
        directions=directions,
        variance=model.variance,
        n_missing=(~np.isfinite(given.values[some])).sum(axis=0).astype(np.int64),
        n_objects=n_objects,
        converged=model.converged,
        parallel=analysis,
    )
