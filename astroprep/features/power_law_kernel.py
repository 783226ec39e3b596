"""Kernel of `power_law`: Fisher scoring over pairs, errors from the covariance of the score."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL
from astroprep.features.power_law_errors import GAMMA_HIGH, YEAR, correct, errors_and_bias
from astroprep.features.structure_robust import draw_pairs
from astroprep.threads import for_objects

__all__ = ["REASONS", "power_laws"]

REASONS = ("few points", "one time", "flat", "no errors", "noise")
FEW, ONE_TIME, FLAT, NO_ERRORS, NOISE = range(1, 6)
LEAST_FREEDOM, LEAST_IN_BAND = 4, 3
LEAST_ERROR = 1e-6  # in units of the scatter
LOWEST = 2 * math.log(1e-4)  # of ln A², in units of the scatter: nothing but noise
STEPS = 60
CLOSE = 1e-7  # largest last step of ln A² and gamma
MOST_POINTS = 150  # of the covariance of the score, O(n³)


@njit(**KERNEL)
def _evaluate(
    d2: NDArray[np.float64],
    noise: NDArray[np.float64],
    x: NDArray[np.float64],
    code: NDArray[np.int64],
    theta: NDArray[np.float64],
    score: NDArray[np.float64],
    fisher: NDArray[np.float64],
) -> float:
    """Log posterior of the pairs at ``theta`` = ln A_b² of each band, gamma; score, Fisher."""
    n = theta.size - 1
    score[:] = 0.0
    fisher[:] = 0.0
    total, product = 0.0, 1.0
    for p in range(d2.size):
        b = code[p]
        s = math.exp(theta[b] + 2.0 * theta[n] * x[p])
        w = 1.0 / (s + noise[p])
        share, pull = s * w, d2[p] * w
        product *= w
        total -= pull
        if p % 4 == 3:
            total += math.log(product)
            product = 1.0
        g = 0.5 * share * (pull - 1.0)
        h = 0.5 * share * share
        score[b] += g
        score[n] += 2.0 * x[p] * g
        fisher[b, b] += h
        fisher[b, n] += 2.0 * x[p] * h
        fisher[n, n] += 4.0 * x[p] * x[p] * h
    for b in range(n):
        fisher[n, b] = fisher[b, n]
    bend = 1.0 + theta[n] ** 2
    score[n] -= 2.0 * theta[n] / bend
    fisher[n, n] += 2.0 / bend
    return 0.5 * (total + math.log(product)) - math.log(bend)


@njit(**KERNEL)
def _maximise(
    d2: NDArray[np.float64],
    noise: NDArray[np.float64],
    x: NDArray[np.float64],
    code: NDArray[np.int64],
    theta: NDArray[np.float64],
) -> None:
    """Fisher scoring with Levenberg's damping inside the bounds of the prior."""
    n = theta.size - 1
    score, fisher = np.empty(n + 1), np.empty((n + 1, n + 1))
    new_score, new_fisher = np.empty(n + 1), np.empty((n + 1, n + 1))
    best = _evaluate(d2, noise, x, code, theta, score, fisher)
    damping = 1e-3
    for _ in range(STEPS):
        normal, pull = fisher.copy(), score.copy()
        for a in range(n + 1):
            # at a bound that the score pushes against, the parameter is held
            low = a == n and theta[a] <= 0.0 and pull[a] < 0
            high = a == n and theta[a] >= GAMMA_HIGH and pull[a] > 0
            floor = a < n and theta[a] <= LOWEST and pull[a] < 0
            if low or high or floor:
                normal[a, :] = 0.0
                normal[:, a] = 0.0
                normal[a, a] = 1.0
                pull[a] = 0.0
            normal[a, a] = normal[a, a] * (1.0 + damping) + 1e-12
        step = np.linalg.solve(normal, pull)
        tried = theta + np.clip(step, -3.0, 3.0)
        for a in range(n):
            if tried[a] < LOWEST:
                tried[a] = LOWEST
        tried[n] = min(max(tried[n], 0.0), GAMMA_HIGH)
        moved = np.abs(tried - theta).max()
        found = _evaluate(d2, noise, x, code, tried, new_score, new_fisher)
        if found >= best:
            for a in range(n + 1):
                theta[a], score[a] = tried[a], new_score[a]
                for b in range(n + 1):
                    fisher[a, b] = new_fisher[a, b]
            best = found
            damping = max(0.1 * damping, 1e-9)
            if moved < CLOSE:
                return
        else:
            damping = max(10.0 * damping, 1e-3)
            if moved < CLOSE:
                return


@njit(**KERNEL)
def _one(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int64],
    n_bands: int,
    most: int,
    log_a: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> tuple[float, int]:
    """Fit one curve; gamma and the reason why not, 0 for none."""
    count = np.zeros(n_bands, np.int64)
    for i in range(value.size):
        count[band[i]] += 1
        if not (error[i] > 0 and math.isfinite(error[i])):
            return math.nan, NO_ERRORS
    least = LEAST_IN_BAND if n_bands > 1 else 1
    present = np.flatnonzero(count >= least)
    if value.size == 0 or count[present].sum() < LEAST_FREEDOM + present.size:
        return math.nan, FEW
    # points of a band side by side, each still in the order of time
    place = np.empty(count[present].sum(), np.int64)
    code, last = np.empty(place.size, np.int64), np.empty(place.size, np.int64)
    square = mean = 0.0
    n, lasting = 0, 0.0
    for k in range(present.size):
        begin = n
        for i in range(value.size):
            if band[i] == present[k]:
                place[n], code[n] = i, k
                n += 1
        last[begin:n] = n
        y = value[place[begin:n]] - value[place[begin]]
        mean = y.mean()
        square = max(square, np.abs(y - mean).max())
        lasting = max(lasting, time[place[n - 1]] - time[place[begin]])
    if not lasting > 0:
        return math.nan, ONE_TIME
    if not square > 0:
        return math.nan, FLAT
    t = time[place]
    y = value[place] / square - value[place[0]] / square
    noise = np.maximum(error[place] / square, LEAST_ERROR) ** 2
    left, right = draw_pairs(np.arange(1, n + 1), last, most)
    some = t[right] > t[left]
    left, right = left[some], right[some]
    d2 = (y[right] - y[left]) ** 2
    pair_noise = noise[left] + noise[right]
    x = np.log((t[right] - t[left]) / YEAR)
    theta = np.empty(present.size + 1)
    theta[present.size] = 0.3
    for k in range(present.size):
        mine = code[left] == k
        excess = (d2[mine] - pair_noise[mine]).mean() if mine.any() else 0.01
        theta[k] = math.log(max(excess, 0.01)) - 0.6 * (x[mine].mean() if mine.any() else 0.0)
    _maximise(d2, pair_noise, x, code[left], theta)
    some_points = min(n, MOST_POINTS)
    keep = ((np.arange(some_points) + 0.5) * n / some_points).astype(np.int64)
    if theta[: present.size].max() <= LOWEST:
        return math.nan, NOISE
    seen = theta[: present.size] > LOWEST
    cov, bias = errors_and_bias(t[keep], noise[keep], code[keep], theta)
    correct(t[keep], noise[keep], code[keep], theta, cov, bias)
    for k in range(present.size):
        if seen[k]:
            log_a[present[k]] = 0.5 * theta[k] + math.log(square)
            spread[present[k]] = 0.5 * math.sqrt(max(cov[k, k], 0.0))
    spread[n_bands] = math.sqrt(max(cov[present.size, present.size], 0.0))
    return theta[present.size], 0


@njit(nogil=True, **KERNEL)
def _power_laws_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int64],
    offsets: NDArray[np.int64],
    n_bands: int,
    most: int,
    log_a: NDArray[np.float64],
    gamma: NDArray[np.float64],
    spread: NDArray[np.float64],
    refused: NDArray[np.int64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        gamma[i], refused[i] = _one(
            time[part], value[part], error[part], band[part], n_bands, most, log_a[i], spread[i]
        )


def power_laws(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int64],
    offsets: NDArray[np.int64],
    n_bands: int,
    most: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Power law of the structure function of each curve.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days in ascending order in each curve; values with their errors.
    band : int64 array, shape (n_points,)
        From 0 to n_bands - 1.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    n_bands : int
        Of the batch; a curve need not have all.
    most : int
        Pairs of a curve at most.

    Returns
    -------
    log_a : float64 array, shape (n_curves, n_bands)
        ln A, unit of the value at one year.
    gamma : float64 array, shape (n_curves,)
        Exponent.
    error : float64 array, shape (n_curves, n_bands + 1)
        Of ln A in each band, and of gamma.
    refused : int64 array, shape (n_curves,)
        0, or one more than the position in `REASONS`.
    """
    n_curves = offsets.size - 1
    log_a = np.full((n_curves, n_bands), np.nan)
    gamma = np.full(n_curves, np.nan)
    spread = np.full((n_curves, n_bands + 1), np.nan)
    refused = np.zeros(n_curves, np.int64)
    for_objects(
        _power_laws_range,
        n_curves,
        time,
        value,
        error,
        band,
        offsets,
        n_bands,
        most,
        log_a,
        gamma,
        spread,
        refused,
    )
    return log_a, gamma, spread, refused
