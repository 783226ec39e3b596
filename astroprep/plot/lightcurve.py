"""Light curves against time and against phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import INFORMATIVE, LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.interchange import take
from astroprep.period.fold import fold
from astroprep.plot.style import COLOURS, GREY, legend, new_axes, plain, say_nothing_to_draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_folded", "plot_light_curve"]

REASONS = tuple(flag for flag in PointFlag if flag not in INFORMATIVE)
MARKERS = ("x", "+", "v", "D", "s", "^", "*", "1")
DOWN_WEIGHTED = 0.5  # trust under which a point is drawn hollow
ROOM = 0.6  # of the range of the good points, kept free on either side for flagged ones


def one_curve(data: Any, curve: int, who: str) -> LightCurveBatch:
    """The chosen curve of whatever can be taken; `who` is named in the error."""
    batch, _ = take(data)
    if not -batch.n_curves <= curve < batch.n_curves:
        raise ConfigError(f"{who}: there is no curve {curve}, the batch has {batch.n_curves}")
    return batch[int(curve)]


def _value_label(meta: Meta) -> str:
    name = "magnitude" if meta.quantity == "mag" else "flux"
    return name if meta.unit in ("", "mag") else f"{name} [{plain(meta.unit)}]"


def _limits(values: NDArray[np.float64], room: float) -> tuple[float, float]:
    """Range of the values with some room; one wide where they do not differ."""
    low, high = float(values.min()), float(values.max())
    margin = room * (high - low) if high > low else 0.5
    return low - margin, high + margin


def _bands(batch: LightCurveBatch) -> list[tuple[str, NDArray[np.bool_]]]:
    """Name of each band and the points it has; one nameless band where there are none."""
    if batch.band is None:
        return [("", np.ones(batch.n_points, bool))]
    return [(batch.meta.bands[code], batch.band == code) for code in np.unique(batch.band)]


def _draw_points(
    ax: Axes,
    x: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    *,
    colour: str,
    label: str,
    hollow: bool = False,
    size: float = 3.0,
) -> None:
    from matplotlib.colors import to_rgba

    known = np.where(np.isfinite(error) & (error > 0), error, 0.0)
    ax.errorbar(
        x,
        value,
        yerr=known if known.any() else None,
        fmt="o",
        markersize=size,
        color=colour,
        markerfacecolor="white" if hollow else colour,
        markeredgewidth=0.7 if hollow else 0.0,
        ecolor=to_rgba(colour, 0.4),
        elinewidth=0.6,
        label=label,
        zorder=2.5,
    )


def plot_light_curve(data: Any, curve: int = 0, ax: Axes | None = None) -> Axes:
    """One light curve against time, points that were flagged marked by the reason.

    Parameters
    ----------
    data : LightCurveBatch, lightkurve.LightCurve, TimeSeries, DataFrame or tuple of arrays
        Whatever `astroprep.interchange.take` takes.
    curve : int, default 0
        Which curve of it.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Magnitudes have the bright end up. The axes cover the good points with some room;
        flagged points farther out sit at the edge, and those without a time or a value are
        counted in the legend. Points with a weight under one half are hollow.

    Raises
    ------
    ConfigError
        If there is no such curve.
    """
    one = one_curve(data, curve, "plot_light_curve")
    ax = new_axes(ax, (7.6, 3.6))
    ax.set_title(plain(one.ids[0]), parse_math=False, fontsize=10, loc="left")
    if one.n_points == 0:
        return say_nothing_to_draw(ax, "a light curve without points")
    finite = np.isfinite(one.time) & np.isfinite(one.value)
    reason = one.flags & np.uint32(~int(INFORMATIVE) & 0xFFFFFFFF)
    good = finite & (reason == 0)
    frame = good if good.any() else finite
    if not frame.any():
        return say_nothing_to_draw(ax, f"{one.n_points} points, none with a time and a value")
    dated = np.isfinite(one.time) & (one.flags & np.uint32(PointFlag.BAD_TIME) == 0)
    x_limits = _limits(one.time[dated if dated.any() else frame], 0.03)
    y_limits = _limits(one.value[frame], ROOM if (finite & ~good).any() else 0.08)
    trusted = one.weight >= DOWN_WEIGHTED
    for k, (band, in_band) in enumerate(_bands(one)):
        colour = COLOURS[k % len(COLOURS)]
        for rows, hollow in ((good & in_band & trusted, False), (good & in_band & ~trusted, True)):
            if rows.any():
                name = plain(band) or "good"
                _draw_points(
                    ax,
                    one.time[rows],
                    one.value[rows],
                    one.error[rows],
                    colour=colour,
                    label=f"{name}, down-weighted" if hollow else name,
                    hollow=hollow,
                )
    _draw_flagged(ax, one, reason, finite, x_limits, y_limits)
    ax.set_xlim(x_limits)
    ax.set_ylim(y_limits[::-1] if one.meta.quantity == "mag" else y_limits)
    ax.set_ylabel(_value_label(one.meta), parse_math=False)
    scale = plain(one.meta.time_scale)
    ax.set_xlabel(f"time [d] ({scale})" if scale else "time [d]", parse_math=False)
    ax.ticklabel_format(axis="x", useOffset=False)
    if reason.any() or one.band is not None or not trusted.all():
        _legend_beside(ax)
    return ax


def _legend_beside(ax: Axes) -> None:
    legend(ax, loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2)


def _draw_flagged(
    ax: Axes,
    one: LightCurveBatch,
    reason: NDArray[np.uint32],
    finite: NDArray[np.bool_],
    x_limits: tuple[float, float],
    y_limits: tuple[float, float],
) -> None:
    """Each flagged point once, under its first reason; at the edge where it lies beyond."""
    first = reason & (~reason + np.uint32(1))  # lowest bit
    for k, flag in enumerate(REASONS):
        rows = first == np.uint32(flag)
        if not rows.any():
            continue
        seen = rows & finite & (one.time >= x_limits[0]) & (one.time <= x_limits[1])
        name = (flag.name or "").lower().replace("_", " ")
        missing = int(rows.sum() - seen.sum())
        label = f"{name} ({rows.sum()})" + (f", {missing} not drawn" if missing else "")
        ax.plot(
            one.time[seen],
            np.clip(one.value[seen], *y_limits),
            linestyle="none",
            marker=MARKERS[k],
            markersize=5.5,
            markeredgewidth=1.1,
            markerfacecolor="none",
            color=COLOURS[1 + k % (len(COLOURS) - 1)] if one.band is None else "black",
            label=label,
            clip_on=False,
            zorder=3,
        )


def period_of(one: LightCurveBatch, period: float | None, who: str = "plot_folded") -> float:
    """Period to fold at, in days: the one given, or the object's own."""
    if period is None and "period" in one.objects:
        period = float(one.objects["period"][0])
    if period is None or not (np.isfinite(period) and period > 0):
        raise DataError(
            f"{who} needs a period in days for {one.ids[0]!r}, got {period!r}; "
            "pass period=..., or run PeriodSearch before"
        )
    return float(period)


def _epoch_of(one: LightCurveBatch, time: NDArray[np.float64]) -> float:
    epoch = float(one.objects["epoch"][0]) if "epoch" in one.objects else np.nan
    return epoch if np.isfinite(epoch) else float(time[0])


def plot_folded(
    data: Any,
    curve: int = 0,
    period: float | None = None,
    multiples: Sequence[float] = (1,),
    ax: Axes | None = None,
) -> Axes:
    """One light curve against phase, two cycles wide.

    Parameters
    ----------
    data : LightCurveBatch, lightkurve.LightCurve, TimeSeries, DataFrame or tuple of arrays
        Whatever `astroprep.interchange.take` takes. Only usable points are drawn.
    curve : int, default 0
        Which curve of it.
    period : float, optional
        Days; the object's ``"period"`` column otherwise.
    multiples : sequence of float, default (1,)
        Fold at these multiples of the period, one below the other: half and twice the period
        are the usual mistakes of a period search.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Phase zero is the object's ``"epoch"`` column or its first usable point.

    Raises
    ------
    ConfigError
        If there is no such curve, or a multiple is not positive.
    DataError
        If there is no period.
    """
    one = one_curve(data, curve, "plot_folded")
    if not multiples or not all(m > 0 for m in multiples):
        raise ConfigError(f"plot_folded needs positive multiples, got {tuple(multiples)!r}")
    base = period_of(one, period)
    ax = new_axes(ax, (5.2, 2.2 + 1.2 * len(multiples)))
    ax.set_title(
        f"{plain(one.ids[0])}   P = {base:.6g} d", parse_math=False, fontsize=10, loc="left"
    )
    usable = one.usable
    if usable.time.size == 0:
        return say_nothing_to_draw(ax, "no usable points")
    epoch = _epoch_of(one, usable.time)
    low, high = _limits(usable.value, 0.0)
    direction = 1.0 if one.meta.quantity == "mag" else -1.0
    step = direction * 1.25 * (high - low)
    bands = [("", np.ones(usable.time.size, bool))]
    if usable.band is not None:
        bands = [(one.meta.bands[code], usable.band == code) for code in np.unique(usable.band)]
    for row, multiple in enumerate(multiples):
        phase = fold(usable.time, base * multiple, epoch)
        for k, (band, rows) in enumerate(bands):
            _draw_points(
                ax,
                np.concatenate([phase[rows], phase[rows] + 1.0]),
                np.tile(usable.value[rows] + row * step, 2),
                np.tile(usable.error[rows], 2),
                colour=COLOURS[k % len(COLOURS)],
                label=plain(band) if row == 0 else "",
            )
        if len(multiples) > 1:
            ax.text(
                1.02,
                float(np.median(usable.value)) + row * step,
                f"{multiple:g} P",
                transform=ax.get_yaxis_transform(),
                va="center",
                color=COLOURS[0],
            )
    ax.axvline(1.0, color=GREY, linewidth=0.6, linestyle=":")
    ax.set_xlim(0, 2)
    ax.set_xticks(np.arange(0.0, 2.1, 0.5))
    ax.set_xlabel("phase")
    shifted = " (shifted)" if len(multiples) > 1 else ""
    ax.set_ylabel(_value_label(one.meta) + shifted, parse_math=False)
    margin = 0.08 * (high - low)
    ends = sorted(
        (low, high, low + step * (len(multiples) - 1), high + step * (len(multiples) - 1))
    )
    bottom, top = ends[0] - margin, ends[-1] + margin
    ax.set_ylim((top, bottom) if one.meta.quantity == "mag" else (bottom, top))
    if len(bands) > 1:
        legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(bands))
    return ax
