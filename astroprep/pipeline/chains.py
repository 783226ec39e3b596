"""The steps that `astroprep clean` and `astroprep detrend` run, made of a few choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from astroprep.base import Transformer
from astroprep.clean import (
    DropMissing,
    FlagBad,
    Impute,
    KeepMissing,
    OutlierMixture,
    SigmaClip,
    SurveyFlags,
)
from astroprep.detrend import (
    CotrendingCorrection,
    EnsembleTrend,
    EventTrend,
    MarkEvents,
    MovingTrend,
    TelemetryTrend,
)
from astroprep.errors import ConfigError
from astroprep.period import UseCataloguePeriod

__all__ = ["cleaning_steps", "detrending_steps"]

Outliers = Literal["mixture", "clip", "none"]
Missing = Literal["keep", "drop", "linear", "harmonic", "gp"]
Method = Literal["events", "biweight", "median", "mean", "cbv", "telemetry", "ensemble"]
MOVING = ("biweight", "median", "mean")


def cleaning_steps(
    outliers: Outliers = "mixture", missing: Missing = "keep", *, known_period: bool = False
) -> list[Transformer]:
    """Steps that flag, weigh and, if wanted, fill points.

    Parameters
    ----------
    outliers : {"mixture", "clip", "none"}, default "mixture"
        ``"mixture"`` lowers the weight of points by their probability of being outliers and
        keeps flares, dips and eclipses; ``"clip"`` flags them.
    missing : {"keep", "drop", "linear", "harmonic", "gp"}, default "keep"
        ``"keep"`` leaves missing points flagged, for features and network to handle; ``"drop"``
        removes them; the others put a model's value with its error there and say so.
    known_period : bool, default False
        Objects bring a period (``catalogue_period``): outliers are judged on the folded curve
        too, and ``"harmonic"`` needs it.

    Returns
    -------
    list of Transformer
        With ``on_bad="reject"``.

    Raises
    ------
    ConfigError
        If ``"harmonic"`` has no period.
    """
    if missing == "harmonic" and not known_period:
        raise ConfigError("--missing harmonic needs --period-column, the column of the periods")
    bad: dict[str, Any] = {"on_bad": "reject"}
    steps: list[Transformer] = [SurveyFlags(**bad), FlagBad(missing_errors="estimate", **bad)]
    if known_period:
        steps.append(UseCataloguePeriod(**bad))
    if outliers == "mixture":
        steps.append(OutlierMixture(period="period" if known_period else None, **bad))
    elif outliers == "clip":
        steps.append(SigmaClip(**bad))
    if missing == "keep":
        steps.append(KeepMissing(**bad))
    elif missing == "drop":
        steps.append(DropMissing(**bad))
    else:
        steps.append(Impute(method=missing, **bad))
    return steps


def detrending_steps(
    method: Method = "events",
    *,
    window: float | None = None,
    vectors: Sequence[str] = (),
    keep_events: bool = True,
) -> list[Transformer]:
    """Steps that take out the trend of an instrument or a star.

    Parameters
    ----------
    method : {"events", "biweight", "median", "mean", "cbv", "telemetry", "ensemble"}
        A spline bridged under events, the default, kept most of them; a moving average; cotrending
        basis vectors; the pointing of the telescope; what the stars of a field share.
    window : float, optional
        Width of the moving average, days.
    vectors : sequence of str
        Files of cotrending basis vectors, for ``"cbv"``.
    keep_events : bool, default True
        Find flares, dips and eclipses first, and make no trend of them (``"events"`` always
        does).

    Returns
    -------
    list of Transformer
        With ``on_bad="reject"``.

    Raises
    ------
    ConfigError
        If a choice does not go with the method.
    """
    if window is not None and method not in MOVING:
        raise ConfigError(f"--window goes with {', '.join(MOVING)}, not with {method}")
    if vectors and method != "cbv":
        raise ConfigError(f"--vectors goes with cbv, not with {method}")
    if method == "cbv" and not vectors:
        raise ConfigError("cbv needs --vectors FILE, once for each file of basis vectors")
    bad: dict[str, Any] = {"on_bad": "reject"}
    steps: list[Transformer] = [SurveyFlags(**bad), FlagBad(missing_errors="estimate", **bad)]
    if keep_events and method in (*MOVING, "cbv", "telemetry"):
        steps.append(MarkEvents(**bad))
    if method == "events":
        steps.append(EventTrend(**bad))
    elif method == "biweight" or method == "median" or method == "mean":
        moving = MovingTrend(average=method, **bad)
        steps.append(moving if window is None else moving.set_params(window=window))
    elif method == "cbv":
        steps.append(CotrendingCorrection(vectors=tuple(vectors), **bad))
    elif method == "telemetry":
        steps.append(TelemetryTrend(**bad))
    else:
        steps.append(EnsembleTrend(**bad))
    for step in steps:
        step.check()
    return steps
