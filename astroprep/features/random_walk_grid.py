"""Likelihood of a damped random walk on grids that narrow to where it counts."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL
from astroprep.features.random_walk_kernel import LANES, log_likelihoods

__all__ = ["BISECTIONS", "N_TAU", "best_at", "best_ratios", "near_best", "over_tau", "peak"]

N_TAU = 24  # nodes of ln tau: a third of a decade over the widest prior
DEPTH = 12.0  # a node this far below the best holds 6e-6 of its probability
ENOUGH = 7  # nodes of ln sigma within DEPTH: 1.4 standard deviations apart, exact to 1e-4
ENOUGH_TAU = 9
BISECTIONS = 40  # 1e-12 of the span
ZOOMS = 5  # each narrows at least sevenfold
SIGMA_LOW, SIGMA_HIGH = math.log(1e-3), math.log(30.0)  # prior of sigma, in units of the scatter
RATIO_STEP = math.log(1.6)  # half-width of the first search of a ratio of amplitudes, over LANES


@njit(**KERNEL)
def near_best(value: NDArray[np.float64]) -> tuple[int, int, int]:
    """Position of the best, and the first and last within DEPTH of it.

    Parameters
    ----------
    value : float64 array, shape (n_nodes,)
        Log likelihoods, at least one.

    Returns
    -------
    best, first, last : int
    """
    best = 0
    for k in range(value.size):
        if value[k] > value[best]:
            best = k
    first, last = best, best
    for k in range(value.size):
        if value[k] > value[best] - DEPTH:
            first, last = min(first, k), max(last, k)
    return best, first, last


@njit(**KERNEL)
def _over_sigma(
    gap: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    band: NDArray[np.int64],
    ratio: NDArray[np.float64],
    tau: float,
    node: NDArray[np.float64],
    value: NDArray[np.float64],
) -> None:
    """Likelihoods at one damping time on nodes of ln sigma that cover where they count."""
    load = np.empty((ratio.size, LANES))
    low, high = SIGMA_LOW, SIGMA_HIGH
    for _ in range(ZOOMS):
        step = (high - low) / (LANES - 1)
        for k in range(LANES):
            node[k] = low + k * step
            for b in range(ratio.size):
                load[b, k] = ratio[b] * math.exp(node[k])
        log_likelihoods(gap, y, noise, band, load, tau, value)
        _, first, last = near_best(value)
        if last - first + 1 >= ENOUGH:
            return
        low, high = max(SIGMA_LOW, node[first] - step), min(SIGMA_HIGH, node[last] + step)


@njit(**KERNEL)
def _log_area(node: NDArray[np.float64], value: NDArray[np.float64]) -> float:
    best = value.max()
    total = 0.0
    for k in range(value.size):
        total += math.exp(value[k] - best)
    return float(best + math.log(total * (node[1] - node[0])))


@njit(**KERNEL)
def over_tau(
    gap: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    band: NDArray[np.int64],
    ratio: NDArray[np.float64],
    span: tuple[float, float],
    tau: NDArray[np.float64],
    node: NDArray[np.float64],
    value: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Marginal of ln tau, unnormalised logarithm, on nodes that cover where it counts.

    Parameters
    ----------
    gap, y, noise, band
        As for `log_likelihoods`, values in units of their scatter.
    ratio : float64 array, shape (n_bands,)
        Amplitude of each band over the common one.
    span : tuple of float
        Ends of the prior of ln tau (days).
    tau : float64 array, shape (N_TAU,)
        Filled with the nodes of ln tau.
    node, value : float64 array, shape (N_TAU, LANES)
        Filled with the nodes of ln sigma at each of them, and log likelihoods there.

    Returns
    -------
    float64 array, shape (N_TAU,)
    """
    area = np.empty(N_TAU)
    low, high = span
    for _ in range(ZOOMS):
        step = (high - low) / (N_TAU - 1)
        for m in range(N_TAU):
            tau[m] = low + m * step
            _over_sigma(gap, y, noise, band, ratio, math.exp(tau[m]), node[m], value[m])
            area[m] = _log_area(node[m], value[m])
        _, first, last = near_best(area)
        if last - first + 1 >= ENOUGH_TAU:
            break
        low, high = max(span[0], tau[first] - step), min(span[1], tau[last] + step)
    return area


@njit(**KERNEL)
def peak(node: NDArray[np.float64], value: NDArray[np.float64]) -> tuple[float, float]:
    """Place and height of the maximum, by the parabola through the best three nodes.

    Parameters
    ----------
    node, value : float64 array, shape (n_nodes,)
        Even nodes, and log likelihoods there.

    Returns
    -------
    place, height : float
        The best node itself where it is the first or the last.
    """
    best, _, _ = near_best(value)
    if best == 0 or best == value.size - 1:
        return node[best], value[best]
    a, b, c = value[best - 1], value[best], value[best + 1]
    bend = a - 2 * b + c
    shift = 0.5 * (a - c) / bend if bend < 0 else 0.0
    return node[best] + shift * (node[1] - node[0]), b - 0.25 * (a - c) * shift


@njit(**KERNEL)
def best_ratios(
    gap: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    band: NDArray[np.int64],
    tau: float,
    sigma: float,
    ratio: NDArray[np.float64],
    width: NDArray[np.float64],
) -> None:
    """Climb the likelihood along the amplitude of each band in turn; widths are conditional.

    Parameters
    ----------
    gap, y, noise, band
        As for `over_tau`.
    tau, sigma : float
        Damping time in days, common amplitude in units of the scatter.
    ratio : float64 array, shape (n_bands,)
        Amplitude of each band over `sigma`, replaced by the best.
    width : float64 array, shape (n_bands,)
        Filled with the standard deviations of ln `ratio`.
    """
    load = np.empty((ratio.size, LANES))
    node, value = np.empty(LANES), np.empty(LANES)
    for b in range(ratio.size):
        centre, step = math.log(ratio[b]), RATIO_STEP
        for _ in range(ZOOMS):
            for k in range(LANES):
                node[k] = centre + (k - 0.5 * (LANES - 1)) * step
                for c in range(ratio.size):
                    load[c, k] = sigma * (math.exp(node[k]) if c == b else ratio[c])
            log_likelihoods(gap, y, noise, band, load, tau, value)
            best, first, last = near_best(value)
            if last - first + 1 >= ENOUGH:
                break
            centre, step = node[best], 2.5 * (last - first + 2) * step / LANES
        centre, _ = peak(node, value)
        total = second = 0.0
        for k in range(LANES):
            w = math.exp(value[k] - value[best])
            total += w
            second += w * (node[k] - centre) ** 2
        ratio[b], width[b] = math.exp(centre), math.sqrt(second / total)


@njit(**KERNEL)
def best_at(
    gap: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    band: NDArray[np.int64],
    ratio: NDArray[np.float64],
    tau: float,
) -> float:
    """Largest likelihood at a fixed damping time; sigma unbounded above as tau grows.

    Parameters
    ----------
    gap, y, noise, band, ratio
        As for `over_tau`.
    tau : float
        Days.

    Returns
    -------
    float
        Natural logarithm.
    """
    load = np.empty((ratio.size, LANES))
    node, value = np.empty(LANES), np.empty(LANES)
    low, high = SIGMA_LOW, SIGMA_HIGH + (10.0 if tau > 1.0 else 0.0)
    for _ in range(ZOOMS):
        step = (high - low) / (LANES - 1)
        for k in range(LANES):
            node[k] = low + k * step
            for b in range(ratio.size):
                load[b, k] = ratio[b] * math.exp(node[k])
        log_likelihoods(gap, y, noise, band, load, tau, value)
        _, first, last = near_best(value)
        if last - first + 1 >= ENOUGH:
            break
        low, high = node[first] - step, node[last] + step
    _, height = peak(node, value)
    return float(height)
