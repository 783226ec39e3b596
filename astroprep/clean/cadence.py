"""Cadences that are not there: find the holes in an even sampling, put points into them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, PointFlag

__all__ = ["AbsentCadences", "absent_cadences", "insert_points"]

EVEN_SHARE = 0.9  # of the steps that must be whole multiples of the median step
EVEN_TOLERANCE = 0.1  # of the median step; barycentric times stretch by 1e-4, seconds in a step


MOST_STEPS = 1e9  # in one gap, so that their sum is a whole number


@dataclass(frozen=True, eq=False)
class AbsentCadences:
    """Times at which an evenly sampled curve has no point.

    Parameters
    ----------
    curve : int64 array, shape (n_absent,)
        Never falls.
    after : int64 array, shape (n_absent,)
        Position in the full columns of the point before the hole.
    time : float64 array, shape (n_absent,)
        Days.
    cadence : int64 array, shape (n_absent,)
        Number of the cadence; -1 where the batch numbers none.
    uneven : bool array, shape (n_curves,)
        Curves that have no even sampling to speak of.
    """

    curve: NDArray[np.int64]
    after: NDArray[np.int64]
    time: NDArray[np.float64]
    cadence: NDArray[np.int64]
    uneven: NDArray[np.bool_]


def absent_cadences(batch: LightCurveBatch, max_gap: float) -> AbsentCadences:
    """Holes in the sampling of each curve that are not longer than a limit.

    Parameters
    ----------
    batch : LightCurveBatch
        Points with a good time count, whatever else is flagged. With ``points["cadence"]`` a
        hole is a number that is left out; otherwise a step that is a multiple of the median
        one, provided that nine tenths of the steps are, within a tenth of it.
    max_gap : float
        Days between the points on both sides of a hole. A hole for more points than the curve
        has is none: its numbers or times are wrong.

    Returns
    -------
    AbsentCadences
        The times lie evenly between the points on both sides.
    """
    there = np.isfinite(batch.time) & ((batch.flags & np.uint32(PointFlag.BAD_TIME)) == 0)
    numbered = "cadence" in batch.points
    uneven = np.zeros(batch.n_curves, bool)
    parts: list[tuple[Any, ...]] = []
    for i in range(batch.n_curves):
        rows = batch.offsets[i] + np.flatnonzero(there[batch.offsets[i] : batch.offsets[i + 1]])
        rows = rows[np.argsort(batch.time[rows], kind="stable")]
        time = batch.time[rows]
        if numbered:
            number = batch.points["cadence"][rows].astype(np.int64)
        else:
            even = _numbers(time)
            if even is None:
                uneven[i] = True
                continue
            number = even
        step, length = np.diff(number), np.diff(time)
        for k in np.flatnonzero((step > 1) & (step <= rows.size) & (length <= max_gap)):
            part = np.arange(1, step[k]) / step[k]
            n = part.size
            named = number[k] + np.arange(1, step[k]) if numbered else np.full(n, -1)
            parts.append((np.full(n, i), np.full(n, rows[k]), time[k] + part * length[k], named))
    columns = [np.concatenate(c) for c in zip(*parts, strict=True)] if parts else [np.empty(0)] * 4
    return AbsentCadences(
        columns[0].astype(np.int64),
        columns[1].astype(np.int64),
        columns[2].astype(np.float64),
        columns[3].astype(np.int64),
        uneven,
    )


def _numbers(time: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Whole number of median steps since the first time; None where the sampling is not even."""
    if time.size < 3:  # nothing to be uneven
        return np.arange(time.size)
    step = np.diff(time)
    median = np.median(step)
    if not median > 0:
        return None
    ratio = step / median
    whole = np.rint(np.minimum(ratio, MOST_STEPS))
    even = (np.abs(ratio - whole) <= EVEN_TOLERANCE) & (whole >= 1)
    if even.mean() < EVEN_SHARE:
        return None
    # an odd step, such as the jump of a clock, hides no point
    return np.concatenate(([0], np.cumsum(np.where(even, whole, 1)))).astype(np.int64)


def insert_points(
    batch: LightCurveBatch,
    absent: AbsentCadences,
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> LightCurveBatch:
    """Put points into the holes of a batch.

    Parameters
    ----------
    batch : LightCurveBatch
        That `absent` was found in.
    absent : AbsentCadences
        Where.
    value, error, weight : float64 array, shape (n_absent,)
        What; the points are flagged ``IMPUTED``. Nothing is inserted where the value is NaN.

    Returns
    -------
    LightCurveBatch
        Each new point stands behind the one before its hole, in the band of that
        one. Further columns hold NaN there where they are floats, the number of the cadence in
        ``"cadence"``, and nothing (0, False, ``""``) otherwise.
    """
    chosen = np.flatnonzero(np.isfinite(value))
    if not chosen.size:
        return batch
    after = absent.after[chosen]
    chosen = chosen[np.argsort(after, kind="stable")]
    after = absent.after[chosen]
    where = after + 1  # for numpy.insert, in the order of the old column
    added = np.bincount(absent.curve[chosen], minlength=batch.n_curves)

    def put(column: NDArray[Any], new: Any) -> NDArray[Any]:
        return np.insert(column, where, new, axis=0)

    points = {name: put(column, _nothing(column)) for name, column in batch.points.items()}
    if "cadence" in points and batch.points["cadence"].dtype.kind in "iuf":
        points["cadence"] = put(batch.points["cadence"], absent.cadence[chosen])
    return replace(
        batch,
        time=put(batch.time, absent.time[chosen]),
        value=put(batch.value, value[chosen]),
        error=put(batch.error, error[chosen]),
        offsets=batch.offsets + np.concatenate(([0], np.cumsum(added))),
        flags=put(batch.flags, np.uint32(PointFlag.IMPUTED)),
        weight=put(batch.weight, weight[chosen]),
        band=None if batch.band is None else put(batch.band, batch.band[after]),
        points=points,
    )


def _nothing(column: NDArray[Any]) -> Any:
    kind = column.dtype.kind
    return np.nan if kind == "f" else "" if kind in "OU" else False if kind == "b" else 0
