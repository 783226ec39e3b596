"""One sober look for every picture: colours that colour-blind people tell apart, few lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.legend import Legend

__all__ = [
    "COLOURS",
    "GREY",
    "INK",
    "colour_bar",
    "legend",
    "new_axes",
    "plain",
    "quiet",
    "say_nothing_to_draw",
]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A900", "#000000")
"""Okabe & Ito 2008, "Color Universal Design", their yellow darkened to be seen on white."""

INK = "#333333"
GREY = "#9A9A9A"

MAX_LETTERS = 28


def new_axes(
    ax: Axes | None,
    size: tuple[float, float] = (6.4, 3.8),
    *,
    fit: bool = True,
) -> Axes:
    """Axes to draw in: those given, or new ones that belong to no global state.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
        Returned as it is where given.
    size : tuple of float
        Width and height of a new figure, inches.
    fit : bool, default True
        Fit the margins to the labels; False leaves them to the caller and is faster.

    Returns
    -------
    matplotlib.axes.Axes
        New ones sit on a `matplotlib.figure.Figure` of their own, which no backend knows:
        ``ax.figure.savefig(...)`` works anywhere and nothing stays in memory.
    """
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    figure.set_layout_engine("constrained" if fit else "none")
    return quiet(figure.add_subplot())


def quiet(ax: Axes) -> Axes:
    """Axes with few lines: the look of every picture here, for axes made elsewhere."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(colors=INK, labelsize=9, color=GREY)
    ax.title.set_color(INK)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_color(INK)
        axis.label.set_fontsize(10)
    ax.grid(True, color="#E6E6E6", linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def colour_bar(ax: Axes, drawn: ScalarMappable, label: str) -> None:
    """Colour bar beside the axes, as quiet as they are."""
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.8, pad=0.02, aspect=25)
    bar.set_label(label, color=INK, fontsize=9)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)


def log_axis(ax: Axes, text: Callable[[float], str] = "{:g}".format) -> None:
    """Logarithmic x axis with whole words for numbers, finer ticks where it is short."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    class Fitting(LogLocator):
        def tick_values(self, vmin: float, vmax: float) -> Any:
            self.set_params(subs=(1.0, 2.0, 5.0) if vmax < 40 * vmin else (1.0,))
            return super().tick_values(vmin, vmax)

    ax.set_xscale("log")
    ax.xaxis.set_major_locator(Fitting(numticks=12))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())


def plain(text: object, longest: int = MAX_LETTERS) -> str:
    """Text from a file as it may stand in a picture: printable, on one line, not too long.

    Parameters
    ----------
    text : object
        Anything with a ``str``.
    longest : int
        Letters after which it is cut with an ellipsis.
    """
    clean = "".join(
        letter if unicodedata.category(letter)[0] not in "CZ" else " " for letter in str(text)
    ).strip()
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def legend(ax: Axes, **place: Any) -> Legend | None:
    """Legend of what has a label, without mathematical typesetting of data; None for none."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return None
    # matplotlib lists points with error bars and bars (its containers, tuples) last
    order = sorted(range(len(handles)), key=lambda k: not isinstance(handles[k], tuple))
    handles, labels = [handles[k] for k in order], [labels[k] for k in order]
    options = {"frameon": False, "fontsize": 8.5, "labelcolor": INK, **place}
    drawn = ax.legend(handles, labels, **options)
    for text in drawn.get_texts():
        text.set_parse_math(False)
    return drawn


def say_nothing_to_draw(ax: Axes, why: str) -> Axes:
    """Axes with one sentence in place of a picture."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.text(
        0.5,
        0.5,
        why,
        transform=ax.transAxes,
        ha="center",
        va="center",
        color=INK,
        parse_math=False,
    )
    return ax
