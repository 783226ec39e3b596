"""Fast power of a Fourier series of several harmonics, with a free mean in every band.

The sums at the h-th multiple of the grid are those of points whose times run h times as fast, so
each comes straight out of a transform of its own (`spectrum`), or of matrix products where points
are few (`product`), block of frequencies after block. Where the points fall on the grid of a
multiple does not depend on the block, and is found once. The normal equations of eight frequencies
at a time are then factorised in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.product import HALF, product_sums, step_tables
from astroprep.period.simd import LANES, above, broadcast, lane, load, lower, store
from astroprep.period.spectrum import TAPS, Plan, spectrum, spread_points, turn_strengths

__all__ = ["KEPT", "SHAKY", "n_kept", "n_spectra", "series_power", "series_room"]

# a pivot below this, times the square of the harmonics and over the number of points, cannot be
# trusted in float32: with the rest the power of 25 points keeps 5e-4 (a regular pivot is a half)
SHAKY = 0.4
SHAKY_PRODUCT = 0.01  # the same for sums by products, which err by 1e-7
PAIR = 2 * LANES
# numbers of spreading kernels that are kept over all blocks, 4 MB: a core's share of the last cache
KEPT = 1 << 20


@njit(cache=True)
def n_spectra(n_harmonics: int, n_bands: int) -> int:
    """Transforms for each band of frequencies: values, weights by band, weights beyond."""
    return n_harmonics * (2 + n_bands)


@njit(cache=True)
def n_kept(n_points: Any, n_harmonics: int) -> Any:
    """Multiples, at least one, whose spreading kernels have room; the last room is for the rest.

    It never falls with `n_harmonics`, so that a room serves fewer harmonics too.
    """
    fitting = KEPT // np.maximum(TAPS * n_points, 1)
    return np.minimum(np.maximum(fitting, 1), 2 * n_harmonics)


@njit(cache=True)
def series_room(n_points: int, n_harmonics: int, n_bands: int, products: bool, plan: Plan) -> int:
    """Numbers of work space that `series_power` needs."""
    grid = 2 * (LANES * plan.rows + 2 * TAPS)
    block = 2 * HALF if products else plan.band
    per_point = 4 + (4 * HALF * n_harmonics if products else TAPS * n_kept(n_points, n_harmonics))
    return int(n_points * per_point + grid + 2 * n_spectra(n_harmonics, n_bands) * block)


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
    """Write the lower triangle for eight frequencies; the last row is the right-hand side.

    Entries are `PAIR` numbers apart: `matrix` holds the equations of two groups of eight.
    """
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
            p = ((2 * j - 2) * n + 2 * k - 2) * PAIR
            store(matrix, p, c0 + c1)
            store(matrix, p + PAIR, s1 - s0)
            store(matrix, p + n * PAIR, s1 + s0)
            store(matrix, p + (n + 1) * PAIR, c0 - c1)
    for h in range(n_harmonics):
        place = 2 * h * band + at
        store(matrix, (n * n + 2 * h) * PAIR, load(spectra, place))
        store(matrix, (n * n + 2 * h + 1) * PAIR, load(spectra, place + band))
    for b in range(scale.size):  # the mean of each band is free: project it out
        root = broadcast(scale[b])
        for h in range(n_harmonics):
            place = 2 * (n_harmonics * (1 + b) + h) * band + at
            store(part, 2 * h * LANES, root * load(spectra, place))
            store(part, (2 * h + 1) * LANES, root * load(spectra, place + band))
        for i in range(n):
            x = load(part, i * LANES)
            for k in range(i + 1):
                p = (i * n + k) * PAIR
                store(matrix, p, load(matrix, p) - x * load(part, k * LANES))


@njit(cache=True)
def _explained(
    matrix: NDArray[np.float32], factor: NDArray[np.float32], n: int, least: float
) -> Any:
    """Shares of the variance explained at two groups of frequencies; -1 where a pivot is too small.

    ``L D L'`` by columns; the right-hand side is row n, so that no substitution is left over. One
    group alone would leave the processor waiting for its own results.
    """
    tiny = broadcast(np.float32(least))
    one = broadcast(np.float32(1.0))
    minus = broadcast(np.float32(-1.0))
    zero = broadcast(np.float32(0.0))
    share0, share1 = zero, zero
    good0, good1 = one, one
    for k in range(n):
        row = k * n * PAIR
        pivot0 = load(matrix, row + k * PAIR)
        pivot1 = load(matrix, row + k * PAIR + LANES)
        for m in range(row, row + k * PAIR, PAIR):
            pivot0 = pivot0 - load(matrix, m) * load(factor, m)
            pivot1 = pivot1 - load(matrix, m + LANES) * load(factor, m + LANES)
        good0 = above(pivot0, tiny, good0, minus)
        good1 = above(pivot1, tiny, good1, minus)
        inverse0 = one / above(pivot0, tiny, pivot0, one)
        inverse1 = one / above(pivot1, tiny, pivot1, one)
        for i in range(k + 1, n + 1):
            p = (i * n + k) * PAIR
            value0 = load(matrix, p)
            value1 = load(matrix, p + LANES)
            back = (i - k) * n * PAIR
            for m in range(row, row + k * PAIR, PAIR):
                value0 = value0 - load(matrix, back + m) * load(factor, m)
                value1 = value1 - load(matrix, back + m + LANES) * load(factor, m + LANES)
            store(matrix, p, value0)
            store(matrix, p + LANES, value1)
            store(factor, p, value0 * inverse0)
            store(factor, p + LANES, value1 * inverse1)
        right0 = load(matrix, (n * n + k) * PAIR)
        right1 = load(matrix, (n * n + k) * PAIR + LANES)
        share0 = share0 + right0 * right0 * inverse0
        share1 = share1 + right1 * right1 * inverse1
    share0 = lower(above(share0, zero, share0, zero), one)
    share1 = lower(above(share1, zero, share1, zero), one)
    return above(good0, zero, share0, minus), above(good1, zero, share1, minus)


@njit(cache=True)
def _store_some(power: NDArray[np.float32], at: int, share: Any) -> None:
    """As many of the eight as `power` has room for."""
    if at + LANES <= power.size:
        store(power, at, share)
    else:
        for i in range(power.size - at):
            power[at + i] = lane(share, i)


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
    products: bool,
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
    products : bool
        Sum by matrix products, for sparse curves, and not by transforms.
    plan : Plan
        Tables of the transforms.
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
    block = 2 * HALF if products else plan.band
    kept = order if products else n_kept(n, n_harmonics)
    width = 2 * HALF if products else TAPS
    table = room[: n * width * kept]  # of the steps, or of the spreading kernel, by multiple
    used = table.size
    strength = room[used : used + 2 * n]
    turned = room[used + 2 * n : used + 4 * n]
    used += 4 * n
    cells = 2 * (LANES * plan.rows + 2 * TAPS)
    grid = room[used : used + cells]
    spectra = room[used + cells :]
    first = np.empty(0 if products else n * kept, np.int64)
    if products:
        strength[:n] = np.float32(1.0)
        for h in range(1, order + 1):
            part_of = table[(h - 1) * n * width : h * n * width]
            step_tables(time, h * step, strength[:n], part_of)
    for j in range(n):
        strength[j] = np.float32(weighted[j])
        strength[n + j] = np.float32(weight[j])
    scale = np.empty(n_bands, np.float32)  # one over the root of a band's share of the weight
    for b in range(n_bands):
        scale[b] = 1.0 / np.sqrt(weight[bands[b] : bands[b + 1]].sum())
    sums = np.empty(2 * (order + 1) * LANES, np.float32)
    part = np.empty(order * LANES, np.float32)
    matrix = np.empty((order + 1) * order * PAIR, np.float32)
    factor = np.empty((order + 1) * order * PAIR, np.float32)
    least = (SHAKY_PRODUCT if products else SHAKY) * n_harmonics**2 / n
    lowest = broadcast(np.float32(0.0))
    for low in range(0, power.size, block):
        for h in range(1, order + 1):
            at = (min(h, kept) - 1) * n  # where the table of this multiple begins
            tables = table[at * width : (at + n) * width]
            if not products and (low == 0 or (h >= kept and kept < order)):
                spread_points(time, h * step, plan, first[at : at + n], tables)
            # values, and weights by band, up to n_harmonics; all weights beyond
            for b in range(-1, n_bands if h <= n_harmonics else 0):
                whole = b < 0
                i, k = (0, n) if whole else (bands[b], bands[b + 1])
                if h > n_harmonics:
                    place = n_harmonics * n_bands + h - 1
                else:
                    place = n_harmonics * (1 + b) + h - 1
                of = n if not whole or h > n_harmonics else 0
                re = spectra[2 * place * block : (2 * place + 1) * block]
                im = spectra[(2 * place + 1) * block : (2 * place + 2) * block]
                if products:
                    centre = h * (start + (low + HALF - 0.5) * step)
                    mine = turned[: 2 * (k - i)]
                    turn_strengths(
                        time[i:k], centre, strength[of + i : of + k], mine[: k - i], mine[k - i :]
                    )
                    product_sums(mine, tables[i * width : k * width], re, im)
                else:
                    spectrum(
                        time[i:k],
                        strength[of + i : of + k],
                        first[at + i : at + k],
                        tables[i * width : k * width],
                        h * (start + low * step),
                        h * step,
                        block,
                        plan,
                        turned,
                        grid,
                        re,
                        im,
                    )
        for k in range(0, min(block, power.size - low), PAIR):
            _normal_equations(spectra, block, k, n_harmonics, scale, sums, part, matrix)
            _normal_equations(
                spectra, block, k + LANES, n_harmonics, scale, sums, part, matrix[LANES:]
            )
            share0, share1 = _explained(matrix, factor, order, least)
            _store_some(power, low + k, share0)
            _store_some(power, low + k + LANES, share1)
            lowest = lower(lowest, lower(share0, share1))
    marked = False
    for i in range(LANES):
        marked = marked or lane(lowest, i) < 0
    return marked
