"""Pictures of a quality report: nights, bands, drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from astroprep.errors import ConfigError
from astroprep.plot.style import COLOURS, GREY, INK, legend, new_axes, plain, say_nothing_to_draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_band_coverage", "plot_drift", "plot_nights"]

VERDICT_STYLE = {  # colour and marker, so that no verdict is told by colour alone
    "good": (COLOURS[0], ".", 3.0),
    "unknown": (GREY, ".", 3.0),
    "fair": (COLOURS[4], "^", 4.5),
    "poor": (COLOURS[1], "s", 5.0),
}
LONGEST_LIST = 24  # bars of one picture


def plot_nights(
    night: ArrayLike,
    value: ArrayLike,
    verdict: Sequence[str],
    label: str,
    usual: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """One measure of each night, along time.

    Parameters
    ----------
    night : int array, shape (n_nights,)
        MJD of the nights.
    value : float array, shape (n_nights,)
        The measure; NaN left out.
    verdict : sequence of str, shape (n_nights,)
        ``"good"``, ``"fair"``, ``"poor"`` or ``"unknown"``, drawn in different markers.
    label : str
        What the measure is, with its unit.
    usual : float, optional
        Where an ordinary night stands; a line is drawn there.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        The axis reaches to the 99th percentile of the good nights and all others; good nights
        beyond it are drawn at its edge.

    Raises
    ------
    ConfigError
        If the three differ in length.
    """
    x, y = np.asarray(night, np.float64).ravel(), np.asarray(value, np.float64).ravel()
    said = np.asarray(verdict, dtype=object).ravel()
    if not x.size == y.size == said.size:
        raise ConfigError(
            f"plot_nights needs as many nights as values and verdicts, got {x.size}, {y.size} "
            f"and {said.size}"
        )
    ax = new_axes(ax, (9.0, 2.3))
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return say_nothing_to_draw(ax, "no night with enough stars to judge")
    bad = known & np.isin(said, ("fair", "poor"))
    low, high = np.percentile(y[known], [0.5, 99.5])
    if bad.any():
        low, high = min(low, y[bad].min()), max(high, y[bad].max())
    room = 0.06 * (high - low) or 0.5
    for name, (colour, marker, size) in VERDICT_STYLE.items():
        mine = known & (said == name)
        if mine.any():
            drawn = np.clip(y[mine], low - room / 2, high + room / 2)
            ax.plot(
                x[mine], drawn, linestyle="none", color=colour, marker=marker, markersize=size,
                markeredgewidth=0, label=f"{name} ({mine.sum()})",
            )  # fmt: skip
    if usual is not None:
        ax.axhline(usual, color=INK, linewidth=0.9, linestyle=":")
    ax.set_ylim(low - room, high + room)
    ax.set_xlabel("night [MJD]")
    ax.ticklabel_format(axis="x", useOffset=False)
    ax.set_ylabel(plain(label, 40), parse_math=False)
    legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.1)
    return ax


def plot_band_coverage(
    counts: Mapping[str, tuple[int, int]], n_objects: int, ax: Axes | None = None
) -> Axes:
    """Share of the objects that each band saw, and saw often enough.

    Parameters
    ----------
    counts : mapping of str to (int, int)
        By band: objects with a point in it, and with enough of them.
    n_objects : int
        Objects of the survey.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        The first 24 bands, in their order from the top.
    """
    names = list(counts)[:LONGEST_LIST]
    ax = new_axes(ax, (5.0, 1.1 + 0.3 * max(len(names), 2)))
    if not names or n_objects < 1:
        return say_nothing_to_draw(ax, "the survey has one band")
    rows = np.arange(len(names))
    seen = np.array([counts[name][0] for name in names]) / n_objects
    enough = np.array([counts[name][1] for name in names]) / n_objects
    ax.barh(rows, seen, color=COLOURS[5], label="a point")
    ax.barh(rows, enough, height=0.4, color=COLOURS[0], label="five points")
    ax.set_yticks(rows, [plain(name) for name in names], parse_math=False)
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the objects")
    ax.grid(False, axis="y")
    legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.1)
    return ax


def plot_drift(
    psi: Mapping[str, float],
    verdict: Mapping[str, str],
    limits: tuple[float, float] = (0.1, 0.25),
    ax: Axes | None = None,
) -> Axes:
    """Population stability index of each measure, with its limits.

    Parameters
    ----------
    psi : mapping of str to float
        By measure; from 0 (no drift) upwards.
    verdict : mapping of str to str
        By measure, for the colour.
    limits : (float, float), default (0.1, 0.25)
        Where drift is small and where it is large; both are marked.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        The 24 largest, largest on top, on an axis that is linear up to the first limit and
        logarithmic beyond.
    """
    ordered = sorted(psi, key=lambda name: -psi[name])[:LONGEST_LIST]
    ax = new_axes(ax, (6.0, 1.1 + 0.26 * max(len(ordered), 2)))
    if not ordered:
        return say_nothing_to_draw(ax, "nothing to compare")
    rows = np.arange(len(ordered))
    colours = [VERDICT_STYLE.get(verdict.get(n, ""), (GREY,))[0] for n in ordered]
    ax.barh(rows, [psi[name] for name in ordered], color=colours, height=0.7)
    words = [f"{plain(name)} ({verdict.get(name, 'unknown')})" for name in ordered]
    ax.set_yticks(rows, words, parse_math=False)
    ax.invert_yaxis()
    ax.set_xscale("symlog", linthresh=limits[0])
    ax.set_xlim(0, max(1.2 * limits[1], 1.3 * max(psi.values())))
    ticks = [t for t in (0, *limits, 1, 10, 100) if t <= ax.get_xlim()[1]]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    for limit in limits:
        ax.axvline(limit, color=INK, linewidth=0.9, linestyle=":")
    ax.set_xlabel("population stability index")
    ax.grid(False, axis="y")
    return ax
