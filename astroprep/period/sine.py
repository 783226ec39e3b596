"""Fast floating-mean Lomb-Scargle power: spectra, filtered up to the grid, combined."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.simd import (
    LANES,
    above,
    broadcast,
    evens,
    interleave_high,
    interleave_low,
    lane,
    load,
    lower,
    odds,
    store,
)
from astroprep.period.spectrum import (
    SUBDIVISION,
    TAPS,
    Plan,
    spectrum,
    spread_points,
    undo_filter,
)

__all__ = ["DEGENERATE", "share_explained", "sine_power", "sine_room"]

# below this determinant, over the number of points, float32 sums cannot tell the power to 1e-3
# (its largest value is 1/4; sums err by 1e-5 where few points add up in phase)
DEGENERATE = 0.2
BEFORE = TAPS // 2 - 1  # spectrum steps that the filter reaches back
AFTER = 3 * LANES  # steps beyond the last that a block of eight may read
ALIGNED = 1e-6  # of a grid step: a start this close to a whole number of steps counts as one
BLOCK = LANES * SUBDIVISION  # frequencies that one turn of the loop finishes


@njit(cache=True)
def sine_room(n_points: int, n_frequencies: int, plan: Plan) -> int:
    """Numbers of work space that `sine_power` needs."""
    steps = n_frequencies // SUBDIVISION + BLOCK
    grid = 2 * (LANES * plan.rows + 2 * TAPS)
    return int(n_points * (TAPS + 4) + grid + 2 * (4 * steps + 2 * AFTER + 3 * plan.band))


@njit(cache=True)
def _four_phases(
    re: NDArray[np.float32], im: NDArray[np.float32], at: int, filters: NDArray[np.float32]
) -> Any:
    """Spectrum at and a quarter, a half, three quarters of a step behind eight neighbours."""
    zero = broadcast(np.float32(0.0))
    r0, r1, r2, r3 = zero, zero, zero, zero
    i0, i1, i2, i3 = zero, zero, zero, zero
    for tap in range(TAPS):
        x = load(re, at + tap)
        y = load(im, at + tap)
        h = broadcast(filters[tap])
        r0 = r0 + h * x
        i0 = i0 + h * y
        h = broadcast(filters[TAPS + tap])
        r1 = r1 + h * x
        i1 = i1 + h * y
        h = broadcast(filters[2 * TAPS + tap])
        r2 = r2 + h * x
        i2 = i2 + h * y
        h = broadcast(filters[3 * TAPS + tap])
        r3 = r3 + h * x
        i3 = i3 + h * y
    return r0, i0, r1, i1, r2, i2, r3, i3


@njit(cache=True)
def _two_phases(
    re: NDArray[np.float32], im: NDArray[np.float32], at: int, filters: NDArray[np.float32]
) -> Any:
    """Spectrum at, and half a step behind, eight neighbours."""
    zero = broadcast(np.float32(0.0))
    r0, r1 = zero, zero
    i0, i1 = zero, zero
    for tap in range(TAPS):
        x = load(re, at + tap)
        y = load(im, at + tap)
        h = broadcast(filters[tap])
        r0 = r0 + h * x
        i0 = i0 + h * y
        h = broadcast(filters[2 * TAPS + tap])
        r1 = r1 + h * x
        i1 = i1 + h * y
    return r0, i0, r1, i1


@njit(cache=True)
def share_explained(yr: Any, yi: Any, wr: Any, wi: Any, dr: Any, di: Any, least: Any) -> Any:
    """Floating-mean power of eight frequencies; -1 where the determinant is too small."""
    half = broadcast(np.float32(0.5))
    one = broadcast(np.float32(1.0))
    cc = half + half * dr - wr * wr
    ss = half - half * dr - wi * wi
    cs = half * di - wr * wi
    determinant = cc * ss - cs * cs
    cross = yr * yi * cs
    value = (yr * yr * ss + yi * yi * cc - (cross + cross)) / determinant
    return above(determinant, least, lower(value, one), broadcast(np.float32(-1.0)))


@njit(cache=True)
def _combine(
    y_re: NDArray[np.float32],
    y_im: NDArray[np.float32],
    w_re: NDArray[np.float32],
    w_im: NDArray[np.float32],
    d_re: NDArray[np.float32],
    d_im: NDArray[np.float32],
    filters: NDArray[np.float32],
    least: float,
    skip: int,
    power: NDArray[np.float32],
) -> bool:
    """Power on the requested grid; tells whether any frequency was marked."""
    tiny = broadcast(np.float32(least))
    lowest = broadcast(np.float32(0.0))
    block = np.empty(BLOCK, np.float32)
    for k in range(0, (skip + power.size + SUBDIVISION - 1) // SUBDIVISION, LANES):
        a0, b0, a1, b1, a2, b2, a3, b3 = _four_phases(y_re, y_im, k, filters)
        c0, d0, c1, d1, c2, d2, c3, d3 = _four_phases(w_re, w_im, k, filters)
        e0, f0, e1, f1 = _two_phases(d_re, d_im, 2 * k, filters)
        g0, h0, g1, h1 = _two_phases(d_re, d_im, 2 * k + LANES, filters)
        p0 = share_explained(a0, b0, c0, d0, evens(e0, g0), evens(f0, h0), tiny)
        p1 = share_explained(a1, b1, c1, d1, evens(e1, g1), evens(f1, h1), tiny)
        p2 = share_explained(a2, b2, c2, d2, odds(e0, g0), odds(f0, h0), tiny)
        p3 = share_explained(a3, b3, c3, d3, odds(e1, g1), odds(f1, h1), tiny)
        lowest = lower(lowest, lower(lower(p0, p1), lower(p2, p3)))
        low02 = interleave_low(p0, p2)
        low13 = interleave_low(p1, p3)
        high02 = interleave_high(p0, p2)
        high13 = interleave_high(p1, p3)
        at = SUBDIVISION * k - skip
        inside = at >= 0 and at + BLOCK <= power.size
        target = power if inside else block
        place = at if inside else 0
        store(target, place, interleave_low(low02, low13))
        store(target, place + LANES, interleave_high(low02, low13))
        store(target, place + 2 * LANES, interleave_low(high02, high13))
        store(target, place + 3 * LANES, interleave_high(high02, high13))
        if not inside:
            for j in range(max(0, -at), min(BLOCK, power.size - at)):
                power[at + j] = block[j]
    marked = False
    for k in range(LANES):
        marked = marked or lane(lowest, k) < 0
    return marked


@njit(cache=True, nogil=True)
def sine_power(
    time: NDArray[np.float64],
    weighted: NDArray[np.float64],
    weight: NDArray[np.float64],
    start: float,
    step: float,
    power: NDArray[np.float32],
    plan: Plan,
    room: NDArray[np.float32],
) -> bool:
    """Lomb-Scargle power of one curve on an even grid, float32, with -1 where it is not reliable.

    The spectrum of the weights serves twice: at the frequencies and at their doubles.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, centred: the middle of the baseline is zero.
    weighted : float64 array, shape (n_points,)
        Weight times (value minus weighted mean), divided by the weighted standard deviation.
    weight : float64 array, shape (n_points,)
        Weights that add up to one.
    start, step : float
        First frequency and spacing, cycles per day; at most ``1 / (OVERSAMPLING * SUBDIVISION)``
        over the baseline.
    power : float32 array, shape (n_frequencies,)
        Filled in place.
    plan : Plan
        Tables.
    room : float32 array, shape (at least `sine_room`,)
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
    spectrum_step = step * SUBDIVISION
    whole = int(np.rint(start / step))
    aligned = abs(start / step - whole) < ALIGNED
    skip = whole % SUBDIVISION if aligned else 0
    low = (whole // SUBDIVISION) * spectrum_step if aligned else start
    steps = ((skip + power.size + SUBDIVISION - 1) // SUBDIVISION + LANES - 1) // LANES * LANES
    ahead = whole // SUBDIVISION  # steps from the first frequency to its double
    shared = aligned and ahead < steps

    kernel = room[: n * TAPS]
    strength = room[n * TAPS : n * (TAPS + 1)]
    undo = room[n * (TAPS + 1) : n * (TAPS + 2)]
    turned = room[n * (TAPS + 2) : n * (TAPS + 4)]
    used = n * (TAPS + 4)
    cells = 2 * (LANES * plan.rows + 2 * TAPS)
    grid = room[used : used + cells]
    used += cells
    count = np.empty(3, np.int64)
    count[0] = steps + LANES
    count[1] = 2 * steps + AFTER + ahead if shared else steps + LANES
    count[2] = 0 if shared else 2 * steps + AFTER
    planes = np.empty(4, np.int64)
    planes[0] = used
    for k in range(3):
        bands = (count[k] + plan.band - 1) // plan.band
        planes[k + 1] = planes[k] + 2 * bands * plan.band
    first = np.empty(n, np.int64)
    spread_points(time, spectrum_step, plan, first, kernel)
    undo_filter(time, spectrum_step, plan.undo, undo)
    for k in range(3):
        if count[k] == 0:
            continue
        if k < 2:
            of = weighted if k == 0 else weight
            for j in range(n):
                strength[j] = np.float32(of[j]) * undo[j]
        half = (planes[k + 1] - planes[k]) // 2
        spectrum(
            time,
            strength,
            first,
            kernel,
            (2 * low if k == 2 else low) - BEFORE * spectrum_step,
            spectrum_step,
            count[k],
            plan,
            turned,
            grid,
            room[planes[k] : planes[k] + half],
            room[planes[k] + half : planes[k + 1]],
        )
    y = room[planes[0] : planes[1]]
    w = room[planes[1] : planes[2]]
    d = w[ahead:] if shared else room[planes[2] : planes[3]]
    half = w.size // 2 if shared else d.size // 2
    return _combine(
        y[: y.size // 2],
        y[y.size // 2 :],
        w[: w.size // 2],
        w[w.size // 2 :],
        d[:half],
        d[half:],
        plan.filters,
        DEGENERATE / n,
        skip,
        power,
    )
