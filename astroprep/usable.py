"""The points that kernels may use: which are good, in what order, and what their flags mean."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.threads import for_objects

__all__ = ["INFORMATIVE", "PointFlag", "Usable", "usable_points"]


class PointFlag(enum.IntFlag):
    """Why a point is not to be trusted; 0 is good.

    Steps set bits and never clear those of others, so that a batch tells its whole story.
    """

    BAD_TIME = 1  # not finite, or outside any survey
    MISSING_VALUE = 2  # not finite
    MISSING_ERROR = 4  # not finite, zero or negative
    SENTINEL = 8  # a number that stands for "none", such as 99.99
    SURVEY = 16  # the survey itself marked it
    OUTLIER = 32
    DUPLICATE = 64  # the same time and value again
    OTHER_BAND = 128  # outside the band that was selected
    UPPER_LIMIT = 256  # a non-detection: the value is a limit, not a measurement
    NOISE = 512  # alone in time and brightness
    ESTIMATED_ERROR = 1 << 16  # the error bar is ours, the point is fine
    EVENT = 1 << 17  # part of a flare, a dip or an eclipse: real, but no trend is made of it
    IMPUTED = 1 << 18  # the value is a model's, its error the model's


INFORMATIVE = PointFlag.ESTIMATED_ERROR | PointFlag.EVENT | PointFlag.IMPUTED
"""Bits that tell something about a point without excluding it."""


@njit(cache=True)
def _judge_one(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    flags: NDArray[np.uint32],
    excluding: np.uint32,
    keep: NDArray[np.bool_],
) -> tuple[int, bool]:
    """How many points are usable, and whether a weight is not 1; no branch, so that it is fast."""
    count, odd = 0, 0
    for j in range(time.size):
        good = (flags[j] & excluding) == 0
        good &= weight[j] > 0.0
        good &= abs(time[j]) < np.inf
        good &= abs(value[j]) < np.inf
        keep[j] = good
        count += good
        odd += weight[j] != 1.0
    return count, odd > 0


@njit(nogil=True, cache=True)
def _judge_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    flags: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    excluding: np.uint32,
    keep: NDArray[np.bool_],
    count: NDArray[np.int64],
    odd: NDArray[np.bool_],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        count[i], odd[i] = _judge_one(
            time[part], value[part], weight[part], flags[part], excluding, keep[part]
        )


def _judge(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    flags: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    excluding: np.uint32,
) -> tuple[NDArray[np.bool_], NDArray[np.int64], bool]:
    """Which points are usable, the offsets of those, and whether any weight is not 1."""
    n = offsets.size - 1
    keep, count, odd = np.empty(time.size, np.bool_), np.zeros(n, np.int64), np.zeros(n, np.bool_)
    arguments = (time, value, weight, flags, offsets, excluding, keep, count, odd)
    for_objects(_judge_range, n, *arguments)
    return keep, np.append(0, np.cumsum(count)), bool(odd.any())


@njit(cache=True)
def _order_one(
    time: NDArray[np.float64],
    keep: NDArray[np.bool_],
    first: int,
    last: int,
    index: NDArray[np.int64],
) -> None:
    """Positions of the kept points of one curve, by time; equal times keep their order."""
    n, ordered = 0, True
    for j in range(first, last):
        if keep[j]:
            index[n] = j
            ordered = ordered and (n == 0 or time[j] >= time[index[n - 1]])
            n += 1
    if not ordered:
        part = index.copy()
        order = np.argsort(time[part], kind="mergesort")
        for n in range(part.size):  # a slice would bring in the text of numpy's error messages
            index[n] = part[order[n]]


@njit(nogil=True, cache=True, error_model="numpy")
def _time_order_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    weight: NDArray[np.float64],
    keep: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    compact: NDArray[np.int64],
    weighted: bool,
    index: NDArray[np.int64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    e: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        first, last = compact[i], compact[i + 1]
        _order_one(time, keep, offsets[i], offsets[i + 1], index[first:last])
        for k in range(first, last):
            j = index[k]
            x[k], y[k], e[k] = time[j], value[j], error[j]
        if weighted:
            for k in range(first, last):
                e[k] /= np.sqrt(weight[index[k]])


def _time_order(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    weight: NDArray[np.float64],
    keep: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    compact: NDArray[np.int64],
    weighted: bool,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Positions, times, values and errors of the kept points of all curves, by time.

    The sort stands apart to compile fast.
    """
    index = np.empty(compact[-1], np.int64)
    x, y, e = np.empty(index.size), np.empty(index.size), np.empty(index.size)
    for_objects(
        _time_order_range,
        offsets.size - 1,
        time,
        value,
        error,
        weight,
        keep,
        offsets,
        compact,
        weighted,
        index,
        x,
        y,
        e,
    )
    return index, x, y, e


@dataclass(frozen=True, eq=False)
class Usable:
    """The points that a kernel may use: good, finite, weighted, sorted by time in each curve.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_usable,)
        ``error`` is the survey's divided by the square root of the point's weight, so that
        a down-weighted point counts for less wherever errors are used.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    index : int64 array, shape (n_usable,)
        Position of each point in the full columns of the batch.
    band : int16 array, shape (n_usable,), or None
        Codes into ``meta.bands``.
    n_points : int
        Length of the full columns.
    """

    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    offsets: NDArray[np.int64]
    index: NDArray[np.int64]
    band: NDArray[np.int16] | None
    n_points: int

    def counts(self) -> NDArray[np.int64]:
        """Usable points of each curve, int64, shape (n_curves,)."""
        return np.diff(self.offsets)

    def scatter_back(self, values: NDArray[Any], fill: float | bool) -> NDArray[Any]:
        """Full-length column with `values` at the usable points and `fill` elsewhere."""
        if self.index.size == self.n_points:  # every place is written
            full = np.empty(self.n_points, dtype=values.dtype)
        else:
            full = np.full(self.n_points, fill, dtype=values.dtype)
        full[self.index] = values
        return full


def usable_points(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    weight: NDArray[np.float64],
    flags: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    band: NDArray[np.int16] | None,
) -> Usable:
    """Good points with a finite time and value and a weight, sorted by time in each curve.

    Parameters
    ----------
    time, value, error, weight : float64 array, shape (n_points,)
        Columns of a batch.
    flags : uint32 array, shape (n_points,)
        `PointFlag` bits; those of `INFORMATIVE` exclude nothing.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    band : int16 array, shape (n_points,), or None
        Codes of bands.

    Returns
    -------
    Usable
    """
    excluding = np.uint32(~int(INFORMATIVE) & 0xFFFFFFFF)
    keep, compact, weighted = _judge(time, value, weight, flags, offsets, excluding)
    index, t, v, e = _time_order(time, value, error, weight, keep, offsets, compact, weighted)
    return Usable(
        time=t,
        value=v,
        error=e,
        offsets=compact,
        index=index,
        band=None if band is None else band[index],
        n_points=time.size,
    )
