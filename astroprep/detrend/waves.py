"""Coherent pulsation of a star as a sum of sines, so that events on it stand out."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.threads import for_objects

__all__ = ["find_waves"]

CELLS_PER_CYCLE = 4  # of the grid that is transformed, at its highest frequency
MAX_CELLS = 1 << 18  # four years at 30 cycles per day; longer curves are searched less far up
PEAK_OVER_NOISE = 18.0  # power; an amplitude of 4.8 times the noise around it, above Breger's 4
LEAST_SHARE = 0.01  # of the variance; a weaker sine changes no event
ROUNDS, PER_ROUND = 8, 5  # peaks of one spectrum are taken together while they are far apart
OF_HIGHEST = 0.25  # of the highest peak; lower ones may be its side lobes
SWEEPS = 3  # each sine is fitted anew with all others taken out
CLIP = 6.0  # robust sigma; points further off say nothing about the pulsation


@njit(cache=True)
def _transform(a: NDArray[np.complex128]) -> None:
    """Fast Fourier transform in place; the length is a power of two."""
    n = a.size
    j = 0
    for i in range(1, n):
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j ^= bit
        if i < j:
            a[i], a[j] = a[j], a[i]
    roots = np.exp(-2j * np.pi * np.arange(n // 2) / n)
    length = 2
    while length <= n:
        half, stride = length // 2, n // length
        for start in range(0, n, length):
            for k in range(half):
                u = a[start + k]
                v = a[start + k + half] * roots[k * stride]
                a[start + k] = u + v
                a[start + k + half] = u - v
        length *= 2


@njit(cache=True)
def _power(
    time: NDArray[np.float64], residual: NDArray[np.float64], cell: float, size: int
) -> NDArray[np.float64]:
    """Share of the variance that a sine explains, at ``k / (size cell)``; points in cells."""
    grid = np.zeros(size, np.complex128)
    mean = np.mean(residual)
    total = 0.0
    for i in range(time.size):
        off = residual[i] - mean
        grid[int((time[i] - time[0]) / cell + 0.5)] += off
        total += off * off
    _transform(grid)
    power = np.empty(size // CELLS_PER_CYCLE)
    for k in range(power.size):
        power[k] = 2 * (grid[k].real ** 2 + grid[k].imag ** 2)
    return power / max(time.size * total, 1e-300)


@njit(cache=True)
def _peaks(power: NDArray[np.float64], first: int, width: int, room: int) -> NDArray[np.int64]:
    """The highest peaks above the noise, at most `room`, none within `width` of another."""
    found = np.empty(room, np.int64)
    left = power.copy()
    left[:first] = 0.0
    noise = np.median(power[first:]) / np.log(2.0)
    n, top = 0, 0.0
    while n < room:
        k = int(np.argmax(left))
        top = max(top, left[k])
        if left[k] < max(LEAST_SHARE, PEAK_OVER_NOISE * noise, OF_HIGHEST * top):
            break
        found[n] = k
        n += 1
        left[max(k - width, 0) : k + width + 1] = 0.0
    return found[:n]


@njit(cache=True)
def _solve3(m: NDArray[np.float64], b: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Solution of the first n of three normal equations, by elimination."""
    x = np.zeros(3)
    for i in range(n):
        if m[i, i] <= 1e-12 * (abs(m[0, 0]) + 1e-300):
            return x
        for j in range(i + 1, n):
            factor = m[j, i] / m[i, i]
            for k in range(i, n):
                m[j, k] -= factor * m[i, k]
            b[j] -= factor * b[i]
    for i in range(n - 1, -1, -1):
        rest = b[i]
        for k in range(i + 1, n):
            rest -= m[i, k] * x[k]
        x[i] = rest / m[i, i]
    return x


@njit(cache=True)
def _improve(
    time: NDArray[np.float64],
    residual: NDArray[np.float64],
    use: NDArray[np.bool_],
    wave: NDArray[np.float64],
    max_shift: float,
) -> None:
    """Fit cosine, sine and frequency of one `wave` again; `residual` is without it and kept so."""
    a, b, omega = wave[1], wave[2], 2 * np.pi * wave[0]
    cosine, sine = np.cos(omega * time), np.sin(omega * time)
    n = 3 if a * a + b * b > 0 else 2
    m, right = np.zeros((3, 3)), np.zeros(3)
    column = np.empty(3)
    for i in range(time.size):
        residual[i] += a * cosine[i] + b * sine[i]
        if use[i]:
            column[0], column[1] = cosine[i], sine[i]
            column[2] = 2 * np.pi * time[i] * (b * cosine[i] - a * sine[i])
            for j in range(n):
                right[j] += column[j] * residual[i]
                for k in range(j, n):
                    m[j, k] += column[j] * column[k]
    m[1, 0], m[2, 0], m[2, 1] = m[0, 1], m[0, 2], m[1, 2]
    x = _solve3(m, right, n)
    wave[1], wave[2] = x[0], x[1]
    wave[0] += min(max(x[2], -max_shift), max_shift)
    omega = 2 * np.pi * wave[0]
    for i in range(time.size):
        residual[i] -= wave[1] * np.cos(omega * time[i]) + wave[2] * np.sin(omega * time[i])


@njit(cache=True)
def _near(residual: NDArray[np.float64]) -> NDArray[np.bool_]:
    middle = np.median(residual)
    off = np.abs(residual - middle)
    return np.asarray(off <= CLIP * 1.4826 * np.median(off))


@njit(cache=True)
def _waves_of_curve(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    lowest: float,
    highest: float,
    max_waves: int,
) -> NDArray[np.float64]:
    """Frequency, cosine and sine amplitude of each wave, shape (n_waves, 3); time from 0."""
    span = time[-1]
    waves = np.zeros((max_waves, 3))
    highest = min(highest, (MAX_CELLS // 2) / (CELLS_PER_CYCLE * span))
    if highest <= lowest:
        return waves[:0]
    cell = 1 / (CELLS_PER_CYCLE * highest)
    size = 16
    while size < 2 * span / cell:
        size *= 2
    first, width = int(np.ceil(lowest * size * cell)), int(1.5 * size * cell / span) + 1
    residual = value - np.mean(value)
    n = 0
    for _ in range(ROUNDS):
        use = _near(residual)
        if use.sum() < 30:
            break
        power = _power(time[use], residual[use], cell, size)
        new = _peaks(power, first, width, min(PER_ROUND, max_waves - n))
        if new.size == 0:
            break
        for k in new:
            waves[n, 0] = k / (size * cell)
            n += 1
        for _sweep in range(SWEEPS):
            use = _near(residual)
            for k in range(n):
                _improve(time, residual, use, waves[k], 0.2 / span)
    return waves[:n]


@njit(nogil=True, cache=True)
def _find_waves_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    residual: NDArray[np.float64],
    keep: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    cadence: NDArray[np.float64],
    min_frequency: float,
    max_frequency: float,
    max_waves: int,
    wave: NDArray[np.float64],
    n_waves: NDArray[np.int64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        used = np.flatnonzero(keep[part])
        if used.size < 30 or max_waves < 1 or not cadence[i] > 0:
            continue
        t = time[part][used]
        if not t[-1] > t[0]:
            continue
        waves = _waves_of_curve(
            t - t[0],
            residual[part][used],
            min_frequency,
            min(max_frequency, 0.5 / cadence[i]),
            max_waves,
        )
        n_waves[i] = waves.shape[0]
        for k in range(waves.shape[0]):
            angle = 2 * np.pi * waves[k, 0] * (time[part] - t[0])
            wave[part] += waves[k, 1] * np.cos(angle) + waves[k, 2] * np.sin(angle)


def find_waves(
    time: NDArray[np.float64],
    residual: NDArray[np.float64],
    keep: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    cadence: NDArray[np.float64],
    min_frequency: float,
    max_frequency: float,
    max_waves: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum of the significant sines of each curve.

    Parameters
    ----------
    time, residual : float64 array, shape (n_points,)
        Sorted by time within each curve; days, and value minus a trend, in any unit.
    keep : bool array, shape (n_points,)
        Points that are fitted; the sum is given at all.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    cadence : float64 array, shape (n_curves,)
        Typical distance of points, days: half its inverse bounds the frequencies.
    min_frequency, max_frequency : float
        Cycles per day.
    max_waves : int
        At most so many sines a curve.

    Returns
    -------
    wave : float64 array, shape (n_points,)
        Unit of the residual, 0 for curves without significant sines.
    n_waves : int64 array, shape (n_curves,)

    Notes
    -----
    A sine is taken if it explains 1 % of the variance and its power stands 18 times above the
    noise around it, 4.8 in amplitude where Breger et al. (1993) ask for 4. The highest peaks of
    one spectrum are taken together, fitted in turn with their frequencies, and the rest is
    transformed again.

    References
    ----------
    .. [1] Breger et al. 1993, A&A 271, 482
    """
    wave = np.zeros(time.size)
    n_waves = np.zeros(offsets.size - 1, np.int64)
    for_objects(
        _find_waves_range,
        offsets.size - 1,
        time,
        residual,
        keep,
        offsets,
        cadence,
        min_frequency,
        max_frequency,
        max_waves,
        wave,
        n_waves,
    )
    return wave, n_waves
