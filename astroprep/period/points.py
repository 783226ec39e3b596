"""What every periodogram asks of the points it is given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError

__all__ = ["check_numbers", "check_points"]


def check_numbers(
    name: str,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
) -> None:
    """Refuse points that the kernels would turn into silent nonsense.

    Parameters
    ----------
    name : str
        Who complains.
    time, value, error : float64 array, shape (n_points,)
        Days, any unit, the unit of `value`.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.

    Raises
    ------
    DataError
        If the lengths differ, a number is not finite, an error not positive, or a curve not
        sorted by time.
    """
    if not time.shape == value.shape == error.shape == (offsets[-1],):
        raise DataError(
            f"{name} needs one value and one error per time, got shapes {time.shape}, "
            f"{value.shape} and {error.shape} for {offsets[-1]} points"
        )
    good = np.isfinite(time) & np.isfinite(value) & np.isfinite(error) & (error > 0)
    if not good.all():
        i = int(np.argmin(good))
        raise DataError(
            f"{name} needs finite times and values and positive errors, got time={time[i]}, "
            f"value={value[i]}, error={error[i]}; leave such points out (see FlagBad): "
            f"curve {_curve(offsets, i)}"
        )
    falls = np.flatnonzero(time[1:] < time[:-1]) + 1
    falls = falls[~np.isin(falls, offsets)]  # from one curve to the next it may
    if falls.size:
        raise DataError(
            f"{name} needs points sorted by time: curve {_curve(offsets, int(falls[0]))}"
        )


def _curve(offsets: NDArray[np.int64], point: int) -> int:
    return int(np.searchsorted(offsets, point, side="right")) - 1


def check_points(
    name: str,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
) -> None:
    """Refuse curves that the kernels would turn into silent nonsense.

    Parameters
    ----------
    name : str
        Who complains.
    time, value, error : float64 array, shape (n_points,)
        Days, any unit, the unit of `value`.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.

    Raises
    ------
    DataError
        If the lengths differ, a curve has fewer than two points, is not sorted by time or has all
        its points at one time, or a number is not finite or an error not positive.
    """
    counts = np.diff(offsets)
    if np.any(counts < 2):
        i = int(np.argmax(counts < 2))
        raise DataError(f"{name} needs two points per curve, got {counts[i]}: curve {i}")
    check_numbers(name, time, value, error, offsets)
    baseline = time[offsets[1:] - 1] - time[offsets[:-1]]
    if np.any(~(baseline > 0)):
        i = int(np.argmax(~(baseline > 0)))
        raise DataError(
            f"{name} needs points at different times, all are at the same one: curve {i}"
        )
