"""Sections of a run's page on what is said beyond a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from astroprep.plot import plot_accuracy_by
from astroprep.report.picture import Picture, drawing
from astroprep.report.table import Table, number, share, words

__all__ = ["answers", "depends", "levels"]

SOURCES = {
    "train": "those of the training objects",
    "estimate": "estimated from the whole input, without its labels",
    "file": "stated in a file",
}


def answers(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Sentences and a table of the classes on decision rule, sets and unknown objects."""
    about, sets, unknown = (metrics.get(key) or {} for key in ("answers", "sets", "unknown"))
    small = metrics.get("compressed") or {}
    sentences = []
    if about.get("decision"):
        word, _, part = about.get("prior", "").partition(":")
        source = SOURCES.get(word, word)
        if part:
            source = f"{part} of the way from the learned ones to those {source}"
        sentences.append(f"Decision: {about['decision']}. The shares are {source}.")
    if small.get("intervals"):
        low, high = small["intervals"]["balanced_accuracy"]
        low_f1, high_f1 = small["intervals"]["macro_f1"]
        sentences.append(
            f"95 % intervals over test objects: balanced accuracy {low:.3f} to {high:.3f}, macro "
            f"F1 {low_f1:.3f} to {high_f1:.3f}. Among the two likeliest classes the true one is "
            f"missing for {share(small.get('top2_error')).text}."
        )
    if sets.get("n"):
        sentences.append(
            f"A set of classes should hold the true one for {share(sets['stated_coverage']).text} "
            f"of the objects of each class; it does for {share(sets['coverage']).text} of the test "
            f"objects. It has {sets['mean_size']:.2f} classes on average, one for "
            f"{share(sets['single']).text}, none for {share(sets['empty']).text}."
        )
    if unknown:
        sentences.append(
            f"Stated to be called unknown: {share(unknown['stated_false_unknown_rate']).text} of "
            "objects of known classes; "
            f"{share(unknown.get('false_unknown_rate')).text} of the test objects are."
        )
    if not sentences:
        sentences.append("Nothing was measured beyond the predicted classes.")
    return {"sentences": sentences, "classes": _classes(about, sets)}


def _classes(about: Mapping[str, Any], sets: Mapping[str, Any]) -> Table | None:
    shares, covered = about.get("shares") or {}, sets.get("coverage_by_class") or {}
    if not shares:
        return None
    error = about.get("standard_error") or {}
    rows = [
        [words(name), share(one), share(error.get(name)), share(covered.get(name))]
        for name, one in shares.items()
    ]
    return Table(("class", "share assumed", "its standard error", "covered by its sets"), rows)


def levels(metrics: Mapping[str, Any]) -> Table | None:
    """Measures at every level of the taxonomy; None without one."""
    rows = []
    for level in metrics.get("levels") or ():
        whole = level["end_to_end"]
        rows.append(
            [
                words(f"level {level['level']}, end to end"),
                words(", ".join(level["nodes"])),
                number(whole["n_test"]),
                share(whole["balanced_accuracy"]),
            ]
        )
        rows += [
            [
                words(f"level {level['level']}, within {one['parent'] or 'all'}"),
                words(", ".join(one["nodes"])),
                number(one["n"]),
                share(one["balanced_accuracy"]),
            ]
            for one in level["within"]
        ]
    head = ("level", "groups", "objects", "balanced accuracy")
    return Table(head, rows, text_columns=(0, 1)) if rows else None


def depends(metrics: Mapping[str, Any]) -> list[Picture]:
    """Pictures of accuracy against what an object is like."""
    found = {k: v for k, v in (metrics.get("depends") or {}).items() if v["n"]}
    return [
        drawing(plot_accuracy_by(bins, name), f"Accuracy against {name}")
        for name, bins in found.items()
    ]
