"""Kernels of the outlier mixture model: densities and expectation-maximisation per curve."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from astroprep.clean.clip import fast_median
from astroprep.clean.markov import N_STATES, QUIET, forward_backward, stay_probability

__all__ = ["MIN_POINTS", "MixtureFit", "curve_posterior", "fit_mixtures"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
MIN_POINTS = 5  # fewer have no scatter to be judged by
# Strength of what is believed before: junk comes from the telescope and is alike in a survey, so
# that a curve needs hundreds of points to say otherwise; events come from the star.
JUNK_STRENGTH = 300.0  # points
EVENT_STRENGTH = 60.0  # new draws of the state
JITTER_STRENGTH = 5.0  # points
ERROR_STRENGTH = 20.0  # points
FAR = 1e6  # sigma; further is as far, and no square overflows
NOVEL = 0.1  # of the events of a star with a known period do not come with it
PHASE_TURNS = 8  # M steps for the shares of recurring events
TOLERANCE = 0.05  # of the logarithm of the posterior density
ONSET = 2.0  # sigma; what is displaced by less is not told from noise by any neighbour
GATE = 1.702  # logistic of GATE x is within 0.01 of the normal distribution function


@njit(cache=True)
def step_up(u: float) -> float:
    """Twice the smooth step from 0 to 1 at the onset."""
    return 2.0 / (1.0 + np.exp(GATE * (ONSET - u)))


@njit(cache=True)
def broad_bell(u: float, spread: float) -> float:
    """Cauchy density of width `spread` about the onset.

    Times `step_up` it is the density of a displacement that is broad and has one sign, seen
    through the noise: its tail is open, and its integral is 1 whatever the step (Azzalini 1985).
    """
    t = (u - ONSET) / spread
    return 1.0 / (np.pi * spread * (1.0 + t * t))


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
def _broad_densities(
    z: NDArray[np.float64],
    variance: NDArray[np.float64],
    jitter: float,
    junk_spread: float,
    event_spread: float,
    broad: NDArray[np.float64],
) -> None:
    """Fill columns 0, 1 with junk up and down, 2, 3 with events up and down."""
    for j in range(z.size):
        sigma = np.sqrt(variance[j] + jitter)
        u = min(max(z[j] / sigma, -FAR), FAR)
        up, down = step_up(u) / sigma, step_up(-u) / sigma
        broad[j, 0] = up * broad_bell(u, junk_spread)
        broad[j, 1] = down * broad_bell(-u, junk_spread)
        broad[j, 2] = up * broad_bell(u, event_spread)
        broad[j, 3] = down * broad_bell(-u, event_spread)


@njit(cache=True)
def _emissions(
    z: NDArray[np.float64],
    variance: NDArray[np.float64],
    broad: NDArray[np.float64],
    folded: NDArray[np.float64],
    theta: NDArray[np.float64],
    emission: NDArray[np.float64],
    quiet: NDArray[np.float64],
    junk: NDArray[np.float64],
) -> None:
    """Fill the densities of the points in the three states, and their quiet and junk parts.

    What recurs with the period, `folded`, is no event of its own: it belongs to state 0.
    """
    honest = 1.0 - theta[1] - theta[2]
    for j in range(z.size):
        total = variance[j] + theta[0]
        quiet[j] = honest * np.exp(-0.5 * z[j] * z[j] / total) / np.sqrt(2.0 * np.pi * total)
        junk[j] = theta[1] * broad[j, 0] + theta[2] * broad[j, 1]
        up, down = honest * broad[j, 2], honest * broad[j, 3]
        quiet[j] *= 1.0 - folded[j, 0] - folded[j, 1]
        emission[j, 0] = quiet[j] + folded[j, 0] * up + folded[j, 1] * down + junk[j]
        emission[j, 1] = up + junk[j]
        emission[j, 2] = down + junk[j]


@njit(cache=True)
def _maximise(
    z: NDArray[np.float64],
    variance: NDArray[np.float64],
    broad: NDArray[np.float64],
    emission: NDArray[np.float64],
    quiet: NDArray[np.float64],
    junk: NDArray[np.float64],
    cavity: NDArray[np.float64],
    drawn: NDArray[np.float64],
    prior: NDArray[np.float64],
    theta: NDArray[np.float64],
) -> None:
    """One M step, in place: jitter, junk rates and shares from the expected counts.

    The rates have a closed form. The jitter has one where a bound from below, tangent at the old
    value, is maximised (Zhou et al. 2019, equation 6, with the prior's part): the posterior cannot
    fall, and the steps stay long where the errors are larger than the jitter.
    """
    up, both, bend, slope = 0.0, 0.0, 0.0, 0.0
    s = theta[0]
    for j in range(z.size):
        state = cavity[j, 0] * emission[j, 0]
        total = state + cavity[j, 1] * emission[j, 1] + cavity[j, 2] * emission[j, 2]
        weight = (cavity[j, 0] + cavity[j, 1] + cavity[j, 2]) / total
        both += junk[j] * weight
        up += theta[1] * broad[j, 0] * weight
        part = 1.0 / (s + variance[j])
        w = cavity[j, 0] * quiet[j] / total * part
        slope += w
        bend += w * part * z[j] * z[j]
    all_points = z.size + JUNK_STRENGTH
    if s > 0.0:
        bend = bend * s * s + JITTER_STRENGTH * prior[0]
        theta[0] = np.sqrt(bend / (slope + JITTER_STRENGTH / s))
    theta[1] = (up + JUNK_STRENGTH * prior[1]) / all_points
    theta[2] = (both - up + JUNK_STRENGTH * prior[2]) / all_points
    _new_shares(drawn, prior, theta)


@njit(cache=True)
def _new_shares(
    drawn: NDArray[np.float64], prior: NDArray[np.float64], theta: NDArray[np.float64]
) -> None:
    total = drawn.sum() + prior[6]
    for h in range(N_STATES):
        theta[3 + h] = (drawn[h] + prior[6] * prior[3 + h]) / total


@njit(cache=True)
def _log_prior(theta: NDArray[np.float64], prior: NDArray[np.float64]) -> float:
    """Logarithm of the prior density, up to a constant."""
    honest, believed = 1.0 - theta[1] - theta[2], 1.0 - prior[1] - prior[2]
    total = JUNK_STRENGTH * believed * np.log(honest)
    for k in (1, 2):
        total += JUNK_STRENGTH * prior[k] * np.log(theta[k])
    for k in (3, 4, 5):
        total += prior[6] * prior[k] * np.log(theta[k])
    if prior[0] > 0.0:
        total -= 0.5 * JITTER_STRENGTH * (np.log(theta[0]) + prior[0] / theta[0])
    return float(total)


@njit(cache=True)
def _combine(
    emission: NDArray[np.float64],
    quiet: NDArray[np.float64],
    junk: NDArray[np.float64],
    cavity: NDArray[np.float64],
    outlier: NDArray[np.float64],
    event: NDArray[np.float64],
) -> None:
    """Posteriors of each point from its densities and what the others say."""
    for j in range(junk.size):
        total, lively = 0.0, -cavity[j, QUIET] * quiet[j]
        for h in range(N_STATES):
            total += cavity[j, h] * emission[j, h]
            lively += cavity[j, h] * (emission[j, h] - junk[j])
        outlier[j] = junk[j] * (cavity[j, 0] + cavity[j, 1] + cavity[j, 2]) / total
        event[j] = max(lively / total, 0.0)  # of the good points: junk in an eclipse is junk


@njit(cache=True)
def maximise_posterior(
    z: NDArray[np.float64],
    variance: NDArray[np.float64],
    broad: NDArray[np.float64],
    folded: NDArray[np.float64],
    stay: NDArray[np.float64],
    prior: NDArray[np.float64],
    max_iterations: int,
    theta: NDArray[np.float64],
    emission: NDArray[np.float64],
    quiet: NDArray[np.float64],
    junk: NDArray[np.float64],
    cavity: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Expectation-maximisation of one curve from `theta` on, in place.

    Parameters
    ----------
    z, variance : float64 array, shape (n_points,)
        Residuals and squared errors.
    broad : float64 array, shape (n_points, 4)
        Densities of junk up and down, of events up and down.
    folded : float64 array, shape (n_points, 2)
        Probabilities of recurring events, up and down, that the neighbours in phase tell of.
    stay : float64 array, shape (n_points,)
        See `astroprep.clean.markov.stay_probability`.
    prior, theta : float64 array, shape (7,) and (6,)
        Variance of the jitter, rates of junk up and down, shares of quiet, up and down; and in
        `prior` the strength of the belief in the shares, in new draws.
    max_iterations : int
        M steps.
    emission, quiet, junk, cavity : float64 array
        Filled with what the posteriors are made of.

    Returns
    -------
    float64 array, shape (n_steps + 1,)
        Logarithm of the posterior density before each M step and after the last; never falls.
    """
    scale = np.empty(z.size)
    drawn, history = np.empty(N_STATES), np.empty(max_iterations + 1)
    steps = 0
    for turn in range(max_iterations + 1):
        _emissions(z, variance, broad, folded, theta, emission, quiet, junk)
        history[turn] = forward_backward(stay, emission, theta[3:], cavity, scale, drawn)
        history[turn] += _log_prior(theta, prior)
        steps = turn
        if turn == max_iterations or (turn and history[turn] - history[turn - 1] < TOLERANCE):
            break
        _maximise(z, variance, broad, emission, quiet, junk, cavity, drawn, prior, theta)
    return history[: steps + 1]


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
        _new_shares(drawn, prior, shares)
    for k in range(n):
        total = near[k].sum()
        for h in (1, 2):
            share = shares[3 + h]
            beyond = (near[k, h] / total - share) / (1.0 - share)
            folded[order[k], h - 1] = max(beyond, 0.0)


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
def curve_posterior(
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
    theta[0], theta[1:] = 0.0, rates
    n = residual.size
    if n < MIN_POINTS:
        return True
    if not np.isfinite(residual).all():
        return False
    e = _known_errors(error)
    unit, scatter = _units(residual, e)
    if unit == 0.0:
        return True
    z = residual / unit
    e /= unit
    factor = _error_factor(z, e) if e[0] > 0.0 else 0.0
    variance = factor * e * e
    jitter = max(scatter * scatter - np.median(variance), 0.0)
    variance += (blur / unit) ** 2
    theta[0] = jitter
    prior = np.append(theta, EVENT_STRENGTH)
    broad, folded = np.empty((n, 4)), np.zeros((n, 2))
    emission, cavity = np.empty((n, N_STATES)), np.empty((n, N_STATES))
    quiet, junk = np.empty(n), np.empty(n)
    _broad_densities(z, variance, jitter, spreads[0], spreads[1], broad)
    if phase.size and phase[0] < 1.0:
        _emissions(z, variance, broad, folded, theta, emission, quiet, junk)
        _recurring(order, phase, durations[1], prior, emission, folded)
        for h in (4, 5):  # most events recur, and those are explained
            prior[h] *= NOVEL
        prior[3] = 1.0 - prior[4] - prior[5]
        theta[3:] = prior[3:6]
        prior[6] = JUNK_STRENGTH
    stay = stay_probability(time, durations[0])
    maximise_posterior(
        z, variance, broad, folded, stay, prior, max_iterations, theta,
        emission, quiet, junk, cavity,
    )  # fmt: skip
    _combine(emission, quiet, junk, cavity, outlier, event)
    theta[0] = np.sqrt(theta[0]) * unit
    return True


@njit(parallel=True, cache=True)
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
        Sorted by time within each curve; days, and value minus its level with its error in any unit;
        errors that are not finite and positive are unknown.
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
    for i in prange(offsets.size - 1):
        first, last = offsets[i], offsets[i + 1]
        start = first if order.size else 0
        end = last if order.size else 0
        good[i] = curve_posterior(
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
    return outlier, event, theta, good
