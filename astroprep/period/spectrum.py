"""Fourier sums of unevenly sampled points on an even frequency grid: the fast half of Lomb-Scargle.

A spectrum here is ``sum_j c_j exp(2 pi i f t_j)`` on an even grid of frequencies. The
points, turned by the centre frequency of a band, are spread onto a small grid in time, which is
transformed; band after band the spectrum is written side by side. The baseline limits how fast a
spectrum can change, so it is computed only 1.25-fold oversampled (steps of `SUBDIVISION` requested
steps), and `sine` raises it to the requested grid with a short filter.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.fft import columns_forward, row_order, twiddles
from astroprep.period.fft_lanes import across_lanes, lane_twiddles
from astroprep.period.simd import LANES, broadcast, load, store

__all__ = [
    "OVERSAMPLING",
    "SUBDIVISION",
    "TAPS",
    "Plan",
    "band_of",
    "plan",
    "spectrum",
    "spread_points",
    "turn_strengths",
    "undo_filter",
]

TAPS = 8  # width of both filters; 1e-5 relative error at 1.25-fold oversampling
OVERSAMPLING = 1.25
SUBDIVISION = 4  # requested frequencies per step of a spectrum
SPREAD_BETA = 0.976 * np.pi * TAPS * (1 - 0.5 / OVERSAMPLING)  # exponent of the spreading kernel
KAISER_BETA = np.pi * np.sqrt((TAPS / OVERSAMPLING * (OVERSAMPLING - 0.5)) ** 2 - 0.8)
DEGREE = 8  # of the polynomials that stand for the spreading kernel; 1e-7 of its height
UNDO_DEGREE = 11  # 8e-7 from the exact factors
_REORDER = {"reassoc", "contract", "nsz"}  # lets LLVM use vector registers; no NaN tricks
# Taylor coefficients of sine and cosine, in single precision on a quarter of a half turn
ONE, TWO = np.float32(1), np.float32(2)
S1, S2, S3, S4 = (np.float32(x) for x in (-1 / 6, 1 / 120, -1 / 5040, 1 / 362880))
C1, C2, C3, C4 = (np.float32(x) for x in (-1 / 2, 1 / 24, -1 / 720, 1 / 40320))


class Plan(NamedTuple):
    """Tables for one transform size; the same for every curve.

    Attributes
    ----------
    rows : int
        A transform has ``8 * rows`` cells.
    band : int
        Frequencies that one transform serves, a multiple of 16.
    twiddle, lane_twiddle, order
        See `astroprep.period.fft`.
    correction : float32 array, shape (band,)
        One over the Fourier transform of the spreading kernel, with alternating sign.
    kernel : float32 array, shape ((DEGREE + 1) * TAPS,)
        The spreading kernel as one polynomial a tap, highest power first.
    undo : float64 array, shape (UNDO_DEGREE + 1,)
        One over the Fourier transform of the interpolating filter, as a polynomial in the square
        of the relative time, highest power first.
    filters : float32 array, shape (SUBDIVISION * TAPS,)
        The polyphase Kaiser-Bessel filter.
    """

    rows: int
    band: int
    twiddle: NDArray[np.float32]
    lane_twiddle: NDArray[np.float32]
    order: NDArray[np.int64]
    correction: NDArray[np.float32]
    kernel: NDArray[np.float32]
    undo: NDArray[np.float64]
    filters: NDArray[np.float32]


def _spreading_kernel(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(SPREAD_BETA * (np.sqrt(np.clip(1 - z * z, 0, None)) - 1))


def _polynomial(x: NDArray[np.float64], y: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Coefficients, highest power first, of a Chebyshev fit on [-1, 1]."""
    fit = np.polynomial.chebyshev.chebfit(x, y, degree)
    powers = np.zeros((degree + 1, *fit.shape[1:]))
    for k in range(degree + 1):
        basis = np.polynomial.chebyshev.cheb2poly(np.eye(degree + 1)[k])
        powers[: basis.size] += np.multiply.outer(basis, fit[k])
    return powers[::-1]


@cache
def _nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights of the quadrature over the kernel."""
    node, weight = np.polynomial.legendre.leggauss(64)
    return node, weight


def band_of(rows: int) -> int:
    """Frequencies that a transform of ``8 * rows`` cells serves, a multiple of 16."""
    return int(LANES * rows / OVERSAMPLING) // 16 * 16


@cache
def plan(rows: int) -> Plan:
    """Tables for transforms of ``8 * rows`` cells.

    Parameters
    ----------
    rows : int
        ``2^a``, ``3 2^a`` or ``5 2^a``, a multiple of 8.
    """
    size = LANES * rows
    band = band_of(rows)
    mode = np.arange(band) - band // 2
    node, node_weight = _nodes()
    weight = _spreading_kernel(node) * node_weight * TAPS / 2
    half = np.arange(band // 2 + 1)  # the kernel is even, and so is its transform
    transform = (np.cos(np.pi * TAPS * np.outer(half / size, node)) @ weight)[np.abs(mode)]
    sign = 1.0 - 2.0 * (mode % 2)  # the grid starts half a period early
    x = np.cos(np.pi * (np.arange(64) + 0.5) / 64)
    left = (0.5 * (x + 1))[:, None] - TAPS / 2 + np.arange(TAPS)
    offset = np.arange(TAPS) - (TAPS // 2 - 1)
    distance = np.arange(SUBDIVISION)[:, None] / SUBDIVISION - offset
    inside = np.clip(1 - (2 * distance / TAPS) ** 2, 0, None)
    square = 0.5 * (x + 1) * (0.5 / OVERSAMPLING) ** 2  # of the relative time, up to its largest
    a = np.sqrt(KAISER_BETA**2 - (np.pi * TAPS) ** 2 * square)
    return Plan(
        rows,
        band,
        twiddles(rows),
        lane_twiddles(rows),
        row_order(rows),
        (sign / transform).astype(np.float32),
        _polynomial(x, _spreading_kernel(left / (TAPS / 2)), DEGREE).ravel().astype(np.float32),
        _polynomial(x, a / (TAPS * np.sinh(a)), UNDO_DEGREE),
        np.i0(KAISER_BETA * np.sqrt(inside)).ravel().astype(np.float32),
    )


@njit(cache=True, fastmath=_REORDER)
def undo_filter(
    time: NDArray[np.float64],
    spectrum_step: float,
    undo: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Factors of the points that make up for the interpolating filter."""
    scale = 2.0 / (0.5 / OVERSAMPLING) ** 2
    for j in range(time.size):
        x = time[j] * spectrum_step
        u = scale * x * x - 1.0
        value = undo[0]
        for k in range(1, UNDO_DEGREE + 1):
            value = value * u + undo[k]
        out[j] = np.float32(value)


@njit(cache=True)
def spread_points(
    time: NDArray[np.float64],
    scale: float,
    plan: Plan,
    first: NDArray[np.int64],
    kernel: NDArray[np.float32],
) -> None:
    """Where on the grid each point lies, and its share in the eight cells around.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, centred.
    scale : float
        Turns of the grid per day: a spacing of frequencies, cycles per day. Times further than
        half a turn from zero come round on the other side.
    plan : Plan
        Tables.
    first : int64 array, shape (n_points,)
        Filled: first of the eight cells, plus `TAPS`, so that none is negative.
    kernel : float32 array, shape (n_points * TAPS,)
        Filled.
    """
    size = LANES * plan.rows
    for j in range(time.size):
        x = time[j] * scale
        place = (x - np.floor(x + 0.5) + 0.5) * size
        lowest = np.ceil(place - 0.5 * TAPS)
        first[j] = np.int64(lowest) + TAPS
        u = broadcast(np.float32(2.0 * (lowest - place + 0.5 * TAPS) - 1.0))
        value = load(plan.kernel, 0)
        for k in range(1, DEGREE + 1):
            value = value * u + load(plan.kernel, k * TAPS)
        store(kernel, j * TAPS, value)


@njit(cache=True, fastmath=_REORDER)
def turn_strengths(
    time: NDArray[np.float64],
    frequency: float,
    strength: NDArray[np.float32],
    re: NDArray[np.float32],
    im: NDArray[np.float32],
) -> None:
    """``strength * exp(2 pi i frequency time)``; no branch, so that the loop vectorises."""
    for j in range(time.size):
        cycles = frequency * time[j]
        a = np.float32((cycles - np.floor(cycles + 0.5)) * (0.5 * np.pi))
        q = a * a
        s = a * (
            np.float32(1)
            + q
            * (np.float32(S1) + q * (np.float32(S2) + q * (np.float32(S3) + q * np.float32(S4))))
        )
        c = np.float32(1) + q * (
            np.float32(C1) + q * (np.float32(C2) + q * (np.float32(C3) + q * np.float32(C4)))
        )
        s2 = TWO * s * c
        c2 = ONE - TWO * s * s
        re[j] = strength[j] * (ONE - TWO * s2 * s2)
        im[j] = strength[j] * TWO * s2 * c2


@njit(cache=True)
def _fold_margins(plane: NDArray[np.float32], size: int) -> None:
    """Bring what was spread beyond the ends of the grid round to the other end."""
    for k in range(TAPS):
        plane[size + k] += plane[k]
        plane[TAPS + k] += plane[TAPS + size + k]


@njit(cache=True)
def spectrum(
    time: NDArray[np.float64],
    strength: NDArray[np.float32],
    first: NDArray[np.int64],
    kernel: NDArray[np.float32],
    start: float,
    step: float,
    count: int,
    plan: Plan,
    turned: NDArray[np.float32],
    grid: NDArray[np.float32],
    out_re: NDArray[np.float32],
    out_im: NDArray[np.float32],
) -> None:
    """Sums of turned points at ``start + k * step``.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, centred, as given to `spread_points`.
    strength : float32 array, shape (n_points,)
        Of the points.
    first, kernel
        From `spread_points` with ``scale=step``.
    start, step : float
        Cycles per day.
    count : int
        Frequencies.
    plan : Plan
        Tables.
    turned : float32 array, shape (at least 2 * n_points,)
        Overwritten.
    grid : float32 array, shape (at least `2 * (8 * plan.rows + 2 * TAPS)`,)
        Overwritten.
    out_re, out_im : float32 array, at least `count` rounded up to a multiple of ``plan.band``
        Filled.

    References
    ----------
    .. [1] Barnett, Magland & af Klinteberg 2019, SIAM J. Sci. Comput. 41, C479,
       doi:10.1137/18M120885X (spreading kernel)
    """
    n = time.size
    size = LANES * plan.rows
    plane = size + 2 * TAPS
    re = grid[:plane]
    im = grid[plane : 2 * plane]
    turned_re = turned[:n]
    turned_im = turned[n : 2 * n]
    quarter = (n + 3) // 4
    for low in range(0, count, plan.band):
        turn_strengths(time, start + (low + plan.band // 2) * step, strength, turned_re, turned_im)
        grid[: 2 * plane] = np.float32(0.0)
        # neighbours in time share cells, and a sum waits for the one before it: keep four going
        for j in range(quarter):
            for p in range(j, n, quarter):
                k = load(kernel, p * TAPS)
                at = first[p]
                store(re, at, load(re, at) + k * broadcast(turned_re[p]))
                store(im, at, load(im, at) + k * broadcast(turned_im[p]))
        _fold_margins(re, size)
        _fold_margins(im, size)
        columns = re[TAPS : TAPS + size], im[TAPS : TAPS + size]
        columns_forward(columns[0], columns[1], plan.twiddle, plan.rows)
        across_lanes(
            columns[0],
            columns[1],
            plan.order,
            plan.lane_twiddle,
            plan.correction,
            out_re[low:],
            out_im[low:],
        )
