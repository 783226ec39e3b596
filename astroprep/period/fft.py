"""Fourier transforms of one long complex array, eight numbers to an instruction.

An array of ``8 R`` cells stands as R rows of eight neighbours, real and imaginary parts in planes
of their own. A transform goes down the columns (`columns_forward`), where all eight lanes share
their twiddles, and then across the lanes (`fft_lanes`), eight rows at a time; the frequencies
come out in their natural order. R is ``2^a``, ``3 2^a`` or ``5 2^a``.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.simd import LANES, broadcast, load, store

__all__ = ["columns_forward", "row_order", "twiddles"]

BLOCK = 512  # rows of both planes that stay in a first-level cache of 32 KiB, 64 bytes each
SIN3 = np.float32(np.sin(2 * np.pi / 3))
COS5, COS10 = np.float32(np.cos(0.4 * np.pi)), np.float32(np.cos(0.8 * np.pi))
SIN5, SIN10 = np.float32(np.sin(0.4 * np.pi)), np.float32(np.sin(0.8 * np.pi))


def _radix(rows: int) -> int:
    for radix in (5, 3):
        if rows % radix == 0:
            return radix
    return 4 if rows >= 4 else rows


def row_order(rows: int) -> NDArray[np.int64]:
    """Row in which `columns_forward` leaves frequency k.

    Parameters
    ----------
    rows : int
        ``2^a``, ``3 2^a`` or ``5 2^a``.

    Returns
    -------
    int64 array, shape (rows,)
    """
    if rows <= 2:
        return np.arange(rows)
    radix = _radix(rows)
    below = row_order(rows // radix)
    k = np.arange(rows)
    return (k % radix) * (rows // radix) + below[k // radix]


def twiddles(rows: int) -> NDArray[np.float32]:
    """Cosine and sine of ``2 pi j / rows``, interleaved, shape (2 * rows,)."""
    angle = 2 * np.pi * np.arange(rows) / rows
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).ravel().astype(np.float32)


@njit(cache=True)
def _pass4(
    re: NDArray[np.float32],
    im: NDArray[np.float32],
    twiddle: NDArray[np.float32],
    first: int,
    last: int,
    length: int,
    stride: int,
) -> None:
    """Radix-4 butterflies, decimation in frequency, of the blocks of `length` rows."""
    quarter = length // 4
    step = quarter * LANES
    for j in range(quarter):
        t1 = 2 * j * stride
        c1 = broadcast(twiddle[t1])
        s1 = broadcast(twiddle[t1 + 1])
        c2 = broadcast(twiddle[2 * t1])
        s2 = broadcast(twiddle[2 * t1 + 1])
        c3 = broadcast(twiddle[3 * t1])
        s3 = broadcast(twiddle[3 * t1 + 1])
        for start in range(first + j, last, length):
            pa = start * LANES
            pb = pa + step
            pc = pb + step
            pd = pc + step
            ar = load(re, pa)
            ai = load(im, pa)
            cr = load(re, pc)
            ci = load(im, pc)
            er = ar + cr
            ei = ai + ci
            fr = ar - cr
            fi = ai - ci
            br = load(re, pb)
            bi = load(im, pb)
            dr = load(re, pd)
            di = load(im, pd)
            gr = br + dr
            gi = bi + di
            hr = br - dr
            hi = bi - di
            store(re, pa, er + gr)
            store(im, pa, ei + gi)
            ur = er - gr
            ui = ei - gi
            store(re, pc, ur * c2 - ui * s2)
            store(im, pc, ur * s2 + ui * c2)
            ur = fr - hi
            ui = fi + hr
            store(re, pb, ur * c1 - ui * s1)
            store(im, pb, ur * s1 + ui * c1)
            ur = fr + hi
            ui = fi - hr
            store(re, pd, ur * c3 - ui * s3)
            store(im, pd, ur * s3 + ui * c3)


@njit(cache=True)
def _last4(re: NDArray[np.float32], im: NDArray[np.float32], first: int, last: int) -> None:
    """Radix-4 butterflies of four neighbouring rows, where all twiddles are one."""
    for pa in range(first * LANES, last * LANES, 4 * LANES):
        ar = load(re, pa)
        ai = load(im, pa)
        br = load(re, pa + LANES)
        bi = load(im, pa + LANES)
        cr = load(re, pa + 2 * LANES)
        ci = load(im, pa + 2 * LANES)
        dr = load(re, pa + 3 * LANES)
        di = load(im, pa + 3 * LANES)
        er = ar + cr
        ei = ai + ci
        fr = ar - cr
        fi = ai - ci
        gr = br + dr
        gi = bi + di
        hr = br - dr
        hi = bi - di
        store(re, pa, er + gr)
        store(im, pa, ei + gi)
        store(re, pa + LANES, fr - hi)
        store(im, pa + LANES, fi + hr)
        store(re, pa + 2 * LANES, er - gr)
        store(im, pa + 2 * LANES, ei - gi)
        store(re, pa + 3 * LANES, fr + hi)
        store(im, pa + 3 * LANES, fi - hr)


@njit(cache=True)
def _last2(re: NDArray[np.float32], im: NDArray[np.float32], first: int, last: int) -> None:
    """Radix-2 butterflies of two neighbouring rows."""
    for pa in range(first * LANES, last * LANES, 2 * LANES):
        ar = load(re, pa)
        ai = load(im, pa)
        br = load(re, pa + LANES)
        bi = load(im, pa + LANES)
        store(re, pa, ar + br)
        store(im, pa, ai + bi)
        store(re, pa + LANES, ar - br)
        store(im, pa + LANES, ai - bi)


@njit(cache=True)
def _pass3(
    re: NDArray[np.float32], im: NDArray[np.float32], twiddle: NDArray[np.float32], rows: int
) -> None:
    """Radix-3 butterflies over the whole array."""
    step = rows // 3 * LANES
    half = broadcast(np.float32(0.5))
    sine = broadcast(SIN3)
    for j in range(rows // 3):
        c1 = broadcast(twiddle[2 * j])
        s1 = broadcast(twiddle[2 * j + 1])
        c2 = broadcast(twiddle[4 * j])
        s2 = broadcast(twiddle[4 * j + 1])
        pa = j * LANES
        pb = pa + step
        pc = pb + step
        ar = load(re, pa)
        ai = load(im, pa)
        br = load(re, pb)
        bi = load(im, pb)
        cr = load(re, pc)
        ci = load(im, pc)
        tr = br + cr
        ti = bi + ci
        dr = sine * (br - cr)
        di = sine * (bi - ci)
        mr = ar - half * tr
        mi = ai - half * ti
        store(re, pa, ar + tr)
        store(im, pa, ai + ti)
        ur = mr - di
        ui = mi + dr
        store(re, pb, ur * c1 - ui * s1)
        store(im, pb, ur * s1 + ui * c1)
        ur = mr + di
        ui = mi - dr
        store(re, pc, ur * c2 - ui * s2)
        store(im, pc, ur * s2 + ui * c2)


@njit(cache=True)
def _pass5(
    re: NDArray[np.float32], im: NDArray[np.float32], twiddle: NDArray[np.float32], rows: int
) -> None:
    """Radix-5 butterflies over the whole array."""
    step = rows // 5 * LANES
    k1 = broadcast(COS5)
    k2 = broadcast(COS10)
    q1 = broadcast(SIN5)
    q2 = broadcast(SIN10)
    for j in range(rows // 5):
        pa = j * LANES
        pb = pa + step
        pc = pb + step
        pd = pc + step
        pe = pd + step
        ar = load(re, pa)
        ai = load(im, pa)
        br = load(re, pb)
        bi = load(im, pb)
        cr = load(re, pc)
        ci = load(im, pc)
        dr = load(re, pd)
        di = load(im, pd)
        er = load(re, pe)
        ei = load(im, pe)
        t1r = br + er
        t1i = bi + ei
        t2r = cr + dr
        t2i = ci + di
        t3r = br - er
        t3i = bi - ei
        t4r = cr - dr
        t4i = ci - di
        store(re, pa, ar + t1r + t2r)
        store(im, pa, ai + t1i + t2i)
        m1r = ar + k1 * t1r + k2 * t2r
        m1i = ai + k1 * t1i + k2 * t2i
        m2r = ar + k2 * t1r + k1 * t2r
        m2i = ai + k2 * t1i + k1 * t2i
        n1r = q1 * t3r + q2 * t4r
        n1i = q1 * t3i + q2 * t4i
        n2r = q2 * t3r - q1 * t4r
        n2i = q2 * t3i - q1 * t4i
        for k in range(1, 5):
            c = broadcast(twiddle[2 * k * j])
            s = broadcast(twiddle[2 * k * j + 1])
            if k == 1:
                ur = m1r - n1i
                ui = m1i + n1r
            elif k == 2:
                ur = m2r - n2i
                ui = m2i + n2r
            elif k == 3:
                ur = m2r + n2i
                ui = m2i - n2r
            else:
                ur = m1r + n1i
                ui = m1i - n1r
            store(re, pa + k * step, ur * c - ui * s)
            store(im, pa + k * step, ur * s + ui * c)


@njit(cache=True)
def columns_forward(
    re: NDArray[np.float32], im: NDArray[np.float32], twiddle: NDArray[np.float32], rows: int
) -> None:
    """Transform the eight columns in place, exponent +; frequency k ends in row ``order[k]``.

    Passes run over the whole array only until a block fits the first-level cache.

    Parameters
    ----------
    re, im : float32 array, shape (8 * rows,)
        Real and imaginary plane.
    twiddle : float32 array
        `twiddles` of `rows`.
    rows : int
        See `row_order`.
    """
    length = rows
    stride = 1
    if rows % 5 == 0:
        _pass5(re, im, twiddle, rows)
        length = rows // 5
        stride = 5
    elif rows % 3 == 0:
        _pass3(re, im, twiddle, rows)
        length = rows // 3
        stride = 3
    while length > BLOCK:
        # a block at a time: rows far apart share cache sets, and a set holds eight lines
        for first in range(0, rows, length):
            _pass4(re, im, twiddle, first, first + length, length, stride)
        length //= 4
        stride *= 4
    block = length
    outer = stride
    for first in range(0, rows, block):
        last = first + block
        length = block
        stride = outer
        while length > 4:
            _pass4(re, im, twiddle, first, last, length, stride)
            length //= 4
            stride *= 4
        if length == 4:
            _last4(re, im, first, last)
        elif length == 2:
            _last2(re, im, first, last)
