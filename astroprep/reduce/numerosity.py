"""Numerosity reduction: a light curve stored as a model, its residual scale and its exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.reduce.choice import Choice, Judged, choose_fits
from astroprep.reduce.models import HarmonicModel, Series, SplineModel, StructureFunctionModel
from astroprep.reduce.parameters import Precision, offsets_of
from astroprep.reduce.stored import KeptPoints, StoredCurves, point_bytes

__all__ = ["Choice", "CurveModel", "compress_curves"]

CurveModel = HarmonicModel | SplineModel | StructureFunctionModel
NAMED: dict[str, tuple[CurveModel, ...]] = {
    "harmonic": (HarmonicModel(),),
    "spline": (SplineModel(),),
    "structure": (StructureFunctionModel(),),
    "auto": (HarmonicModel(), SplineModel(), StructureFunctionModel()),
}
FAR = 5.0  # robust sigma; one Gaussian point in 1.7 million
LARGEST_TICK = 2.0**53
TICK_BYTES = 4


@dataclass(frozen=True, eq=False)
class _Sorted:
    """All points by curve, band and time, those of a band that holds none left out.

    ``index`` is the place of each point in the batch, ``usable`` whether a fit may see it.
    """

    index: NDArray[np.int64]
    offsets: NDArray[np.int64]
    usable: NDArray[np.bool_]
    curve: NDArray[np.int64]
    band: NDArray[np.int16]


def compress_curves(
    batch: LightCurveBatch,
    model: str | CurveModel | Sequence[CurveModel] = "auto",
    *,
    choose: Choice = "bic",
    precision: Precision = "int16",
    times: Literal["keep", "drop"] = "keep",
    time_resolution: float = 1e-5,
    far: float = FAR,
    max_residual: float | None = None,
) -> StoredCurves:
    """Store each light curve as a model, band by band.

    Parameters
    ----------
    batch : LightCurveBatch
        Usable points are modelled; the others are kept as they are.
    model : str, model or sequence of models, default "auto"
        ``"harmonic"``, ``"spline"``, ``"structure"`` or ``"auto"`` for all three; or
        `HarmonicModel`, `SplineModel`, `StructureFunctionModel` with settings of your own.
    choose : {"bic", "bytes"}, default "bic"
        Among several models: the least Bayesian information criterion, or the fewest bytes
        (exceptions included) among those whose residual scale is within 5 % of the least.
    precision : {"int16", "float32"}, default "int16"
        Of the coefficients. A series where int16 would move the model by more than a tenth of
        the residual scale has float32.
    times : {"keep", "drop"}, default "keep"
        Keep each time, or only the first, the last and how many there are: `StoredCurves.decode`
        then makes up even times between them, and the cadence is lost.
    time_resolution : float, default 1e-5
        Days; kept times are rounded to whole multiples from the first, before the fit.
    far : float, default 5
        Points this many robust sigma from the model are kept as they were measured, and so are
        runs of three or more beyond 2.5 sigma on one side.
    max_residual : float, optional
        Series whose residual scale exceeds this many of their errors are kept raw.

    Returns
    -------
    StoredCurves
        One or more series a curve, one for each band. A series that no model serves, or that a
        model makes no smaller, is kept raw with the reason; ``rejected`` is carried along.

    Raises
    ------
    ConfigError
        If a setting is wrong.
    DataError
        If a harmonic model is the only one and the batch has no column of its period.

    Notes
    -----
    Lost for good: the errors of modelled points (one residual scale a series replaces them),
    their weights, their own noise, and further columns in ``batch.points``.

    The criterion between models is ``n ln S + k ln n``, S the mean of ``min(z², (5 s)²)``, z the
    residual in errors, s the least robust scale of the candidates and k the numbers fitted.

    References
    ----------
    .. [1] Han, Kamber & Pei 2011, Data Mining, section 3.4.1 (numerosity reduction)
    .. [2] Schwarz 1978, Annals of Statistics 6, 461, doi:10.1214/aos/1176344136
    """
    models = _models(model)
    _check(choose, precision, times, time_resolution, far, max_residual)
    points = _sort(batch)
    series, ticks, coarse = _series(batch, points, models, times, time_resolution)
    fits = [m.fit(series, precision) for m in models if _offered(m, batch, models)]
    width = point_bytes(batch.value, batch.error)
    best = choose_fits(series, fits, choose, far, width)
    reason = _raw_reasons(points, series, best, max_residual, width, times == "keep")
    reason[coarse] = f"needs times within 2^53 steps of {time_resolution} d"
    modelled = np.repeat(reason == "", np.diff(series.offsets)) & ~best.missed
    stored = np.zeros(batch.n_points, bool)  # in the order of `points`
    stored[np.flatnonzero(points.usable)[modelled]] = True
    n_modelled = np.diff(np.concatenate(([0], np.cumsum(modelled)))[series.offsets])
    kept, kept_offsets = _kept(batch, points, ~stored)
    raw = reason != ""
    return StoredCurves(
        meta=batch.meta,
        objects=batch.objects,
        curve=points.curve,
        band=points.band if batch.band is not None else None,
        parameters=best.fit.parameters.without(raw),
        n_modelled=n_modelled,
        ticks=_deltas(ticks, series.offsets, modelled) if times == "keep" else None,
        time_resolution=float(time_resolution),
        kept=kept,
        kept_offsets=kept_offsets,
        residual_scale=_brief(best.scale, raw),
        residual_in_errors=_brief(best.in_errors, raw),
        reduced_chi2=_brief(_reduced_chi2(series, best), raw),
        reason=reason,
        rejected=batch.rejected,
    )


def _models(model: Any) -> tuple[CurveModel, ...]:
    """The models that were asked for, checked."""
    if isinstance(model, str):
        if model not in NAMED:
            raise ConfigError(
                f"compress_curves: model must be one of {', '.join(NAMED)}, or a model with "
                f"settings such as HarmonicModel(max_harmonics=6), got {model!r}"
            )
        return NAMED[model]
    models = (model,) if isinstance(model, get_args(CurveModel)) else tuple(model)
    if not models or not all(isinstance(m, get_args(CurveModel)) for m in models):
        raise ConfigError(
            "compress_curves: model must be HarmonicModel, SplineModel or StructureFunctionModel, "
            f"or several of them, got {model!r}"
        )
    for one in models:
        one.check()
    return models


def _check(
    choose: str,
    precision: str,
    times: str,
    time_resolution: float,
    far: float,
    max_residual: float | None,
) -> None:
    for name, value, known in (
        ("choose", choose, get_args(Choice)),
        ("precision", precision, get_args(Precision)),
        ("times", times, ("keep", "drop")),
    ):
        if value not in known:
            raise ConfigError(
                f"compress_curves: {name} must be one of {', '.join(known)}, got {value!r}"
            )
    for name, number in (("time_resolution", time_resolution), ("far", far)):
        if not 0 < number < np.inf:
            raise ConfigError(f"compress_curves: {name} must be positive, got {number!r}")
    if max_residual is not None and not max_residual > 0:
        raise ConfigError(f"compress_curves: max_residual must be positive, got {max_residual!r}")


def _sort(batch: LightCurveBatch) -> _Sorted:
    """Points by curve, band and time; a curve without points is one empty series."""
    n = batch.n_points
    usable = np.zeros(n, bool)
    usable[batch.usable.index] = True
    curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
    band = np.full(n, -1, np.int16) if batch.band is None else batch.band
    low = int(band.min(initial=-1))
    span = int(band.max(initial=-1)) - low + 1
    key = curve * span + (band - low)
    index = np.lexsort((batch.time, ~usable, key))
    hollow = np.flatnonzero(np.diff(batch.offsets) == 0) * span + (-1 - low)
    there, counts = np.unique(key, return_counts=True)
    keys = np.concatenate([there, hollow])
    counts = np.concatenate([counts, np.zeros(hollow.size, np.int64)])
    order = np.argsort(keys, kind="stable")
    return _Sorted(
        index=index,
        offsets=offsets_of(counts[order]),
        usable=usable[index],
        curve=keys[order] // span,
        band=(keys[order] % span + low).astype(np.int16),
    )


def _series(
    batch: LightCurveBatch,
    points: _Sorted,
    models: Sequence[CurveModel],
    times: str,
    resolution: float,
) -> tuple[Series, NDArray[np.int64], NDArray[np.bool_]]:
    """Usable points of each series, at the times that will be decoded; their ticks.

    Also True for the series whose ticks would not be exact.
    """
    from_batch = np.zeros(batch.n_points)
    from_batch[batch.usable.index] = batch.usable.error  # the weight is in it
    where = points.index[points.usable]
    offsets = np.concatenate(([0], np.cumsum(points.usable)))[points.offsets]
    column = next((m.period for m in models if isinstance(m, HarmonicModel)), "")
    period = np.full(points.curve.size, np.nan)
    if column in batch.objects:
        period = np.asarray(batch.objects[column], np.float64)[points.curve]
    series = Series(batch.time[where], batch.value[where], from_batch[where], offsets, period)
    counts = np.diff(offsets)
    first = np.repeat(series.first, counts)
    steps = np.rint((series.time - first) / resolution)
    coarse = np.zeros(counts.size, bool)
    if times == "drop":
        return series, np.zeros(where.size, np.int64), coarse
    coarse[np.repeat(np.arange(counts.size), counts)[steps > LARGEST_TICK]] = True
    ticks = np.where(steps > LARGEST_TICK, 0, steps).astype(np.int64)
    rounded = Series(first + ticks * resolution, series.value, series.error, offsets, period)
    return rounded, ticks, coarse


def _offered(model: CurveModel, batch: LightCurveBatch, models: Sequence[CurveModel]) -> bool:
    """Whether a model can be tried; without periods a harmonic one cannot, and others may."""
    if not isinstance(model, HarmonicModel) or model.period in batch.objects:
        return True
    if len(models) == 1:
        raise DataError(
            f"compress_curves needs the column {model.period!r} per object for HarmonicModel, but "
            f"the batch has {', '.join(sorted(batch.objects))}; put PeriodSearch before it, or "
            "name the column with HarmonicModel(period=...)"
        )
    return False


def _raw_reasons(
    points: _Sorted,
    series: Series,
    best: Judged,
    max_residual: float | None,
    width: int,
    keep_times: bool,
) -> NDArray[np.object_]:
    """Why a series is kept raw; ``""`` where a model stands for it."""
    reason = np.array(["needs " + why if why else "" for why in best.fit.reason], dtype=object)
    reason[np.diff(series.offsets) == 0] = "needs usable points, has none"
    served = reason == ""
    if max_residual is not None:
        for i in np.flatnonzero(served & (best.in_errors > max_residual)):
            reason[i] = (
                f"needs a model within {max_residual:g} errors, the best leaves "
                f"{best.in_errors[i]:.3g}"
            )
    n_missed = np.diff(np.concatenate(([0], np.cumsum(best.missed)))[series.offsets])
    n_usable = np.diff(series.offsets)
    as_model = best.fit.parameters.bytes() + width * n_missed
    if keep_times:
        as_model = as_model + TICK_BYTES * (n_usable - n_missed)
    dear = (reason == "") & (as_model >= width * n_usable)
    for i in np.flatnonzero(dear):
        reason[i] = (
            f"needs a model that saves bytes: {as_model[i]} against {width * n_usable[i]} for "
            f"{n_usable[i]} points, {n_missed[i]} of them missed by the model"
        )
    return reason


def _kept(
    batch: LightCurveBatch, points: _Sorted, kept: NDArray[np.bool_]
) -> tuple[KeptPoints, NDArray[np.int64]]:
    """Points that no model stands for, as they were."""
    where = points.index[kept]
    columns = KeptPoints(
        *(getattr(batch, name)[where] for name in ("time", "value", "error", "flags", "weight"))
    )
    return columns, np.concatenate(([0], np.cumsum(kept)))[points.offsets]


def _deltas(
    ticks: NDArray[np.int64], offsets: NDArray[np.int64], modelled: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Ticks of the modelled points, each from the one before in its series."""
    own = ticks[modelled]
    delta = np.diff(own, prepend=0)
    start = np.unique(np.concatenate(([0], np.cumsum(modelled)))[offsets[:-1]])
    start = start[start < own.size]
    delta[start] = own[start]
    return delta


def _reduced_chi2(series: Series, best: Judged) -> NDArray[np.float64]:
    """Of the modelled points; NaN without errors, or without points to spare."""
    counts = np.diff(series.offsets)
    owner = np.repeat(np.arange(counts.size), counts)
    with np.errstate(all="ignore"):  # series with such errors get NaN below
        z = (series.value - best.fit.model) / series.error
        square = z * z
    used = ~best.missed
    total = np.bincount(owner[used], weights=square[used], minlength=counts.size)
    spare = np.bincount(owner[used], minlength=counts.size) - best.fit.unknowns
    known = (spare > 0) & np.isfinite(best.in_errors)
    return np.where(known, total / np.maximum(spare, 1), np.nan)


def _brief(statistic: NDArray[np.float64], raw: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Statistic to the digits of float32, which is what a file keeps; NaN where raw."""
    with np.errstate(over="ignore"):
        short = statistic.astype(np.float32).astype(np.float64)
    return np.where(raw, np.nan, short)
