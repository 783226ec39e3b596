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

__all__ = ["HALF", "product_power", "product_room", "product_sums", "step_tables"]

HALF = 64  # frequencies on either side of a centre; tables of 16 points then fit a 32 KiB cache
# as `sine.DEGENERATE`, for sums that err by 1e-7: the power of 5 points keeps 1e-4
DEGENERATE = 0.004


@njit(cache=True)
def product_room(n_points: int) -> int:
    """Numbers of work space that `product_power` needs."""
    return n_points * (4 * HALF + 4) + 12 * HALF


@njit(cache=True)
def step_tables(
    time: NDArray[np.float64], step: float, ones: NDArray[np.float32], table: NDArray[np.float32]
) -> None:
    """Cosines, then sines, of the `HALF` half-odd steps of each point.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, centred.
    step : float
        Cycles per day.
    ones : float32 array, shape (n_points,)
        Ones.
    table : float32 array, shape (n_points * 2 * HALF,)
        Filled.
    """
    n = time.size
    re = np.empty(n, np.float32)
    im = np.empty(n, np.float32)
    for b in range(HALF):
        turn_strengths(time, (b + 0.5) * step, ones, re, im)
        for j in range(n):
            table[j * 2 * HALF + b] = re[j]
            table[(j * 2 + 1) * HALF + b] = im[j]


@njit(cache=True)
def product_sums(
    turned: NDArray[np.float32],
    table: NDArray[np.float32],
    re: NDArray[np.float32],
    im: NDArray[np.float32],
) -> None:
    """Sums over the points at the ``2 * HALF`` frequencies around a centre.

    Parameters
    ----------
    turned : float32 array, shape (2 * n_points,)
        Points turned by the centre frequency, real and imaginary parts.
    table : float32 array, shape (n_points * 2 * HALF,)
        From `step_tables`.
    re, im : float32 array, shape (2 * HALF,)
        Filled, by rising frequency.
    """
    n = turned.size // 2
    for b in range(0, HALF, 2 * LANES):
        zero = broadcast(np.float32(0.0))
        a0, a1, a2, a3 = zero, zero, zero, zero
        b0, b1, b2, b3 = zero, zero, zero, zero
        for j in range(n):
            at = j * 2 * HALF + b
            x = broadcast(turned[j])
            y = broadcast(turned[n + j])
            c = load(table, at)
            s = load(table, at + HALF)
            a0 = a0 + x * c
            a1 = a1 + y * s
            a2 = a2 + x * s
            a3 = a3 + y * c
            c = load(table, at + LANES)
            s = load(table, at + HALF + LANES)
            b0 = b0 + x * c
            b1 = b1 + y * s
            b2 = b2 + x * s
            b3 = b3 + y * c
        store(re, HALF + b, a0 - a1)
        store(im, HALF + b, a2 + a3)
        store(re, HALF + b + LANES, b0 - b1)
        store(im, HALF + b + LANES, b2 + b3)
        below = HALF - LANES - b
        p = a0 + a1
        store(re, below, reverse(p, p))
        p = a3 - a2
        store(im, below, reverse(p, p))
        p = b0 + b1
        store(re, below - LANES, reverse(p, p))
        p = b3 - b2
        store(im, below - LANES, reverse(p, p))


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
    half_table = n * 2 * HALF
    table = room[: 2 * half_table]  # of the steps, and of their doubles
    turned = room[2 * half_table : 2 * half_table + 2 * n]
    strength = room[2 * half_table + 2 * n : 2 * half_table + 4 * n]
    sums = room[2 * half_table + 4 * n : 2 * half_table + 4 * n + 12 * HALF]
    strength[:n] = np.float32(1.0)
    step_tables(time, step, strength[:n], table[:half_table])
    step_tables(time, 2 * step, strength[:n], table[half_table:])
    for j in range(n):
        strength[j] = np.float32(weighted[j])
        strength[n + j] = np.float32(weight[j])
    tiny = broadcast(np.float32(DEGENERATE / n))
    lowest = broadcast(np.float32(0.0))
    block = 2 * HALF
    for low in range(0, power.size, block):
        centre = start + (low + HALF - 0.5) * step
        for part in range(3):  # values, weights, weights at the doubled frequency
            of = strength[:n] if part == 0 else strength[n:]
            times = 2.0 if part == 2 else 1.0
            turn_strengths(time, times * centre, of, turned[:n], turned[n:])
            product_sums(
                turned,
                table[half_table:] if part == 2 else table[:half_table],
                sums[2 * part * block : (2 * part + 1) * block],
                sums[(2 * part + 1) * block : (2 * part + 2) * block],
            )
        for b in range(0, block, LANES):
            share = share_explained(
                load(sums, b),
                load(sums, block + b),
                load(sums, 2 * block + b),
                load(sums, 3 * block + b),
                load(sums, 4 * block + b),
                load(sums, 5 * block + b),
                tiny,
            )
            store(sums, b, share)
            lowest = lower(lowest, share)
        count = min(block, power.size - low)
        for b in range(count):
            power[low + b] = sums[b]
    marked = False
    for k in range(LANES):
        marked = marked or lane(lowest, k) < 0
    return marked
