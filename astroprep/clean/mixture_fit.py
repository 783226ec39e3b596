"""Kernels of the outlier mixture model over many curves: units, periods, what is believed."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.clean.clip import fast_median
from astroprep.clean.markov import N_STATES, forward_backward, stay_probability
from astroprep.clean.mixture_model import (
    broad_densities,
    combine,
    emissions,
    maximise_posterior,
    new_shares,
)
from astroprep.threads import for_objects

__all__ = ["MIN_POINTS", "fit_mixtures"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
MIN_POINTS = 5  # fewer have no scatter to be judged by
# Strength of what is believed before: junk comes from the telescope and is alike in a survey, so
# that a curve needs hundreds of points to say otherwise; events come from the star. Chosen, with
# the settings of the step, on training curves: benchmarks/clean_outliers.py --tune.
JUNK_STRENGTH = 300.0  # points
EVENT_STRENGTH = 60.0  # new draws of the state
CONVICTION = 1e6  # points; no curve overrules it
ERROR_STRENGTH = 20.0  # points
NOVEL = 0.1  # of the events of a star with a known period do not come with it
JUNK_EXCESS = 10.0  # times the believed rate of junk: that is not the telescope any more
LARGEST = 1e100  # units; the square is finite
PHASE_TURNS = 8  # M steps for the shares of recurring events


@njit(cache=True)
def _error_factor(z: NDArray[np.float64], e: NDArray[np.float64]) -> float:
    """Factor of the squared errors: below 1 where they are larger than the scatter."""
    n = z.size
    part = np.empty(n)
    for j in range(n):
        part[j] = abs(z[j]) / e[j]
    honest = MAD_TO_SIGMA * fast_median(part, np.empty(n))
    if not 0.0 < honest < 1.0:
        return 1.0
    return (n * honest * honest + ERROR_STRENGTH) / (n + ERROR_STRENGTH)


@njit(cache=True)
def _known_errors(error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Errors with the unknown ones replaced by the median of the known, 0 where none is."""
    known = np.empty(error.size)
    m = 0
    for j in range(error.size):
        if 0.0 < error[j] < np.inf:
            known[m] = error[j]
            m += 1
    fill = np.median(known[:m]) if m else 0.0
    return np.where((error > 0.0) & (error < np.inf), error, fill)


@njit(cache=True)
def _units(residual: NDArray[np.float64], e: NDArray[np.float64]) -> tuple[float, float]:
    """Size of the residuals, to compute in, and their robust scatter in that unit.

    Where more than half of them are 0, as after rounding or in a constant curve, the errors tell
    the size, and where there are none, the mean square.
    """
    distance = np.abs(residual)
    unit = fast_median(distance, np.empty(distance.size))
    if unit > 0.0:
        return unit, MAD_TO_SIGMA
    unit = np.median(e)
    if unit > 0.0:
        return unit, 0.0
    unit = distance.max()
    if unit > 0.0 and np.isfinite(unit):
        unit *= np.sqrt(np.mean((distance / unit) ** 2))
    return unit, 1.0


@njit(cache=True)
def _recurring(
    order: NDArray[np.int64],
    phase: NDArray[np.float64],
    duration: float,
    prior: NDArray[np.float64],
    emission: NDArray[np.float64],
    folded: NDArray[np.float64],
) -> None:
    """Fill `folded` with the events that the neighbours in phase tell of.

    Only what they say beyond the mean share counts, so that a point without any is told nothing.
    """
    n = phase.size
    stay = stay_probability(phase, duration)
    ordered, near = emission[order], np.empty((n, N_STATES))
    scale, drawn, shares = np.empty(n), np.empty(N_STATES), prior[:6].copy()
    for _ in range(PHASE_TURNS):
        forward_backward(stay, ordered, shares[3:], near, scale, drawn)
        new_shares(drawn, prior, shares)
    for k in range(n):
        total = near[k].sum()
        for h in (1, 2):
            share = shares[3 + h]
            beyond = (near[k, h] / total - share) / (1.0 - share)
            folded[order[k], h - 1] = max(beyond, 0.0)


@njit(cache=True)
def _without_events(prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is believed of a star whose events come with its period, and are explained."""
    belief = prior.copy()
    belief[4:6] *= NOVEL
    belief[3] = 1.0 - belief[4] - belief[5]
    belief[6] = JUNK_STRENGTH
    return belief


@njit(cache=True)
def _copy(source: NDArray[np.float64], target: NDArray[np.float64]) -> None:
    """Fill the target; a slice would bring in the text of numpy's error messages."""
    for k in range(target.size):
        target[k] = source[k]


@njit(cache=True)
def _fit_states(
    z: NDArray[np.float64],
    variance: NDArray[np.float64],
    stay: NDArray[np.float64],
    order: NDArray[np.int64],
    phase: NDArray[np.float64],
    turn: float,
    spreads: tuple[float, float],
    max_iterations: int,
    outlier: NDArray[np.float64],
    event: NDArray[np.float64],
    theta: NDArray[np.float64],
) -> None:
    """Posteriors of one curve in its own unit, from what `theta` believes; `theta` as fitted.

    With a period, recurring events are explained first, and others are rare. Where too much is
    then called junk, the period explains nothing, and the usual belief holds. Where there is still
    too much of it, and not among the points that have neighbours to contradict them, what stands
    alone is the star's own.
    """
    n = z.size
    prior = np.append(theta, np.array([EVENT_STRENGTH, JUNK_STRENGTH]))
    ceiling = JUNK_EXCESS * (prior[1] + prior[2])
    broad, folded = np.empty((n, 4)), np.zeros((n, 2))
    emission, cavity = np.empty((n, N_STATES)), np.empty((n, N_STATES))
    quiet, junk = np.empty(n), np.empty(n)
    broad_densities(z, variance, theta[0], spreads[0], spreads[1], broad)
    periodic = phase.size > 0 and phase[0] < 1.0
    if periodic:
        emissions(z, variance, broad, folded, theta, emission, quiet, junk)
        _recurring(order, phase, turn, prior, emission, folded)
        belief = _without_events(prior)
        _copy(belief, theta)
        maximise_posterior(
            z, variance, broad, folded, stay, belief, max_iterations, theta,
            emission, quiet, junk, cavity,
        )  # fmt: skip
    if not periodic or theta[1] + theta[2] > ceiling:
        _copy(prior, theta)
        maximise_posterior(
            z, variance, broad, folded, stay, prior, max_iterations, theta,
            emission, quiet, junk, cavity,
        )  # fmt: skip
    combine(emission, quiet, junk, cavity, outlier, event)
    if theta[1] + theta[2] > ceiling and _witnessed_junk(stay, outlier) <= ceiling:
        prior[7] = CONVICTION
        _copy(prior, theta)
        maximise_posterior(
            z, variance, broad, folded, stay, prior, max_iterations, theta,
            emission, quiet, junk, cavity,
        )  # fmt: skip
        combine(emission, quiet, junk, cavity, outlier, event)


@njit(cache=True)
def _witnessed_junk(stay: NDArray[np.float64], outlier: NDArray[np.float64]) -> float:
    """Part of junk among the points with a neighbour that is likely to share their state."""
    n, seen, junk = stay.size, 0, 0.0
    for j in range(n):
        if stay[j] > 0.5 or (j + 1 < n and stay[j + 1] > 0.5):
            seen += 1
            junk += outlier[j]
    return junk / max(seen, 1)


@njit(cache=True)
def _curve_posterior(
    time: NDArray[np.float64],
    residual: NDArray[np.float64],
    error: NDArray[np.float64],
    blur: NDArray[np.float64],
    order: NDArray[np.int64],
    phase: NDArray[np.float64],
    durations: tuple[float, float],
    spreads: tuple[float, float],
    rates: NDArray[np.float64],
    max_iterations: int,
    outlier: NDArray[np.float64],
    event: NDArray[np.float64],
    theta: NDArray[np.float64],
) -> bool:
    """Fit one curve; see `fit_mixtures`. False if its residuals have no finite spread."""
    theta[0] = 0.0
    for k in range(rates.size):
        theta[1 + k] = rates[k]
    n = residual.size
    if n < MIN_POINTS:
        return True
    if not np.isfinite(residual).all():
        return False
    e = _known_errors(error)
    unit, scatter = _units(residual, e)
    if unit == 0.0:
        return True
    z = np.minimum(np.maximum(residual / unit, -LARGEST), LARGEST)
    e = np.minimum(e / unit, LARGEST)
    variance = (_error_factor(z, e) if e[0] > 0.0 else 0.0) * e * e
    theta[0] = max(scatter * scatter - np.median(variance), 0.0)
    variance += (blur / unit) ** 2
    stay = stay_probability(time, durations[0])
    _fit_states(
        z, variance, stay, order, phase, durations[1], spreads, max_iterations,
        outlier, event, theta,
    )  # fmt: skip
    theta[0] = np.sqrt(theta[0]) * unit
    return True


@njit(nogil=True, cache=True)
def _fit_mixtures_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    residual: NDArray[np.float64],
    error: NDArray[np.float64],
    blur: NDArray[np.float64],
    offsets: NDArray[np.int64],
    order: NDArray[np.int64],
    phase: NDArray[np.float64],
    durations: tuple[float, float],
    spreads: tuple[float, float],
    rates: NDArray[np.float64],
    max_iterations: int,
    outlier: NDArray[np.float64],
    event: NDArray[np.float64],
    theta: NDArray[np.float64],
    good: NDArray[np.bool_],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        start = first if order.size else 0
        end = last if order.size else 0
        good[i] = _curve_posterior(
            time[first:last],
            residual[first:last],
            error[first:last],
            blur[first:last],
            order[start:end] - start,
            phase[start:end],
            durations,
            spreads,
            rates,
            max_iterations,
            outlier[first:last],
            event[first:last],
            theta[i],
        )


def fit_mixtures(
    time: NDArray[np.float64],
    residual: NDArray[np.float64],
    error: NDArray[np.float64],
    blur: NDArray[np.float64],
    offsets: NDArray[np.int64],
    order: NDArray[np.int64],
    phase: NDArray[np.float64],
    durations: tuple[float, float],
    spreads: tuple[float, float],
    rates: NDArray[np.float64],
    max_iterations: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Posterior of each point of many curves to be an outlier, or part of an event.

    Parameters
    ----------
    time, residual, error : float64 array, shape (n_points,)
        Sorted by time within each curve; days, and value minus its level with its error in any
        unit; errors that are not finite and positive are unknown.
    blur : float64 array, shape (n_points,)
        Further scatter of each point; 0 where there is none.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    order : int64 array, shape (n_points,) or (0,)
        Positions by phase, empty if nothing is folded.
    phase : float64 array, shape (n_points,) or (0,)
        Phases in that order; curves whose first is 1 or more have no period.
    durations : two floats
        Mean life of an event in days, and as a part of the period.
    spreads : two floats
        Width of the densities of junk and events, in sigma.
    rates : float64 array, shape (5,)
        Believed before: rates of junk up and down, shares of quiet, up and down.
    max_iterations : int
        Of the expectation-maximisation.

    Returns
    -------
    outlier, event : float64 array, shape (n_points,)
        Probabilities; 0 in curves of fewer than `MIN_POINTS` points and constant ones.
    theta : float64 array, shape (n_curves, 6)
        Standard deviation of the jitter, in the unit of the residual, and the rates as fitted.
    good : bool array, shape (n_curves,)
        False where the residuals have no finite spread; there the probabilities are 0.
    """
    outlier, event = np.zeros(time.size), np.zeros(time.size)
    theta, good = np.empty((offsets.size - 1, 6)), np.empty(offsets.size - 1, np.bool_)
    for_objects(
        _fit_mixtures_range,
        offsets.size - 1,
        time,
        residual,
        error,
        blur,
        offsets,
        order,
        phase,
        durations,
        spreads,
        rates,
        max_iterations,
        outlier,
        event,
        theta,
        good,
    )
    return outlier, event, theta, good
