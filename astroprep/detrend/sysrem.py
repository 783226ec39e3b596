"""Systematic effects that stars share: SysRem's alternating fit and TFA's template curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Ensemble", "sysrem_component", "sysrem_effects", "template_effects"]

Array = NDArray[np.float64]
MAX_ITERATIONS = 100
CONVERGED = 1e-5  # change of an effect of rms one that is far below any noise
FILLING = 2  # effects that fill the gaps of a template: zero point and colour
HUBER = 3.0  # errors beyond which a point counts by its distance and not by its square


@dataclass(frozen=True)
class Ensemble:
    """Residuals of the stars that teach, curve after curve, at numbered epochs.

    Parameters
    ----------
    value, error : float64 array, shape (n_points,)
        About each star's own level and model; errors positive.
    epoch : int64 array, shape (n_points,)
        0 to ``n_epochs - 1``.
    offsets : int64 array, shape (n_stars + 1,)
        Star i is ``offsets[i]:offsets[i + 1]``.
    n_epochs : int
        Epochs in all; some may be empty.
    """

    value: Array
    error: Array
    epoch: NDArray[np.int64]
    offsets: NDArray[np.int64]
    n_epochs: int

    @property
    def star(self) -> NDArray[np.int64]:
        """Star of each point, int64, shape (n_points,)."""
        return np.repeat(np.arange(self.offsets.size - 1), np.diff(self.offsets))

    def stars_at_epochs(self) -> NDArray[np.int64]:
        """Points at each epoch, int64, shape (n_epochs,)."""
        return np.bincount(self.epoch, minlength=self.n_epochs)


@njit(cache=True)
def _fit_stars(
    value: Array,
    weight: Array,
    epoch: NDArray[np.int64],
    offsets: NDArray[np.int64],
    effect: Array,
    slope: Array,
    level: Array,
) -> None:
    """Straight line of each star against the effect, weighted."""
    for i in range(slope.size):
        s = sx = sy = sxx = sxy = 0.0
        for j in range(offsets[i], offsets[i + 1]):
            w = weight[j]
            x = effect[epoch[j]]
            s += w
            sx += w * x
            sy += w * value[j]
            sxx += w * x * x
            sxy += w * x * value[j]
        spread = s * sxx - sx * sx
        slope[i] = (s * sxy - sx * sy) / spread if spread > 1e-12 * s * sxx else 0.0
        level[i] = (sy - slope[i] * sx) / s if s > 0 else 0.0


@njit(cache=True)
def _fit_epochs(
    value: Array,
    weight: Array,
    epoch: NDArray[np.int64],
    offsets: NDArray[np.int64],
    slope: Array,
    level: Array,
    effect: Array,
    power: Array,
) -> None:
    """Effect at each epoch for given slopes; `power` is its inverse variance."""
    effect[:] = 0.0
    power[:] = 0.0
    for i in range(slope.size):
        for j in range(offsets[i], offsets[i + 1]):
            wc = weight[j] * slope[i]
            effect[epoch[j]] += wc * (value[j] - level[i])
            power[epoch[j]] += wc * slope[i]
    for k in range(effect.size):
        effect[k] = effect[k] / power[k] if power[k] > 0 else 0.0


@njit(cache=True)
def sysrem_component(
    value: Array,
    weight: Array,
    epoch: NDArray[np.int64],
    offsets: NDArray[np.int64],
    n_epochs: int,
) -> tuple[Array, Array, Array, Array]:
    """Best effect of the form ``slope[star] * effect[epoch] + level[star]``.

    Parameters
    ----------
    value, weight : float64 array, shape (n_points,)
        Residuals and their inverse variances.
    epoch : int64 array, shape (n_points,)
    offsets : int64 array, shape (n_stars + 1,)
    n_epochs : int

    Returns
    -------
    effect : float64 array, shape (n_epochs,)
        Weighted mean zero and rms one over the points; zero at epochs that no star saw.
    power : float64 array, shape (n_epochs,)
        Inverse variance of the effect.
    slope, level : float64 array, shape (n_stars,)

    References
    ----------
    .. [1] Tamuz, Mazeh & Zucker 2005, MNRAS 356, 1466, doi:10.1111/j.1365-2966.2004.08585.x
       (eqs. 2-4; here with a free level per star)
    """
    n_stars = offsets.size - 1
    slope = np.ones(n_stars)
    level = np.zeros(n_stars)
    effect = np.zeros(n_epochs)
    power = np.zeros(n_epochs)
    before = np.zeros(n_epochs)
    for i in range(n_stars):
        total = 0.0
        for j in range(offsets[i], offsets[i + 1]):
            level[i] += weight[j] * value[j]
            total += weight[j]
        if total > 0:
            level[i] /= total
    at_epoch = np.zeros(n_epochs)
    for j in range(value.size):
        at_epoch[epoch[j]] += weight[j]
    for _ in range(MAX_ITERATIONS):
        _fit_epochs(value, weight, epoch, offsets, slope, level, effect, power)
        mean = (at_epoch * effect).sum() / at_epoch.sum()
        rms = np.sqrt((at_epoch * (effect - mean) ** 2).sum() / at_epoch.sum())
        if rms == 0.0:
            break
        for k in range(n_epochs):
            if at_epoch[k] > 0:
                effect[k] = (effect[k] - mean) / rms
        power *= rms * rms
        _fit_stars(value, weight, epoch, offsets, effect, slope, level)
        change = np.abs(effect - before).max()
        before[:] = effect
        if change < CONVERGED:
            break
    return effect, power, slope, level


def sysrem_effects(ensemble: Ensemble, n_components: int) -> tuple[Array, Array]:
    """Effects one after the other, each from what the ones before left.

    Parameters
    ----------
    ensemble : Ensemble
        At least one star.
    n_components : int

    Returns
    -------
    effect, variance : float64 array, shape (n_components, n_epochs)
        Effects of rms one and their variances; NaN at epochs that no star saw.
    """
    rest, error = ensemble.value.copy(), ensemble.error
    star = ensemble.star
    effects = np.full((n_components, ensemble.n_epochs), np.nan)
    variances = np.full_like(effects, np.nan)
    seen = ensemble.stars_at_epochs() > 0
    for k in range(n_components):
        far = np.abs(rest) / error
        weight = error**-2.0 * np.minimum(1.0, HUBER / np.maximum(far, HUBER))
        effect, power, slope, level = sysrem_component(
            rest, weight, ensemble.epoch, ensemble.offsets, ensemble.n_epochs
        )
        rest -= level[star] + slope[star] * effect[ensemble.epoch]
        effects[k, seen] = effect[seen]
        variances[k, seen] = 1 / np.maximum(power[seen], 1e-300)
        np.minimum(variances[k], 1.0, out=variances[k])  # no worse than not knowing it
    return effects, variances


def template_effects(ensemble: Ensemble, n_templates: int) -> tuple[Array, Array]:
    """Curves of the quietest stars, as TFA takes them.

    Parameters
    ----------
    ensemble : Ensemble
    n_templates : int
        Stars to take, at most; those with the smallest error of the mean curve.

    Returns
    -------
    effect, variance : float64 array, shape (n_templates, n_epochs)
        Mean zero and rms one over a star's own points; NaN at epochs that no template saw.
        Where a template was not seen it is filled with two SysRem effects fitted to it (the paper
        sets zero, which loses the trend there). The variance is zero: TFA takes templates as they
        are.

    References
    ----------
    .. [1] Kovacs, Bakos & Noyes 2005, MNRAS 356, 557, arXiv:astro-ph/0411724 (section 2)
    """
    star, n_stars = ensemble.star, ensemble.offsets.size - 1
    weight = ensemble.error**-2.0
    information = np.bincount(star, weight, n_stars)
    chosen = np.sort(np.argsort(-information, kind="stable")[:n_templates])
    shared = np.nan_to_num(sysrem_effects(ensemble, FILLING)[0])
    shared = np.vstack([shared, np.ones(ensemble.n_epochs)])
    effects = np.zeros((chosen.size, ensemble.n_epochs))
    seen = np.zeros(ensemble.n_epochs, bool)
    for k, i in enumerate(chosen):
        part = slice(*ensemble.offsets[i : i + 2])
        total = np.bincount(ensemble.epoch[part], weight[part], ensemble.n_epochs)
        sums = np.bincount(
            ensemble.epoch[part], weight[part] * ensemble.value[part], ensemble.n_epochs
        )
        own = total > 0
        curve = sums[own] / total[own]
        if curve.size > 2 * shared.shape[0]:
            effects[k] = np.linalg.lstsq(shared[:, own].T, curve, rcond=None)[0] @ shared
        effects[k, own] = curve
        effects[k] -= curve.mean()
        rms = np.std(curve)
        effects[k] /= rms if rms > 0 else 1.0
        seen |= own
    effects[:, ~seen] = np.nan
    return effects, np.zeros_like(effects)
