"""What features are worth: importances, correlations, classes in two of them, how many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from astroprep.errors import ConfigError
from astroprep.plot.style import (
    COLOURS,
    GREY,
    colour_bar,
    legend,
    log_axis,
    new_axes,
    plain,
    say_nothing_to_draw,
)
from astroprep.reduce import (
    CorrelationClusters,
    PermutationImportance,
    SelectionCurve,
    as_table,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "plot_correlation_map",
    "plot_feature_importances",
    "plot_feature_space",
    "plot_selection_curve",
]

READABLE = 60  # features up to which their names fit along an axis
MOST_POINTS = 4000  # objects of one class that are drawn


def plot_feature_importances(
    found: PermutationImportance, n: int = 20, ax: Axes | None = None
) -> Axes:
    """Importance of features with its standard error, and each fold as a dot.

    Parameters
    ----------
    found : PermutationImportance
        Of `astroprep.reduce.permutation_importance`.
    n : int, default 20
        The most important ones are drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        The most important on top.
    """
    order = np.argsort(-found.importance, kind="stable")[: max(n, 0)][::-1]
    ax = new_axes(ax, (6.4, 1.2 + 0.24 * max(order.size, 4)))
    if order.size == 0:
        return say_nothing_to_draw(ax, "no features")
    at = np.arange(order.size)
    for k, loss in enumerate(found.loss[:, order]):
        label = "one fold" if k == 0 else None
        ax.plot(loss, at, ".", color=GREY, markersize=4, zorder=2, label=label)
    ax.errorbar(
        found.importance[order],
        at,
        xerr=found.error[order],
        fmt="o",
        markersize=5,
        elinewidth=1.2,
        color=COLOURS[0],
        label="mean, standard error",
        zorder=3,
    )
    ax.axvline(0.0, color=GREY, linewidth=1.0)
    ax.set_yticks(at)
    ax.set_yticklabels([plain(found.names[k]) for k in order], parse_math=False)
    ax.set_xlabel("score lost when shuffled, held-out objects")
    legend(ax, loc="lower right")
    return ax


def plot_correlation_map(found: CorrelationClusters, ax: Axes | None = None) -> Axes:
    """Rank correlation of all pairs, similar features side by side, clusters framed.

    Parameters
    ----------
    found : CorrelationClusters
        Of `astroprep.reduce.correlation_clusters`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Undefined correlations are blank.
    """
    from matplotlib.patches import Rectangle

    order, d = found.order, len(found.names)
    side = min(3.5 + 0.16 * d, 16.0)
    ax = new_axes(ax, (side + 0.8, side))
    ax.grid(False)
    rho = np.ma.masked_invalid(found.rho[np.ix_(order, order)])
    mesh = ax.pcolormesh(rho, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    cluster = found.cluster[order]
    starts = np.flatnonzero(np.r_[True, cluster[1:] != cluster[:-1]])
    for first, last in zip(starts, np.r_[starts[1:], d], strict=True):
        if last - first > 1:
            size = last - first
            ax.add_patch(
                Rectangle((float(first), float(first)), size, size, fill=False, linewidth=1.2)
            )
    ax.set_xlim(0, d)
    ax.set_ylim(d, 0)
    ax.set_aspect("equal")
    if d <= READABLE:
        names = [plain(found.names[k], 22) for k in order]
        ax.set_xticks(np.arange(d) + 0.5)
        ax.set_xticklabels(names, rotation=90, parse_math=False)
        ax.set_yticks(np.arange(d) + 0.5)
        ax.set_yticklabels(names, parse_math=False)
        ax.tick_params(length=0, labelsize=7)
    else:
        ax.set_xlabel(f"{d} features, similar ones side by side")
    colour_bar(ax, mesh, "rank correlation")
    return ax


def plot_feature_space(
    table: Any,
    x: str,
    y: str,
    labels: ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Objects in two features or components, one colour and marker a class.

    Parameters
    ----------
    table : any table
        See `astroprep.reduce.as_table`.
    x, y : str
        Names of two columns.
    labels : sequence of str, shape (n_objects,), optional
        Classes.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Of a class of more than 4,000 objects an even share is drawn; the legend counts
        those that have both features.

    Raises
    ------
    ConfigError
        If there is not one label an object.
    DataError
        If the table lacks a column.
    """
    values = as_table(table, [x, y] if x != y else [x]).values
    first, second = values[:, 0], values[:, -1]
    text = np.full(len(values), "", dtype=object)
    if labels is not None:
        text = np.array([str(v) for v in np.asarray(labels, dtype=object).ravel()], dtype=object)
    if text.size != len(values):
        raise ConfigError(
            f"plot_feature_space needs one label an object: {len(values)} rows, {text.size} labels"
        )
    ax = new_axes(ax, (6.4, 4.6))
    there = np.isfinite(first) & np.isfinite(second)
    if not there.any():
        return say_nothing_to_draw(ax, f"no object has both {plain(x)} and {plain(y)}")
    classes, counts = np.unique(text[there].astype(str), return_counts=True)
    for k, c in enumerate(np.argsort(-counts, kind="stable")):  # the rare ones on top
        rows = np.flatnonzero(there & (text == classes[c]))
        rows = rows[:: -(-rows.size // MOST_POINTS)]
        ax.plot(
            first[rows],
            second[rows],
            linestyle="none",
            marker="osD^vP*X"[k % 8],
            markersize=3,
            alpha=0.6,
            color=COLOURS[k % len(COLOURS)],
            label=f"{plain(classes[c]) or 'objects'} ({counts[c]})",
        )
    ax.set_xlabel(plain(x), parse_math=False)
    ax.set_ylabel(plain(y), parse_math=False)
    legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, borderaxespad=0.1)
    return ax


def plot_selection_curve(curve: SelectionCurve, ax: Axes | None = None) -> Axes:
    """Held-out score against the number of features, and the set that was chosen.

    Parameters
    ----------
    curve : SelectionCurve
        ``Selection.curve`` of `astroprep.reduce.select_features`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        The dashed line is what the smallest set has to reach, `SelectionCurve.bar`.
    """
    ax = new_axes(ax)
    ax.errorbar(
        curve.n_features,
        curve.score,
        yerr=curve.error,
        fmt="o-",
        markersize=4.5,
        linewidth=1.2,
        color=COLOURS[0],
        label=f"mean of {len(curve.scores)} folds, standard error",
    )
    ax.axhline(
        curve.bar, color=GREY, linewidth=1.0, linestyle="--", label="best less one standard error"
    )
    ax.axvline(curve.chosen, color=COLOURS[1], linewidth=1.2, label=f"chosen: {curve.chosen}")
    log_axis(ax)
    ax.set_xlabel("features")
    ax.set_ylabel("score, held-out objects")
    legend(ax, loc="lower right")
    return ax
