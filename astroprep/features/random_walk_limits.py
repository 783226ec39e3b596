"""Medians and 68 % limits of a damped random walk, from its likelihood on grids."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL
from astroprep.features.random_walk_grid import BISECTIONS, N_TAU
from astroprep.features.random_walk_kernel import LANES

__all__ = [
    "LOWER",
    "MIDDLE",
    "UPPER",
    "amplitude_limits",
    "finer",
    "quantile_of_tau",
    "share_below",
]

FINE = 8  # nodes between nodes of ln tau, for quantiles
LOWER, MIDDLE, UPPER = 0.15865525393145707, 0.5, 0.8413447460685429


@njit(**KERNEL)
def finer(
    tau: NDArray[np.float64], area: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes FINE times as dense: a log density is nearly a parabola, so cubics fit it well.

    Parameters
    ----------
    tau, area : float64 array, shape (n_tau,)
        Even nodes of ln tau (days) and the log density there, unnormalised.

    Returns
    -------
    float64 arrays, shape (FINE * (n_tau - 1) + 1,)
        Nodes and log density.
    """
    n = tau.size
    fine = np.linspace(tau[0], tau[-1], FINE * (n - 1) + 1)
    result = np.empty(fine.size)
    for m in range(fine.size):
        k = min(m // FINE, n - 2)
        x = m / FINE - k
        here, there = area[k], area[k + 1]
        slope = 0.5 * (there - area[k - 1]) if k > 0 else there - here
        next_slope = 0.5 * (area[k + 2] - here) if k + 2 < n else there - here
        bend = 3 * (there - here) - 2 * slope - next_slope
        twist = slope + next_slope - 2 * (there - here)
        result[m] = here + x * (slope + x * (bend + x * twist))
    return fine, result


@njit(**KERNEL)
def share_below(area: NDArray[np.float64], tau: NDArray[np.float64], at: float) -> float:
    """Probability below `at`, the density linear between nodes.

    Parameters
    ----------
    area, tau : float64 array, shape (n_nodes,)
        Log density, unnormalised, on even nodes of ln tau (days).
    at : float
        ln tau.

    Returns
    -------
    float
        From 0 to 1.
    """
    step = tau[1] - tau[0]
    best = area.max()
    total = below = 0.0
    for m in range(tau.size - 1):
        d0, d1 = math.exp(area[m] - best), math.exp(area[m + 1] - best)
        total += 0.5 * (d0 + d1)
        part = min(max((at - tau[m]) / step, 0.0), 1.0)
        below += part * (d0 + 0.5 * part * (d1 - d0))
    return below / total


@njit(**KERNEL)
def quantile_of_tau(area: NDArray[np.float64], tau: NDArray[np.float64], p: float) -> float:
    """Place below which the probability is `p`, by bisection.

    Parameters
    ----------
    area, tau : float64 array, shape (n_nodes,)
        As for `share_below`.
    p : float
        From 0 to 1.

    Returns
    -------
    float
        ln tau (days).
    """
    low, high = tau[0], tau[-1]
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        if share_below(area, tau, middle) < p:
            low = middle
        else:
            high = middle
    return float(0.5 * (low + high))


@njit(**KERNEL)
def amplitude_limits(
    node: NDArray[np.float64],
    value: NDArray[np.float64],
    shift: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Median and 68 % limits of ln sigma plus `shift`, over all damping times.

    Each row is a density of its own, linear between its nodes; the rows are equally likely per
    unit of ln tau, and their nodes lie elsewhere.

    Parameters
    ----------
    node, value : float64 array, shape (N_TAU, LANES)
        Even nodes of ln sigma, in units of the scatter, and log likelihood, by damping time.
    shift : float64 array, shape (N_TAU,)
        Added to the nodes of each damping time.
    out : float64 array, shape (3,)
        Filled with the median, the lower and the upper limit.
    """
    highest = value.max()
    density, below = np.exp(value - highest), np.zeros(value.shape)
    total = 0.0
    for m in range(N_TAU):
        step = node[m, 1] - node[m, 0]
        for k in range(1, LANES):
            below[m, k] = below[m, k - 1] + 0.5 * step * (density[m, k - 1] + density[m, k])
        total += below[m, LANES - 1]
    for q, p in enumerate((MIDDLE, LOWER, UPPER)):
        low, high = (node[:, 0] + shift).min(), (node[:, LANES - 1] + shift).max()
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            found = 0.0
            for m in range(N_TAU):
                step = node[m, 1] - node[m, 0]
                x = min(max((middle - shift[m] - node[m, 0]) / step, 0.0), LANES - 1.0)
                k = min(int(x), LANES - 2)
                x -= k
                rise = density[m, k + 1] - density[m, k]
                found += below[m, k] + step * x * (density[m, k] + 0.5 * x * rise)
            if found < p * total:
                low = middle
            else:
                high = middle
        out[q] = 0.5 * (low + high)
