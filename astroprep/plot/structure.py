"""The structure function of a light curve, with the models that describe it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.features import (
    BinnedStructure,
    PowerLawFit,
    RandomWalkFit,
    fit_power_law,
    fit_random_walk,
    structure_function,
)
from astroprep.features.structure_function import DEFAULT_LAGS, Definition
from astroprep.plot.lightcurve import one_curve
from astroprep.plot.style import (
    COLOURS,
    GREY,
    INK,
    legend,
    log_axis,
    new_axes,
    plain,
    say_nothing_to_draw,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_structure_function"]

YEAR = 365.25  # days
ROOM = 3.0  # a model is drawn this far below the lowest point, as a factor


def plot_structure_function(
    data: Any,
    curve: int = 0,
    lags: Sequence[float] = DEFAULT_LAGS,
    definition: Definition = "mean_square",
    models: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Structure function of one light curve in bins of lag, with both fitted models.

    Parameters
    ----------
    data : LightCurveBatch, lightkurve.LightCurve, TimeSeries, DataFrame or tuple of arrays
        Whatever `astroprep.interchange.take` takes; of one band, with errors.
    curve : int, default 0
        Which curve of it.
    lags : sequence of float, default DEFAULT_LAGS
        Edges of the bins, days.
    definition : {"mean_square", "mean_absolute", "iqr", "mad"}, default "mean_square"
        Average of the differences, see `astroprep.features.structure_function`.
    models : bool, default True
        Draw the power law and the damped random walk, fitted to the points of the light curve
        and not to the bins. The legend has their numbers, and their status where it is not "ok".
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Logarithmic. Noise is subtracted; a bin where that leaves nothing is a triangle at the
        upper limit of two errors.

    Raises
    ------
    ConfigError
        If there is no such curve, or a setting is wrong.
    DataError
        If the curve has several bands.
    """
    one = one_curve(data, curve, "plot_structure_function")
    bins = structure_function(one, lags, definition)
    ax = new_axes(ax, (6.4, 3.8))
    ax.set_title(plain(one.ids[0]), parse_math=False, fontsize=10, loc="left")
    known = np.isfinite(bins.squared[0])
    if not known.any():
        return say_nothing_to_draw(ax, "no bin of lag has ten pairs of points with errors")
    low, high = _draw_bins(ax, bins, known)
    if models:
        lag = np.geomspace(bins.lag[0][known].min(), bins.lag[0][known].max(), 200)
        _draw_models(ax, lag, fit_power_law(one), fit_random_walk(one))
    log_axis(ax)
    ax.set_yscale("log")
    ax.set_ylim(low / ROOM, high * ROOM)
    ax.set_xlabel("lag [d]")
    ax.set_ylabel(_label(one))
    legend(ax, loc="best")
    return ax


def _label(one: LightCurveBatch) -> str:
    return f"structure function [{plain(one.meta.unit)}]" if one.meta.unit else "structure function"


def _draw_bins(ax: Axes, bins: BinnedStructure, known: NDArray[np.bool_]) -> tuple[float, float]:
    """Points with errors and limits; the lowest and the highest of them."""
    lag, squared, spread = bins.lag[0], bins.squared[0], bins.squared_error[0]
    root, error = (column[0] for column in bins.root())
    limit = np.sqrt(np.maximum(squared, 0) + 2 * np.where(np.isfinite(spread), spread, 0.0))
    seen = known & (squared > 0)
    hidden = known & ~seen & (limit > 0)
    if seen.any():
        below = np.minimum(np.nan_to_num(error[seen]), 0.9 * root[seen])
        ax.errorbar(
            lag[seen],
            root[seen],
            yerr=[below, np.nan_to_num(error[seen])],
            fmt="o",
            markersize=4,
            color=INK,
            elinewidth=0.8,
            label="noise subtracted",
            zorder=3,
        )
    if hidden.any():
        ax.plot(
            lag[hidden],
            limit[hidden],
            linestyle="none",
            marker="v",
            markerfacecolor="white",
            color=GREY,
            label="upper limit, 2 errors",
            zorder=2.5,
        )
    heights = np.concatenate([root[seen], limit[hidden]])
    return (float(heights.min()), float(heights.max())) if heights.size else (0.1, 1.0)


def _draw_models(ax: Axes, lag: NDArray[np.float64], law: PowerLawFit, walk: RandomWalkFit) -> None:
    """Both models over the lags, with their numbers in the legend."""

    def named(words: str, status: str) -> str:
        return words if status == "ok" else f"{words} ({status})"

    if np.isfinite(law.gamma[0]):
        words = f"power law, gamma = {law.gamma[0]:.2f} ± {law.gamma_error[0]:.2f}"
        ax.plot(
            lag,
            law.amplitude[0] * (lag / YEAR) ** law.gamma[0],
            color=COLOURS[0],
            linewidth=1.2,
            label=named(words, law.status[0]),
        )
    if np.isfinite(walk.log10_tau[0]):
        tau, sigma = 10 ** walk.log10_tau_mode[0], 10 ** walk.log10_sigma_mode[0]
        half = 0.5 * (walk.log10_tau_high[0] - walk.log10_tau_low[0])
        words = f"damped walk, log τ = {walk.log10_tau[0]:.2f} ± {half:.2f}"
        ax.plot(
            lag,
            sigma * np.sqrt(-2 * np.expm1(-lag / tau)),
            color=COLOURS[1],
            linewidth=1.2,
            linestyle="--",
            label=named(words, walk.status[0]),
        )
