"""What the sections of a run's page say, one function each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from astroprep.data import LightCurveBatch
from astroprep.model.evaluate import confusion_matrix
from astroprep.plot import (
    plot_class_counts,
    plot_confusion,
    plot_folded,
    plot_light_curve,
    plot_reliability,
    plot_size_accuracy,
    plot_training,
)
from astroprep.plot.style import new_axes
from astroprep.report.examples import confidence_of, is_tested, text_column
from astroprep.report.picture import Picture, bitmap, drawing
from astroprep.report.table import (
    Table,
    byte_text,
    number,
    seconds_text,
    share,
    without_numbers,
    words,
)

__all__ = [
    "Card",
    "Example",
    "cards",
    "class_counts",
    "class_table",
    "confusion",
    "example_curves",
    "headline",
    "networks_of",
    "rejected_objects",
    "reliability",
    "size_against_accuracy",
    "stage_times",
    "subtitle",
    "training",
]

NETWORKS = ("uncompressed", "compressed", "teacher")
MAX_CURVES = 80  # drawn in one page: about 20 kB each
MAX_REASONS = 12
MAX_REJECTED = 100
WIDEST_BAR = 18.0  # rem


@dataclass(frozen=True)
class Card:
    """One headline number."""

    number: str
    text: str
    tone: str = ""


@dataclass(frozen=True)
class Example:
    """One light curve of the page."""

    id: str
    label: str
    predicted: str
    about: str
    picture: Picture


def networks_of(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Measures of each network that is there, in a fixed order."""
    return {name: metrics[name] for name in NETWORKS if isinstance(metrics.get(name), Mapping)}


def subtitle(counts: Mapping[str, int], classes: Sequence[str]) -> str:
    """How much went in."""
    objects = number(counts.get("input")).text
    return f"{objects} objects, {len(classes)} classes"


def cards(counts: Mapping[str, int], networks: Mapping[str, Any]) -> list[Card]:
    """Headline numbers."""
    small, full = networks.get("compressed", {}), networks.get("uncompressed", {})
    found = [
        Card(share(small.get(key)).text, f"{name}, compressed")
        for key, name in (
            ("balanced_accuracy", "balanced accuracy"),
            ("accuracy", "accuracy"),
            ("macro_f1", "macro F1"),
        )
        if small.get(key) is not None
    ]
    if small.get("bytes"):
        found.append(Card(byte_text(small["bytes"]), "weights, compressed"))
        if full.get("bytes"):
            ratio = full["bytes"] / small["bytes"]
            found.append(
                Card(f"{ratio:.3g} times", f"smaller than {byte_text(full['bytes'])} in fp32")
            )
    into, result, rejected = (counts.get(name) for name in ("input", "result", "rejected"))
    if into is not None and result is not None and rejected is not None:
        balance = into == result + rejected
        found.append(
            Card(
                number(into).text,
                f"objects {'=' if balance else '≠'} {number(result).text} classified "
                f"+ {number(rejected).text} rejected",
                "" if balance else "bad",
            )
        )
    return found


def headline(networks: Mapping[str, Any]) -> dict[str, Any]:
    """Table of the networks, and a sentence for what is missing from it."""
    if not networks:
        return {"sentences": ["No network was measured."], "networks": None}
    full_bytes = networks.get("uncompressed", {}).get("bytes")
    rows = []
    for name, one in networks.items():
        size = one.get("bytes")
        rows.append(
            [
                words(name),
                *(share(one.get(key)) for key in ("accuracy", "balanced_accuracy", "macro_f1")),
                share(one.get("ece")),
                number(one.get("n_test")),
                number(one.get("parameters")),
                number(size),
                number(
                    full_bytes / size if full_bytes and size and size <= full_bytes else None, 3
                ),
                number(one.get("bundle_bytes")),
            ]
        )
    head = (
        *("network", "accuracy", "balanced accuracy", "macro F1", "calibration error"),
        *("test objects", "parameters", "bytes", "ratio", "bundle bytes"),
    )
    sentences = []
    if not any(one.get("n_test") for one in networks.values()):
        sentences.append("There are no labelled test objects, so nothing says how good it is.")
    return {"sentences": sentences, "networks": Table(head, rows)}


def class_counts(predictions: pd.DataFrame) -> Picture | None:
    """Picture of the labelled objects by class and split; None without labels."""
    label = text_column(predictions, "label")
    part = text_column(predictions, "role" if "role" in predictions.columns else "split")
    if not (label != "").any():
        return None
    table = pd.crosstab(label[label != ""], part[label != ""])
    order = sorted(table.columns, key=lambda name: (name != "train", name))
    counts = {
        str(name): {str(split): int(table.loc[name, split]) for split in order}
        for name in table.index
    }
    return drawing(plot_class_counts(counts), "Labelled objects of each class and split")


def class_table(networks: Mapping[str, Any]) -> Table | None:
    """Measures of each class before and after compression; None where nothing was measured."""
    small = networks.get("compressed", {}).get("per_class") or {}
    full = networks.get("uncompressed", {}).get("per_class") or {}
    names = list(small) or list(full)
    if not names:
        return None
    rows = []
    for name in names:
        after, before = small.get(name, {}), full.get(name, {})
        rows.append(
            [
                words(name),
                number(after.get("n", before.get("n"))),
                *(share(after.get(key)) for key in ("precision", "recall", "f1")),
                *(share(before.get(key)) for key in ("recall", "f1")),
            ]
        )
    head = ("class", "n", "precision", "recall", "F1", "recall, fp32", "F1, fp32")
    caption = "Test objects: the compressed network, and the same before compression (fp32)."
    return Table(head, rows, caption)


def confusion(predictions: pd.DataFrame, classes: Sequence[str]) -> Picture | None:
    """Confusion matrix of the test objects; None without any."""
    tested = is_tested(predictions)
    if not tested.any():
        return None
    matrix = confusion_matrix(
        text_column(predictions, "label")[tested],
        text_column(predictions, "predicted")[tested],
        classes,
    )
    return drawing(plot_confusion(matrix, classes), "Confusion matrix of the test objects")


def reliability(predictions: pd.DataFrame) -> Picture | None:
    """Calibration of the test objects; None without any."""
    tested, confidence = is_tested(predictions), confidence_of(predictions)
    if not np.isfinite(confidence[tested]).any():
        return None
    right = text_column(predictions, "label") == text_column(predictions, "predicted")
    ax = plot_reliability(confidence[tested], right[tested])
    return drawing(ax, "Share of right predictions against confidence")


def training(history: Mapping[str, Any]) -> Picture | None:
    """Training curves; None without a history."""
    ax = plot_training(history)
    return drawing(ax, "Losses and scores of each epoch of training") if ax.lines else None


def size_against_accuracy(networks: Mapping[str, Any]) -> Picture | None:
    """Networks by size and accuracy; None where nothing was measured."""
    points = {
        name: (float(one["bytes"]), float(one["balanced_accuracy"]))
        for name, one in networks.items()
        if one.get("bytes") and one.get("balanced_accuracy") is not None
    }
    if not points:
        return None
    return drawing(plot_size_accuracy(points), "Balanced accuracy against bytes of the weights")


def example_curves(batch: LightCurveBatch) -> tuple[list[tuple[str, Example]], int]:
    """Role and picture of each curve, and how many are not drawn."""

    def text(name: str) -> list[str]:
        column = batch.objects.get(name)
        return [""] * batch.n_curves if column is None else [words(v).text for v in column]

    labels, predictions, roles = text("label"), text("predicted"), text("role")
    period = np.asarray(batch.objects.get("period", np.full(batch.n_curves, np.nan)), np.float64)
    confidence = batch.objects.get("confidence", np.full(batch.n_curves, np.nan))
    # mistakes first: where the page is full, they tell more than another good example
    order = sorted(range(batch.n_curves), key=lambda i: roles[i] != "mistake")[:MAX_CURVES]
    drawn = []
    for i in sorted(order):
        known = bool(np.isfinite(period[i]) and period[i] > 0)
        about = [f"{batch.offsets[i + 1] - batch.offsets[i]} points"]
        if known:
            about.insert(0, f"P = {period[i]:.6g} d")
        if np.isfinite(confidence[i]):
            about.append(f"confidence {confidence[i]:.3f}")
        one = Example(
            id=words(batch.ids[i]).text,
            label=labels[i],
            predicted=predictions[i],
            about=", ".join(about),
            picture=_curve(batch, i, float(period[i]) if known else None),
        )
        drawn.append((roles[i], one))
    return drawn, batch.n_curves - len(drawn)


def _curve(batch: LightCurveBatch, i: int, period: float | None) -> Picture:
    # the same margins for all, which also takes half the time of fitting them
    ax = new_axes(None, (3.4, 2.1), fit=False)
    ax.set_position((0.2, 0.2, 0.77, 0.77))
    if period is None:
        plot_light_curve(batch, i, ax=ax)
        if (old := ax.get_legend()) is not None:
            old.remove()
        text = "Light curve, no period"
    else:
        plot_folded(batch, i, period, ax=ax)
        text = "Folded light curve"
    ax.set_title("", loc="left")
    ax.tick_params(labelsize=7.5)
    ax.locator_params(axis="y", nbins=5)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(8)
    return bitmap(ax, text)


def rejected_objects(predictions: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    """Rejected objects by reason and the first of them, or a sentence."""
    reason = text_column(predictions, "rejected_reason")
    refused = np.flatnonzero(reason != "")
    if refused.size == 0:
        n = counts.get("rejected", 0)
        sentence = (
            f"{n} objects were rejected; their reasons are not here."
            if n
            else ("No object was rejected.")
        )
        return {"reasons": None, "sentence": sentence}
    names = reason[refused].tolist()
    if len(set(names)) > MAX_REASONS:
        names = [without_numbers(name) for name in names]
    tally = pd.Series(names, dtype=object).value_counts()
    rows = [[words(name), number(int(n))] for name, n in tally.iloc[:MAX_REASONS].items()]
    if len(tally) > MAX_REASONS:
        rest = int(tally.iloc[MAX_REASONS:].sum())
        rows.append([words(f"{len(tally) - MAX_REASONS} other reasons"), number(rest)])
    ids = text_column(predictions, "id")
    first = [[words(ids[k]), words(reason[k])] for k in refused[:MAX_REJECTED]]
    more = refused.size > MAX_REJECTED
    caption = f"The first {MAX_REJECTED} of {refused.size}" if more else "All of them"
    return {
        "reasons": Table(("reason", "objects"), rows, "By reason"),
        "first": Table(("id", "reason"), first, caption, text_columns=(0, 1)),
        "sentence": "",
    }


def stage_times(seconds: Mapping[str, float]) -> list[dict[str, Any]]:
    """Time of each stage and of all, with the length of its bar."""
    known = {str(name): float(s) for name, s in seconds.items() if np.isfinite(s)}
    if not known:
        return []
    longest = max(*known.values(), 1e-9)
    rows: list[dict[str, Any]] = [
        {"stage": name, "text": seconds_text(s), "width": round(WIDEST_BAR * s / longest, 2)}
        for name, s in known.items()
    ]
    rows.append({"stage": "all", "text": seconds_text(sum(known.values())), "width": 0})
    return rows
