"""How a training went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroprep.plot.style import COLOURS, GREY, INK, new_axes, plain, say_nothing_to_draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_training"]

LOSSES = ("train_loss", "loss", "validation_loss")
NOT_A_SCORE = (*LOSSES, "epoch", "learning_rate", "seconds")


def _columns(history: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Lists per epoch of a history, which may also hold ``"epochs"``, a list of rows."""
    rows = history.get("epochs")
    lists: Mapping[str, Any] = history
    if isinstance(rows, Sequence) and rows and isinstance(rows[0], Mapping):
        lists = {name: [row.get(name, np.nan) for row in rows] for name in rows[0]}
    return {
        name: np.asarray(column, dtype=np.float64)
        for name, column in lists.items()
        if isinstance(column, Sequence | np.ndarray) and not isinstance(column, str) and len(column)
    }


def plot_training(history: Mapping[str, Any], ax: Axes | None = None) -> Axes:
    """Losses (left axis) and validation scores (right axis) of each epoch.

    Parameters
    ----------
    history : mapping
        Lists of one number an epoch: ``"loss"`` or ``"train_loss"``, ``"validation_loss"``,
        ``"epoch"`` (otherwise counted from 0), and scores such as
        ``"validation_balanced_accuracy"``; ``"best_epoch"``, counted likewise, is marked.
        A list of rows under ``"epochs"`` is understood as well.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Those of the losses; the scores are on a twin.
    """
    columns = _columns(history)
    ax = new_axes(ax, (7.0, 3.6))
    drawn = [name for name in columns if name not in NOT_A_SCORE or name in LOSSES]
    if not drawn:
        return say_nothing_to_draw(ax, "no training history")
    epoch = columns.get("epoch", np.arange(max(columns[name].size for name in drawn)))
    lines = []
    losses = [name for name in LOSSES if name in columns]
    for k, name in enumerate(losses):
        title = "validation loss" if name == "validation_loss" else "training loss"
        y = columns[name]
        lines += ax.plot(epoch[: y.size], y, color=COLOURS[k], linewidth=1.4, label=title)
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    scores = [name for name in drawn if name not in losses]
    if scores:
        twin = ax.twinx()
        twin.spines[:].set_visible(False)
        twin.tick_params(colors=INK, labelsize=9, color=GREY)
        twin.set_ylabel("validation score", color=INK)
        for k, name in enumerate(scores):
            y = columns[name]
            title = plain(name.removeprefix("validation_").replace("_", " ").replace("f1", "F1"))
            lines += twin.plot(
                epoch[: y.size],
                y,
                color=COLOURS[2 + k % 3],
                linewidth=1.4,
                linestyle="--",
                label=title,
            )
    best = history.get("best_epoch")
    if best is not None and best >= 0:
        lines.append(
            ax.axvline(
                float(best), color=INK, linewidth=0.9, linestyle=":", label=f"best epoch {best}"
            )
        )
    _legend_above(ax, lines)
    return ax


def _legend_above(ax: Axes, lines: Sequence[Any]) -> None:
    """Legend of these artists in one row above the axes."""
    drawn = ax.legend(
        lines,
        [line.get_label() for line in lines],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=min(len(lines), 5),
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        borderaxespad=0.1,
        handlelength=1.6,
        columnspacing=1.2,
    )
    for text in drawn.get_texts():
        text.set_parse_math(False)
