"""The stars of an ensemble: what is left of each when its own light is taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.detrend.evidence import fit_with_priors
from astroprep.detrend.jointfit import robust_scatter
from astroprep.detrend.ownlight import CLIP, POINTS_PER_HARMONIC, own_light
from astroprep.detrend.sysrem import Ensemble, sysrem_effects, template_effects

__all__ = [
    "Correction",
    "Curves",
    "correct",
    "harmonic_columns",
    "held_out_gain",
    "known_errors",
    "learn_effects",
]

Array = NDArray[np.float64]
FIRST_LOOK = 2  # effects taken out before the stars' own light is measured
LEAST_ERROR = 1e-12  # of the scatter: smaller errors are no errors


@dataclass(frozen=True)
class Curves:
    """Points that may teach, at numbered epochs.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days; value about the star's level; positive errors.
    epoch : int64 array, shape (n_points,)
    offsets : int64 array, shape (n_stars + 1,)
    period : float64 array, shape (n_stars,)
        Days; NaN for stars that have none.
    n_epochs : int
    """

    time: Array
    value: Array
    error: Array
    epoch: NDArray[np.int64]
    offsets: NDArray[np.int64]
    period: Array
    n_epochs: int

    def take(self, stars: NDArray[np.int64]) -> Curves:
        """Those stars only."""
        sizes = np.diff(self.offsets)[stars]
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        where = np.arange(offsets[-1]) + np.repeat(self.offsets[stars] - offsets[:-1], sizes)
        return Curves(
            self.time[where],
            self.value[where],
            self.error[where],
            self.epoch[where],
            offsets,
            self.period[stars],
            self.n_epochs,
        )


def known_errors(value: Array, error: Array) -> Array:
    """Errors of one star: as quoted, their median where none is, the scatter if none at all.

    Parameters
    ----------
    value, error : float64 array, shape (n_points,)
        Values finite.
    """
    scatter = robust_scatter(value) or float(np.ptp(value)) or 1.0
    known = np.isfinite(error) & (error > LEAST_ERROR * scatter)
    if not known.any():
        return np.full(error.size, scatter)
    return np.where(known, error, np.median(error[known]))


def harmonic_columns(time: Array, period: float, most: int, n_points: int) -> Array:
    """Cosines and sines of the star's own light, none where its period is not known."""
    n = min(most, n_points // POINTS_PER_HARMONIC)
    if not (np.isfinite(period) and period > 0) or n < 1:
        return np.empty((time.size, 0))
    angle = 2 * np.pi * np.outer(np.mod(time / period, 1.0), np.arange(1, n + 1))
    return np.hstack([np.cos(angle), np.sin(angle)])


def _residuals(curves: Curves, harmonics: int, effects: Array) -> tuple[Array, Array]:
    """Values without the stars' own light, and the scatter of each star beyond the effects."""
    own, scatter = own_light(
        curves.time,
        curves.value,
        curves.error,
        curves.epoch,
        curves.offsets,
        curves.period,
        harmonics,
        effects,
    )
    return curves.value - own, scatter


def _ensemble(curves: Curves, value: Array, scatter: Array) -> Ensemble:
    """Stars with errors as large as they scatter, so that variables do not teach."""
    error = curves.error.copy()
    for i in range(scatter.size):
        part = slice(*curves.offsets[i : i + 2])
        if part.start < part.stop:
            excess = scatter[i] ** 2 - np.median(error[part]) ** 2
            error[part] = np.sqrt(error[part] ** 2 + max(excess, 0.0))
    return Ensemble(value, error, curves.epoch, curves.offsets, curves.n_epochs)


def learn_effects(
    curves: Curves, method: str, size: int, harmonics: int, quiet: float, min_stars: int
) -> tuple[Array, Array]:
    """Effects that the stars share.

    Parameters
    ----------
    curves : Curves
        Stars to learn from.
    method : {"sysrem", "tfa"}
    size : int
        Components or templates.
    harmonics : int
        Of the model of periodic stars, at most.
    quiet : float
        Stars that scatter more, in units of their errors, than so many times the median star
        do not teach.
    min_stars : int
        Stars that an epoch must have.

    Returns
    -------
    effect, variance : float64 array, shape (size or fewer, n_epochs)
        NaN at epochs with too few stars.
    """
    value, scatter = _residuals(curves, harmonics, np.empty((0, curves.n_epochs)))
    first, _ = sysrem_effects(_ensemble(curves, value, scatter), FIRST_LOOK)
    value, scatter = _residuals(curves, harmonics, first)
    quoted = np.array(
        [np.median(curves.error[slice(*curves.offsets[i : i + 2])]) for i in range(scatter.size)]
    )
    ratio = scatter / quoted
    members = np.flatnonzero(ratio <= quiet * np.median(ratio))
    chosen = curves.take(members)
    star = np.repeat(np.isin(np.arange(scatter.size), members), np.diff(curves.offsets))
    ensemble = _ensemble(chosen, value[star], scatter[members])
    make = sysrem_effects if method == "sysrem" else template_effects
    effect, variance = make(ensemble, size)
    few = ensemble.stars_at_epochs() < min_stars
    effect[:, few] = np.nan
    variance[:, few] = np.nan
    return effect, variance


def held_out_gain(curves: Curves, effects: Array, harmonics: int) -> Array:
    """What each further effect brings to stars that did not make it.

    Parameters
    ----------
    curves : Curves
        Held-out stars.
    effects : float64 array, shape (n_components, n_epochs)
    harmonics : int
        Of the model of periodic stars.

    Returns
    -------
    float64 array, shape (n_stars, n_components)
        ``n log(rss before / rss after) - log(n)``: the fall of the Bayesian information
        criterion, whatever the errors are worth. NaN for stars with too few points.
    """
    gain = np.full((curves.period.size, effects.shape[0]), np.nan)
    for i in range(curves.period.size):
        part = slice(*curves.offsets[i : i + 2])
        shared = effects[:, curves.epoch[part]].T
        known = np.isfinite(shared).all(axis=1)
        n = int(known.sum())
        own = harmonic_columns(curves.time[part][known], curves.period[i], harmonics, n)
        if n < 2 * (own.shape[1] + effects.shape[0] + 1):
            continue
        error = curves.error[part][known]
        design = np.hstack([np.ones((n, 1)), own, shared[known]]) / error[:, None]
        y = curves.value[part][known] / error
        q, r = np.linalg.qr(design)
        along = np.square(q.T @ y)
        independent = np.abs(np.diag(r)) > 1e-10 * np.abs(r).max()
        along = np.where(independent, along, 0.0)
        first = 1 + own.shape[1]
        rest = (y @ y) - along[:first].sum() - np.append(0.0, np.cumsum(along[first:]))
        rest = np.maximum(rest, 1e-300)
        gain[i] = n * np.log(rest[:-1] / rest[1:]) - np.log(n)
    return gain


@dataclass(frozen=True)
class Correction:
    """Shared effects in one star: the effect and its error, zero mean over the points used."""

    systematic: Array
    error: Array


def correct(
    time: Array,
    value: Array,
    error: Array,
    make: NDArray[np.bool_],
    shared: Array,
    variance: Array,
    own: Array,
) -> Correction | str:
    """Fit the shared effects to one star, together with its own light.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Points at known epochs.
    make : bool array, shape (n_points,)
        Points that make the fit.
    shared, variance : float64 array, shape (n_points, n_effects)
        Effects at the epochs of the points, and their variances.
    own : float64 array, shape (n_points, n_own)
        Columns of the star's own light.

    Returns
    -------
    Correction or str
        Or why there is none: a phrase that reads after "needs".
    """
    n_shared = shared.shape[1]
    needed = n_shared + own.shape[1] + 3
    if make.sum() < needed:
        return f"at least {needed} points at epochs shared with the ensemble, has {make.sum()}"
    nothing = np.zeros(time.size)
    middle = float(np.median(value[make]))
    scale = robust_scatter(value[make]) or float(np.ptp(value[make]))
    if scale == 0 or n_shared == 0:
        return Correction(nothing, nothing)
    weight = np.zeros(time.size)
    weight[make] = np.square(np.median(error[make]) / error[make])
    effect = shared - np.average(shared[make], axis=0, weights=weight[make])
    design = np.hstack([effect, np.ones((time.size, 1)), own])
    penalty = np.zeros((1, design.shape[1]))
    penalty[0, :n_shared] = 1.0
    y = (value - middle) / scale
    use = make.copy()
    for _ in range(2):
        weighted = design[use] * weight[use, None]
        fit = fit_with_priors(
            weighted.T @ design[use],
            weighted.T @ y[use],
            float((weight[use] * y[use] ** 2).sum()),
            int(use.sum()),
            penalty,
        )
        rest = y - design @ fit.coefficient
        sigma = max(robust_scatter(rest[use]), 1e-300)
        if (make & (np.abs(rest) <= CLIP * sigma)).sum() >= needed:
            use = make & (np.abs(rest) <= CLIP * sigma)
    slope, spread = fit.coefficient[:n_shared], fit.covariance[:n_shared, :n_shared]
    squared = np.einsum("ij,ij->i", effect @ spread, effect) + variance @ slope**2
    return Correction(scale * (effect @ slope), scale * np.sqrt(np.maximum(squared, 0.0)))
