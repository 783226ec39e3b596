"""One table of what compression costs and saves, and what to refuse."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.energy import EnergyModel, night_cost
from astroprep.compress.stored import CompressedNetwork
from astroprep.errors import ConfigError
from astroprep.model.calibrate import softmax
from astroprep.model.evaluate import evaluate

__all__ = ["BudgetRow", "gate", "measure", "pareto", "table_text"]

NIGHT_OBJECTS = 1_200_000  # alerts of a ZTF night


@dataclass(frozen=True)
class BudgetRow:
    """One approach, measured.

    Parameters
    ----------
    approach : str
        Its name.
    data_type : str
        In which the decoded network computes.
    original_bytes, compressed_bytes : int
        Float32 file of the network that was compressed, and the file that is deployed.
    ratio : float
        The one over the other.
    accuracy, balanced_accuracy, macro_f1, ece : float
        Of the objects that measure, with the expected calibration error of their probabilities.
    recall : dict of str to float
        By class.
    milliseconds : float or None
        An object, in batches; None where it was not timed.
    joules : float
        An object, by `EnergyModel`.
    kwh_night, cost_night : float
        Of `NIGHT_OBJECTS` objects.
    update_bytes : int
        To send over the air: the file, and the description where it differs.
    refused : tuple of str
        Classes that lose more recall than allowed; see `gate`.
    """

    approach: str
    data_type: str
    original_bytes: int
    compressed_bytes: int
    ratio: float
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    ece: float
    recall: dict[str, float]
    milliseconds: float | None
    joules: float
    kwh_night: float
    cost_night: float
    update_bytes: int
    refused: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)


def measure(
    approach: str,
    made: CompressedNetwork,
    reference: CompressedNetwork,
    logits: NDArray[np.floating],
    label: NDArray[np.integer],
    classes: Sequence[str],
    *,
    milliseconds: float | None = None,
    energy: EnergyModel | None = None,
    night_objects: int = NIGHT_OBJECTS,
) -> BudgetRow:
    """Row of the table for one network.

    Parameters
    ----------
    approach : str
        Its name.
    made, reference : CompressedNetwork
        As deployed, and the one that it was made from, stored as float32.
    logits : float array, shape (n_objects, n_classes)
        Of the decoded network, of objects that it did not learn from; or logarithms of calibrated
        probabilities.
    label : integer array, shape (n_objects,)
        Their class codes.
    classes : sequence of str
        Names of the codes.
    milliseconds : float, optional
        Measured time of one object.
    energy : EnergyModel, optional
        The default chip otherwise.
    night_objects : int
        Objects of a night.

    Raises
    ------
    ConfigError
        If the arrays do not fit.
    """
    if logits.shape != (len(label), len(classes)):
        raise ConfigError(
            f"measure needs logits of shape {(len(label), len(classes))}, got {logits.shape}"
        )
    names = np.array(list(classes), dtype=object)
    scores = evaluate(
        names[label], names[logits.argmax(axis=1)], classes, softmax(np.asarray(logits))
    )
    joules = (energy or EnergyModel()).joules(made.net, made.data_type)
    kwh, cost = night_cost(joules, night_objects)
    update = made.n_bytes
    if made.spec != reference.spec:
        update += len(zlib.compress(json.dumps(made.spec, sort_keys=True).encode(), 9))
    return BudgetRow(
        approach=approach,
        data_type=made.data_type,
        original_bytes=reference.n_bytes,
        compressed_bytes=made.n_bytes,
        ratio=reference.n_bytes / made.n_bytes,
        accuracy=float(scores["accuracy"]),
        balanced_accuracy=float(scores["balanced_accuracy"]),
        macro_f1=float(scores["macro_f1"]),
        ece=float(scores["ece"]),
        recall={k: float(v["recall"]) for k, v in scores["per_class"].items()},
        milliseconds=milliseconds,
        joules=joules,
        kwh_night=kwh,
        cost_night=cost,
        update_bytes=update,
    )


def gate(
    rows: Sequence[BudgetRow], reference: BudgetRow, most: float, counts: Mapping[str, int]
) -> list[BudgetRow]:
    """Mark networks with a class that loses too much, whatever the mean says.

    Parameters
    ----------
    rows : sequence of BudgetRow
        To judge.
    reference : BudgetRow
        What they are compared with.
    most : float
        Recall that a class may lose, 0 to 1.
    counts : mapping of str to int
        Objects of each class. Losing a single object is never held against a network, because in
        a class of ten it is ten points.

    Returns
    -------
    list of BudgetRow
        With ``refused`` filled.

    Raises
    ------
    ConfigError
        If ``most`` is out of range.
    """
    if not 0 <= most <= 1:
        raise ConfigError(f"the recall that a class may lose must be 0 to 1, got {most!r}")
    judged = []
    for row in rows:
        lost = {
            name: reference.recall[name] - recall
            for name, recall in row.recall.items()
            if counts.get(name, 0) > 0
        }
        limits = {name: max(most, 1.0 / counts[name]) + 1e-9 for name in lost}
        refused = tuple(name for name in lost if lost[name] > limits[name])
        judged.append(dataclasses.replace(row, refused=refused))
    return judged


def pareto(rows: Sequence[BudgetRow]) -> list[BudgetRow]:
    """Those than which none is both smaller and better, from the smallest on.

    Parameters
    ----------
    rows : sequence of BudgetRow
        Compared by bytes and balanced accuracy; equals stay together.
    """
    best = -np.inf
    front = []
    for row in sorted(rows, key=lambda r: (r.compressed_bytes, -r.balanced_accuracy)):
        if row.balanced_accuracy > best:
            front.append(row)
            best = row.balanced_accuracy
    return front


def table_text(rows: Sequence[BudgetRow]) -> str:
    """The table as text, one line an approach.

    Parameters
    ----------
    rows : sequence of BudgetRow
        In the order wanted.
    """
    heads = (
        "approach", "type", "bytes", "ratio", "acc.", "bal.", "F1", "ECE", "worst class",
        "ms", "uJ", "Wh/night", "cost/night", "update", "refused",
    )  # fmt: skip
    lines: list[tuple[str, ...]] = [heads]
    for row in rows:
        worst = min(row.recall, key=lambda name: row.recall[name]) if row.recall else "-"
        lines.append(
            (
                row.approach,
                row.data_type,
                f"{row.original_bytes:,} -> {row.compressed_bytes:,}",
                f"{row.ratio:.1f}",
                *(f"{100 * s:.1f}" for s in (row.accuracy, row.balanced_accuracy, row.macro_f1)),
                f"{row.ece:.3f}",
                f"{worst} {100 * row.recall.get(worst, np.nan):.0f}",
                "-" if row.milliseconds is None else f"{row.milliseconds:.2g}",
                f"{1e6 * row.joules:.3g}",
                f"{1e3 * row.kwh_night:.2g}",
                f"{row.cost_night:.1e}",
                f"{row.update_bytes:,}",
                ", ".join(row.refused) or "-",
            )
        )
    widths = [max(len(line[k]) for line in lines) for k in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
