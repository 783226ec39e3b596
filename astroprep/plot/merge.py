"""One star in several surveys, folded: before and after the zero points are taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.period.fold import fold
from astroprep.plot.style import COLOURS, legend, new_axes, plain, quiet, say_nothing_to_draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_merged"]


def plot_merged(
    merged: LightCurveBatch,
    corrected: LightCurveBatch,
    index: int = 0,
    *,
    system: str = "survey",
    period: float | None = None,
    axes: tuple[Axes, Axes] | None = None,
) -> tuple[Axes, Axes]:
    """Draw the points of one star by system, as measured and with the zero points taken out.

    Parameters
    ----------
    merged, corrected : LightCurveBatch
        Of `astroprep.integrate.merge_objects`, before and after `ZeroPointCorrection`; the same
        curves and points.
    index : int, default 0
        Which curve.
    system : str, default "survey"
        Column per point by which points are coloured; ``"band"`` for the bands.
    period : float, optional
        Days; ``objects["period"]`` of the curve otherwise.
    axes : pair of matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    pair of matplotlib.axes.Axes
        Magnitudes grow downwards.

    Raises
    ------
    DataError
        If the batches differ, there is no such curve or column, or no period is known.
    """
    if merged.n_points != corrected.n_points or merged.ids.tolist() != corrected.ids.tolist():
        raise DataError("plot_merged needs the same curves and points before and after")
    if not -merged.n_curves <= index < merged.n_curves:
        raise DataError(f"plot_merged: no curve {index}, there are {merged.n_curves}")
    if period is None:
        period = float(merged.objects.get("period", np.full(merged.n_curves, np.nan))[index])
    if not (np.isfinite(period) and period > 0):
        raise DataError(
            f"plot_merged needs a period of {merged.ids[index]!r}; give period=, or search it"
        )
    if axes is None:
        first = new_axes(None, (9.0, 3.8))
        figure: Any = first.figure
        first.remove()
        one, two = figure.subplots(1, 2)
        axes = (quiet(one), quiet(two))
    for ax, batch, title in zip(axes, (merged, corrected), ("as measured", "merged"), strict=True):
        _draw(ax, batch[index], system, period)
        ax.set_title(title, fontsize=10)
    return axes


def _draw(ax: Axes, star: LightCurveBatch, system: str, period: float) -> None:
    """Two cycles of the usable points, one colour per system."""
    if system == "band":
        bands = np.array([*star.meta.bands, ""], dtype=object)
        codes = np.full(star.n_points, -1) if star.band is None else star.band
        names = bands[codes].astype(str)
    elif system in star.points:
        names = star.points[system].astype(str)
    else:
        raise DataError(
            f"plot_merged needs the column {system!r} per point, but there is "
            f"{', '.join(sorted(star.points)) or 'none'}"
        )
    usable = star.usable
    if not usable.index.size:
        say_nothing_to_draw(ax, "no usable points")
        return
    phase = fold(usable.time, period)
    of_point = names[usable.index]
    for k, name in enumerate(np.unique(of_point)):
        own = of_point == name
        two = np.concatenate((phase[own], phase[own] + 1))
        value = np.tile(usable.value[own], 2)
        ax.plot(
            two, value, ".", markersize=2.5, alpha=0.6, color=COLOURS[k % len(COLOURS)],
            label=plain(name) or "unnamed",
        )  # fmt: skip
    ax.set_xlim(0, 2)
    ax.set_xlabel(f"phase, period {period:.6g} d")
    ax.set_ylabel(f"{star.meta.quantity} [{plain(star.meta.unit)}]")
    if star.meta.quantity == "mag" and not ax.yaxis_inverted():
        ax.invert_yaxis()
    legend(ax, loc="best", markerscale=3)
