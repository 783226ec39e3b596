"""Times of events against those that were computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from astroprep.errors import ConfigError
from astroprep.plot.style import COLOURS, GREY, legend, new_axes, say_nothing_to_draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_o_minus_c"]


def plot_o_minus_c(
    mid_time: ArrayLike,
    o_minus_c: ArrayLike,
    error: ArrayLike | None = None,
    model: tuple[ArrayLike, ArrayLike] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Observed minus computed times against the time they were observed.

    Parameters
    ----------
    mid_time : float64 array, shape (n_events,)
        Days.
    o_minus_c : float64 array, shape (n_events,)
        Days; drawn in minutes where all are under two hours.
    error : float64 array, shape (n_events,), optional
        Days.
    model : tuple of two float64 arrays, optional
        Times and differences of a curve to draw, both in days.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Events whose time or difference is not finite are counted in the title.

    Raises
    ------
    ConfigError
        If the lengths differ.
    """
    time = np.asarray(mid_time, np.float64).ravel()
    late = np.asarray(o_minus_c, np.float64).ravel()
    bar = np.zeros(late.size) if error is None else np.asarray(error, np.float64).ravel()
    if not time.size == late.size == bar.size:
        raise ConfigError(
            "plot_o_minus_c needs one difference and one error per time, got "
            f"{time.size} times, {late.size} differences and {bar.size} errors"
        )
    ax = new_axes(ax, (7.0, 3.4))
    known = np.isfinite(time) & np.isfinite(late)
    if not known.any():
        return say_nothing_to_draw(ax, "no event with a time and a difference")
    in_minutes = bool(np.abs(late[known]).max() < 2 / 24)
    unit, scale = ("min", 1440.0) if in_minutes else ("d", 1.0)
    ax.axhline(0.0, color=GREY, linewidth=0.8, zorder=1.5)
    bars = np.where(np.isfinite(bar[known]) & (bar[known] > 0), bar[known], 0.0) * scale
    ax.errorbar(
        time[known],
        late[known] * scale,
        yerr=bars if bars.any() else None,
        fmt="o",
        markersize=3.5,
        color=COLOURS[0],
        elinewidth=0.7,
        label="observed",
        zorder=2.5,
    )
    if model is not None:
        x, y = (np.asarray(part, np.float64).ravel() for part in model)
        if x.size != y.size:
            raise ConfigError(f"plot_o_minus_c: model has {x.size} times and {y.size} differences")
        ax.plot(x, y * scale, color=COLOURS[1], linewidth=1.3, label="model", zorder=3)
        legend(ax, loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2)
    if missing := int((~known).sum()):
        ax.set_title(f"{missing} of {time.size} events not drawn", fontsize=10, loc="left")
    ax.set_xlabel("time [d]")
    ax.set_ylabel(f"O - C [{unit}]")
    ax.ticklabel_format(axis="x", useOffset=False)
    return ax
