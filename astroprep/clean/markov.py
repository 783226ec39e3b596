"""Quiet, up or down: states of a star that last a while, inferred from points that may be junk.

The chain: between two points a time `gap` apart the state is kept with probability
``exp(-gap / duration)`` and otherwise drawn anew from the `share` of each state. A state so
lasts about one duration, whatever the cadence, and points far apart are independent.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["N_STATES", "QUIET", "forward_backward", "stay_probability"]

N_STATES = 3
QUIET = 0  # then up, then down


@njit(cache=True)
def stay_probability(place: NDArray[np.float64], duration: float) -> NDArray[np.float64]:
    """Probability that the state was kept since the point before.

    Parameters
    ----------
    place : float64 array, shape (n_points,)
        Rising; time in days, or phase.
    duration : float
        Mean life of a state, unit of `place`.

    Returns
    -------
    float64 array, shape (n_points,)
        0 for the first point.
    """
    stay = np.zeros(place.size)
    for j in range(1, place.size):
        stay[j] = np.exp(-(place[j] - place[j - 1]) / duration)
    return stay


@njit(cache=True)
def forward_backward(
    stay: NDArray[np.float64],
    emission: NDArray[np.float64],
    share: NDArray[np.float64],
    cavity: NDArray[np.float64],
    scale: NDArray[np.float64],
    drawn: NDArray[np.float64],
) -> float:
    """What the other points of a curve say of the state at each point.

    Parameters
    ----------
    stay : float64 array, shape (n_points,)
        See `stay_probability`; ``stay[0]`` is 0.
    emission : float64 array, shape (n_points, 3)
        Density of each point in each state; not all 0 in any row.
    share : float64 array, shape (3,)
        Part of the time that is spent in each state; positive, sums to 1.
    cavity : float64 array, shape (n_points, 3)
        Filled with the probability of the states given all points but this one, up to a factor
        per point: times the emission, and divided by the sum, it is the posterior.
    scale : float64 array, shape (n_points,)
        Room to work in.
    drawn : float64 array, shape (3,)
        Filled with how often each state was drawn anew, in the mean of the posterior.

    Returns
    -------
    float
        Natural logarithm of the likelihood of the curve.

    Notes
    -----
    Forward-backward recursions [1]_, scaled at each point, in time proportional to the number of
    points. Because a new draw does not depend on the state before, one sum over the states does for
    each step instead of a matrix product.

    References
    ----------
    .. [1] Rabiner 1989, Proceedings of the IEEE 77, 257, doi:10.1109/5.18626
    """
    n = stay.size
    drawn[:] = 0.0
    logarithm = _forward(stay, emission, share, cavity, scale)
    s0, s1, s2 = share[0], share[1], share[2]
    d0, d1, d2 = 0.0, 0.0, 0.0
    b0, b1, b2 = 1.0, 1.0, 1.0  # what the later points say
    for j in range(n - 1, -1, -1):
        e0 = emission[j, 0] * b0 * scale[j]
        e1 = emission[j, 1] * b1 * scale[j]
        e2 = emission[j, 2] * b2 * scale[j]
        cavity[j, 0] *= b0
        cavity[j, 1] *= b1
        cavity[j, 2] *= b2
        anew = 1.0 - stay[j]
        d0 += anew * s0 * e0
        d1 += anew * s1 * e1
        d2 += anew * s2 * e2
        common = anew * (s0 * e0 + s1 * e1 + s2 * e2)
        b0 = stay[j] * e0 + common
        b1 = stay[j] * e1 + common
        b2 = stay[j] * e2 + common
    drawn[0], drawn[1], drawn[2] = d0, d1, d2
    return logarithm


@njit(cache=True)
def _forward(
    stay: NDArray[np.float64],
    emission: NDArray[np.float64],
    share: NDArray[np.float64],
    before: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> float:
    """Fill `before` with the states given the earlier points, `scale` with 1 / likelihood."""
    logarithm, product = 0.0, 1.0
    a0, a1, a2 = share[0], share[1], share[2]
    for j in range(stay.size):
        anew = 1.0 - stay[j]
        p0 = stay[j] * a0 + anew * share[0]
        p1 = stay[j] * a1 + anew * share[1]
        p2 = stay[j] * a2 + anew * share[2]
        before[j, 0], before[j, 1], before[j, 2] = p0, p1, p2
        a0, a1, a2 = p0 * emission[j, 0], p1 * emission[j, 1], p2 * emission[j, 2]
        total = a0 + a1 + a2
        part = 1.0 / total
        scale[j] = part
        a0 *= part
        a1 *= part
        a2 *= part
        product *= total
        if not 1e-200 < product < 1e200:  # one logarithm for many points
            logarithm += np.log(product)
            product = 1.0
    return float(logarithm + np.log(product))
