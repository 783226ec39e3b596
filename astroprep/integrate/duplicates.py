"""The same measurement twice in one light curve: marked, or dropped by the step of that name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError
from astroprep.threads import for_objects

__all__ = ["DropDuplicates", "MarkDuplicates", "near_duplicates"]


@njit(cache=True)
def _order(time, value, error, band, first, last):  # type: ignore[no-untyped-def]
    """Points of one curve by band, time, error and value, whatever their order was."""
    order = np.argsort(value[first:last], kind="mergesort")
    sure = np.where(error[first:last] > 0, error[first:last], np.inf)  # NaN compares as False
    order = order[np.argsort(sure[order], kind="mergesort")]
    order = order[np.argsort(time[first:last][order], kind="mergesort")]
    return first + order[np.argsort(band[first:last][order], kind="mergesort")]


@njit(cache=True)
def _mark(time, value, error, band, order, window, tolerance, n_sigma, copy):  # type: ignore[no-untyped-def]
    """Mark the points of one curve that repeat a kept one; the most precise is kept."""
    for at in range(order.size):
        j = order[at]
        for back in range(at - 1, -1, -1):
            i = order[back]
            if band[i] != band[j] or time[j] - time[i] > window:
                break
            if copy[i]:
                continue
            allowed = tolerance
            both = error[i] ** 2 + error[j] ** 2
            if both > 0:  # False for a NaN
                allowed += n_sigma * np.sqrt(both)
            if abs(value[i] - value[j]) <= allowed:
                # the more precise stays; of equals the earlier
                if error[j] < error[i]:
                    copy[i] = True
                else:
                    copy[j] = True
                    break


@njit(nogil=True, cache=True)
def _near_duplicates_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int16],
    good: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    window: float,
    tolerance: float,
    n_sigma: float,
    copy: NDArray[np.bool_],
) -> None:
    for i in range(begin, end):
        part = offsets[i] + np.flatnonzero(good[offsets[i] : offsets[i + 1]])
        t, v, e, b = time[part], value[part], error[part], band[part]
        marked = np.zeros(part.size, np.bool_)
        order = _order(t, v, e, b, 0, part.size)
        _mark(t, v, e, b, order, window, tolerance, n_sigma, marked)
        copy[part[marked]] = True


def near_duplicates(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int16],
    good: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    window: float,
    tolerance: float,
    n_sigma: float,
) -> NDArray[np.bool_]:
    """Points that repeat another point of their curve within tolerances.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days and any unit; an error that is not positive is unknown and allows nothing.
    band : int16 array, shape (n_points,)
        Points of different bands are never copies.
    good : bool array, shape (n_points,)
        Only these points are compared; their times and values are finite.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    window : float
        Largest difference of times, days.
    tolerance, n_sigma : float
        Two values are one where ``|v1 - v2| <= tolerance + n_sigma sqrt(e1^2 + e2^2)``.

    Returns
    -------
    bool array, shape (n_points,)
        True for all of a set of copies but the one with the smallest error; the earlier one, then
        the smaller value, where errors are equal or unknown.

    Notes
    -----
    A point is compared with kept points only, so nearness is not passed on: a dense series is
    thinned, at most to one point a window, and never swallowed by its first point.
    """
    copy = np.zeros(time.size, np.bool_)
    for_objects(
        _near_duplicates_range,
        offsets.size - 1,
        time,
        value,
        error,
        band,
        good,
        offsets,
        window,
        tolerance,
        n_sigma,
        copy,
    )
    return copy


class MarkDuplicates(Transformer):
    """Flag points that repeat another point of their curve, exactly or nearly.

    `astroprep.clean.FlagBad` flags exact copies; this step also finds a measurement that two
    pipelines, a rounding of the time or a merger of catalogues wrote twice. No point is removed.

    Parameters
    ----------
    window : float, default 0.0
        Largest difference of times, seconds; 0 for equal times.
    tolerance : float, default 0.0
        Largest difference of values, in their unit.
    n_sigma : float, default 0.0
        What errors allow beyond it, in their quadratic sum. Two exposures within the window
        that agree are then one: keep the window below the exposure time.
    on_bad : {"raise", "reject"}, default "raise"
        Every curve can be served, so it makes no difference here.

    Notes
    -----
    Sets `PointFlag.DUPLICATE` and writes ``objects["n_duplicates"]``, int64, the points with that
    flag. See `near_duplicates` for which of the copies stays.
    """

    needs = Needs(single_band=False)

    def __init__(
        self,
        window: float = 0.0,
        tolerance: float = 0.0,
        n_sigma: float = 0.0,
        on_bad: OnBad = "raise",
    ) -> None:
        self.window = window
        self.tolerance = tolerance
        self.n_sigma = n_sigma
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = [
            f"{name} must be 0 or more, got {getattr(self, name)!r}"
            for name in ("window", "tolerance", "n_sigma")
            if not 0 <= getattr(self, name) < np.inf
        ]
        if wrong:
            raise ConfigError(f"{type(self).__name__}: " + "; ".join(wrong))

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        usable = batch.usable
        good = np.zeros(batch.n_points, bool)
        good[usable.index] = True
        band = np.zeros(batch.n_points, np.int16) if batch.band is None else batch.band
        copy = near_duplicates(
            batch.time, batch.value, batch.error, band, good, batch.offsets,
            self.window / 86400.0, float(self.tolerance), float(self.n_sigma),
        )  # fmt: skip
        flags = batch.flags.copy()
        flags[copy] |= np.uint32(PointFlag.DUPLICATE)
        return batch.with_columns(
            flags=flags, objects={"n_duplicates": _per_curve(_is_copy(flags), batch.offsets)}
        )


class DropDuplicates(MarkDuplicates):
    """Remove points that repeat another point of their curve, and record how many.

    Parameters
    ----------
    window, tolerance, n_sigma
        See `MarkDuplicates`.
    on_bad : {"raise", "reject"}, default "raise"
        Every curve can be served, so it makes no difference here.

    Notes
    -----
    Points that have `PointFlag.DUPLICATE` already go too. ``objects["n_duplicates"]``, int64, is
    how many went from each curve, and is added to ``objects["n_dropped"]``.
    """

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        marked = super()._transform(batch)
        keep = ~_is_copy(marked.flags)
        gone = marked.objects["n_duplicates"]
        dropped = gone + batch.objects.get("n_dropped", 0)
        return replace(
            marked,
            time=marked.time[keep],
            value=marked.value[keep],
            error=marked.error[keep],
            offsets=np.concatenate(([0], np.cumsum(np.diff(marked.offsets) - gone))),
            flags=marked.flags[keep],
            weight=marked.weight[keep],
            band=None if marked.band is None else marked.band[keep],
            points={name: column[keep] for name, column in marked.points.items()},
            objects={**marked.objects, "n_dropped": dropped},
        )


def _is_copy(flags: NDArray[np.uint32]) -> NDArray[np.bool_]:
    return np.asarray((flags & np.uint32(PointFlag.DUPLICATE)) != 0)


def _per_curve(mask: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.concatenate(([0], np.cumsum(mask, dtype=np.int64)))
    return np.asarray(np.diff(total[offsets]), dtype=np.int64)
