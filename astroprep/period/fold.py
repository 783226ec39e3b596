"""Phases: times folded at a period.

The convention: phase zero is at ``epoch``; without one, epoch is the time of the first usable
point, because the network and the features do not depend on where a circle starts.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import DataError

__all__ = ["FoldPhase", "fold", "fold_ragged"]


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
        ``((time - epoch) / period) % 1``, with the values that round up to 1 put back to 0.

    Raises
    ------
    DataError
        If the period is not positive and finite.
    """
    if not (np.isfinite(period) and period > 0):
        raise DataError(f"fold needs a positive period, got {period!r}")
    phase = np.mod((np.asarray(time, np.float64) - epoch) / period, 1.0)
    return np.where(phase >= 1.0, 0.0, phase)


@njit(parallel=True, cache=True)
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
    for i in prange(offsets.size - 1):
        for j in range(offsets[i], offsets[i + 1]):
            cycles = (time[j] - epoch[i]) / period[i]
            part = cycles - np.floor(cycles)
            phase[j] = 0.0 if part >= 1.0 else part
    return phase


class FoldPhase(Transformer):
    """Write the phase of every point at the object's period, as the column ``"phase"``.

    Phase zero is at the object's ``"epoch"`` where the batch has that column, otherwise at its
    first usable point, which is then written as ``"epoch"``.
    """

    needs = Needs(min_points=1, objects=("period",), single_band=False)

    def __init__(self, on_bad: OnBad = "raise") -> None:
        self.on_bad = on_bad

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        period = np.asarray(batch.objects["period"], np.float64)
        batch = self.refuse(batch, ~(period > 0), "a positive period")
        period = np.asarray(batch.objects["period"], np.float64)
        epoch = batch.objects.get("epoch")
        if epoch is None:
            epoch = batch.usable.time[batch.usable.offsets[:-1]]
        epoch = np.asarray(epoch, np.float64)
        phase = fold_ragged(batch.time, batch.offsets, period, epoch)
        return batch.with_columns(points={"phase": phase}, objects={"epoch": epoch})
