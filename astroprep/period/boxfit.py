"""What a light curve says about a box: its depth, the noise on that scale, the other dips."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.period.points import check_numbers

__all__ = ["Box", "measure_box"]

Floats = NDArray[np.float64]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
WINDOWS = 10  # stretches without a transit that are enough to measure the noise


@dataclass(frozen=True)
class Box:
    """A box and what the curve says about it; every number finite.

    Parameters
    ----------
    period, epoch, duration : float
        Days; `epoch` is the middle of the first box that does not end before the first point.
    depth, depth_error : float
        Mean outside minus mean inside, unit of the brightness, as astropy's `compute_stats`
        has it: a second dip elsewhere lowers the mean outside. The error is the formal one
        times `noise`.
    noise : float
        Scatter of the means over stretches as long as the box, outside it, in formal errors;
        1 where it is smaller or fewer than ten stretches are there. Above 1 where the noise
        remembers or error bars are too small.
    odd_even : float
        Depth of the first, third, ... minus that of the others, in sigma (`noise` included);
        0 where only one kind has points (`n_odd` tells).
    secondary : float
        Depth half a period later, in sigma; 0 where no point is there.
    n_transits, n_odd : int
        Boxes that have a point, and those of the first kind.
    """

    period: float
    epoch: float
    duration: float
    depth: float
    depth_error: float
    noise: float
    odd_even: float
    secondary: float
    n_transits: int
    n_odd: int

    @property
    def snr(self) -> float:
        """Depth in its errors."""
        return self.depth / self.depth_error


def _away(time: Floats, period: float, epoch: float) -> Floats:
    """Days from the nearest middle of a box."""
    half = 0.5 * period
    return np.asarray(np.abs(np.mod(time - epoch + half, period) - half))


def _mean(brightness: Floats, weight: Floats, rows: NDArray[np.bool_]) -> tuple[float, float]:
    """Weighted mean of some points and its variance; infinite for none."""
    total = float(weight[rows].sum())
    if not total > 0:
        return 0.0, math.inf
    return float((weight[rows] * brightness[rows]).sum()) / total, 1.0 / total


def _noise(
    time: Floats, brightness: Floats, weight: Floats, away: Floats, duration: float
) -> float:
    """Scatter of means over stretches of one duration well outside the box, in formal errors."""
    rows = away > duration
    if not rows.any():
        return 1.0
    stretch = np.floor((time[rows] - time[0]) / duration)
    start = np.flatnonzero(np.diff(stretch, prepend=-1.0) != 0)
    total = np.add.reduceat(weight[rows], start)
    mean = np.add.reduceat(weight[rows] * brightness[rows], start) / total
    if start.size < WINDOWS:
        return 1.0
    deviation = (mean - np.median(mean)) * np.sqrt(total)
    return max(1.0, MAD_TO_SIGMA * float(np.median(np.abs(deviation - np.median(deviation)))))


def measure_box(
    time: Floats,
    brightness: Floats,
    error: Floats,
    period: float,
    epoch: float,
    duration: float,
) -> Box:
    """What a curve says about a given box.

    Parameters
    ----------
    time, brightness, error : float64 array, shape (n_points,)
        Days, sorted; any unit in which large is bright; ``error > 0``. Finite.
    period, epoch, duration : float
        Days; `epoch` is the middle of any box.

    Returns
    -------
    Box

    Raises
    ------
    DataError
        If no point lies in the box or none outside, the times are not sorted, or a number is not
        finite or an error not positive.

    References
    ----------
    .. [1] Pont, Zucker & Queloz 2006, MNRAS 373, 231, doi:10.1111/j.1365-2966.2006.11012.x
       (noise that remembers, and the error of a depth)
    """
    check_numbers("measure_box", time, brightness, error, np.array([0, time.size]))
    weight = error**-2.0
    away = _away(time, period, epoch)
    inside = away < 0.5 * duration
    if not inside.any() or inside.all():
        raise DataError(
            f"measure_box needs points inside and outside the box: period {period!r}, epoch "
            f"{epoch!r}, duration {duration!r} days has {int(inside.sum())} of {time.size} inside"
        )
    # counted from the first box whose end is not before the first point
    epoch += period * math.ceil((time[0] - 0.5 * duration - epoch) / period)
    number = np.rint((time[inside] - epoch) / period).astype(np.int64)
    seen = np.unique(number)
    odd = np.zeros(time.size, bool)
    odd[np.flatnonzero(inside)[number % 2 == 0]] = True  # the first is odd: one, three, five
    noise = _noise(time, brightness, weight, away, duration)
    level, level_variance = _mean(brightness, weight, ~inside)
    mean, variance = _mean(brightness, weight, inside)

    def sigmas(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
        a, a_variance = _mean(brightness, weight, first)
        b, b_variance = _mean(brightness, weight, second)
        return (b - a) / (noise * math.sqrt(a_variance + b_variance))

    opposite = _away(time, period, epoch + 0.5 * period) < 0.5 * duration
    return Box(
        period=float(period),
        epoch=float(epoch),
        duration=float(duration),
        depth=level - mean,
        depth_error=noise * math.sqrt(variance + level_variance),
        noise=noise,
        odd_even=sigmas(odd, inside & ~odd),
        secondary=sigmas(opposite & ~inside, ~opposite & ~inside),
        n_transits=int(seen.size),
        n_odd=int((seen % 2 == 0).sum()),
    )
