"""What a survey holds: points per object, brightness, scatter, sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError
from astroprep.plot.style import (
    COLOURS,
    GREY,
    INK,
    colour_bar,
    legend,
    log_axis,
    new_axes,
    plain,
    say_nothing_to_draw,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "plot_error_honesty",
    "plot_magnitudes",
    "plot_points_per_object",
    "plot_sampling",
    "plot_scatter",
]

FEW = 2000  # up to here objects are drawn one by one
UNEVEN = 1.5  # ratio of bin widths above which an axis is logarithmic
TIMES = {  # days
    "1 s": 1 / 86400,
    "1 min": 1 / 1440,
    "1 h": 1 / 24,
    "1 d": 1.0,
    "1 month": 30.4,
    "1 y": 365.25,
    "10 y": 3652.5,
}

Binning = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _counted(
    values: ArrayLike, edges: ArrayLike | None, binning: Binning, who: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts and edges: counted here, or already counted where edges are given."""
    given = np.asarray(values, dtype=np.float64).ravel()
    if edges is not None:
        borders = np.asarray(edges, dtype=np.float64).ravel()
        if borders.size != given.size + 1:
            raise ConfigError(
                f"{who} needs one edge more than counts, got {borders.size} and {given.size}"
            )
        if not given.any():
            return given, borders
        first, last = np.flatnonzero(given)[[0, -1]]
        return given[first : last + 1], borders[first : last + 2]
    given = given[np.isfinite(given)]
    if given.size == 0:
        return np.empty(0), np.zeros(1)
    borders = binning(given)
    return np.histogram(given, borders)[0].astype(np.float64), borders


def _even(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    if not high > low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, 41)


def _whole(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges between whole numbers, so that every bin holds equally many of them."""
    low, high = np.floor(values.min()), np.ceil(values.max())
    step = np.ceil((high - low + 1) / 40)
    return np.asarray(np.arange(low - 0.5, high + 0.5 + step, step))


def _even_in_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    if not high > low:
        low, high = low / 2, high * 2
    edges = np.geomspace(low, high, 41)
    edges[0], edges[-1] = low, high
    return edges


def _draw(
    ax: Axes, counts: NDArray[np.float64], edges: NDArray[np.float64], label: str, what: str
) -> Axes:
    width = np.diff(edges)
    if width.max() > UNEVEN * width.min():
        edges = np.where(edges > 0, edges, edges[1] / 2)  # the bin of zero gets a place
        log_axis(ax)
    ax.stairs(counts, edges, fill=True, color=COLOURS[0], alpha=0.85)
    ax.grid(False, axis="x")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0)
    ax.set_xlabel(label, parse_math=False)
    ax.set_ylabel(what)
    return ax


def plot_points_per_object(
    n_points: ArrayLike, edges: ArrayLike | None = None, ax: Axes | None = None
) -> Axes:
    """Histogram of how many points the light curves have.

    Parameters
    ----------
    n_points : array, shape (n_objects,), or (n_bins,) with `edges`
        Points of each object; counts of objects where `edges` are given.
    edges : float array, shape (n_bins + 1,), optional
        Edges of the bins, in points.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
    """
    counts, borders = _counted(n_points, edges, _whole, "plot_points_per_object")
    ax = new_axes(ax, (5.0, 3.0))
    if not counts.any():
        return say_nothing_to_draw(ax, "no objects")
    return _draw(ax, counts, borders, "points of an object", "objects")


def plot_magnitudes(
    value: ArrayLike,
    edges: ArrayLike | None = None,
    label: str = "median magnitude",
    ax: Axes | None = None,
) -> Axes:
    """Histogram of the brightness of the objects.

    Parameters
    ----------
    value : float array, shape (n_objects,), or (n_bins,) with `edges`
        Brightness of each object, NaN left out; counts where `edges` are given.
    edges : float array, shape (n_bins + 1,), optional
        Edges of the bins.
    label : str
        What was counted, with its unit.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
    """
    counts, borders = _counted(value, edges, _even, "plot_magnitudes")
    ax = new_axes(ax, (5.0, 3.0))
    if not counts.any():
        return say_nothing_to_draw(ax, "no objects with a brightness")
    return _draw(ax, counts, borders, plain(label, 60), "objects")


def plot_sampling(gap: ArrayLike, edges: ArrayLike | None = None, ax: Axes | None = None) -> Axes:
    """Histogram of the time from one point to the next, on a logarithmic axis.

    Parameters
    ----------
    gap : float array, shape (n_gaps,), or (n_bins,) with `edges`
        Days; not positive ones are left out. Counts where `edges` are given.
    edges : float array, shape (n_bins + 1,), optional
        Edges of the bins, days, positive.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        The ticks are minutes, hours, days, months and years.
    """
    days = np.asarray(gap, dtype=np.float64).ravel()
    if edges is None:
        days = days[np.isfinite(days) & (days > 0)]
    counts, borders = _counted(days, edges, _even_in_log, "plot_sampling")
    ax = new_axes(ax, (5.0, 3.0))
    if not counts.any():
        return say_nothing_to_draw(ax, "no object with two points")
    _draw(ax, counts, borders, "time to the next point", "pairs of points")
    ax.set_xscale("log")
    ax.minorticks_off()
    near = {name: t for name, t in TIMES.items() if borders[0] <= t <= borders[-1]}
    ax.set_xticks(list(near.values()), list(near))
    return ax


def plot_error_honesty(
    ratio: ArrayLike, edges: ArrayLike | None = None, ax: Axes | None = None
) -> Axes:
    """Histogram of how much larger the true scatter is than the quoted error.

    Parameters
    ----------
    ratio : float array, shape (n_objects,), or (n_bins,) with `edges`
        True over quoted scatter of each object, positive; counts where `edges` are given.
    edges : float array, shape (n_bins + 1,), optional
        Edges of the bins, positive.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Honest error bars stand at one, which is marked.
    """
    values = np.asarray(ratio, dtype=np.float64).ravel()
    if edges is None:
        values = values[np.isfinite(values) & (values > 0)]
    counts, borders = _counted(values, edges, _even_in_log, "plot_error_honesty")
    ax = new_axes(ax, (5.0, 3.0))
    if not counts.any():
        return say_nothing_to_draw(ax, "no object with error bars to judge")
    _draw(ax, counts, borders, "true scatter / quoted error", "objects")
    log_axis(ax)
    ax.set_xlim(min(borders[0], 0.8), max(borders[-1], 1.25))
    ax.axvline(1.0, color=INK, linewidth=0.9, linestyle=":")
    return ax


def plot_scatter(
    magnitude: ArrayLike,
    scatter: ArrayLike,
    label: str = "median magnitude",
    ax: Axes | None = None,
    marked: tuple[ArrayLike, ArrayLike] | None = None,
) -> Axes:
    """Scatter of each object's points against its brightness, with the running median.

    Parameters
    ----------
    magnitude, scatter : float array, shape (n_objects,)
        Brightness and robust scatter of each object in one unit; pairs that are not finite or
        without scatter are left out.
    label : str
        What the brightness is, with its unit.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.
    marked : (float array, float array), optional
        Brightness and scatter of objects that are drawn on top, such as those with faults.

    Returns
    -------
    matplotlib.axes.Axes
        Constant stars follow the lower envelope, which is the noise of the survey.

    Raises
    ------
    ConfigError
        If the two differ in length.
    """
    x = np.asarray(magnitude, dtype=np.float64).ravel()
    y = np.asarray(scatter, dtype=np.float64).ravel()
    if x.size != y.size:
        raise ConfigError(
            f"plot_scatter needs as many magnitudes as scatters, got {x.size} and {y.size}"
        )
    ax = new_axes(ax, (5.0, 3.4))
    known = np.isfinite(x) & np.isfinite(y) & (y > 0)
    x, y = x[known], y[known]
    if x.size == 0:
        return say_nothing_to_draw(ax, "no objects with a scatter")
    ax.set_yscale("log")
    if x.size <= FEW:
        ax.plot(x, y, ".", color=COLOURS[0], markersize=3.5, alpha=0.5, markeredgewidth=0)
    else:
        drawn = ax.hexbin(x, y, gridsize=55, yscale="log", bins="log", mincnt=1, cmap="Blues")
        colour_bar(ax, drawn, "objects")
    middle, median = _running_median(x, y)
    ax.plot(middle, median, color=COLOURS[1], linewidth=1.6, label="median")
    if marked is not None and len(np.atleast_1d(marked[0])):
        ax.plot(*marked, "x", color=INK, markersize=6, label="worst objects")
        legend(ax, loc="best")
    ax.set_xlabel(plain(label, 60), parse_math=False)
    ax.set_ylabel("robust scatter")
    ax.grid(True, which="major", color=GREY, alpha=0.25, linewidth=0.6)
    return ax


def _running_median(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Medians of up to 25 groups of equally many objects, by brightness."""
    groups = np.array_split(np.argsort(x), min(25, max(1, x.size // 8)))
    return (
        np.array([np.median(x[part]) for part in groups]),
        np.array([np.median(y[part]) for part in groups]),
    )
