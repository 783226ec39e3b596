"""`FoldedComponents`: coefficients of folded light curves on components learned from a survey."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.represent.folded_bins import Align, FoldedBins, bin_folds
from astroprep.represent.probabilistic_pca import fit_components, posterior

__all__ = ["FoldedComponents", "served_folds"]


def served_folds(
    step: Transformer, batch: LightCurveBatch, n_bins: int, align: Align, min_bins: int
) -> tuple[LightCurveBatch, FoldedBins]:
    """Fold the curves of a batch, and refuse those that show too little of their circle.

    Parameters
    ----------
    step : Transformer
        Who refuses, by its ``on_bad``.
    batch : LightCurveBatch
        Curves with errors and ``objects["period"]``, days.
    n_bins, align
        As of `bin_folds`.
    min_bins : int
        Bins that must hold a point.

    Returns
    -------
    batch : LightCurveBatch
        Without the refused curves.
    folds : FoldedBins
        Of the curves that are left.

    Raises
    ------
    DataError
        If a curve is refused and ``on_bad`` is ``"raise"``.
    """
    period = np.asarray(batch.objects["period"], dtype=np.float64)
    batch = step.refuse(batch, period <= 0, "a positive 'period'")
    usable = batch.usable
    folds = bin_folds(
        usable.time,
        usable.value,
        usable.error,
        usable.offsets,
        np.asarray(batch.objects["period"], dtype=np.float64),
        n_bins,
        bright_is_small=batch.meta.quantity == "mag",
        align=align,
    )
    filled = np.isfinite(folds.variance).sum(axis=1)
    why = np.array(
        [f"at least {min_bins} of {n_bins} phase bins observed, has {n}" for n in filled], object
    )
    absurd = ~np.isfinite(folds.mean).all(axis=1)
    why[absurd] = "values whose spread is a finite number"
    refused = absurd | (filled < min_bins)
    batch = step.refuse(batch, refused, why)
    return batch, FoldedBins(*(part[~refused] for part in folds))


class FoldedComponents(Transformer):
    """Add coefficients on the principal components of folded light curves, with their errors.

    Each curve is standardised, folded at ``objects["period"]`` and aligned in phase; the
    components are learned from the folds of the survey that ``fit`` is given. A phase without
    observations is not filled: it has no weight, in learning and in transforming.

    Parameters
    ----------
    n_components : int, default 6
        Coefficients of a curve.
    n_bins : int, default 32
        Bins of the circle.
    align : {"faintest", "brightest"}, default "faintest"
        What stands at phase zero, the centre of bin 0; see `bin_folds`.
    min_filled : float, default 0.5
        Share of the bins that must hold a point.
    tolerance : float, default 1e-4
        See `fit_components`.
    max_iterations : int, default 300
        See `fit_components`.
    on_bad : {"raise", "reject"}, default "raise"
        What happens to a curve that misses the needs.

    Attributes
    ----------
    mean_ : float64 array, shape (n_bins,)
        Mean fold, in robust sigmas of a curve, bright up.
    components_ : float64 array, shape (n_components, n_bins)
        Orthonormal, by falling variance.
    explained_variance_ : float64 array, shape (n_components,)
        Variance of each coefficient over the survey, free of the noise.
    explained_variance_ratio_ : float64 array, shape (n_components,)
        Of all variance that is not measurement error: components and `noise_variance_`.
    noise_variance_ : float
        Of each bin, beside its error and the components.
    log_likelihood_ : float64 array
        Of a mean curve, by iteration.
    converged_ : bool
        False if `max_iterations` ended it.

    Notes
    -----
    ``transform`` adds, per object: ``folded_coefficients`` and ``folded_coefficients_error``
    (n_curves, n_components), mean and standard deviation of the posterior given the observed
    bins: a coefficient that the observations do not hold is near 0 and its error near the square
    root of `explained_variance_`; ``folded_chi2``, of the observed bins about the
    reconstruction, per bin; and ``folded_epoch`` (days), ``folded_level``, ``folded_scale``: the
    brightness at phase p is ``level ± scale * reconstruct(coefficients)``, minus for magnitudes.

    References
    ----------
    .. [1] Tipping & Bishop 1999, J. R. Stat. Soc. B 61, 611, doi:10.1111/1467-9868.00196
    .. [2] Bailey 2012, PASP 124, 1015, doi:10.1086/668105
    .. [3] Deb & Singh 2009, A&A 507, 1729, doi:10.1051/0004-6361/200912851 (PCA of folds)
    """

    needs = Needs(min_points=5, errors=True, objects=("period",))
    example: ClassVar[dict[str, float]] = {"n_components": 2, "min_filled": 0.25}

    def __init__(
        self,
        n_components: int = 6,
        n_bins: int = 32,
        align: Align = "faintest",
        min_filled: float = 0.5,
        tolerance: float = 1e-4,
        max_iterations: int = 300,
        on_bad: OnBad = "raise",
    ) -> None:
        self.n_components = n_components
        self.n_bins = n_bins
        self.align = align
        self.min_filled = min_filled
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.on_bad = on_bad

    def _check(self) -> None:
        if self.n_bins != int(self.n_bins) or not 8 <= self.n_bins <= 1024:
            raise ConfigError(f"n_bins must be a whole number, 8 to 1024, got {self.n_bins!r}")
        if self.n_components != int(self.n_components) or not 1 <= self.n_components < self.n_bins:
            raise ConfigError(
                f"n_components must be 1 or more and fewer than n_bins = {self.n_bins}, "
                f"got {self.n_components!r}"
            )
        if self.align not in ("faintest", "brightest"):
            raise ConfigError(f"align must be 'faintest' or 'brightest', got {self.align!r}")
        if not 0 < self.min_filled <= 1:
            raise ConfigError(f"min_filled must be above 0, at most 1, got {self.min_filled!r}")
        if not 0 < self.tolerance < 1:
            raise ConfigError(f"tolerance must be between 0 and 1, got {self.tolerance!r}")
        if self.max_iterations != int(self.max_iterations) or self.max_iterations < 1:
            raise ConfigError(f"max_iterations must be 1 or more, got {self.max_iterations!r}")

    def _folds(self, batch: LightCurveBatch) -> tuple[LightCurveBatch, FoldedBins]:
        least = max(1, round(self.min_filled * self.n_bins))
        return served_folds(self, batch, int(self.n_bins), self.align, least)

    def _fit(self, batch: LightCurveBatch) -> None:
        _, folds = self._folds(batch)
        if len(folds.mean) <= self.n_components:
            raise DataError(
                f"FoldedComponents needs more than {self.n_components} curves to learn from, "
                f"got {len(folds.mean)}; lower n_components, or give it a survey"
            )
        learned = fit_components(
            folds.mean,
            folds.variance,
            int(self.n_components),
            tolerance=float(self.tolerance),
            max_iterations=int(self.max_iterations),
        )
        self.mean_, self.components_ = learned.mean, learned.components
        self.explained_variance_ = learned.variance
        self.noise_variance_ = learned.noise
        total = learned.variance.sum() + self.n_bins * learned.noise
        self.explained_variance_ratio_ = learned.variance / total
        self.log_likelihood_ = learned.log_likelihood
        self.converged_ = learned.converged

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        batch, folds = self._folds(batch)
        sigma = np.sqrt(self.explained_variance_)
        z, covariance, _, chi2 = posterior(
            folds.mean,
            folds.variance,
            self.mean_,
            sigma[:, None] * self.components_,
            float(self.noise_variance_),
        )
        error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        return batch.with_columns(
            objects={
                "folded_coefficients": z * sigma,
                "folded_coefficients_error": error * sigma,
                "folded_chi2": chi2,
                "folded_epoch": folds.epoch,
                "folded_level": folds.level,
                "folded_scale": folds.scale,
            }
        )

    def reconstruct(self, coefficients: ArrayLike) -> NDArray[np.float64]:
        """Folds that coefficients stand for.

        Parameters
        ----------
        coefficients : float array, shape (n_curves, n_components)
            ``objects["folded_coefficients"]``.

        Returns
        -------
        float64 array, shape (n_curves, n_bins)
            In robust sigmas of each curve, bright up; bin k is centred on phase ``k / n_bins``.

        Raises
        ------
        DataError
            If the step was not fitted or the coefficients are of another shape.
        """
        if not getattr(self, "fitted_", False):
            raise DataError("FoldedComponents learns from data: call fit before reconstruct")
        a = np.asarray(coefficients, dtype=np.float64)
        if a.ndim != 2 or a.shape[1] != len(self.components_):
            raise DataError(
                f"FoldedComponents has {len(self.components_)} coefficients a curve, got an array "
                f"of shape {a.shape}"
            )
        return np.asarray(self.mean_ + a @ self.components_)
