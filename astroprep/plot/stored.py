"""A light curve beside the model that it is stored as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError
from astroprep.plot.lightcurve import one_curve
from astroprep.plot.style import COLOURS, GREY, INK, legend, new_axes, plain, say_nothing_to_draw
from astroprep.reduce import StoredCurves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_stored"]

N_LINE = 400  # points of the drawn model


def plot_stored(
    data: Any, stored: StoredCurves, curve: int = 0, series: int = 0, ax: Axes | None = None
) -> Axes:
    """One light curve in one band, the model it is stored as, and the points that are kept.

    Parameters
    ----------
    data : LightCurveBatch, lightkurve.LightCurve, TimeSeries, DataFrame or tuple of arrays
        The original; whatever `astroprep.interchange.take` takes.
    stored : StoredCurves
        What `astroprep.reduce.compress_curves` made of it.
    curve : int, default 0
        Which curve of both.
    series : int, default 0
        Which of its bands, in the order of the stored ones.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Against phase for a harmonic model, against time otherwise; magnitudes have the bright end
        up. The shade is the residual scale, rings are kept points. The legend has kind and bytes.

    Raises
    ------
    ConfigError
        If there is no such curve, or no such band of it.
    """
    one = one_curve(data, curve, "plot_stored")
    rows = np.flatnonzero(stored.curve == curve % max(len(stored), 1))
    if len(stored) <= curve or not 0 <= series < rows.size:
        raise ConfigError(
            f"plot_stored: curve {curve} is stored in {rows.size} series, there is no {series}"
        )
    row = int(rows[series])
    ax = new_axes(ax, (6.8, 3.8))
    ax.set_title(plain(one.ids[0]), parse_math=False, fontsize=10, loc="left")
    good = np.zeros(one.n_points, bool)
    good[one.usable.index] = True
    if stored.band is not None and one.band is not None:
        good &= one.band == stored.band[row]
    if not good.any():
        return say_nothing_to_draw(ax, "no usable point to draw")
    first, period = stored.parameters.first[row], stored.parameters.period[row]

    def across(time: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((time - first) / period) % 1.0 if np.isfinite(period) else time

    ax.plot(
        across(one.time[good]),
        one.value[good],
        linestyle="none",
        marker=".",
        markersize=3,
        color=GREY,
        label="measured",
    )
    _draw_model(ax, stored, row, one.time[good])
    own = slice(stored.kept_offsets[row], stored.kept_offsets[row + 1])
    kept = stored.kept
    seen = np.isfinite(kept.time[own]) & np.isfinite(kept.value[own]) & (kept.flags[own] == 0)
    if stored.reason[row] == "" and seen.any():
        ax.plot(
            across(kept.time[own][seen]),
            kept.value[own][seen],
            linestyle="none",
            marker="o",
            markersize=6,
            markerfacecolor="none",
            color=COLOURS[1],
            label=f"kept as measured ({seen.sum()})",
        )
    ax.set_xlabel("phase" if np.isfinite(period) else "time [d]")
    ax.set_ylabel(f"{stored.meta.quantity} [{plain(stored.meta.unit)}]")
    if stored.meta.quantity == "mag":
        ax.invert_yaxis()
    legend(ax, loc="best")
    return ax


def _draw_model(ax: Axes, stored: StoredCurves, row: int, time: NDArray[np.float64]) -> None:
    """Model and residual scale; the reason where there is none."""
    if stored.reason[row]:
        ax.plot([], [], " ", label=plain(f"kept raw: {stored.reason[row]}", 60))
        return
    own, scale = stored.parameters.take(np.array([row])), stored.residual_scale[row]
    first, period = own.first[0], own.period[0]
    phased = np.isfinite(period)
    at = np.linspace(first, first + period if phased else own.last[0], N_LINE)
    model = own.values(at, np.array([0, at.size]))
    x = np.linspace(0, 1, N_LINE) if phased else at
    words = f"{stored.kind[row]}, {stored.bytes[row]} bytes for {time.size} points"
    ax.plot(x, model, color=INK, linewidth=1.2, label=words, zorder=3)
    ax.fill_between(
        x, model - scale, model + scale, color=COLOURS[0], alpha=0.25, linewidth=0, zorder=2
    )
