"""Fit the instrument and the star together, so that neither is mistaken for the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.detrend.evidence import Evidence, fit_with_priors
from astroprep.detrend.regressors import Regressors
from astroprep.detrend.roll import find_oscillations
from astroprep.detrend.splines import roughness_basis, spline_columns

__all__ = [
    "JointFit",
    "StarModel",
    "count_columns",
    "fit_jointly",
    "refusal",
    "robust_scatter",
]

Array = NDArray[np.float64]
MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
ROUNDS = 3  # fits, each without the outliers and with the oscillations that the last one found
PIECE = 100  # points at least whose scatter is taken as one: a tenth precise
EXACT = 1e-9  # of the scatter of the curve: what is fitted better has no outliers
GAIN = (0.1, 10.0)  # of the star's level: eclipses may be deep, a spline in a gap may run away
# Of one curve; the fit costs their cube: 0.5 s at a thousand.
MAX_COLUMNS = 1200


@dataclass(frozen=True)
class StarModel:
    """What the star itself may do.

    Parameters
    ----------
    slow : float
        Distance of the knots of its slow curve, days; zero for a constant.
    oscillations : int
        Sinusoids at most.
    roll : float
        Frequency of the roll, cycles per day, that is no star's; zero for none.
    clip : float
        Robust sigmas of outliers.
    multiplied : bool
        The instrument changes the star's light by a factor (fluxes): a percent of a star ten
        percent brighter is more light. Otherwise it adds (magnitudes).
    """

    slow: float
    oscillations: int
    roll: float
    clip: float
    multiplied: bool


@dataclass(frozen=True)
class JointFit:
    """What the instrument did to one curve.

    Parameters
    ----------
    systematic, error : float64 array, shape (n_points,)
        Effect of the instrument and its uncertainty, in the unit of the values; mean zero over
        the points that made it.
    star : float64 array, shape (n_points,)
        The star's own curve, about the level.
    outlier : bool array, shape (n_points,)
        Points left out as outliers.
    frequency : float64 array, shape (n_found,)
        Oscillations fitted along, cycles per day.
    """

    systematic: Array
    error: Array
    star: Array
    outlier: NDArray[np.bool_]
    frequency: Array


def robust_scatter(values: Array) -> float:
    """Gaussian sigma from the median absolute deviation, zero of nothing."""
    if values.size == 0:
        return 0.0
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def _weights(error: Array, make: NDArray[np.bool_]) -> Array:
    """Inverse variances, one at the median error; points without an error count as the median."""
    known = np.isfinite(error) & (error > 0)
    if not (known & make).any():
        return np.ones(error.size)
    middle = float(np.median(error[known & make]))
    return np.square(middle / np.where(known, error, middle))


def _local_scatter(time: Array, rest: Array, use: NDArray[np.bool_]) -> Array:
    """Scatter around each point: the roll of K2 halved in the middle of a campaign."""
    where = np.flatnonzero(use)
    pieces = np.array_split(where, max(where.size // PIECE, 1))
    scatter = np.array([robust_scatter(rest[piece]) for piece in pieces])
    least = 0.1 * robust_scatter(rest[where])  # a piece fitted exactly is not known exactly
    middle = np.array([time[piece].mean() for piece in pieces])
    return np.asarray(np.interp(time, middle, np.maximum(scatter, max(least, EXACT))))


def _slow_columns(time: Array, make: NDArray[np.bool_], slow: float) -> tuple[Array, Array]:
    """Columns of the star's slow curve, the constant among them, and its penalty."""
    start, end = float(time[make].min()), float(time[make].max())
    if slow == 0 or not end > start:
        return np.ones((time.size, 1)), np.zeros(1)
    pieces = max(int(np.ceil((end - start) / slow)), 1)
    turn, rough = roughness_basis(pieces + 3)
    return spline_columns(time, start, end, pieces) @ turn, rough


def _waves(time: Array, frequency: Array) -> Array:
    angle = 2 * np.pi * np.outer(time - time[0], frequency)
    return np.hstack([np.cos(angle), np.sin(angle)])


def count_columns(n_regressors: int, days: float, slow: float) -> int:
    """Columns of the first fit, before oscillations."""
    return n_regressors + (1 if slow == 0 or days == 0 else int(np.ceil(days / slow)) + 3)


def refusal(columns: int, points: int) -> str:
    """Why a fit of so many coefficients cannot be, read after "needs"; nothing if it can."""
    if columns > MAX_COLUMNS:
        return (
            f"at most {MAX_COLUMNS} coefficients, would have {columns}: widen slow or window, or "
            "cut the curve"
        )
    if points <= columns:
        return f"more points than the {columns} coefficients of the fit, has {points}"
    return ""


def fit_jointly(
    time: Array,
    value: Array,
    error: Array,
    make: NDArray[np.bool_],
    regressors: Regressors,
    star: StarModel,
) -> JointFit:
    """Fit one curve.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time; values may be anything where `make` is False.
    make : bool array, shape (n_points,)
        Points that make the trend.
    regressors : Regressors
        At all points.
    star : StarModel
        What is the star's own.

    Returns
    -------
    JointFit
        All zero for a constant curve or without regressors.
    """
    middle = float(np.median(value[make]))
    scale = robust_scatter(value[make]) or float(np.ptp(value[make]))
    n_regressors = regressors.columns.shape[1]
    if scale == 0 or n_regressors == 0:
        nothing = np.zeros(time.size)
        return JointFit(nothing, nothing, nothing, np.zeros(time.size, bool), np.empty(0))
    y = np.where(make, (value - middle) / scale, 0.0)
    unit = scale / middle if star.multiplied and middle > 0 else 0.0
    fit, own, outlier, frequency = _rounds(
        time, y, _weights(error, make), make, regressors, star, unit
    )
    effect = regressors.columns  # of a star at its level
    coefficient = fit.coefficient[:n_regressors]
    covariance = fit.covariance[:n_regressors, :n_regressors]
    variance = np.einsum("ij,ij->i", effect @ covariance, effect)
    return JointFit(
        systematic=scale * (effect @ coefficient),
        error=scale * np.sqrt(np.maximum(variance, 0.0)),
        star=scale * own,
        outlier=outlier,
        frequency=frequency,
    )


def _rounds(
    time: Array,
    y: Array,
    quoted: Array,
    make: NDArray[np.bool_],
    regressors: Regressors,
    star: StarModel,
    unit: float,
) -> tuple[Evidence, Array, NDArray[np.bool_], Array]:
    """Fit, then learn outliers, local scatter, oscillations and the star's gain; and again.

    `unit` is one unit of `y` in units of the star's level, zero where the instrument adds.
    Returns the last fit, the star's own curve, the outliers and the oscillations.
    """
    n = regressors.columns.shape[1]
    slow, rough = _slow_columns(time, make, star.slow)
    local, gain = np.ones(time.size), np.ones(time.size)
    outlier = np.zeros(time.size, bool)
    frequency = np.empty(0)
    start: Array | None = None
    for turn in range(ROUNDS):
        weight = quoted / local**2
        waves = _waves(time, frequency)
        design = np.hstack([regressors.columns * gain[:, None], slow, waves])
        penalty = np.zeros((regressors.penalty.shape[0] + 1, design.shape[1]))
        penalty[:-1, :n] = regressors.penalty
        penalty[-1, n : n + rough.size] = rough
        fit = _fit(design, y, weight, make & ~outlier, penalty, start)
        start = fit.precision
        own = design[:, n:] @ fit.coefficient[n:]
        rest = y - design @ fit.coefficient
        local = _local_scatter(time, rest, make & ~outlier)
        outlier = make & ~(np.abs(rest) <= star.clip * local)
        local /= np.median(local[make])
        gain = np.clip(1 + unit * own, *GAIN)
        if turn < ROUNDS - 1 and frequency.size < star.oscillations:
            more = _more_oscillations(time, rest, weight, make & ~outlier, star, frequency)
            frequency = np.append(frequency, more)
    return fit, own, outlier, frequency


def _fit(
    design: Array,
    y: Array,
    weight: Array,
    use: NDArray[np.bool_],
    penalty: Array,
    start: Array | None,
) -> Evidence:
    """Fit of the points in use."""
    part = design[use]
    weighted = part * weight[use, None]
    return fit_with_priors(
        weighted.T @ part,
        weighted.T @ y[use],
        float((weight[use] * y[use] ** 2).sum()),
        int(use.sum()),
        penalty,
        start,
    )


def _more_oscillations(
    time: Array,
    rest: Array,
    weight: Array,
    use: NDArray[np.bool_],
    star: StarModel,
    known: Array,
) -> Array:
    """Frequencies of what is left, none of them known."""
    # the slow curve has what is slower than two knots
    days = float(time[use][-1] - time[use][0])
    slowest = 0.5 / star.slow if star.slow > 0 else 2.0 / max(days, 1e-9)
    room = min(star.oscillations - known.size, int(use.sum()) // 20)
    found = find_oscillations(
        time[use], rest[use], 1 / np.sqrt(weight[use]), slowest, star.roll, room
    )
    near = np.abs(found[:, None] - known[None, :]).min(axis=1, initial=np.inf) * days < 1.0
    return np.asarray(found[~near])
