"""What compression does to a network: bytes and accuracy, sparsity, weights, ternary training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

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

__all__ = ["plot_pareto", "plot_sparsity", "plot_ternary", "plot_weights"]


def plot_pareto(
    points: Mapping[str, tuple[float, float]],
    front: Sequence[str] = (),
    refused: Sequence[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """Balanced accuracy against bytes, and the line of those that none beats in both.

    Parameters
    ----------
    points : mapping of str to (bytes, balanced accuracy)
        By approach.
    front : sequence of str
        Names on the line, from the smallest on.
    refused : sequence of str
        Names drawn hollow: some class loses too much.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = new_axes(ax, (7.2, 4.2))
    known = {n: p for n, p in points.items() if np.isfinite(p).all() and p[0] > 0}
    if not known:
        return say_nothing_to_draw(ax, "no network was measured")
    line = np.array([known[name] for name in front if name in known]).reshape(-1, 2)
    ax.plot(line[:, 0], line[:, 1], color=GREY, linewidth=1.2, zorder=1)
    for k, (name, (size, score)) in enumerate(known.items()):
        colour = COLOURS[k % len(COLOURS)]
        ax.plot(
            [size],
            [score],
            marker="osD^vP*X"[(k + k // len(COLOURS)) % 8],  # no pair twice in the first 64
            markersize=7,
            linestyle="none",
            color=colour,
            markerfacecolor="white" if name in refused else colour,
            label=f"{plain(name)}: {size:,.0f} B, {score:.3f}"
            + (", refused" if name in refused else ""),
        )
    log_axis(ax, lambda size: f"{size:,.0f}")
    ax.set_xlabel("bytes to deploy")
    ax.set_ylabel("balanced accuracy")
    legend(ax, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def plot_sparsity(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    reference: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Accuracy lost against the share of weights that are zero, one line a way of pruning.

    Parameters
    ----------
    curves : mapping of str to (sparsities, scores)
        Arrays of equal length, 0 to 1.
    reference : float, optional
        Score of the whole network, subtracted and drawn as a line at zero.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes

    References
    ----------
    .. [1] Han et al. 2015, "Learning both weights and connections", figure 5, arXiv:1506.02626
    """
    ax = new_axes(ax)
    if not curves:
        return say_nothing_to_draw(ax, "nothing was pruned")
    for k, (name, (sparsity, score)) in enumerate(curves.items()):
        lost = np.asarray(score, dtype=np.float64) - (reference or 0.0)
        ax.plot(
            100 * np.asarray(sparsity, dtype=np.float64),
            100 * lost,
            marker="os^D"[k % 4],
            markersize=4,
            linewidth=1.4,
            color=COLOURS[k % len(COLOURS)],
            label=plain(name),
        )
    if reference is not None:
        ax.axhline(0.0, color=INK, linewidth=0.9, linestyle=":")
    ax.set_xlabel("weights that are zero, %")
    ax.set_ylabel("score lost, points" if reference is not None else "score, %")
    legend(ax, loc="lower left")
    return ax


def plot_weights(
    weights: Mapping[str, ArrayLike], n_bins: int = 80, ax: Axes | None = None
) -> Axes:
    """Histograms of the weights that are not zero, before and after a pass.

    Parameters
    ----------
    weights : mapping of str to float array
        By what to call them, such as ``"before"`` and ``"after"``.
    n_bins : int, default 80
        Over the common range.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = new_axes(ax)
    flat = {n: np.asarray(w, dtype=np.float64).ravel() for n, w in weights.items()}
    used = {n: w[np.isfinite(w) & (w != 0)] for n, w in flat.items()}
    if not any(w.size for w in used.values()):
        return say_nothing_to_draw(ax, "all weights are zero")
    reach = max(float(np.abs(w).max(initial=0.0)) for w in used.values())
    edges = np.linspace(-reach, reach, n_bins + 1).tolist()
    for k, (name, w) in enumerate(used.items()):
        ax.hist(
            w,
            edges,
            histtype="step",
            linewidth=1.4,
            color=COLOURS[k % len(COLOURS)],
            label=f"{plain(name)}: {w.size:,} of {flat[name].size:,} are not zero",
        )
    ax.set_yscale("log")
    ax.set_xlabel("weight")
    ax.set_ylabel("number")
    legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    return ax


def plot_ternary(
    history: Sequence[Mapping[str, Mapping[str, float]]], layer: str, ax: Axes | None = None
) -> Axes:
    """Shares of positive, zero and negative weights of one layer, and its scales, by epoch.

    Parameters
    ----------
    history : sequence of mappings
        What `astroprep.compress.ternary.ternary_state` gave after each epoch.
    layer : str
        Its name.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Of the shares; the scales are on a twin.

    References
    ----------
    .. [1] Zhu et al. 2017, "Trained ternary quantization", figure 2, arXiv:1612.01064
    """
    ax = new_axes(ax)
    states = [state[layer] for state in history if layer in state]
    if not states:
        return say_nothing_to_draw(ax, f"{plain(layer)} has no ternary weights")
    epoch = np.arange(len(states))
    shares = [[100 * s[name] for s in states] for name in ("negative", "zero", "positive")]
    ax.stackplot(
        epoch,
        *shares,
        colors=[COLOURS[1], "#E6E6E6", COLOURS[0]],
        labels=["negative", "zero", "positive"],
        alpha=0.7,
    )
    twin = ax.twinx()
    twin.spines[:].set_visible(False)
    for name, style in (("scale_positive", "-"), ("scale_negative", "--")):
        twin.plot(epoch, [s[name] for s in states], color=INK, linestyle=style, linewidth=1.3)
    twin.set_ylabel("scale: positive (line), negative (dashes)", color=INK)
    ax.set_xlabel("epoch")
    ax.set_ylabel(f"weights of {plain(layer)}, %")
    legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
    return ax
