"""The last step of `fft`: eight rows at a time, across the lanes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.simd import LANES, broadcast, interleave_high, interleave_low, load, store

__all__ = ["across_lanes", "lane_twiddles"]

ROOT_HALF = np.float32(np.sqrt(0.5))


def lane_twiddles(rows: int) -> NDArray[np.float32]:
    """Eight cosines, then eight sines, of ``2 pi k lane / (8 rows)`` for each row k.

    Returns
    -------
    float32 array, shape (16 * rows,)
    """
    angle = 2 * np.pi * np.outer(np.arange(rows), np.arange(LANES)) / (LANES * rows)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1).ravel().astype(np.float32)


@njit(cache=True)
def _transpose(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any) -> Any:
    """Eight rows of eight become eight columns."""
    ae = interleave_low(a, e)
    be = interleave_high(a, e)
    bf = interleave_low(b, f)
    cf = interleave_high(b, f)
    cg = interleave_low(c, g)
    dg = interleave_high(c, g)
    dh = interleave_low(d, h)
    eh = interleave_high(d, h)
    a = interleave_low(ae, cg)
    b = interleave_high(ae, cg)
    c = interleave_low(bf, dh)
    d = interleave_high(bf, dh)
    e = interleave_low(be, dg)
    f = interleave_high(be, dg)
    g = interleave_low(cf, eh)
    h = interleave_high(cf, eh)
    return (
        interleave_low(a, c),
        interleave_high(a, c),
        interleave_low(b, d),
        interleave_high(b, d),
        interleave_low(e, g),
        interleave_high(e, g),
        interleave_low(f, h),
        interleave_high(f, h),
    )


@njit(cache=True)
def _four(ar: Any, ai: Any, br: Any, bi: Any, cr: Any, ci: Any, dr: Any, di: Any) -> Any:
    """Transform of four numbers, exponent +."""
    er = ar + cr
    ei = ai + ci
    fr = ar - cr
    fi = ai - ci
    gr = br + dr
    gi = bi + di
    hr = br - dr
    hi = bi - di
    return er + gr, ei + gi, fr - hi, fi + hr, er - gr, ei - gi, fr + hi, fi - hr


@njit(cache=True)
def _load_turned(
    re: NDArray[np.float32],
    im: NDArray[np.float32],
    row: int,
    table: NDArray[np.float32],
    at: int,
) -> Any:
    """One row times the twiddles of its frequency."""
    xr = load(re, row * LANES)
    xi = load(im, row * LANES)
    c = load(table, at * 2 * LANES)
    s = load(table, at * 2 * LANES + LANES)
    return xr * c - xi * s, xr * s + xi * c


@njit(cache=True)
def _put(
    out_re: NDArray[np.float32],
    out_im: NDArray[np.float32],
    scale: NDArray[np.float32],
    at: int,
    half: int,
    size: int,
    re: Any,
    im: Any,
) -> None:
    """Scale eight neighbouring frequencies and store them, if they are wanted."""
    mode = at if 2 * at < size else at - size
    place = mode + half
    if 0 <= place < 2 * half:
        c = load(scale, place)
        store(out_re, place, c * re)
        store(out_im, place, c * im)


@njit(cache=True)
def across_lanes(
    re: NDArray[np.float32],
    im: NDArray[np.float32],
    order: NDArray[np.int64],
    table: NDArray[np.float32],
    scale: NDArray[np.float32],
    out_re: NDArray[np.float32],
    out_im: NDArray[np.float32],
) -> None:
    """Finish a transform whose columns are done, scale it, and write the wanted frequencies.

    Parameters
    ----------
    re, im : float32 array, shape (8 * rows,)
        As `columns_forward` leaves them; kept.
    order : int64 array, shape (rows,)
        `row_order`; rows is a multiple of 8.
    table : float32 array, shape (16 * rows,)
        `lane_twiddles`.
    scale : float32 array, shape (n_wanted,)
        Factors of the frequencies ``-n_wanted / 2`` to ``n_wanted / 2 - 1``, in units of one
        over the length; n_wanted is a multiple of 16.
    out_re, out_im : float32 array, shape (at least n_wanted,)
        Filled.
    """
    rows = order.size
    size = rows * LANES
    half = scale.size // 2
    root = broadcast(ROOT_HALF)
    for k in range(0, rows, LANES):
        r0, i0 = _load_turned(re, im, order[k], table, k)
        r1, i1 = _load_turned(re, im, order[k + 1], table, k + 1)
        r2, i2 = _load_turned(re, im, order[k + 2], table, k + 2)
        r3, i3 = _load_turned(re, im, order[k + 3], table, k + 3)
        r4, i4 = _load_turned(re, im, order[k + 4], table, k + 4)
        r5, i5 = _load_turned(re, im, order[k + 5], table, k + 5)
        r6, i6 = _load_turned(re, im, order[k + 6], table, k + 6)
        r7, i7 = _load_turned(re, im, order[k + 7], table, k + 7)
        r0, r1, r2, r3, r4, r5, r6, r7 = _transpose(r0, r1, r2, r3, r4, r5, r6, r7)
        i0, i1, i2, i3, i4, i5, i6, i7 = _transpose(i0, i1, i2, i3, i4, i5, i6, i7)
        a0, b0, a1, b1, a2, b2, a3, b3 = _four(r0, i0, r2, i2, r4, i4, r6, i6)
        c0, d0, c1, d1, c2, d2, c3, d3 = _four(r1, i1, r3, i3, r5, i5, r7, i7)
        # odd half times the eighth roots of one
        t = root * (c1 - d1)
        d1 = root * (c1 + d1)
        c1 = t
        t = root * (c3 + d3)
        d3 = root * (c3 - d3)
        _put(out_re, out_im, scale, k, half, size, a0 + c0, b0 + d0)
        _put(out_re, out_im, scale, k + rows, half, size, a1 + c1, b1 + d1)
        _put(out_re, out_im, scale, k + 2 * rows, half, size, a2 - d2, b2 + c2)
        _put(out_re, out_im, scale, k + 3 * rows, half, size, a3 - t, b3 + d3)
        _put(out_re, out_im, scale, k + 4 * rows, half, size, a0 - c0, b0 - d0)
        _put(out_re, out_im, scale, k + 5 * rows, half, size, a1 - c1, b1 - d1)
        _put(out_re, out_im, scale, k + 6 * rows, half, size, a2 + d2, b2 - c2)
        _put(out_re, out_im, scale, k + 7 * rows, half, size, a3 + t, b3 - d3)
