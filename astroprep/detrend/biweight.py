"""Tukey's biweight of a sliding window in a time that does not depend on its length.

Within the cut the weights are a polynomial of the deviation, so that all sums which the estimate
needs are combinations of six power sums of the values within it. The window gains and loses a
value at a time, and so do the power sums; so do they when the cut moves over a value.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["biweight_error", "biweight_of", "new_state", "pass_on"]

TOLERANCE = 1e-6  # of the MAD: a shorter step ends the iteration; Hippke et al. 2019
# After a step of the third order by s MAD there is an error of about s**3 / tuning**2 MAD, and of
# s**2 / n where a value crosses the cut: below TOLERANCE for such a step.
LAST_STEP = 5e-3
# Such steps are taken where they cannot leave the maximum next to the median: with a slope of
# at least a tenth of the weights, and no longer than a tenth of the cut. Reweighting does the rest.
STEEP, SHORT = 0.1, 0.1
MAX_STEPS = 1000
# The power sums start anew, relative to the present median and MAD, when those have changed by
# more than this: the fifth power of a ratio of 16 costs 6 of 16 digits.
SHIFT, SHRINK, GROW = 1.0, 0.5, 16.0

# state[:6]: sums of powers 0 to 5 of (x - state[6]) * state[7] over the values that lie between
# state[8] and state[9]. places: where those begin and end in the window, and where the half
# nearest to the median begins (a hint). state[7] == 0: nothing there yet.
REFERENCE, SCALE, LOW, HIGH, STATE_SIZE = 6, 7, 8, 9, 10


@njit(cache=True, forceinline=True, error_model="numpy")
def new_state() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Power sums and places of a window that nothing is known of."""
    return np.zeros(STATE_SIZE), np.zeros(3, np.int64)


@njit(cache=True, forceinline=True, error_model="numpy")
def _add(state: NDArray[np.float64], x: float) -> None:
    y = (x - state[REFERENCE]) * state[SCALE]
    y2 = y * y
    state[0] += 1.0
    state[1] += y
    state[2] += y2
    state[3] += y2 * y
    state[4] += y2 * y2
    state[5] += y2 * y2 * y


@njit(cache=True, forceinline=True, error_model="numpy")
def _subtract(state: NDArray[np.float64], x: float) -> None:
    y = (x - state[REFERENCE]) * state[SCALE]
    y2 = y * y
    state[0] -= 1.0
    state[1] -= y
    state[2] -= y2
    state[3] -= y2 * y
    state[4] -= y2 * y2
    state[5] -= y2 * y2 * y


@njit(cache=True, forceinline=True, error_model="numpy")
def pass_on(state: NDArray[np.float64], places: NDArray[np.int64], old: float, new: float) -> None:
    """Account for `old` that leaves the window and `new` that enters, infinite for none."""
    low, high = state[LOW], state[HIGH]
    if low < old < high and low < new < high:
        y, z = (old - state[REFERENCE]) * state[SCALE], (new - state[REFERENCE]) * state[SCALE]
        yy, zz = y * y, z * z
        state[1] += z - y
        state[2] += zz - yy
        state[3] += zz * z - yy * y
        state[4] += zz * zz - yy * yy
        state[5] += zz * zz * z - yy * yy * y
        return
    places[0] += np.int64(new <= low) - np.int64(old <= low)
    places[1] += np.int64(new < high) - np.int64(old < high)
    if low < old < high:
        _subtract(state, old)
    elif low < new < high:
        _add(state, new)


@njit(cache=True, error_model="numpy")
def _start(
    now: NDArray[np.float64],
    m: int,
    state: NDArray[np.float64],
    places: NDArray[np.int64],
    center: float,
    mad: float,
    cut: float,
) -> None:
    """Make the power sums from all values of the window."""
    low, high = center - cut, center + cut
    state[:6] = 0.0
    state[REFERENCE], state[SCALE], state[LOW], state[HIGH] = center, 1.0 / mad, low, high
    places[0] = places[1] = 1
    for k in range(1, m + 1):
        if now[k] <= low:
            places[0] += 1
        if now[k] < high:
            places[1] += 1
            if now[k] > low:
                _add(state, now[k])


@njit(cache=True, forceinline=True, error_model="numpy")
def _move_cut(
    now: NDArray[np.float64],
    state: NDArray[np.float64],
    places: NDArray[np.int64],
    center: float,
    cut: float,
) -> None:
    """Centre the range of the power sums on `center`; few values cross its ends."""
    low, high = center - cut, center + cut
    first, end = places[0], places[1]
    while now[first] <= low:
        if first < end:
            _subtract(state, now[first])
        first += 1
    end = max(end, first)
    while now[first - 1] > low:
        first -= 1
        _add(state, now[first])
    while now[end - 1] >= high:
        end -= 1
        _subtract(state, now[end])
    while now[end] < high:
        _add(state, now[end])
        end += 1
    places[0], places[1] = first, end
    state[LOW], state[HIGH] = low, high


@njit(cache=True, forceinline=True, error_model="numpy", fastmath={"contract"})
def _pull(state: NDArray[np.float64], e: float, q: float) -> tuple[float, float, float]:
    """Sum of weight times deviation from `e`, minus its slope in `e`, and its second derivative.

    In the unit of the power sums; ``q`` is the inverse square of the cut. The sum of
    ``d (1 - q d**2)**2``, ``d = y - e``, is a polynomial in e, whose coefficients do not wait
    for e: the processor makes them while it still divides for the last step.
    """
    p0, p1, p2, p3 = state[0], state[1], state[2], state[3]
    qq = q * q
    c0 = p1 - 2.0 * q * p3 + qq * state[5]
    c1 = 6.0 * q * p2 - 5.0 * qq * state[4] - p0
    c2 = 10.0 * qq * p3 - 6.0 * q * p1
    c3 = 2.0 * q * p0 - 10.0 * qq * p2
    c4, c5 = 5.0 * qq * p1, -qq * p0
    ee = e * e
    pull = (c0 + c1 * e) + ee * ((c2 + c3 * e) + ee * (c4 + c5 * e))
    slope = (c1 + 2.0 * c2 * e) + ee * ((3.0 * c3 + 4.0 * c4 * e) + ee * (5.0 * c5))
    bend = (2.0 * c2 + 6.0 * c3 * e) + ee * (12.0 * c4 + 20.0 * c5 * e)
    return pull, -slope, bend


@njit(cache=True, error_model="numpy")
def _weight(state: NDArray[np.float64], e: float, q: float) -> float:
    """Sum of the weights ``(1 - q d**2)**2`` about `e`."""
    p0, p1, p2, p3 = state[0], state[1], state[2], state[3]
    d2 = p2 - e * (2.0 * p1 - e * p0)
    d4 = state[4] - e * (4.0 * p3 - e * (6.0 * p2 - e * (4.0 * p1 - e * p0)))
    return float(p0 - q * (2.0 * d2 - q * d4))


@njit(cache=True, forceinline=True, error_model="numpy")
def biweight_of(
    now: NDArray[np.float64],
    m: int,
    state: NDArray[np.float64],
    places: NDArray[np.int64],
    median: float,
    mad: float,
    tuning: float,
) -> float:
    """Biweight location of the `m` values in order, the fixed point reached from the median.

    Parameters
    ----------
    now : float64 array
        The window, see `astroprep.detrend.sorted_window`.
    m : int
        How many values it holds.
    state, places : float64 and int64 arrays
        From `new_state`, and since then kept by `pass_on` and this function.
    median, mad : float
        Of the window; ``mad > 0``.
    tuning : float
        Values beyond so many MAD have no weight.
    """
    cut = tuning * mad
    moved, scaled = abs(median - state[REFERENCE]) * state[SCALE], mad * state[SCALE]
    if not (moved <= SHIFT and SHRINK <= scaled <= GROW):
        _start(now, m, state, places, median, mad, cut)
    reference, unit = state[REFERENCE], 1.0 / state[SCALE]
    e, scaled = (median - reference) * state[SCALE], mad * state[SCALE]
    q = 1.0 / (tuning * scaled) ** 2
    for _ in range(MAX_STEPS):
        _move_cut(now, state, places, reference + e * unit, cut)
        pull, slope, bend = _pull(state, e, q)
        inverse = 1.0 / slope
        step, last = pull * inverse, LAST_STEP * scaled
        if slope > STEEP * state[0] and abs(step) <= SHORT * tuning * scaled:
            step += 0.5 * bend * inverse * step * step
        else:
            step, last = pull / _weight(state, e, q), TOLERANCE * scaled
        e += step
        if abs(step) <= last:
            break
    return float(reference + e * unit)


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def biweight_error(
    now: NDArray[np.float64], places: NDArray[np.int64], center: float, cut: float
) -> float:
    """Standard error of the biweight from its influence function, NaN where that has none.

    Beers, Flynn & Gebhardt 1990, their equation (9) for the square of the scale, over n.
    """
    q = 1.0 / cut**2
    spread, slope = 0.0, 0.0
    for k in range(np.uint64(places[0]), np.uint64(places[1])):
        d = now[k] - center
        u = q * d * d
        v = 1.0 - u
        spread += u * v * v * v * v
        slope += v * (1.0 - 5.0 * u)
    if not slope > 0.0:
        return np.nan
    return float(np.sqrt(spread / max(slope * (slope - 1.0), 0.25 * slope * slope)) * cut)
