"""The outlier mixture model of one curve: densities, posteriors and the steps of its fit.

A good point is quiet, Gaussian with its error and a jitter, or in an event, up or down; the state
lasts as `astroprep.clean.markov` says. Any point may be junk instead, whatever its state.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.clean.markov import N_STATES, QUIET, forward_backward

__all__ = ["broad_densities", "combine", "emissions", "maximise_posterior", "new_shares"]

JITTER_STRENGTH = 5.0  # points
TOLERANCE = 0.05  # of the logarithm of the posterior density
FAR = 1e6  # sigma; further is as far, and no square overflows
ONSET = 2.0  # sigma; what is displaced by less is not told from noise by any neighbour
GATE = 1.702  # logistic of GATE x is within 0.01 of the normal distribution function


@njit(cache=True)
def step_up(u: float) -> float:
    """Twice the smooth step from 0 to 1 at the onset."""
    return float(2.0 / (1.0 + np.exp(GATE * (ONSET - u))))


@njit(cache=True)
def broad_bell(u: float, spread: float) -> float:
    """Cauchy density of width `spread` about the onset.

    Times `step_up` it is the density of a displacement that is broad and has one sign, seen
    through the noise: its tail is open, and its integral is 1 whatever the step (Azzalini 1985).
    """
    t = (u - ONSET) / spread
    return 1.0 / (np.pi * spread * (1.0 + t * t))


@njit(cache=True)
def broad_densities(
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
def emissions(
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
    all_points = z.size + prior[7]
    if s > 0.0:
        bend = bend * s * s + JITTER_STRENGTH * prior[0]
        theta[0] = np.sqrt(bend / (slope + JITTER_STRENGTH / s))
    theta[1] = (up + prior[7] * prior[1]) / all_points
    theta[2] = (both - up + prior[7] * prior[2]) / all_points
    new_shares(drawn, prior, theta)


@njit(cache=True)
def new_shares(
    drawn: NDArray[np.float64], prior: NDArray[np.float64], theta: NDArray[np.float64]
) -> None:
    """M step of the shares, in place: how often each state was drawn, and the belief."""
    total = drawn.sum() + prior[6]
    for h in range(N_STATES):
        theta[3 + h] = (drawn[h] + prior[6] * prior[3 + h]) / total


@njit(cache=True)
def _log_prior(theta: NDArray[np.float64], prior: NDArray[np.float64]) -> float:
    """Logarithm of the prior density, up to a constant."""
    honest, believed = 1.0 - theta[1] - theta[2], 1.0 - prior[1] - prior[2]
    total = prior[7] * believed * np.log(honest)
    for k in (1, 2):
        total += prior[7] * prior[k] * np.log(theta[k])
    for k in (3, 4, 5):
        total += prior[6] * prior[k] * np.log(theta[k])
    if prior[0] > 0.0:
        total -= 0.5 * JITTER_STRENGTH * (np.log(theta[0]) + prior[0] / theta[0])
    return float(total)


@njit(cache=True)
def combine(
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
    prior, theta : float64 array, shape (8,) and (6,)
        Variance of the jitter, rates of junk up and down, shares of quiet, up and down; and in
        `prior` the strength of the belief in the shares, in new draws, and in junk, in points.
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
        emissions(z, variance, broad, folded, theta, emission, quiet, junk)
        history[turn] = forward_backward(stay, emission, theta[3:], cavity, scale, drawn)
        history[turn] += _log_prior(theta, prior)
        steps = turn
        if turn == max_iterations or (turn and history[turn] - history[turn - 1] < TOLERANCE):
            break
        _maximise(z, variance, broad, emission, quiet, junk, cavity, drawn, prior, theta)
    return history[: steps + 1]
