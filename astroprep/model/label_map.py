"""Judging a classifier on another survey, whose labels are others."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.model.evaluate import ece, evaluate
from astroprep.model.mapping_file import read_mapping
from astroprep.model.scores import bootstrap_scores

__all__ = ["evaluate_mapped", "read_label_map"]

LabelMap = dict[str, tuple[str, ...]]


def read_label_map(path: str | Path, classes: Sequence[str]) -> LabelMap:
    """What the labels of another survey mean in the classes of a network.

    Parameters
    ----------
    path : str or Path
        ``.toml`` or ``.json``: a table of foreign label to a class, a list of classes that it
        may be, or an empty list for one that the network does not know; ``.csv``: foreign label
        and classes, the latter joined by ``|``.
    classes : sequence of str
        Of the network.

    Returns
    -------
    dict of str to tuple of str
        Empty tuples for labels that are left out.

    Raises
    ------
    ConfigError
        If the file cannot be read, names an unknown class, or two entries overlap without being
        equal: which of them a prediction then means would be open. All mistakes at once.
    """
    path = Path(path)
    table = read_mapping(path, "a label map", "foreign label to class", _from_csv)
    if not table:
        raise ConfigError(f"{path}: a label map is a table of foreign label to class")
    found: LabelMap = {}
    mistakes = []
    for label, value in table.items():
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            mistakes.append(f"{label} = {value!r} is neither a class nor a list of classes")
            continue
        unknown = [name for name in names if name not in set(classes)]
        if unknown:
            mistakes.append(f"{label} means {', '.join(unknown)}, known: {', '.join(classes)}")
        found[label] = tuple(sorted(set(names)))
    targets = sorted(set(found.values()) - {()})
    mistakes += [
        f"{'|'.join(one)} and {'|'.join(other)} overlap"
        for one, other in itertools.combinations(targets, 2)
        if set(one) & set(other)
    ]
    if mistakes:
        raise ConfigError(f"{path}: " + "; ".join(mistakes))
    return found


def _from_csv(text: str) -> dict[str, list[str]]:
    rows = [row for row in csv.reader(text.splitlines()) if any(row)]
    if any(len(row) != 2 for row in rows):
        raise ValueError("each line needs a label and classes joined by |")
    names = [row[0].strip() for row in rows]
    if len(set(names)) < len(names):
        raise ValueError("a label stands there twice")
    return {
        name: [one.strip() for one in row[1].split("|") if one.strip()]
        for name, row in zip(names, rows, strict=True)
    }


def evaluate_mapped(
    label: ArrayLike,
    probability: NDArray[np.floating[Any]],
    classes: Sequence[str],
    label_map: Mapping[str, Sequence[str]] | str | Path,
) -> dict[str, Any]:
    """Measures on a survey with other labels.

    Parameters
    ----------
    label : array-like of str, shape (n_objects,)
        Labels of the other survey.
    probability : float array, shape (n_objects, n_classes)
        Of the network; rows of NaN (rejected objects) count as wrong.
    classes : sequence of str
        Order of the columns.
    label_map : mapping of str to sequence of str, or path
        From `read_label_map`, or its file.

    Returns
    -------
    dict
        What `evaluate` gives over the meanings that occur (``"EA|EW"`` for a label that may be
        either, its probability the sum); an answer that no label means counts as wrong, in the
        last column of the confusion matrix. With ``intervals`` (`bootstrap_scores`) and
        ``left_out``, the number of objects of each label that means nothing here.

    Raises
    ------
    ConfigError
        See `read_label_map`.
    DataError
        If lengths do not agree, a label is not in the map, or none means a class.
    """
    names = [str(name) for name in np.asarray(label, dtype=object).ravel().tolist()]
    p = np.asarray(probability, dtype=np.float64)
    if p.shape != (len(names), len(classes)):
        raise DataError(f"{len(names)} labels and {len(classes)} classes, probabilities {p.shape}")
    if isinstance(label_map, str | Path):
        label_map = read_label_map(label_map, classes)
    table = label_map
    strange = sorted(set(names) - set(table))
    if strange:
        raise DataError(f"the label map lacks {', '.join(map(repr, strange[:10]))}")
    meaning = {name: tuple(sorted(table[name])) for name in set(names)}
    targets = sorted({m for m in meaning.values() if m})
    if not targets:
        raise DataError("no label of the map means a class of the network")
    rest = [(name,) for name in classes if not any(name in target for target in targets)]
    columns = [[list(classes).index(name) for name in target] for target in (*targets, *rest)]
    words = np.array(["|".join(target) for target in (*targets, *rest)], dtype=object)
    share = np.column_stack([p[:, c].sum(axis=1) for c in columns])
    truth = np.array(["|".join(meaning[name]) for name in names], dtype=object)
    counts = truth != ""
    truth, share = truth[counts], share[counts]
    served = np.isfinite(share).all(axis=1)
    best = np.full(truth.size, "", dtype=object)
    best[served] = words[share[served].argmax(axis=1)]
    order = words[: len(targets)].tolist()
    left = [name for name, used in zip(names, counts, strict=True) if not used]
    return {
        **evaluate(truth, best, order),
        "ece": ece(truth, share, words.tolist()),
        "intervals": bootstrap_scores(truth, best, order),
        "left_out": {name: left.count(name) for name in sorted(set(left))},
    }
