"""How good a classifier is: confusion, calibration, size against accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError
from astroprep.plot.style import (
    COLOURS,
    GREY,
    INK,
    colour_bar,
    legend,
    log_axis,
    new_axes,
    plain,
    say_nothing_to_draw,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "plot_accuracy_by",
    "plot_class_counts",
    "plot_confusion",
    "plot_reliability",
    "plot_size_accuracy",
]

REJECTED = "(none)"
READABLE = 24  # classes up to which the numbers fit into the cells
CELL = 0.58  # inches
WIDEST = 30.0  # inches


def _percent(share: float) -> str:
    return "<1%" if share < 0.005 else f"{100 * share:.0f}%"


def plot_confusion(matrix: ArrayLike, labels: Sequence[str], ax: Axes | None = None) -> Axes:
    """Confusion matrix: colour and percent by true class, counts underneath.

    Parameters
    ----------
    matrix : int array, shape (n_classes, n_classes) or (n_classes, n_classes + 1)
        Row: truth, column: prediction. A further column counts objects without a prediction;
        it is drawn where it is not empty.
    labels : sequence of str, length n_classes
        Names of the classes.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ConfigError
        If matrix and labels do not agree.
    """
    counts = np.asarray(matrix)
    n = len(labels)
    if counts.ndim != 2 or counts.shape[0] != n or counts.shape[1] not in (n, n + 1):
        raise ConfigError(
            f"plot_confusion needs {n} rows and {n} or {n + 1} columns for {n} labels, "
            f"got {counts.shape}"
        )
    names = [plain(label, 14) for label in labels]
    columns = list(names)
    if counts.shape[1] > n:
        if counts[:, n].any():
            columns.append(REJECTED)
        else:
            counts = counts[:, :n]
    cell = CELL if n <= READABLE else min(CELL / 2, WIDEST / n)
    ax = new_axes(ax, (1.9 + cell * max(len(columns), 4), 1.1 + 0.86 * cell * max(n, 3)))
    if n == 0:
        return say_nothing_to_draw(ax, "no classes")
    total = counts.sum(axis=1)
    share = counts / np.maximum(total, 1)[:, None]
    ax.grid(False)
    mesh = ax.pcolormesh(share, cmap="Blues", vmin=0.0, vmax=1.0, edgecolors="white", linewidth=1)
    for i, j in zip(*np.nonzero(counts), strict=True) if n <= READABLE else ():
        ax.text(
            j + 0.5,
            i + 0.5,
            f"{_percent(share[i, j])}\n{counts[i, j]}",
            ha="center",
            va="center",
            fontsize=7,
            linespacing=1.15,
            color="white" if share[i, j] > 0.55 else INK,
        )
    ax.set_xticks(np.arange(len(columns)) + 0.5)
    ax.set_xticklabels(columns, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    ax.set_yticks(np.arange(n) + 0.5)
    ax.set_yticklabels(
        [f"{name}  ({count})" for name, count in zip(names, total, strict=True)], parse_math=False
    )
    ax.tick_params(length=0, labelsize=9 if n <= 2 * READABLE else 6)
    ax.spines[:].set_visible(False)
    ax.set_xlim(0, len(columns))
    ax.set_ylim(n, 0)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true (objects)")
    colour_bar(ax, mesh, "share of the true class")
    return ax


def _bytes_text(size: float) -> str:
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size:.3g} B"


def plot_size_accuracy(points: Mapping[str, tuple[float, float]], ax: Axes | None = None) -> Axes:
    """Balanced accuracy of networks against their size on a logarithmic axis.

    Parameters
    ----------
    points : mapping of str to (bytes, balanced accuracy)
        What to call each network, its size in bytes and its score from 0 to 1. Points that
        are not finite are left out.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = new_axes(ax, (6.0, 3.6))
    known = {
        name: (float(size), float(score))
        for name, (size, score) in points.items()
        if np.isfinite(score) and size > 0
    }
    if not known:
        return say_nothing_to_draw(ax, "no network was measured")
    for k, (name, (size, score)) in enumerate(known.items()):
        ax.plot(
            [size],
            [score],
            marker="osD^vP*X"[k % 8],
            markersize=8,
            linestyle="none",
            color=COLOURS[k % len(COLOURS)],
            label=f"{plain(name)}: {_bytes_text(size)}, {score:.3f}",
        )
    sizes = [size for size, _ in known.values()]
    scores = [score for _, score in known.values()]
    log_axis(ax, _bytes_text)
    ax.set_xlim(min(sizes) / 2.5, max(sizes) * 2.5)
    middle, half = (max(scores) + min(scores)) / 2, (max(scores) - min(scores)) / 2
    reach = max(1.4 * half, 0.05)  # five points either side: smaller differences look small
    ax.set_ylim(middle - reach, middle + reach)
    ax.set_xlabel("bytes of the weights")
    ax.set_ylabel("balanced accuracy")
    legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.1)
    return ax


def _reliability(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], n_bins: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Objects, mean confidence and accuracy of each equally wide bin, open below."""
    index = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    n = np.bincount(index, minlength=n_bins)
    some = np.maximum(n, 1)
    mean = np.bincount(index, weights=confidence, minlength=n_bins) / some
    accuracy = np.bincount(index, weights=correct, minlength=n_bins) / some
    return n, mean, accuracy


def plot_reliability(
    confidence: ArrayLike, correct: ArrayLike, n_bins: int = 15, ax: Axes | None = None
) -> Axes:
    """Accuracy of the predictions of equal confidence, with how many there are.

    Parameters
    ----------
    confidence : float array, shape (n_objects,)
        Probability of the predicted class, 0 to 1. NaN is left out.
    correct : bool array, shape (n_objects,)
        True where the prediction was right.
    n_bins : int, default 15
        Equally wide bins from 0 to 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Points on the diagonal are honest, below it over-confident. Bars are Wilson's 68 %
        interval of a binomial share.

    Raises
    ------
    ConfigError
        If the two arrays differ in length.

    References
    ----------
    .. [1] Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599
    .. [2] Wilson 1927, JASA 22, 209, doi:10.1080/01621459.1927.10502953
    """
    p = np.asarray(confidence, dtype=np.float64).ravel()
    right = np.asarray(correct, dtype=bool).ravel()
    if p.size != right.size:
        raise ConfigError(
            f"plot_reliability needs as many confidences as outcomes, got {p.size} and {right.size}"
        )
    ax = new_axes(ax, (4.8, 4.2))
    p, right = p[np.isfinite(p)], right[np.isfinite(p)]
    if p.size == 0:
        return say_nothing_to_draw(ax, "no predictions with a known truth")
    n, mean, accuracy = _reliability(p, right, n_bins)
    filled = n > 0
    m, a = n[filled].astype(np.float64), accuracy[filled]
    centre = (a + 0.5 / m) / (1 + 1 / m)
    half = np.sqrt(a * (1 - a) / m + 0.25 / m**2) / (1 + 1 / m)
    width = 1.0 / n_bins
    ax.bar(
        (np.arange(n_bins) + 0.5) * width,
        0.25 * n / n.max(),
        width=0.92 * width,
        color="#DADADA",
        label=f"objects ({p.size}, highest bar {n.max()})",
        zorder=1,
    )
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1.0, linestyle="--", zorder=2)
    ax.errorbar(
        mean[filled],
        a,
        yerr=np.clip([a - (centre - half), centre + half - a], 0.0, None),
        fmt="o-",
        markersize=4.5,
        linewidth=1.2,
        elinewidth=0.9,
        color=COLOURS[0],
        label="accuracy",
        zorder=3,
    )
    gap = float(np.sum(n * np.abs(accuracy - mean)) / p.size)
    ax.text(0.03, 0.97, f"calibration error {gap:.3f}", va="top", color=INK, fontsize=9)
    ax.set_xlim(0, 1.01)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("confidence")
    ax.set_ylabel("share that is right")
    legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.1)
    return ax


def plot_class_counts(counts: Mapping[str, Mapping[str, int]], ax: Axes | None = None) -> Axes:
    """Objects of each class, one marker a split, on a logarithmic axis.

    Parameters
    ----------
    counts : mapping of class to mapping of split to int
        Such as ``{"RRab": {"train": 120, "test": 80}}``. Zeros are not drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        The most frequent class on top.
    """
    ordered = sorted(counts, key=lambda name: sum(counts[name].values()))
    ax = new_axes(ax, (6.0, 1.3 + 0.26 * max(len(ordered), 3)))
    if not any(sum(by_split.values()) for by_split in counts.values()):
        return say_nothing_to_draw(ax, "no labelled objects")
    splits = list(dict.fromkeys(split for name in counts for split in counts[name]))
    for k, split in enumerate(splits):
        number = np.array([counts[name].get(split, 0) for name in ordered])
        rows = np.flatnonzero(number > 0)
        ax.plot(
            number[rows],
            rows,
            linestyle="none",
            marker="osD^vP*X"[k % 8],
            markersize=6,
            color=COLOURS[k % len(COLOURS)],
            label=f"{plain(split) or 'in no split'} ({number.sum()})",
        )
    log_axis(ax)
    fewest = min(n for by_split in counts.values() for n in by_split.values() if n > 0)
    ax.set_xlim(left=0.7 * 10 ** np.floor(np.log10(fewest)))
    ax.set_yticks(range(len(ordered)))
    ax.set_yticklabels([plain(name) for name in ordered], parse_math=False)
    ax.set_xlabel("objects")
    legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, borderaxespad=0.1)
    return ax


def plot_accuracy_by(
    bins: Mapping[str, Sequence[float]], name: str, ax: Axes | None = None
) -> Axes:
    """Accuracy against what an object is like: brightness, points, period, labels.

    Parameters
    ----------
    bins : mapping
        From `astroprep.model.scores.accuracy_by`.
    name : str
        Of the quantity; a wide range is drawn on a logarithmic axis.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Bars are 95 % intervals, across the bins' widths.
    """
    ax = new_axes(ax, (4.2, 2.8))
    middle, accuracy = np.asarray(bins["middle"], float), np.asarray(bins["accuracy"], float)
    if not middle.size:
        return say_nothing_to_draw(ax, "no objects with a known truth")
    low, high = (np.asarray(bins[key], float) for key in ("low", "high"))
    bottom, top = (np.asarray(bins[f"accuracy_{key}"], float) for key in ("low", "high"))
    ax.errorbar(
        middle,
        accuracy,
        xerr=np.maximum([middle - low, high - middle], 0.0),
        yerr=np.maximum([accuracy - bottom, top - accuracy], 0.0),
        fmt="o",
        markersize=4.5,
        elinewidth=0.9,
        color=COLOURS[0],
    )
    if (low > 0).all() and high[-1] > 30 * low[0]:
        ax.set_xscale("log")
    ax.set_ylim(0, 1.02)
    ax.set_xlabel(plain(name))
    ax.set_ylabel("share that is right")
    return ax
