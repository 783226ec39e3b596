"""Fourier sums of unevenly sampled points on an even frequency grid: the fast half of Lomb-Scargle.

A grid of frequencies is cut into bands. Within a band the points, turned by the band's centre
frequency, are spread onto a small grid in time and transformed; the spectrum, which the baseline
limits, comes out only 1.25-fold oversampled and a short filter raises it to the four times finer
grid that was asked for. Eight bands travel side by side through every instruction, so all
transforms stay in cache and a curve's result cannot depend on the batch that it came in.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.simd import LANES, broadcast, lane, load, store

__all__ = ["DEGENERATE", "SUBDIVISION", "Plan", "largest_step", "plan", "power_one_curve"]

TAPS = 8  # width of both filters; twice 1e-5 relative error at 1.25-fold oversampling
OVERSAMPLING = 1.25
SUBDIVISION = 4  # requested frequencies per step of the transformed spectrum
ROW = 2 * LANES  # one grid row: eight real parts, eight imaginary parts
SPREAD_BETA = 0.976 * np.pi * TAPS * (1 - 0.5 / OVERSAMPLING)  # exponent of the spreading kernel
KAISER_BETA = np.pi * np.sqrt((TAPS / OVERSAMPLING * (OVERSAMPLING - 0.5)) ** 2 - 0.8)
# below this determinant, over the number of points, float32 sums cannot tell the power to 1e-3
# (its largest value is 1/4; sums err by 1e-5 where few points add up in phase)
DEGENERATE = 0.2
RESEED = 16  # rotations in float32 before the phases are computed again


class Plan(NamedTuple):
    """Tables for one transform size; the same for every curve.

    Attributes
    ----------
    size : int
        Length of a transform.
    band : int
        Even number of spectrum steps that one transform serves.
    twiddle : float32 array, shape (2 * size,)
        cos and sin of ``2 pi j / size``, interleaved.
    order : int64 array, shape (band + TAPS,)
        Where the transform leaves the steps of the band.
    correction : float32 array, shape (band + TAPS,)
        One over the Fourier transform of the spreading kernel, with alternating sign.
    filters : float32 array, shape (SUBDIVISION * TAPS,)
        The polyphase Kaiser-Bessel filter.
    """

    size: int
    band: int
    twiddle: NDArray[np.float32]
    order: NDArray[np.int64]
    correction: NDArray[np.float32]
    filters: NDArray[np.float32]


def largest_step(baseline: float) -> float:
    """Widest frequency step that the filter can serve, cycles per day."""
    return 1.0 / (OVERSAMPLING * SUBDIVISION * baseline)


def _digit_reversed(size: int) -> NDArray[np.int64]:
    """Position of frequency k after the in-place transform, radix 4 with radix 2 at the end."""
    if size <= 2:
        return np.arange(size)
    radix = 4 if size >= 4 else 2
    below = _digit_reversed(size // radix)
    k = np.arange(size)
    return (k % radix) * (size // radix) + below[k // radix]


@cache
def plan(size: int) -> Plan:
    """Tables for transforms of `size` points, a power of two from 64."""
    band = (int(size / OVERSAMPLING) - TAPS) // 2 * 2
    angle = 2 * np.pi * np.arange(size) / size
    twiddle = np.stack([np.cos(angle), np.sin(angle)], axis=1).ravel().astype(np.float32)
    mode = np.arange(band + TAPS) - (band + TAPS) // 2
    node, node_weight = np.polynomial.legendre.leggauss(64)
    kernel = np.exp(SPREAD_BETA * (np.sqrt(1 - node**2) - 1)) * node_weight * TAPS / 2
    transform = np.cos(np.pi * TAPS * np.outer(mode / size, node)) @ kernel
    sign = 1.0 - 2.0 * (mode % 2)  # the grid starts half a period early
    offset = np.arange(TAPS) - (TAPS // 2 - 1)
    distance = np.arange(SUBDIVISION)[:, None] / SUBDIVISION - offset
    inside = np.clip(1 - (2 * distance / TAPS) ** 2, 0, None)
    return Plan(
        size,
        band,
        twiddle,
        _digit_reversed(size)[mode % size],
        (sign / transform).astype(np.float32),
        np.i0(KAISER_BETA * np.sqrt(inside)).ravel().astype(np.float32),
    )


@njit(cache=True)
def _transform(grid: NDArray[np.float32], twiddle: NDArray[np.float32], size: int) -> None:
    """Fourier transform of eight columns in place, exponent +, radix 4, digit-reversed output."""
    length = size
    stride = 1
    while length > 4:
        quarter = length // 4
        for j in range(quarter):
            t1 = 2 * j * stride
            c1 = broadcast(twiddle[t1])
            s1 = broadcast(twiddle[t1 + 1])
            c2 = broadcast(twiddle[2 * t1])
            s2 = broadcast(twiddle[2 * t1 + 1])
            c3 = broadcast(twiddle[3 * t1])
            s3 = broadcast(twiddle[3 * t1 + 1])
            for start in range(j, size, length):
                pa = start * ROW
                pb = pa + quarter * ROW
                pc = pb + quarter * ROW
                pd = pc + quarter * ROW
                ar = load(grid, pa)
                ai = load(grid, pa + LANES)
                cr = load(grid, pc)
                ci = load(grid, pc + LANES)
                er = ar + cr
                ei = ai + ci
                fr = ar - cr
                fi = ai - ci
                br = load(grid, pb)
                bi = load(grid, pb + LANES)
                dr = load(grid, pd)
                di = load(grid, pd + LANES)
                gr = br + dr
                gi = bi + di
                hr = br - dr
                hi = bi - di
                store(grid, pa, er + gr)
                store(grid, pa + LANES, ei + gi)
                ur = er - gr
                ui = ei - gi
                store(grid, pc, ur * c2 - ui * s2)
                store(grid, pc + LANES, ur * s2 + ui * c2)
                ur = fr - hi
                ui = fi + hr
                store(grid, pb, ur * c1 - ui * s1)
                store(grid, pb + LANES, ur * s1 + ui * c1)
                ur = fr + hi
                ui = fi - hr
                store(grid, pd, ur * c3 - ui * s3)
                store(grid, pd + LANES, ur * s3 + ui * c3)
        length = quarter
        stride *= 4
    if length == 4:
        for pa in range(0, size * ROW, 4 * ROW):
            ar = load(grid, pa)
            ai = load(grid, pa + LANES)
            br = load(grid, pa + ROW)
            bi = load(grid, pa + ROW + LANES)
            cr = load(grid, pa + 2 * ROW)
            ci = load(grid, pa + 2 * ROW + LANES)
            dr = load(grid, pa + 3 * ROW)
            di = load(grid, pa + 3 * ROW + LANES)
            er = ar + cr
            ei = ai + ci
            fr = ar - cr
            fi = ai - ci
            gr = br + dr
            gi = bi + di
            hr = br - dr
            hi = bi - di
            store(grid, pa, er + gr)
            store(grid, pa + LANES, ei + gi)
            store(grid, pa + ROW, fr - hi)
            store(grid, pa + ROW + LANES, fi + hr)
            store(grid, pa + 2 * ROW, er - gr)
            store(grid, pa + 2 * ROW + LANES, ei - gi)
            store(grid, pa + 3 * ROW, fr + hi)
            store(grid, pa + 3 * ROW + LANES, fi - hr)
    else:
        for pa in range(0, size * ROW, 2 * ROW):
            ar = load(grid, pa)
            ai = load(grid, pa + LANES)
            br = load(grid, pa + ROW)
            bi = load(grid, pa + ROW + LANES)
            store(grid, pa, ar + br)
            store(grid, pa + LANES, ai + bi)
            store(grid, pa + ROW, ar - br)
            store(grid, pa + ROW + LANES, ai - bi)


@njit(cache=True)
def _spectrum(
    grid: NDArray[np.float32],
    first: NDArray[np.int64],
    kernel: NDArray[np.float32],
    strength: NDArray[np.float32],
    turn: NDArray[np.float32],
    size: int,
    twiddle: NDArray[np.float32],
    order: NDArray[np.int64],
    correction: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Spread the turned strengths, transform, undo the kernel: rows of one group of eight bands."""
    grid[:] = np.float32(0.0)
    for j in range(first.size):
        s = broadcast(strength[j])
        re = s * load(turn, j * ROW)
        im = s * load(turn, j * ROW + LANES)
        place = first[j] * ROW
        for tap in range(TAPS):
            k = broadcast(kernel[j * TAPS + tap])
            p = place + tap * ROW
            store(grid, p, load(grid, p) + k * re)
            store(grid, p + LANES, load(grid, p + LANES) + k * im)
    _transform(grid, twiddle, size)
    for row in range(order.size):
        c = broadcast(correction[row])
        p = order[row] * ROW
        store(out, row * ROW, c * load(grid, p))
        store(out, row * ROW + LANES, c * load(grid, p + LANES))


@njit(cache=True)
def _seed_turn(
    time: NDArray[np.float64], frequency: float, step: float, turn: NDArray[np.float32]
) -> None:
    """``exp(2 pi i t (frequency + lane * step))`` for every point and lane."""
    for j in range(time.size):
        cycles = time[j] * frequency
        advance = time[j] * step
        z = np.exp(2j * np.pi * (cycles - np.rint(cycles)))
        r = np.exp(2j * np.pi * (advance - np.rint(advance)))
        for k in range(LANES):
            turn[j * ROW + k] = np.float32(z.real)
            turn[j * ROW + LANES + k] = np.float32(z.imag)
            z *= r


@njit(cache=True)
def _turn_by(
    turn: NDArray[np.float32], rotation: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Multiply the eight numbers of every point by the point's own rotation."""
    for j in range(rotation.size // 2):
        c = broadcast(rotation[2 * j])
        s = broadcast(rotation[2 * j + 1])
        re = load(turn, j * ROW)
        im = load(turn, j * ROW + LANES)
        store(out, j * ROW, re * c - im * s)
        store(out, j * ROW + LANES, re * s + im * c)


@njit(cache=True)
def _rotation(time: NDArray[np.float64], frequency: float) -> NDArray[np.float32]:
    rotation = np.empty(2 * time.size, np.float32)
    for j in range(time.size):
        cycles = time[j] * frequency
        angle = 2 * np.pi * (cycles - np.rint(cycles))
        rotation[2 * j] = np.cos(angle)
        rotation[2 * j + 1] = np.sin(angle)
    return rotation


@njit(cache=True)
def _filter_four(rows: NDArray[np.float32], place: int, filters: NDArray[np.float32]) -> Any:
    """Spectrum at the four requested frequencies from one step on: real and imaginary parts."""
    zero = broadcast(np.float32(0.0))
    r0, r1, r2, r3 = zero, zero, zero, zero
    i0, i1, i2, i3 = zero, zero, zero, zero
    for tap in range(TAPS):
        re = load(rows, place + tap * ROW)
        im = load(rows, place + tap * ROW + LANES)
        h = broadcast(filters[tap])
        r0 = r0 + h * re
        i0 = i0 + h * im
        h = broadcast(filters[TAPS + tap])
        r1 = r1 + h * re
        i1 = i1 + h * im
        h = broadcast(filters[2 * TAPS + tap])
        r2 = r2 + h * re
        i2 = i2 + h * im
        h = broadcast(filters[3 * TAPS + tap])
        r3 = r3 + h * re
        i3 = i3 + h * im
    return r0, i0, r1, i1, r2, i2, r3, i3


@njit(cache=True)
def _filter_two(rows: NDArray[np.float32], place: int, filters: NDArray[np.float32]) -> Any:
    """Spectrum at one step and half a step later."""
    zero = broadcast(np.float32(0.0))
    r0, r1 = zero, zero
    i0, i1 = zero, zero
    for tap in range(TAPS):
        re = load(rows, place + tap * ROW)
        im = load(rows, place + tap * ROW + LANES)
        h = broadcast(filters[tap])
        r0 = r0 + h * re
        i0 = i0 + h * im
        h = broadcast(filters[2 * TAPS + tap])
        r1 = r1 + h * re
        i1 = i1 + h * im
    return r0, i0, r1, i1


@njit(cache=True)
def _write_power(
    power: NDArray[np.float32],
    limit: int,
    place: int,
    band: int,
    yr: Any,
    yi: Any,
    wr: Any,
    wi: Any,
    dr: Any,
    di: Any,
    least: Any,
) -> None:
    """Floating-mean power of eight frequencies; -1 where the determinant is too small."""
    half = broadcast(np.float32(0.5))
    cc = half + half * dr - wr * wr
    ss = half - half * dr - wi * wi
    cs = half * di - wr * wi
    determinant = cc * ss - cs * cs
    yc = yr * yr * ss + yi * yi * cc
    cross = yr * yi * cs
    value = (yc - (cross + cross)) / determinant
    for k in range(LANES):
        p = place + k * band
        if p < limit:
            good = lane(determinant, k) > least
            power[p] = min(lane(value, k), np.float32(1.0)) if good else np.float32(-1.0)


@njit(cache=True, nogil=True)
def power_one_curve(
    time: NDArray[np.float64],
    weighted: NDArray[np.float32],
    weight: NDArray[np.float32],
    start: float,
    step: float,
    power: NDArray[np.float32],
    size: int,
    band: int,
    twiddle: NDArray[np.float32],
    order: NDArray[np.int64],
    correction: NDArray[np.float32],
    filters: NDArray[np.float32],
) -> None:
    """Lomb-Scargle power of one curve on an even grid, float32, with -1 where it is not reliable.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, centred: the middle of the baseline is zero.
    weighted : float32 array, shape (n_points,)
        Weight times (value minus weighted mean), divided by the weighted standard deviation.
    weight : float32 array, shape (n_points,)
        Weights that add up to one.
    start, step : float
        First frequency and spacing, cycles per day; ``step <= largest_step(baseline)``.
    power : float32 array, shape (n_frequencies,)
        Filled in place.
    size, band, twiddle, order, correction, filters
        The fields of a `Plan`.

    References
    ----------
    .. [1] Zechmeister & Kuerster 2009, A&A 496, 577, doi:10.1051/0004-6361:200811296 (eqs. 5-15)
    .. [2] Barnett, Magland & af Klinteberg 2019, SIAM J. Sci. Comput. 41, C479,
       doi:10.1137/18M120885X (spreading kernel)
    """
    n_points = time.size
    limit = power.size
    least = np.float32(DEGENERATE / n_points)
    spectrum_step = step * SUBDIVISION
    first = np.empty(n_points, np.int64)
    kernel = np.empty(n_points * TAPS, np.float32)
    strength = np.empty(2 * n_points, np.float32)  # of the values, then of the weights
    for j in range(n_points):
        x = time[j] * spectrum_step  # within 0.4 of zero
        place = (x + 0.5) * size
        lowest = np.int64(np.ceil(place - 0.5 * TAPS))
        first[j] = lowest
        for tap in range(TAPS):
            z = (lowest + tap - place) / (0.5 * TAPS)
            kernel[j * TAPS + tap] = np.exp(SPREAD_BETA * (np.sqrt(max(0.0, 1 - z * z)) - 1))
        a = np.sqrt(KAISER_BETA**2 - (np.pi * TAPS * x) ** 2)
        undo = a / (TAPS * np.sinh(a))
        strength[j] = weighted[j] * undo
        strength[n_points + j] = weight[j] * undo

    grid = np.empty(size * ROW, np.float32)
    rows = order.size * ROW
    # values, weights, and the two halves of the weights' spectrum at doubled frequency
    spectra = np.empty(4 * rows, np.float32)
    y = spectra[:rows]
    w = spectra[rows : 2 * rows]
    low = spectra[2 * rows : 3 * rows]
    high = spectra[3 * rows :]
    turns = np.empty(3 * n_points * ROW, np.float32)
    turn = turns[: n_points * ROW]
    turn_low = turns[n_points * ROW : 2 * n_points * ROW]
    turn_high = turns[2 * n_points * ROW :]

    fine = band * SUBDIVISION
    n_groups = (limit + fine * LANES - 1) // (fine * LANES)
    band_width = band * spectrum_step
    middle = (order.size // 2 - (TAPS // 2 - 1)) * spectrum_step
    # with one group the eight bands are apart by what they have to cover, never further
    next_band = _rotation(time, band_width)
    next_group = _rotation(time, LANES * band_width)
    next_doubled = _rotation(time, 2 * LANES * band_width)
    for group in range(n_groups):
        if group % RESEED == 0:
            at = start + group * LANES * band_width + middle
            _seed_turn(time, at, band_width, turn)
            at = 2 * (start + group * LANES * band_width) + middle
            _seed_turn(time, at, 2 * band_width, turn_low)
        else:
            _turn_by(turn, next_group, turn)
            _turn_by(turn_low, next_doubled, turn_low)
        _turn_by(turn_low, next_band, turn_high)
        for part in range(4):
            of = strength[:n_points] if part == 0 else strength[n_points:]
            at_turn = max(part - 1, 0) * n_points * ROW
            _spectrum(
                grid,
                first,
                kernel,
                of,
                turns[at_turn : at_turn + n_points * ROW],
                size,
                twiddle,
                order,
                correction,
                spectra[part * rows : (part + 1) * rows],
            )
        for k in range(band):
            y0r, y0i, y1r, y1i, y2r, y2i, y3r, y3i = _filter_four(y, k * ROW, filters)
            w0r, w0i, w1r, w1i, w2r, w2i, w3r, w3i = _filter_four(w, k * ROW, filters)
            doubled = low if 2 * k < band else high
            row = 2 * k if 2 * k < band else 2 * k - band
            d0r, d0i, d1r, d1i = _filter_two(doubled, row * ROW, filters)
            d2r, d2i, d3r, d3i = _filter_two(doubled, (row + 1) * ROW, filters)
            p = group * LANES * fine + k * SUBDIVISION
            _write_power(power, limit, p, fine, y0r, y0i, w0r, w0i, d0r, d0i, least)
            _write_power(power, limit, p + 1, fine, y1r, y1i, w1r, w1i, d1r, d1i, least)
            _write_power(power, limit, p + 2, fine, y2r, y2i, w2r, w2i, d2r, d2i, least)
            _write_power(power, limit, p + 3, fine, y3r, y3i, w3r, w3i, d3r, d3i, least)
