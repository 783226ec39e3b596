"""Around one known frequency: a cheap local periodogram, exact climbs, and named rivals.

A full periodogram asks a question at a few hundred thousand frequencies. Where a frequency is
known beforehand, the light curve turned back by it (complex demodulation) varies so slowly that
256 bins in time hold all that lies within some sixty peak widths; two short Fourier transforms
then show where the period may have gone, and a handful of exact fits in float64 decide.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import harmonic_fit

__all__ = [
    "BINS",
    "OFFSETS",
    "REACH",
    "alias_of",
    "best_alias",
    "climb",
    "harmonics_for",
    "strongest_nearby",
    "transform_table",
]

BINS = 256  # of the demodulated light curve
LENGTH = 4 * BINS  # of the transform; the padding gives four frequencies per peak width
REACH = 60.0  # peak widths 1 / T that the transform of the second harmonic reaches on either side
CLIMB = 0.12  # first step of a climb, in units of 1 / T: half the half-width of a peak
CLIMBS = 6  # steps before a climb gives up; it starts within one peak width
RIVALS = 2  # aliases that are fitted with all harmonics
LIKELY = 0.6  # of the power of the sine at the known frequency, from which an alias is fitted

DAY, SIDEREAL, YEAR, MONTH = 1.0, 1.0027379, 1 / 365.25, 1 / 29.530589  # cycles per day
OFFSETS = np.array(
    [sign * size for size in (DAY, SIDEREAL, 2 * DAY, MONTH, YEAR) for sign in (1.0, -1.0)]
)
"""Frequencies at which ground-based sampling repeats, cycles per day, both signs."""


def transform_table() -> NDArray[np.complex128]:
    """``exp(-2 pi i j / LENGTH)``, complex128, shape (LENGTH / 2,)."""
    return np.exp(-2j * np.pi * np.arange(LENGTH // 2) / LENGTH)


@njit(cache=True)
def harmonics_for(n_points: int, wanted: int) -> int:
    """As many harmonics as wanted, but four points for each pair of coefficients."""
    return int(max(1, min(wanted, (n_points - 3) // 4)))


@njit(cache=True)
def _transform(series: NDArray[np.complex128], table: NDArray[np.complex128]) -> None:
    """Fourier transform in place, radix 2, output in bit-reversed order.

    Only the first quarter of `series` holds anything, so the first two levels only multiply.
    """
    size = series.size
    quarter = size // 4
    for j in range(quarter):
        z = series[j]
        w = table[j]
        w2 = table[2 * j]
        series[j + quarter] = z * w2
        series[j + 2 * quarter] = z * w
        series[j + 3 * quarter] = z * w * w2
    half = quarter // 2
    stride = 4
    while half >= 1:
        for start in range(0, size, 2 * half):
            for j in range(half):
                a = series[start + j]
                b = series[start + j + half]
                series[start + j] = a + b
                series[start + j + half] = (a - b) * table[j * stride]
        half //= 2
        stride *= 2


@njit(cache=True)
def _reversed_bits(k: int) -> int:
    """Position of frequency k, 0 to LENGTH - 1, after `_transform`."""
    out = 0
    length = LENGTH
    while length > 1:
        out = (out << 1) | (k & 1)
        k >>= 1
        length >>= 1
    return out


@njit(cache=True)
def strongest_nearby(
    time: NDArray[np.float64],
    weighted: NDArray[np.float64],
    frequency: float,
    baseline: float,
    reach: float,
    cosine: NDArray[np.float64],
    sine: NDArray[np.float64],
    table: NDArray[np.complex128],
    room: NDArray[np.complex128],
) -> float:
    """Frequency near a known one at which the first two harmonics together are strongest.

    Parameters
    ----------
    time, weighted : float64 array, shape (n_points,)
        From `astroprep.period.exact.standardise`.
    frequency : float
        The known one, cycles per day.
    baseline : float
        Last minus first time T, days.
    reach : float
        How far to look, in units of 1 / T, at most `REACH`.
    cosine, sine : float64 array, shape (n_points,)
        Of ``2 pi frequency time``, as `harmonic_fit` leaves them in its work space.
    table : complex128 array
        From `transform_table`.
    room : complex128 array, shape (2, 4 * BINS)
        Overwritten.

    Returns
    -------
    float
        Cycles per day, to within 1 / (16 T); a place to climb from, not a measurement.
    """
    room[:] = 0.0
    one = room[0]
    two = room[1]
    scale = (BINS - 1e-9) / baseline
    for j in range(time.size):
        b = int((time[j] + 0.5 * baseline) * scale)
        turned = complex(cosine[j], -sine[j])
        z = weighted[j] * turned
        one[b] += z
        two[b] += z * turned
    _transform(one, table)
    _transform(two, table)
    # a step of 1 / (8 T) moves the second harmonic by one frequency of its transform and the
    # first by half of one
    last = int(8 * reach)
    lowest = max(-last, int(np.ceil(8 * (1.0 - frequency * baseline))))
    top = -1.0
    best = 0
    for k in range(lowest, last + 1):
        x = np.pi * k / 4 / BINS  # second harmonic: the bins damp it by sinc(x / pi)
        z = two[_reversed_bits(k % LENGTH)]
        power = (z.real * z.real + z.imag * z.imag) * _undamped(x)
        z = one[_reversed_bits((k // 2) % LENGTH)]
        first = z.real * z.real + z.imag * z.imag
        if k % 2:
            z = one[_reversed_bits((k // 2 + 1) % LENGTH)]
            first = 0.5 * (first + z.real * z.real + z.imag * z.imag)
        power += first * _undamped(0.5 * x)
        if power > top:
            top = power
            best = k
    return frequency + best / (8 * baseline)


@njit(cache=True)
def _undamped(x: float) -> float:
    """One over the square of sin(x) / x."""
    return 1.0 if x == 0 else (x / np.sin(x)) ** 2


@njit(cache=True)
def climb(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    start: float,
    step: float,
    n_harmonics: int,
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> tuple[float, float, float]:
    """The nearest maximum of the share of variance that a Fourier series explains.

    Returns
    -------
    frequency, power : float
        Of the maximum; `coefficient` and `work` end as those of this fit.
    curvature : float
        Minus the second derivative of the power with frequency; 0 where it is no maximum.
    """
    best = start
    top = harmonic_fit(time, weight, weighted, best, n_harmonics, work, matrix, coefficient)
    left = harmonic_fit(time, weight, weighted, best - step, n_harmonics, work, matrix, coefficient)
    right = harmonic_fit(
        time, weight, weighted, best + step, n_harmonics, work, matrix, coefficient
    )
    for _ in range(CLIMBS):
        if left > top and left >= right and best > 2 * step:
            right, top, best = top, left, best - step
            at = best - step
            left = harmonic_fit(time, weight, weighted, at, n_harmonics, work, matrix, coefficient)
        elif right > top:
            left, top, best = top, right, best + step
            at = best + step
            right = harmonic_fit(time, weight, weighted, at, n_harmonics, work, matrix, coefficient)
        else:
            break
    vertex = best + step * _vertex(left, top, right)
    fine = step / 3
    left = harmonic_fit(
        time, weight, weighted, vertex - fine, n_harmonics, work, matrix, coefficient
    )
    right = harmonic_fit(
        time, weight, weighted, vertex + fine, n_harmonics, work, matrix, coefficient
    )
    middle = harmonic_fit(time, weight, weighted, vertex, n_harmonics, work, matrix, coefficient)
    curvature = max(2 * middle - left - right, 0.0) / fine**2
    vertex += fine * _vertex(left, middle, right)
    middle = harmonic_fit(time, weight, weighted, vertex, n_harmonics, work, matrix, coefficient)
    return vertex, middle, curvature


@njit(cache=True)
def _vertex(left: float, middle: float, right: float) -> float:
    """Maximum of the parabola through three points, in steps, within one step."""
    bend = left - 2 * middle + right
    return min(max(0.5 * (left - right) / bend, -1.0), 1.0) if bend < 0 else 0.0


@njit(cache=True)
def best_alias(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    frequency: float,
    baseline: float,
    n_harmonics: int,
    dominant: int,
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> tuple[float, float, float]:
    """The frequency that the sampling confuses most with a known one.

    Aliases belong to the harmonic that carries the power: a binary whose second harmonic
    dominates has them half as far from its frequency.

    Parameters
    ----------
    frequency : float
        The known one, cycles per day.
    dominant : int
        Number of its strongest harmonic, 1 or 2.

    Returns
    -------
    frequency, power, curvature : float
        As from `climb`; power 0 where no alias is worth a climb.
    """
    strong = harmonic_fit(
        time, weight, weighted, dominant * frequency, 1, work, matrix, coefficient
    )
    found = np.zeros(OFFSETS.size)
    for k in range(OFFSETS.size):
        at = abs(dominant * frequency + OFFSETS[k])
        # nearer than one and a half peaks it is the same peak; a day of another kind, the same
        if abs(OFFSETS[k]) * baseline < 1.5 or at * baseline < dominant:
            continue
        if abs(abs(OFFSETS[k]) - SIDEREAL) < 1e-9 and (SIDEREAL - DAY) * baseline < 0.5:
            continue
        found[k] = harmonic_fit(time, weight, weighted, at, 1, work, matrix, coefficient)
    best, top, bend = 0.0, 0.0, 0.0
    for _ in range(RIVALS):
        k = int(np.argmax(found))
        if found[k] <= LIKELY * strong:
            break
        found[k] = 0.0
        at = abs(dominant * frequency + OFFSETS[k]) / dominant
        where, power, curvature = climb(
            time,
            weight,
            weighted,
            at,
            CLIMB / baseline,
            n_harmonics,
            work,
            matrix,
            coefficient,
        )
        if power > top:
            best, top, bend = where, power, curvature
    return best, top, bend


def alias_of(
    old: NDArray[np.float64],
    new: NDArray[np.float64],
    baseline: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether one frequency lies where the sampling repeats another, to within half a peak.

    Parameters
    ----------
    old, new : float64 array, shape (n_curves,)
        Cycles per day.
    baseline : float64 array, shape (n_curves,)
        Days.
    """
    near = np.zeros(old.shape, bool)
    for dominant in (1, 2):
        for offset in OFFSETS:
            meant = np.abs(dominant * old + offset) / dominant
            far = np.abs(meant - old) * baseline > 1.0
            near |= far & (np.abs(new - meant) * baseline < 0.5)
    return near
