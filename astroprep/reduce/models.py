"""Models that a light curve may be stored as, and their fits to many series at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError
from astroprep.features import fit_random_walk
from astroprep.reduce.harmonic_kernel import fit_harmonics
from astroprep.reduce.parameters import Kind, Parameters, Precision, quantised
from astroprep.reduce.spline_kernel import fit_splines
from astroprep.reduce.walk_kernel import WALK_PARAMETERS, anchor_points

__all__ = ["Criterion", "Fit", "HarmonicModel", "Series", "SplineModel", "StructureFunctionModel"]

Criterion = Literal["bic", "leave_one_out"]
ROUNDING = 0.1  # of the residual scale: codes that change the model more become float32


@dataclass(frozen=True, eq=False)
class Series:
    """Usable points of curves in one band each, as fits take them.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days, ascending in each series; values and errors.
    offsets : int64 array, shape (n_series + 1,)
        Series i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_series,)
        Days, NaN where there is none.
    """

    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    offsets: NDArray[np.int64]
    period: NDArray[np.float64]

    @property
    def first(self) -> NDArray[np.float64]:
        """First time of each series, days; NaN for an empty one."""
        return self._at(self.offsets[:-1])

    @property
    def last(self) -> NDArray[np.float64]:
        """Last time of each series, days; NaN for an empty one."""
        return self._at(self.offsets[1:] - 1)

    def _at(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        there = np.diff(self.offsets) > 0
        out = np.full(there.size, np.nan)
        out[there] = self.time[index[there]]
        return out


@dataclass(frozen=True, eq=False)
class Fit:
    """One kind of model fitted to all series.

    Parameters
    ----------
    parameters : Parameters
        One row a series, `Kind.RAW` where there is no fit.
    model : float64 array, shape (n_points,)
        What the quantised parameters give back; NaN where there is no fit.
    unknowns : int64 array, shape (n_series,)
        Numbers that were fitted.
    reason : object array of str, shape (n_series,)
        Why there is no fit, reads after "needs"; ``""`` where there is one.
    """

    parameters: Parameters
    model: NDArray[np.float64]
    unknowns: NDArray[np.int64]
    reason: NDArray[np.object_]


def _check_criterion(who: str, criterion: str) -> int:
    if criterion not in get_args(Criterion):
        raise ConfigError(
            f"{who}: criterion must be one of {', '.join(get_args(Criterion))}, got {criterion!r}"
        )
    return get_args(Criterion).index(criterion)


def _check_count(who: str, name: str, value: int, least: int, most: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not (whole and least <= value <= most):
        raise ConfigError(f"{who}: {name} must be from {least} to {most}, got {value!r}")


def _rounded(
    series: Series, kind: Kind, precision: Precision, coefficients: Any, unknowns: Any, **other: Any
) -> tuple[Parameters, NDArray[np.float64]]:
    """Quantised parameters and their model; float32 where int16 would be seen in the residuals."""
    columns = {"first": series.first, "last": series.last, **other}
    n = unknowns.size
    exact = quantised(kind, coefficients, unknowns, np.ones(n, bool), **columns)
    model = exact.values(series.time, series.offsets)
    if precision == "float32":
        return exact, model
    coarse = quantised(kind, coefficients, unknowns, np.zeros(n, bool), **columns)
    rounded = coarse.values(series.time, series.offsets)
    fine = np.zeros(n, bool)
    change, residual = np.abs(rounded - model), np.abs(series.value - model)
    for i in np.flatnonzero((exact.kind != Kind.RAW) & (np.diff(series.offsets) > 0)):
        part = slice(series.offsets[i], series.offsets[i + 1])
        fine[i] = not change[part].max() <= ROUNDING * 1.4826 * np.median(residual[part])
    both = quantised(kind, coefficients, unknowns, fine, **columns)
    return both, np.where(np.repeat(fine, np.diff(series.offsets)), model, rounded)


def _reasons(n: int, *why: tuple[NDArray[np.bool_], Any]) -> NDArray[np.object_]:
    """The first reason that holds for each series."""
    reason = np.full(n, "", dtype=object)
    for mask, words in reversed(why):
        reason[mask] = words if isinstance(words, str) else words[mask]
    return reason


def _finite(coefficients: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(coefficients) < np.finfo(np.float32).max).all(axis=1))


@dataclass(frozen=True)
class HarmonicModel:
    """A Fourier series at the period of the object.

    Parameters
    ----------
    max_harmonics : int, default 12
        At most; each curve has as many as the criterion chooses.
    criterion : {"bic", "leave_one_out"}, default "bic"
        Bayesian information criterion, or the error of each point predicted by the others
        (cross-validation, exact through the leverages).
    period : str, default "period"
        Column per object, days.
    """

    max_harmonics: int = 12
    criterion: Criterion = "bic"
    period: str = "period"

    def check(self) -> None:
        """Raise `ConfigError` when a setting is wrong."""
        _check_criterion("HarmonicModel", self.criterion)
        _check_count("HarmonicModel", "max_harmonics", self.max_harmonics, 1, 100)

    def fit(self, series: Series, precision: Precision) -> Fit:
        """Fit each series; those without a period or with fewer than 3 points have a reason."""
        n = series.period.size
        coefficients, unknowns, level = fit_harmonics(
            series.time,
            series.value,
            series.error,
            series.offsets,
            series.period,
            int(self.max_harmonics),
            _check_criterion("HarmonicModel", self.criterion),
        )
        points = np.diff(series.offsets)
        periodic = (series.period > 0) & np.isfinite(series.period)
        words = [f"a positive period, has {p}" for p in series.period]
        few = [f"at least 3 usable points, has {k}" for k in points]
        reason = _reasons(
            n,
            (points < 3, np.array(few, object)),
            (~periodic, np.array(words, object)),
            (unknowns == 0, "phases that fix a Fourier series"),
            (~_finite(coefficients), "coefficients within float32"),
        )
        parameters, model = _rounded(
            series,
            Kind.HARMONIC,
            precision,
            coefficients,
            unknowns,
            level=level,
            period=series.period,
            knots=np.zeros((n, 0)),
            n_knots=np.zeros(n, np.int64),
            served=reason == "",
        )
        return Fit(parameters, model, unknowns, reason)


@dataclass(frozen=True)
class SplineModel:
    """A cubic regression spline in time, for light that is smooth but not periodic.

    Parameters
    ----------
    max_pieces : int, default 64
        Polynomial pieces at most; each curve has as many as the criterion chooses, their knots
        where the points are.
    criterion : {"bic", "leave_one_out"}, default "bic"
        As for `HarmonicModel`.
    """

    max_pieces: int = 64
    criterion: Criterion = "bic"

    def check(self) -> None:
        """Raise `ConfigError` when a setting is wrong."""
        _check_criterion("SplineModel", self.criterion)
        _check_count("SplineModel", "max_pieces", self.max_pieces, 1, 5000)

    def fit(self, series: Series, precision: Precision) -> Fit:
        """Fit each series; those with fewer than 5 points have a reason."""
        n = series.period.size
        coefficients, unknowns, knots, level = fit_splines(
            series.time,
            series.value,
            series.error,
            series.offsets,
            int(self.max_pieces),
            _check_criterion("SplineModel", self.criterion),
        )
        points = np.diff(series.offsets)
        few = [f"at least 5 usable points, has {k}" for k in points]
        reason = _reasons(
            n,
            (points < 5, np.array(few, object)),
            (unknowns == 0, "distinct times that fix a cubic"),
            (~_finite(coefficients), "coefficients within float32"),
        )
        n_knots = np.maximum(unknowns - 4, 0)
        parameters, model = _rounded(
            series,
            Kind.SPLINE,
            precision,
            coefficients,
            unknowns,
            level=level,
            period=np.full(n, np.nan),
            knots=knots,
            n_knots=n_knots,
            served=reason == "",
        )
        return Fit(parameters, model, unknowns + n_knots, reason)


@dataclass(frozen=True)
class StructureFunctionModel:
    """A damped random walk: its statistics, and a few points that pin it.

    Parameters
    ----------
    anchors : int, default 16
        Points at most where the walk is pinned (medians of equally many points); between them
        the decoded curve is the expectation of the walk, which is smoother than the walk. With 0
        only the statistics survive: the decoded curve is the constant level.

    Notes
    -----
    τ and σ at the mode of `astroprep.features.fit_random_walk`, as the structure function
    ``SF²(Δt) = 2 σ² (1 - exp(-Δt / τ))``; `StoredCurves.walk` gives them back.
    """

    anchors: int = 16

    def check(self) -> None:
        """Raise `ConfigError` when a setting is wrong."""
        _check_count("StructureFunctionModel", "anchors", self.anchors, 0, 1000)

    def fit(self, series: Series, precision: Precision) -> Fit:
        """Fit each series; those that `fit_random_walk` cannot serve have its word as reason."""
        n = series.period.size
        walk = fit_random_walk(
            LightCurveBatch(
                time=series.time, value=series.value, error=series.error, offsets=series.offsets
            )
        )
        level = np.zeros(n)
        for i in np.flatnonzero(np.diff(series.offsets) > 0):
            level[i] = np.median(series.value[series.offsets[i] : series.offsets[i + 1]])
        anchor, place, count, error = anchor_points(
            series.time, series.value, series.offsets, level, int(self.anchors)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            numbers = np.column_stack([walk.log10_tau_mode, walk.log10_sigma_mode, np.log10(error)])
        numbers[:, 2] = np.where(np.isfinite(numbers[:, 2]), numbers[:, 2], numbers[:, 1] - 4)
        known = np.isfinite(numbers[:, :2]).all(axis=1)
        words = np.array([f"a curve that shows a walk: {word}" for word in walk.status], object)
        reason = _reasons(
            n, (~known, words), (~_finite(anchor), "values within float32 of their median")
        )
        parameters, model = _rounded(
            series,
            Kind.WALK,
            precision,
            anchor,
            count,
            walk=numbers,
            level=level,
            period=np.full(n, np.nan),
            knots=place,
            n_knots=count,
            served=reason == "",
        )
        return Fit(parameters, model, 2 * count + WALK_PARAMETERS, reason)


def empty_fit(series: Series) -> Fit:
    """Fit of nothing: every series stays raw."""
    n = series.period.size
    none, nan = np.zeros(n, np.int64), np.full(n, np.nan)
    parameters = quantised(
        Kind.RAW,
        np.zeros((n, 0)),
        none,
        np.zeros(n, bool),
        served=np.zeros(n, bool),
        level=nan,
        first=series.first,
        last=series.last,
        period=nan,
        knots=np.zeros((n, 0)),
        n_knots=none,
    )
    return Fit(parameters, np.full(series.time.size, np.nan), none, np.full(n, "", object))
