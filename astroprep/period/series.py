"""Fast power of a Fourier series of several harmonics, with a free mean in every band.

The sums at the h-th multiple of the grid are those of points whose times run h times as fast, so
each comes straight out of a transform of its own (`spectrum`), band of frequencies after band. The
normal equations of eight frequencies at a time are then factorised in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.simd import LANES, above, broadcast, lane, load, lower, store
from astroprep.period.spectrum import TAPS, Plan, spectrum, spread_points

__all__ = ["SHAKY", "n_spectra", "series_power", "series_room"]

# a pivot below this, times the square of the harmonics and over the number of points, cannot be
# trusted in float32: with the rest the power of 25 points keeps 5e-4 (a regular pivot is a half)
SHAKY = 0.4


@njit(cache=True)
def n_spectra(n_harmonics: int, n_bands: int) -> int:
    """Transforms for each band of frequencies: values, weights by band, weights beyond."""
    return n_harmonics * (2 + n_bands)


@njit(cache=True)
def series_room(n_points: int, n_harmonics: int, n_bands: int, plan: Plan) -> int:
    """Numbers of work space that `series_power` needs."""
    grid = 2 * (LANES * plan.rows + 2 * TAPS)
    return int(n_points * (TAPS + 4) + grid + 2 * n_spectra(n_harmonics, n_bands) * plan.band)


@njit(cache=True)
def _normal_equations(
    spectra: NDArray[np.float32],
    band: int,
    at: int,
    n_harmonics: int,
    scale: NDArray[np.float32],
    sums: NDArray[np.float32],
    part: NDArray[np.float32],
    matrix: NDArray[np.float32],
) -> None:
    """Write the lower triangle for eight frequencies; the last row is the right-hand side."""
    n = 2 * n_harmonics
    one = broadcast(np.float32(1.0))
    zero = broadcast(np.float32(0.0))
    half = broadcast(np.float32(0.5))
    # cos and sin sums of all weights, harmonics 0 to 2 n_harmonics
    store(sums, 0, one)
    store(sums, LANES, zero)
    for h in range(1, n + 1):
        re = zero
        im = zero
        if h <= n_harmonics:
            for b in range(scale.size):
                place = 2 * (n_harmonics * (1 + b) + h - 1) * band + at
                re = re + load(spectra, place)
                im = im + load(spectra, place + band)
        else:
            place = 2 * (n_harmonics * scale.size + h - 1) * band + at
            re = load(spectra, place)
            im = load(spectra, place + band)
        store(sums, 2 * h * LANES, re)
        store(sums, (2 * h + 1) * LANES, im)
    for j in range(1, n_harmonics + 1):
        for k in range(1, j + 1):
            less = 2 * (j - k) * LANES
            more = 2 * (j + k) * LANES
            c0 = half * load(sums, less)
            s0 = half * load(sums, less + LANES)
            c1 = half * load(sums, more)
            s1 = half * load(sums, more + LANES)
            p = ((2 * j - 2) * n + 2 * k - 2) * LANES
            store(matrix, p, c0 + c1)
            store(matrix, p + LANES, s1 - s0)
            store(matrix, p + n * LANES, s1 + s0)
            store(matrix, p + (n + 1) * LANES, c0 - c1)
    for h in range(n_harmonics):
        place = 2 * h * band + at
        store(matrix, (n * n + 2 * h) * LANES, load(spectra, place))
        store(matrix, (n * n + 2 * h + 1) * LANES, load(spectra, place + band))
    for b in range(scale.size):  # the mean of each band is free: project it out
        root = broadcast(scale[b])
        for h in range(n_harmonics):
            place = 2 * (n_harmonics * (1 + b) + h) * band + at
            store(part, 2 * h * LANES, root * load(spectra, place))
            store(part, (2 * h + 1) * LANES, root * load(spectra, place + band))
        for i in range(n):
            x = load(part, i * LANES)
            for k in range(i + 1):
                p = (i * n + k) * LANES
                store(matrix, p, load(matrix, p) - x * load(part, k * LANES))


@njit(cache=True)
def _explained(
    matrix: NDArray[np.float32], factor: NDArray[np.float32], n: int, least: float
) -> Any:
    """Share of the variance explained at eight frequencies; -1 where a pivot is too small.

    ``L D L'`` by columns; the right-hand side is row n, so that no substitution is left over.
    """
    tiny = broadcast(np.float32(least))
    one = broadcast(np.float32(1.0))
    minus = broadcast(np.float32(-1.0))
    share = broadcast(np.float32(0.0))
    good = one
    for k in range(n):
        pivot = load(matrix, (k * n + k) * LANES)
        for m in range(k):
            pivot = pivot - load(matrix, (k * n + m) * LANES) * load(factor, (k * n + m) * LANES)
        good = above(pivot, tiny, good, minus)
        inverse = one / above(pivot, tiny, pivot, one)
        for i in range(k + 1, n + 1):
            p = (i * n + k) * LANES
            value = load(matrix, p)
            for m in range(k):
                value = value - load(matrix, (i * n + m) * LANES) * load(
                    factor, (k * n + m) * LANES
                )
            store(matrix, p, value)
            store(factor, p, value * inverse)
        right = load(matrix, (n * n + k) * LANES)
        share = share + right * right * inverse
    share = above(share, broadcast(np.float32(0.0)), share, broadcast(np.float32(0.0)))
    return above(good, broadcast(np.float32(0.0)), lower(share, one), minus)


@njit(cache=True, nogil=True)
def series_power(
    time: NDArray[np.float64],
    weighted: NDArray[np.float64],
    weight: NDArray[np.float64],
    bands: NDArray[np.int64],
    start: float,
    step: float,
    n_harmonics: int,
    power: NDArray[np.float32],
    plan: Plan,
    room: NDArray[np.float32],
) -> bool:
    """Share of the variance that a Fourier series explains, on an even grid.

    All bands share the series; each has a mean of its own. With one band and one harmonic this is
    the floating-mean Lomb-Scargle power.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, centred, the points of a band together.
    weighted : float64 array, shape (n_points,)
        Weight times (value minus the weighted mean of its band), divided by the weighted standard
        deviation of these differences.
    weight : float64 array, shape (n_points,)
        Weights that add up to one over all bands.
    bands : int64 array, shape (n_bands + 1,)
        Band b is ``bands[b]:bands[b + 1]``; none is empty.
    start, step : float
        First frequency and spacing, cycles per day; any step.
    n_harmonics : int
        Terms of the series.
    power : float32 array, shape (n_frequencies,)
        Filled; -1 where float32 is not enough.
    plan : Plan
        Tables.
    room : float32 array, shape (at least `series_room`,)
        Overwritten.

    Returns
    -------
    bool
        Whether any power is -1.

    References
    ----------
    .. [1] VanderPlas & Ivezic 2015, ApJ 812, 18, doi:10.1088/0004-637X/812/1/18
       (shared phase, a mean per band)
    .. [2] Palmer 2009, ApJ 695, 496, doi:10.1088/0004-637X/695/1/496 (sums for several harmonics)
    """
    n = time.size
    n_bands = bands.size - 1
    order = 2 * n_harmonics
    band = plan.band
    kernel = room[: n * TAPS]
    strength = room[n * TAPS : n * (TAPS + 2)]
    turned = room[n * (TAPS + 2) : n * (TAPS + 4)]
    used = n * (TAPS + 4)
    cells = 2 * (LANES * plan.rows + 2 * TAPS)
    grid = room[used : used + cells]
    spectra = room[used + cells :]
    for j in range(n):
        strength[j] = np.float32(weighted[j])
        strength[n + j] = np.float32(weight[j])
    scale = np.empty(n_bands, np.float32)  # one over the root of a band's share of the weight
    for b in range(n_bands):
        scale[b] = 1.0 / np.sqrt(weight[bands[b] : bands[b + 1]].sum())
    first = np.empty(n, np.int64)
    sums = np.empty(2 * (order + 1) * LANES, np.float32)
    part = np.empty(order * LANES, np.float32)
    matrix = np.empty((order + 1) * order * LANES, np.float32)
    factor = np.empty((order + 1) * order * LANES, np.float32)
    least = SHAKY * n_harmonics**2 / n
    marked = False
    lowest = broadcast(np.float32(0.0))
    for low in range(0, power.size, band):
        for h in range(1, order + 1):
            spread_points(time, h * step, plan, first, kernel)
            at = h * (start + low * step)
            # values, and weights by band, up to n_harmonics; all weights beyond
            for b in range(-1, n_bands):
                if h > n_harmonics and b > -1:
                    break
                if h > n_harmonics:
                    place = n_harmonics * n_bands + h - 1
                else:
                    place = n_harmonics * (1 + b) + h - 1
                whole = b < 0
                i, k = (0, n) if whole else (bands[b], bands[b + 1])
                from_weight = n if not whole or h > n_harmonics else 0
                spectrum(
                    time[i:k],
                    strength[from_weight + i : from_weight + k],
                    first[i:k],
                    kernel[i * TAPS : k * TAPS],
                    at,
                    h * step,
                    band,
                    plan,
                    turned,
                    grid,
                    spectra[2 * place * band : (2 * place + 1) * band],
                    spectra[(2 * place + 1) * band : (2 * place + 2) * band],
                )
        for k in range(0, min(band, power.size - low), LANES):
            _normal_equations(spectra, band, k, n_harmonics, scale, sums, part, matrix)
            share = _explained(matrix, factor, order, least)
            if low + k + LANES <= power.size:
                store(power, low + k, share)
                lowest = lower(lowest, share)
            else:
                for i in range(power.size - low - k):
                    power[low + k + i] = lane(share, i)
                    marked = marked or lane(share, i) < 0
    for i in range(LANES):
        marked = marked or lane(lowest, i) < 0
    return marked
