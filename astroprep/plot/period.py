"""Which period, in pictures: the periodogram and its aliases, folds side by side, the window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError
from astroprep.plot.lightcurve import one_curve, period_of, plot_folded
from astroprep.plot.style import (
    COLOURS,
    INK,
    legend,
    new_axes,
    plain,
    quiet,
    say_nothing_to_draw,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CYCLES", "plot_folds", "plot_periodogram", "plot_window"]

CYCLES = {  # cycles per day at which sampling from the ground repeats
    "1 d": 1.0,
    "sidereal day": 1.002737909,  # IAU 1982; a star culminates as often
    "lunar month": 1 / 29.530589,  # synodic: nights near full moon are lost
    "year": 1 / 365.2422,  # tropical: the season of the star
}
ALIAS_MARKS = {"1 d": "v", "sidereal day": "1", "lunar month": "D", "year": "s"}
HARMONICS = (1 / 3, 1 / 2, 2.0, 3.0)  # of the chosen frequency
MAX_DRAWN = 20_000  # frequencies; a longer periodogram keeps the highest of each stretch
MOST_APART = 200.0  # of its frequency: in a wider picture a mark says nothing
MULTIPLES = (1.0, 2.0, 0.5)
MULTIPLE_NAMES = {1.0: "P", 0.5: "P/2"}


def _pair(x: ArrayLike, y: ArrayLike, who: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as sorted float arrays of one length."""
    first = np.asarray(x, np.float64).ravel()
    second = np.asarray(y, np.float64).ravel()
    if first.size != second.size:
        raise ConfigError(f"{who} needs as many powers as frequencies: {second.size}, {first.size}")
    known = np.isfinite(first) & np.isfinite(second)
    order = np.argsort(first[known], kind="stable")
    return first[known][order], second[known][order]


def _thinned(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most `MAX_DRAWN` points: lowest and highest of each stretch, so that no peak is lost."""
    size = -(-2 * x.size // MAX_DRAWN)
    if size <= 2:
        return x, y
    whole = x.size // size * size
    part = y[:whole].reshape(-1, size)
    start = np.arange(0, whole, size)
    keep = np.unique(
        np.concatenate(
            [start + part.argmin(axis=1), start + part.argmax(axis=1), np.arange(whole, x.size)]
        )
    )
    return x[keep], y[keep]


def _height(
    x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Highest value within two steps of each place."""
    near = np.searchsorted(x, at)
    around = np.clip(near[:, None] + np.arange(-2, 3), 0, x.size - 1)
    return np.asarray(y[around].max(axis=1))


def _aliases(chosen: float, low: float, high: float) -> dict[str, NDArray[np.float64]]:
    """Frequencies that the sampling confuses with the chosen one, by what repeats."""
    aliases = {}
    for name, cycle in CYCLES.items():
        at = np.abs(chosen + cycle * np.array([-2.0, -1.0, 1.0, 2.0]))
        aliases[name] = np.unique(at[(at >= low) & (at <= high)])
    return aliases


def plot_periodogram(
    frequency: ArrayLike,
    power: ArrayLike,
    candidates: ArrayLike | None = None,
    chosen: float | None = None,
    aliases: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """A periodogram with the chosen peak, the other candidates, aliases and harmonics.

    Parameters
    ----------
    frequency : float64 array, shape (n_frequencies,)
        Cycles per day.
    power : float64 array, shape (n_frequencies,)
        Any normalisation.
    candidates : float64 array, shape (n_candidates,), optional
        Frequencies of other candidates, cycles per day; those not positive are left out.
    chosen : float, optional
        The chosen frequency; the highest peak otherwise.
    aliases : bool, default True
        Mark what one or two cycles per day, sidereal day, lunar month and year make of the
        chosen frequency, and its harmonics.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Of a long periodogram the highest and lowest of each stretch are drawn: no peak is lost.

    Raises
    ------
    ConfigError
        If the lengths differ, or the chosen frequency is not positive and finite.
    """
    x, y = _pair(frequency, power, "plot_periodogram")
    ax = new_axes(ax, (8.6, 3.6))
    if x.size == 0:
        return say_nothing_to_draw(ax, "no frequencies")
    best = float(x[np.argmax(y)]) if chosen is None else float(chosen)
    if not (np.isfinite(best) and best > 0):
        raise ConfigError(f"plot_periodogram needs a positive chosen frequency, got {best!r}")
    ax.plot(*_thinned(x, y), color=COLOURS[0], linewidth=0.7, zorder=2)
    room = max(float(y.max()) - min(float(y.min()), 0.0), 1e-300)
    _mark_candidates(ax, x, y, candidates, best, room)
    if aliases:
        _mark_aliases(ax, x, y, best, room)
    ax.set_xlim(x[0], x[-1] if x[-1] > x[0] else x[0] + 1.0)
    ax.set_ylim(min(float(y.min()), 0.0), float(y.max()) + 0.3 * room)
    ax.set_xlabel("frequency [cycles / d]")
    ax.set_ylabel("power")
    ax.set_title(f"chosen: {best:.6g} cycles/d, P = {1 / best:.6g} d", fontsize=10, loc="left")
    legend(ax, loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2)
    return ax


def _mark_candidates(
    ax: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    candidates: ArrayLike | None,
    best: float,
    room: float,
) -> None:
    """The chosen peak and the others, a little above the curve."""
    if x[0] <= best <= x[-1]:
        ax.plot(
            [best],
            _height(x, y, np.array([best])) + 0.05 * room,
            linestyle="none",
            marker="*",
            markersize=11,
            color=COLOURS[1],
            label="chosen",
            zorder=4,
        )
    others = np.asarray([] if candidates is None else candidates, np.float64).ravel()
    others = others[np.isfinite(others) & (others >= x[0]) & (others <= x[-1])]
    others = others[np.abs(others - best) > 1e-9 * best]
    if others.size:
        ax.plot(
            others,
            _height(x, y, others) + 0.04 * room,
            linestyle="none",
            marker="o",
            markersize=5,
            markerfacecolor="none",
            color=INK,
            label="other candidates",
            zorder=3.5,
        )


def _mark_aliases(
    ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], best: float, room: float
) -> None:
    """One row of marks per kind above the highest peak, dotted lines down to the axis."""
    top = float(y.max())
    low, high = float(x[0]), float(x[-1])
    harmonics = best * np.array(HARMONICS)
    rows = {"harmonic": harmonics[(harmonics >= low) & (harmonics <= high)]}
    rows |= {f"± {name}": at for name, at in _aliases(best, low, high).items()}
    for k, (name, at) in enumerate(rows.items()):
        if at.size == 0:
            continue
        level = top + (0.1 + 0.04 * k) * room
        colour = COLOURS[(2, 3, 4, 7, 5)[k]]
        marker = "^" if k == 0 else ALIAS_MARKS[name.removeprefix("± ")]
        ax.vlines(at, 0.0, level, color=colour, linewidth=0.5, linestyle=":", zorder=1.5)
        ax.plot(
            at,
            np.full(at.size, level),
            linestyle="none",
            marker=marker,
            markersize=5,
            color=colour,
            label=name,
            zorder=3,
        )


def plot_folds(
    data: Any,
    period: float | None = None,
    curve: int = 0,
    multiples: Sequence[float] = MULTIPLES,
) -> NDArray[np.object_]:
    """One light curve at its period, twice and half of it, side by side on one scale.

    Parameters
    ----------
    data : LightCurveBatch, lightkurve.LightCurve, TimeSeries, DataFrame or tuple of arrays
        Whatever `astroprep.interchange.take` takes.
    period : float, optional
        Days; the object's ``"period"`` column otherwise.
    curve : int, default 0
        Which curve of it.
    multiples : sequence of float, default (1, 2, 0.5)
        Of the period, one picture each.

    Returns
    -------
    object array of matplotlib.axes.Axes, shape (n_multiples,)
        On one new figure.

    Raises
    ------
    ConfigError
        If there is no such curve, or a multiple is not positive.
    DataError
        If there is no period.
    """
    if len(multiples) == 0 or not all(m > 0 for m in multiples):
        raise ConfigError(f"plot_folds needs positive multiples, got {tuple(multiples)!r}")
    one = one_curve(data, curve, "plot_folds")
    base = period_of(one, period, "plot_folds")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.0 + 2.9 * len(multiples), 3.2), layout="constrained")
    axes = np.empty(len(multiples), object)
    for k, multiple in enumerate(multiples):
        axes[k] = quiet(figure.add_subplot(1, len(multiples), k + 1))
        plot_folded(one, period=base * multiple, ax=axes[k])
        name = MULTIPLE_NAMES.get(multiple, f"{multiple:g} P")
        axes[k].set_title(f"{name} = {base * multiple:.6g} d", fontsize=10, loc="left", color=INK)
        if k:
            axes[k].set_ylabel("")
            axes[k].tick_params(labelleft=False)
    figure.suptitle(plain(one.ids[0]), fontsize=10, color=INK, parse_math=False)
    return axes


def plot_window(frequency: ArrayLike, power: ArrayLike, ax: Axes | None = None) -> Axes:
    """A spectral window: at which frequencies the sampling repeats itself.

    Parameters
    ----------
    frequency : float64 array, shape (n_frequencies,)
        Cycles per day.
    power : float64 array, shape (n_frequencies,)
        From 0, no repetition, to 1, all points at one phase.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        With whole days, sidereal days, month and year marked as far as they are apart.

    Raises
    ------
    ConfigError
        If the lengths differ.
    """
    x, y = _pair(frequency, power, "plot_window")
    ax = new_axes(ax, (8.6, 3.0))
    if x.size == 0:
        return say_nothing_to_draw(ax, "no frequencies")
    ax.plot(*_thinned(x, y), color=COLOURS[0], linewidth=0.7, zorder=2)
    whole = np.arange(1.0, min(np.floor(x[-1]), 30.0) + 1.0)
    places = {"cycles per day": whole[(whole >= x[0]) & (whole <= x[-1])]}
    places |= {
        name: np.array([cycle])
        for name, cycle in CYCLES.items()
        if name != "1 d" and x[0] <= cycle <= x[-1] and x[-1] - x[0] < MOST_APART * cycle
    }
    top = max(float(y.max()), 1e-300)
    for k, (name, at) in enumerate(places.items()):
        if at.size:
            ax.plot(
                at,
                np.full(at.size, (1.08 + 0.05 * k) * top),
                linestyle="none",
                marker="v" if k == 0 else ALIAS_MARKS[name],
                markersize=5,
                color=COLOURS[(3, 4, 7, 5)[k]],
                label=name,
                zorder=3,
            )
    ax.set_xlim(x[0], x[-1] if x[-1] > x[0] else x[0] + 1.0)
    ax.set_ylim(0.0, 1.3 * top)
    ax.set_xlabel("frequency [cycles / d]")
    ax.set_ylabel("window power")
    legend(ax, loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2)
    return ax
