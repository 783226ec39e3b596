"""Floating-mean power of sparse curves by matrix products.

The frequencies of a block are its centre plus or minus half-odd steps. The points turned by the
centre frequency, times the cosines and sines of the steps, are sums of real products, and the same
four sums serve the frequency above the centre and the one below. Nothing is interpolated, so the
power is accurate to float32 whatever the sampling.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.simd import LANES, broadcast, lane, load, lower, reverse, store
from astroprep.period.sine import share_explained
from astroprep.period.spectrum import turn_strengths

__all__ = ["product_power", "product_room"]

HALF = 64  # frequencies on either side of a centre; tables of 16 points then fit a 32 KiB cache
# as `sine.DEGENERATE`, for sums that err by 1e-7: the power of 5 points keeps 1e-4
DEGENERATE = 0.004
TABLES = 4  # cosine and sine, of the step and of its double


@njit(cache=True)
def product_room(n_points: int) -> int:
    """Numbers of work space that `product_power` needs."""
    return n_points * (TABLES * HALF + 8) + 2 * HALF


@njit(cache=True)
def _tables(
    time: NDArray[np.float64], step: float, ones: NDArray[np.float32], table: NDArray[np.float32]
) -> None:
    """For each point: HALF cosines and sines of its half-odd steps, then of their doubles."""
    n = time.size
    re = np.empty(n, np.float32)
    im = np.empty(n, np.float32)
    for b in range(HALF):
        for part in range(2):
            turn_strengths(time, (1 + part) * (b + 0.5) * step, ones, re, im)
            for j in range(n):
                place = (j * TABLES + 2 * part) * HALF + b
                table[place] = re[j]
                table[place + HALF] = im[j]


@njit(cache=True, nogil=True)
def product_power(
    time: NDArray[np.float64],
    weighted: NDArray[np.float64],
    weight: NDArray[np.float64],
    start: float,
    step: float,
    power: NDArray[np.float32],
    room: NDArray[np.float32],
) -> bool:
    """Lomb-Scargle power of one curve on an even grid, float32; -1 where it is not reliable.

    Parameters
    ----------
    time, weighted, weight, start, step, power
        As for `astroprep.period.sine.sine_power`; any step.
    room : float32 array, shape (at least `product_room`,)
        Overwritten.

    Returns
    -------
    bool
        Whether any power is -1.

    References
    ----------
    .. [1] Zechmeister & Kuerster 2009, A&A 496, 577, doi:10.1051/0004-6361:200811296 (eqs. 5-15)
    """
    n = time.size
    table = room[: n * TABLES * HALF]
    used = table.size
    turned = room[used : used + 6 * n]
    strength = room[used + 6 * n : used + 8 * n]
    block = room[used + 8 * n : used + 8 * n + 2 * HALF]
    strength[:n] = np.float32(1.0)
    _tables(time, step, strength[:n], table)
    for j in range(n):
        strength[j] = np.float32(weighted[j])
        strength[n + j] = np.float32(weight[j])
    tiny = broadcast(np.float32(DEGENERATE / n))
    lowest = broadcast(np.float32(0.0))
    for low in range(0, power.size, 2 * HALF):
        centre = start + (low + HALF - 0.5) * step
        turn_strengths(time, centre, strength[:n], turned[:n], turned[n : 2 * n])
        turn_strengths(time, centre, strength[n:], turned[2 * n : 3 * n], turned[3 * n : 4 * n])
        turn_strengths(time, 2 * centre, strength[n:], turned[4 * n : 5 * n], turned[5 * n :])
        for b in range(0, HALF, LANES):
            zero = broadcast(np.float32(0.0))
            a0, a1, a2, a3 = zero, zero, zero, zero
            b0, b1, b2, b3 = zero, zero, zero, zero
            c0, c1, c2, c3 = zero, zero, zero, zero
            for j in range(n):
                at = j * TABLES * HALF + b
                c = load(table, at)
                s = load(table, at + HALF)
                re = broadcast(turned[j])
                im = broadcast(turned[n + j])
                a0 = a0 + re * c
                a1 = a1 + im * s
                a2 = a2 + re * s
                a3 = a3 + im * c
                re = broadcast(turned[2 * n + j])
                im = broadcast(turned[3 * n + j])
                b0 = b0 + re * c
                b1 = b1 + im * s
                b2 = b2 + re * s
                b3 = b3 + im * c
                c = load(table, at + 2 * HALF)
                s = load(table, at + 3 * HALF)
                re = broadcast(turned[4 * n + j])
                im = broadcast(turned[5 * n + j])
                c0 = c0 + re * c
                c1 = c1 + im * s
                c2 = c2 + re * s
                c3 = c3 + im * c
            above = share_explained(a0 - a1, a2 + a3, b0 - b1, b2 + b3, c0 - c1, c2 + c3, tiny)
            below = share_explained(a0 + a1, a3 - a2, b0 + b1, b3 - b2, c0 + c1, c3 - c2, tiny)
            store(block, HALF + b, above)
            store(block, HALF - LANES - b, reverse(below, below))
            lowest = lower(lowest, lower(above, below))
        count = min(2 * HALF, power.size - low)
        power[low : low + count] = block[:count]
    marked = False
    for k in range(LANES):
        marked = marked or lane(lowest, k) < 0
    return marked
