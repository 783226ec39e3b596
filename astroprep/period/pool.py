"""The pool of frequencies worth weighing: peaks, their aliases and harmonics, quickly screened."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import harmonic_fit
from astroprep.period.folds import usable_harmonics

__all__ = ["pool", "screen"]

LEADERS = 3  # peaks whose aliases and harmonics join the pool
# cycles per day between a signal and its alias: day, sidereal day, twice each, month, year
ALIASES = np.array([1.0, 1.0027379, 2.0, 2.0054758, 1 / 29.53, 1 / 365.25])
MULTIPLES = np.array([2.0, 3.0, 2 / 3])  # of a leader; half of the last is its third


@njit(cache=True)
def _summit(power: NDArray[np.float32], place: int) -> float:
    """Where the parabola through three grid powers peaks, in steps from the middle one."""
    if place == 0 or place == power.size - 1:
        return 0.0
    bend = power[place - 1] - 2 * power[place] + power[place + 1]
    if bend >= 0:
        return 0.0
    return float(min(max(0.5 * (power[place - 1] - power[place + 1]) / bend, -0.5), 0.5))


@njit(cache=True)
def pool(
    power: NDArray[np.float32],
    start: float,
    step: float,
    peak: NDArray[np.int64],
    separation: float,
) -> NDArray[np.float64]:
    """Frequencies to screen: the peaks, then aliases and harmonics of the leaders.

    A peak's place is improved by the parabola through its three powers; an alias or harmonic is
    moved to the highest grid power within one step and left out where a peak stands already.
    """
    room = peak.size + LEADERS * (2 * ALIASES.size + MULTIPLES.size)
    found = np.empty(room)
    count = peak.size
    for k in range(peak.size):
        found[k] = start + step * (peak[k] + _summit(power, peak[k]))
    stop = start + step * (power.size - 1)
    for k in range(min(LEADERS, peak.size)):
        for m in range(2 * ALIASES.size + MULTIPLES.size):
            if m < 2 * ALIASES.size:
                at = abs(found[k] + (1 - 2 * (m % 2)) * ALIASES[m // 2])
            else:
                at = found[k] * MULTIPLES[m - 2 * ALIASES.size]
            if at < start or at > stop:
                continue
            place = int(np.rint((at - start) / step))
            for i in (place - 1, place + 1):
                if 0 <= i < power.size and power[i] > power[place]:
                    place = i
            at = start + step * (place + _summit(power, place))
            new = True
            for i in range(count):
                if abs(found[i] - at) < separation * step:
                    new = False
                    break
            if new:
                found[count] = at
                count += 1
    return found[:count]


@njit(cache=True)
def screen(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    frequency: float,
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> float:
    """Gain in log-likelihood of four harmonics at the frequency or eight at half of it.

    Each pays half the logarithm of the number of points per coefficient (Schwarz 1978).
    """
    n = time.size
    best = -np.inf
    for at, wanted in ((frequency, 4), (0.5 * frequency, 8)):
        used = usable_harmonics(n, wanted)
        p = harmonic_fit(time, weight, weighted, at, used, work, matrix, coefficient)
        gain = -0.5 * n * np.log(max(1.0 - p, 1e-12)) - used * np.log(n)
        best = max(best, gain)
    return best
