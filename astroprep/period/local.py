"""Around one known frequency: a cheap local periodogram, and whether it is smeared.

A full periodogram asks a question at a few hundred thousand frequencies. Where a frequency is
known beforehand, the light curve turned back by it (complex demodulation) varies so slowly that
256 bins in time hold all that lies within some sixty peak widths; two short Fourier transforms
then show where the period may have gone, and a handful of exact fits in float64 (`climb`) decide.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "BENT",
    "BINS",
    "LENGTH",
    "REACH",
    "demodulate",
    "smeared",
    "strongest_nearby",
    "transform_table",
]

BINS = 256  # of the demodulated light curve
LENGTH = 4 * BINS  # of the transform; the padding gives four frequencies per peak width
REACH = 60.0  # peak widths 1 / T that the transform of the second harmonic reaches on either side
APART = 1.3  # times as much, that parts of a smeared curve explain by themselves; 2 sigma above

BENT = 4  # half cycles, at most, that a change of frequency is looked for blindly


def transform_table() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Tables of the transform.

    Returns
    -------
    twiddle : float32 array, shape (2 + 4 * BENT, LENGTH)
        cos and minus sin of ``2 pi j / size`` for j below half of each size from LENGTH down to
        2, one size after the other, so that every pass reads neighbours. Then, in the first BINS
        columns, cos and sin of 1 to 2 BENT half cycles times x**2, x from -1 to 1.
    order : int64 array, shape (LENGTH,)
        Where the transform leaves each frequency: its bits reversed.
    """
    parts = []
    size = LENGTH
    while size > 1:
        parts.append(np.exp(-2j * np.pi * np.arange(size // 2) / size))
        size //= 2
    turn = np.concatenate([*parts, [1.0]])
    order = np.zeros(1, np.int64)
    while order.size < LENGTH:
        order = np.concatenate((2 * order, 2 * order + 1))
    x = (np.arange(BINS) + 0.5) / (0.5 * BINS) - 1
    half_cycles = np.pi * np.arange(1, 2 * BENT + 1)[:, None] * x**2
    table = np.zeros((2 + 4 * BENT, LENGTH), np.float32)
    table[0], table[1] = turn.real, turn.imag
    table[2::2, :BINS], table[3::2, :BINS] = np.cos(half_cycles), np.sin(half_cycles)
    return table, order


@njit(cache=True, fastmath={"contract"})
def _transform(
    re: NDArray[np.float32], im: NDArray[np.float32], twiddle: NDArray[np.float32]
) -> None:
    """Fourier transform in place, radix 2, output in bit-reversed order.

    Only the first quarter holds anything, so the first two levels only multiply.
    """
    quarter = LENGTH // 4
    for j in range(quarter):
        wr, wi = twiddle[0, j], twiddle[1, j]
        vr, vi = twiddle[0, 2 * quarter + j], twiddle[1, 2 * quarter + j]
        ur, ui = wr * vr - wi * vi, wr * vi + wi * vr
        a, b = re[j], im[j]
        re[j + quarter] = a * vr - b * vi
        im[j + quarter] = a * vi + b * vr
        re[j + 2 * quarter] = a * wr - b * wi
        im[j + 2 * quarter] = a * wi + b * wr
        re[j + 3 * quarter] = a * ur - b * ui
        im[j + 3 * quarter] = a * ui + b * ur
    half = quarter // 2
    at = 3 * quarter
    while half >= 2:
        for start in range(0, LENGTH, 2 * half):
            r1, i1 = re[start : start + half], im[start : start + half]
            r2, i2 = re[start + half : start + 2 * half], im[start + half : start + 2 * half]
            wr, wi = twiddle[0, at : at + half], twiddle[1, at : at + half]
            for j in range(half):
                a, b = r1[j] - r2[j], i1[j] - i2[j]
                r1[j] += r2[j]
                i1[j] += i2[j]
                r2[j] = a * wr[j] - b * wi[j]
                i2[j] = a * wi[j] + b * wr[j]
        at += half
        half //= 2
    for j in range(0, LENGTH, 2):
        a, b = re[j], im[j]
        re[j] = a + re[j + 1]
        im[j] = b + im[j + 1]
        re[j + 1] = a - re[j + 1]
        im[j + 1] = b - im[j + 1]


@njit(cache=True)
def demodulate(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    baseline: float,
    cosine: NDArray[np.float64],
    sine: NDArray[np.float64],
    slow: NDArray[np.float64],
) -> None:
    """Sum the values in bins of time, turned back by once and twice the known frequency.

    Parameters
    ----------
    time, weight, weighted : float64 array, shape (n_points,)
        From `astroprep.period.exact.standardise`.
    baseline : float
        Last minus first time T, days.
    cosine, sine : float64 array, shape (n_points,) or longer
        Of ``2 pi frequency time``, as `harmonic_fit` leaves them in its work space.
    slow : float64 array, shape (5, BINS)
        Filled: real and imaginary part, of the first and of the second harmonic; weights.
    """
    slow[:] = 0.0
    scale = (BINS - 1e-9) / baseline
    for j in range(time.size):
        b = int((time[j] + 0.5 * baseline) * scale)
        c = cosine[j]
        s = sine[j]
        v = weighted[j]
        slow[0, b] += v * c
        slow[1, b] -= v * s
        slow[2, b] += v * (c * c - s * s)
        slow[3, b] -= v * (2 * c * s)
        slow[4, b] += weight[j]


@njit(cache=True)
def smeared(slow: NDArray[np.float64], place: float, n_points: int) -> bool:
    """Whether parts of the baseline, each with a phase of its own, explain much more than all.

    Two harmonics in each of K parts have 4 K coefficients; of noise they explain 4 K / n.

    Parameters
    ----------
    slow : float64 array, shape (5, BINS)
        From `demodulate`.
    place : float
        Frequency of the constant fit less the known one, in units of 1 / (8 T).
    n_points : int
        Of the curve.

    Returns
    -------
    bool
    """
    parts = max(3, min(8, n_points // 16))
    one = 0.0
    apart = 0.0
    for k in range(2):
        turn = -2j * np.pi * (k + 1) * place / 8 / BINS
        step = np.exp(turn)
        z = np.exp(-0.5 * BINS * turn)
        whole = 0j
        part = 0j
        weight = 0.0
        for b in range(BINS):
            part += z * complex(slow[2 * k, b], slow[2 * k + 1, b])
            weight += slow[4, b]
            z *= step
            if (b + 1) * parts // BINS > b * parts // BINS:
                whole += part
                if weight > 0:
                    apart += 2 * (part.real**2 + part.imag**2) / weight
                part = 0j
                weight = 0.0
        one += 2 * (whole.real**2 + whole.imag**2)
    noise = 4 * parts / n_points
    explained = (apart - noise) / (1 - noise) if noise < 1 else 0.0
    return bool(explained > APART * one + 2 * np.sqrt(8 * parts) / n_points)


@njit(cache=True)
def strongest_nearby(
    slow: NDArray[np.float64],
    bend: int,
    lowest: int,
    last: int,
    twiddle: NDArray[np.float32],
    order: NDArray[np.int64],
    room: NDArray[np.float32],
) -> tuple[int, float]:
    """Where near a known frequency the first two harmonics together are strongest.

    Parameters
    ----------
    slow : float64 array, shape (5, BINS)
        From `demodulate`.
    bend : int
        Half cycles by which a changing frequency is ahead at both ends of the baseline, at most
        `BENT` either way; 0 for a constant one.
    lowest, last : int
        Range of the search, in units of 1 / (8 T), within 8 `REACH`.
    twiddle, order
        From `transform_table`.
    room : float32 array, shape (4, LENGTH)
        Overwritten.

    Returns
    -------
    place : int
        Difference to the known frequency in units of 1 / (8 T); a place to climb from.
    strength : float
        Comparable between calls for one curve.
    """
    for k in range(2):
        re, im = room[2 * k], room[2 * k + 1]
        for b in range(BINS):
            re[b], im[b] = slow[2 * k, b], slow[2 * k + 1, b]
        if bend != 0:
            at = 2 * (k + 1) * abs(bend)
            cosine, sine = twiddle[at, :BINS], twiddle[at + 1, :BINS]
            sign = np.float32(-1.0 if bend > 0 else 1.0)
            for b in range(BINS):
                c = cosine[b]
                s = sign * sine[b]
                re[b], im[b] = re[b] * c - im[b] * s, re[b] * s + im[b] * c
        _transform(re, im, twiddle)
    # a step of 1 / (8 T) moves the second harmonic by one frequency of its transform and the
    # first by half of one
    top = -1.0
    best = 0
    for k in range(lowest, last + 1):
        p = order[k % LENGTH]
        power = (room[2, p] ** 2 + room[3, p] ** 2) * _undamped(np.pi * k / LENGTH)
        p = order[(k // 2) % LENGTH]
        first = room[0, p] ** 2 + room[1, p] ** 2
        if k % 2:
            p = order[(k // 2 + 1) % LENGTH]
            first = 0.5 * (first + room[0, p] ** 2 + room[1, p] ** 2)
        power += first * _undamped(0.5 * np.pi * k / LENGTH)
        if power > top:
            top = power
            best = k
    return best, top


@njit(cache=True)
def _undamped(x: float) -> float:
    """One over the square of sin(x) / x, to 2 % where the search ends: what the bins took away."""
    q = x * x
    return 1.0 + q * (1 / 3 + q * (1 / 15 + q * (2 / 189)))
