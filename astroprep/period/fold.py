"""Phases: times folded at a period, and what the folded curve looks like.

The convention: phase zero is at ``epoch``; without one, epoch is the time of the first usable
point, because the network and the features do not depend on where a circle starts. People and
catalogues put it at the brightest or the faintest point: see `FoldPhase`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.period.extremum import brightest_phase
from astroprep.threads import for_objects

__all__ = [
    "FoldPhase",
    "FoldedPoints",
    "fold",
    "fold_ragged",
    "fold_sorted",
]

Epoch = Literal["first", "brightest", "faintest"]


@njit(cache=True)
def phase_of(time: float, period: float, epoch: float) -> float:
    """Phase of one time, in [0, 1); NaN where the time is not finite."""
    cycles = (time - epoch) / period
    if np.isinf(cycles):  # more cycles than a double counts; the exact rest is still known
        cycles = np.fmod(time - epoch, period) / period
    part = cycles - np.floor(cycles)
    rest: float = 0.0 if part >= 1.0 else part
    return rest


def fold(time: ArrayLike, period: float, epoch: float = 0.0) -> NDArray[np.float64]:
    """Phase of each time, in [0, 1).

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days.
    period : float
        Days, positive.
    epoch : float, default 0
        Time of phase zero, on the scale of `time`.

    Returns
    -------
    float64 array, shape (n_points,)
        ``((time - epoch) / period) % 1``, with the values that round up to 1 put back to 0; NaN
        where the time is not finite.

    Raises
    ------
    DataError
        If the period is not positive and finite, or the epoch not finite.
    """
    if not (np.isfinite(period) and period > 0):
        raise DataError(f"fold needs a positive period, got {period!r}")
    if not np.isfinite(epoch):
        raise DataError(f"fold needs a finite epoch, got {epoch!r}")
    times = np.asarray(time, np.float64)
    flat = np.ascontiguousarray(times.ravel())
    one = np.array([0, flat.size], np.int64)
    phase = fold_ragged(flat, one, np.array([float(period)]), np.array([float(epoch)]))
    return np.asarray(phase.reshape(times.shape), np.float64)


@njit(nogil=True, cache=True)
def _fold_ragged_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    epoch: NDArray[np.float64],
    phase: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        for j in range(offsets[i], offsets[i + 1]):
            phase[j] = phase_of(time[j], period[i], epoch[i])


def fold_ragged(
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    epoch: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Phase of each point of many curves, in [0, 1).

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    period, epoch : float64 array, shape (n_curves,)
        Days; ``period > 0``.

    Returns
    -------
    float64 array, shape (n_points,)
        NaN where the time is not finite.
    """
    phase = np.empty(time.size)
    for_objects(_fold_ragged_range, offsets.size - 1, time, offsets, period, epoch, phase)
    return phase


@dataclass(frozen=True)
class FoldedPoints:
    """The points of one curve by rising phase.

    Parameters
    ----------
    phase : float64 array, shape (n_points,)
        In [0, 1), rising; points of one phase keep their order.
    value, error : float64 array, shape (n_points,)
        Unit of the curve.
    index : int64 array, shape (n_points,)
        Position of each in the arrays given.
    """

    phase: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    index: NDArray[np.int64]


def fold_sorted(
    time: ArrayLike, value: ArrayLike, error: ArrayLike, period: float, epoch: float = 0.0
) -> FoldedPoints:
    """The points of one curve, sorted by phase.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days; points whose time is not finite are left out.
    value, error : float64 array, shape (n_points,)
        Any unit.
    period, epoch : float
        Days.

    Returns
    -------
    FoldedPoints

    Raises
    ------
    DataError
        If the lengths differ, the period is not positive or the epoch not finite.
    """
    phase = fold(time, period, epoch)
    values, errors = np.asarray(value, np.float64), np.asarray(error, np.float64)
    if not phase.shape == values.shape == errors.shape or phase.ndim != 1:
        raise DataError(
            "fold_sorted needs one value and one error per time, got shapes "
            f"{phase.shape}, {values.shape} and {errors.shape}"
        )
    order = np.argsort(phase, kind="stable")[: np.count_nonzero(np.isfinite(phase))]  # NaN last
    return FoldedPoints(phase[order], values[order], errors[order], order)


class FoldPhase(Transformer):
    """Write the phase of every point at the object's period, as the column ``"phase"``.

    Phase zero is written as the object's ``"epoch"``, on the scale of ``time``.

    Parameters
    ----------
    epoch : {"first", "brightest", "faintest"}, default "first"
        Where phase zero is. ``first``: at the object's ``"epoch"`` where the batch has that
        column, otherwise at its first usable point. ``brightest`` and ``faintest``: at that
        phase of the smooth folded curve (`astroprep.period.extremum.brightest_phase`), the
        first time from the first usable point on; a column ``"epoch"`` is replaced. A curve that
        does not change keeps its first point.
    on_bad : {"raise", "reject"}
        What happens to a curve without a positive period, without a usable point, or, for
        ``brightest`` and ``faintest``, with points of several bands.
    """

    needs = Needs(min_points=1, objects=("period",), single_band=False)

    def __init__(self, epoch: Epoch = "first", on_bad: OnBad = "raise") -> None:
        self.epoch = epoch
        self.on_bad = on_bad

    def _check(self) -> None:
        if self.epoch not in ("first", "brightest", "faintest"):
            raise ConfigError(
                f"FoldPhase: epoch must be 'first', 'brightest' or 'faintest', got {self.epoch!r}"
            )

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        period = np.asarray(batch.objects["period"], np.float64)
        batch = self.refuse(batch, ~(period > 0), "a positive period")
        if self.epoch != "first":
            several = Needs(single_band=True).unmet(batch)
            batch = self.refuse(batch, several != "", several)
        period = np.asarray(batch.objects["period"], np.float64)
        epoch = batch.objects.get("epoch")
        if self.epoch != "first":
            epoch = self._extreme(batch, period)
        elif epoch is None:
            epoch = batch.usable.time[batch.usable.offsets[:-1]]
        epoch = np.asarray(epoch, np.float64)
        phase = fold_ragged(batch.time, batch.offsets, period, epoch)
        return batch.with_columns(points={"phase": phase}, objects={"epoch": epoch})

    def _extreme(self, batch: LightCurveBatch, period: NDArray[np.float64]) -> NDArray[np.float64]:
        """Time from the first usable point on at which each folded curve is extreme."""
        usable = batch.usable
        first = usable.time[usable.offsets[:-1]]
        phase = fold_ragged(usable.time, usable.offsets, period, first)
        up = (batch.meta.quantity == "flux") == (self.epoch == "brightest")
        at = brightest_phase(
            phase, usable.value if up else -usable.value, usable.error, usable.offsets
        )
        return np.asarray(first + at * period)
