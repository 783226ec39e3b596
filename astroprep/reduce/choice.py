"""Which of several fitted models a series is stored as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.reduce.exceptions import exceptions, residual_statistics
from astroprep.reduce.models import Fit, Series, empty_fit
from astroprep.reduce.parameters import Kind, Parameters
from astroprep.reduce.robust_fit import information_criterion
from astroprep.threads import for_objects

__all__ = ["Choice", "Judged", "choose_fits"]

Choice = Literal["bic", "bytes"]
FLOAT32_STEP = 2.0**-23  # relative; surveys give their values to this
EQUAL_RESIDUAL = 1.05  # residual scales within this factor of the least count as equal


@dataclass(frozen=True, eq=False)
class Judged:
    """A fit and what it leaves over.

    Parameters
    ----------
    fit : Fit
        One row a series.
    scale, in_errors : float64 array, shape (n_series,)
        Robust residual scale in the unit of the value and in errors; infinite and NaN where
        there is no fit.
    missed : bool array, shape (n_points,)
        True for the points that the model does not stand for.
    bytes : int64 array, shape (n_series,)
        Parameters and missed points, times not counted.
    """

    fit: Fit
    scale: NDArray[np.float64]
    in_errors: NDArray[np.float64]
    missed: NDArray[np.bool_]
    bytes: NDArray[np.int64]


def _judge(series: Series, fit: Fit, far: float, width: int) -> Judged:
    residual = series.value - fit.model
    scale, in_errors = residual_statistics(residual, series.error, series.offsets)
    # a residual below what the stored numbers resolve is rounding
    grain = np.maximum(FLOAT32_STEP * np.abs(fit.parameters.level), np.finfo(np.float64).tiny)
    least = np.nan_to_num(np.maximum(fit.parameters.step, grain))
    missed = exceptions(residual, series.error, series.offsets, scale, in_errors, least, far)
    n_missed = np.diff(np.concatenate(([0], np.cumsum(missed)))[series.offsets])
    there = fit.parameters.kind != Kind.RAW
    return Judged(
        fit,
        np.where(there, np.maximum(scale, least), np.inf),
        np.where(there, in_errors, np.nan),
        missed,
        fit.parameters.bytes() + width * n_missed,
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _capped_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    model: NDArray[np.float64],
    unit: NDArray[np.float64],
    offsets: NDArray[np.int64],
    cap: NDArray[np.float64],
    unknowns: NDArray[np.int64],
    score: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        n = offsets[i + 1] - offsets[i]
        total = 0.0
        for j in range(offsets[i], offsets[i + 1]):
            z = (value[j] - model[j]) / unit[j]
            total += z * z if z * z < cap[i] * cap[i] else cap[i] * cap[i]
        if n > 0 and np.isfinite(total):
            score[i] = information_criterion(total / n, n, unknowns[i])


def _capped(
    value: NDArray[np.float64],
    model: NDArray[np.float64],
    unit: NDArray[np.float64],
    offsets: NDArray[np.int64],
    cap: NDArray[np.float64],
    unknowns: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Criterion of each series, the squares capped; infinite where there is no model."""
    score = np.full(offsets.size - 1, np.inf)
    for_objects(_capped_range, score.size, value, model, unit, offsets, cap, unknowns, score)
    return score


def _criteria(series: Series, judged: Sequence[Judged], far: float) -> list[NDArray[np.float64]]:
    """Criterion of each fit, with one cap for all fits of a series."""
    n = series.period.size
    known = np.zeros(n, bool)
    for one in judged:
        known |= np.isfinite(one.in_errors)
    unit = np.where(np.repeat(known, np.diff(series.offsets)), series.error, 1.0)
    least = np.full(n, np.inf)
    for one in judged:
        own = np.where(known, one.in_errors, one.scale)
        least = np.fmin(least, np.where(np.isfinite(one.scale), own, np.inf))
    cap = far * np.maximum(least, 1e-12)
    return [
        _capped(series.value, one.fit.model, unit, series.offsets, cap, one.fit.unknowns)
        for one in judged
    ]


def choose_fits(
    series: Series, fits: Sequence[Fit], choose: Choice, far: float, width: int
) -> Judged:
    """The best fit of each series.

    Parameters
    ----------
    series : Series
        What was fitted.
    fits : sequence of Fit
        Candidates.
    choose : {"bic", "bytes"}
        See `astroprep.reduce.compress_curves`.
    far : float
        Robust sigma from which a point is missed.
    width : int
        Bytes of a point that is kept as it was.

    Returns
    -------
    Judged
        `Kind.RAW` where no candidate serves, with the reasons of all of them.
    """
    judged = [_judge(series, fit, far, width) for fit in [*fits, empty_fit(series)]]
    n, counts = series.period.size, np.diff(series.offsets)
    scales = np.array([one.scale for one in judged])  # (fit, series)
    if choose == "bytes":
        close = scales <= EQUAL_RESIDUAL * scales.min(axis=0)
        score = np.where(close, [one.bytes for one in judged], np.inf)
    else:
        score = np.array(_criteria(series, judged, far))
    score = np.where(np.isfinite(scales), score, np.inf)
    score[-1] = np.finfo(np.float64).max  # raw, where nothing else is finite
    pick = np.argmin(score, axis=0)
    rows = pick * n + np.arange(n)
    at_point = np.repeat(pick, counts), np.arange(series.time.size)
    reason = np.full(n, "", dtype=object)
    for i in np.flatnonzero(pick == len(judged) - 1):
        said = [str(one.fit.reason[i]) for one in judged[:-1]]
        reason[i] = ", or ".join(dict.fromkeys(filter(None, said))) or "finite residuals"
    return Judged(
        Fit(
            Parameters.concat([one.fit.parameters for one in judged]).take(rows),
            np.array([one.fit.model for one in judged])[at_point],
            np.concatenate([one.fit.unknowns for one in judged])[rows],
            reason,
        ),
        scales[pick, np.arange(n)],
        np.concatenate([one.in_errors for one in judged])[rows],
        np.array([one.missed for one in judged])[at_point],
        np.concatenate([one.bytes for one in judged])[rows],
    )
