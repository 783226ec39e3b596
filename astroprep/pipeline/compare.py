"""Compress the network of a run in several ways and put them into one table."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from astroprep.deploy.onnx import build_graph
from astroprep.deploy.runtime import golden_vectors
from astroprep.errors import ConfigError, DataError
from astroprep.io import replaced
from astroprep.pipeline.account import Progress, silent
from astroprep.pipeline.classify import spare_inputs
from astroprep.pipeline.job import Job, RunOptions
from astroprep.pipeline.learn import LearningData, learning_data, train
from astroprep.pipeline.recipe import Recipe
from astroprep.pipeline.run import opened, prepared
from astroprep.pipeline.split import Roles

if TYPE_CHECKING:
    import pandas as pd

    from astroprep.compress.budget import BudgetRow
    from astroprep.compress.chain import CompressedNetwork

__all__ = ["compare", "milliseconds"]

log = logging.getLogger(__name__)

RESULTS = ("compression.json", "compression.txt", "compression.png")
_TIMED = 2048  # objects


def milliseconds(
    made: CompressedNetwork, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
) -> float:
    """Time of one object in ONNX Runtime, one thread, the runtime's batches, ms.

    Parameters
    ----------
    made : CompressedNetwork
        Batch norms folded.
    folded, auxiliary : float32 arrays
        Some thousand objects, repeated where there are fewer.

    Notes
    -----
    The least of three; what opening the session takes is measured on one batch and taken off.
    """
    graph = build_graph(made.spec, made.shapes)
    rows = np.resize(np.arange(len(folded)), _TIMED)
    few = rows[:64]

    def seconds(index: NDArray[np.int64]) -> float:
        begin = time.process_time()  # one thread: what else the machine does counts less
        golden_vectors(graph, made.weights, folded[index], auxiliary[index])
        return time.process_time() - begin

    spent = [seconds(rows) - seconds(few) for _ in range(3)]
    return 1e3 * max(min(spent), 0.0) / (_TIMED - few.size)


def compare(
    recipe: Recipe,
    source: str | Path,
    out: str | Path,
    options: RunOptions | None = None,
    *,
    approaches: Sequence[str] | None = None,
    most_lost: float = 0.05,
    progress: Progress = silent,
) -> list[BudgetRow]:
    """Train (or take up) the network of a recipe and compress it in several ways.

    Parameters
    ----------
    recipe : Recipe
        From `read_recipe`.
    source : path
        Survey file with labels.
    out : path
        Folder of a run, which continues there; ``compression.json``, ``compression.txt`` and
        ``compression.png`` are written into it.
    options : RunOptions, optional
        As of the run.
    approaches : sequence of str, optional
        Of `astroprep.compress.approaches.APPROACHES`; all by default. The reference is always
        among them.
    most_lost : float, default 0.05
        Recall that a class may lose on the validation objects before an approach is refused.
    progress : callable, optional
        Told stage, done and total.

    Returns
    -------
    list of BudgetRow
        Measured on the test objects; refused or not by validation objects alone.

    Raises
    ------
    ConfigError
        Unknown approach, or recipe, options or folder are wrong.
    DataError
        If there is nothing to learn or to measure with.
    """
    from astroprep.compress.approaches import APPROACHES, Task, compress_by

    wanted = list(dict.fromkeys(["reference", *(approaches or APPROACHES)]))
    unknown = sorted(set(wanted) - set(APPROACHES))
    if unknown:
        raise ConfigError(f"no approach {unknown[0]!r}; there are {', '.join(APPROACHES)}")
    for name in RESULTS:
        spare_inputs(Path(out) / name, Path(source))
    with opened(recipe, source, out, options, progress=progress) as job:
        catalogue, roles = prepared(job)
        data = learning_data(job, catalogue, roles)
        net, _ = train(job, data)
        task = Task(net, data.arrays, job.compression, job.training)
        made: dict[str, CompressedNetwork] = {}
        for done, name in enumerate(wanted):
            progress("compress", done, len(wanted))
            made[name] = compress_by(name, task)
        progress("compress", len(wanted), len(wanted))
        rows = _judged(made, data, most_lost)
        test = _test_objects(job, data, catalogue, roles)
        measured = _rows(made, data.classes, *test, timed=True)
        rows = [replace(m, refused=j.refused) for m, j in zip(measured, rows, strict=True)]
        _write(Path(out), rows)
    return rows


def _judged(
    made: dict[str, CompressedNetwork], data: LearningData, most_lost: float
) -> list[BudgetRow]:
    """Gates by the validation objects."""
    from astroprep.compress.budget import gate

    arrays, check = data.arrays, data.arrays.is_validation
    if not check.any():
        raise DataError("no validation object is left to judge compressed networks by")
    label = arrays.label[check]
    rows = _rows(made, data.classes, arrays.folded[check], arrays.auxiliary[check], label)
    counts = np.bincount(label, minlength=len(data.classes)).tolist()
    return gate(rows, rows[0], most_lost, dict(zip(data.classes, counts, strict=True)))


def _test_objects(
    job: Job, data: LearningData, catalogue: pd.DataFrame, roles: Roles
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Inputs and class codes of the test objects that survived preparation."""
    kept = []
    for part in job.parts():
        mask = (roles.role[part.row] == "test") & np.isin(
            catalogue["label"].to_numpy()[part.row], data.classes
        )
        kept.append((part.folded[mask], data.scale.apply(part.features[mask]), part.row[mask]))
    row = np.concatenate([rows for _, _, rows in kept])
    if not row.size:
        raise DataError("no test object is left to measure compressed networks with")
    lost = int((roles.role == "test").sum()) - row.size
    if lost:
        log.warning("%d test objects were rejected or of no learned class: not measured", lost)
    codes = {name: k for k, name in enumerate(data.classes)}
    label = np.array([codes[name] for name in catalogue["label"].to_numpy()[row]], dtype=np.int64)
    return np.concatenate([f for f, _, _ in kept]), np.concatenate([a for _, a, _ in kept]), label


def _rows(
    made: dict[str, CompressedNetwork],
    classes: list[str],
    folded: NDArray[np.float32],
    auxiliary: NDArray[np.float32],
    label: NDArray[np.int64],
    *,
    timed: bool = False,
) -> list[BudgetRow]:
    from astroprep.compress.budget import measure
    from astroprep.model.train import predict_logits

    return [
        measure(
            name,
            network,
            made["reference"],
            predict_logits(network.net, folded, auxiliary),
            label,
            classes,
            milliseconds=milliseconds(network, folded, auxiliary) if timed else None,
        )
        for name, network in made.items()
    ]


def _write(out: Path, rows: list[BudgetRow]) -> None:
    """The table as JSON and text, and its picture."""
    from matplotlib.figure import Figure

    from astroprep.compress.budget import pareto, table_text
    from astroprep.plot import plot_pareto
    from astroprep.plot.style import quiet

    with replaced(out / "compression.json") as path:
        path.write_text(json.dumps({"rows": [row.to_dict() for row in rows]}, indent=1) + "\n")
    with replaced(out / "compression.txt") as path:
        path.write_text(table_text(rows) + "\n")
    points = {row.approach: (row.compressed_bytes, row.balanced_accuracy) for row in rows}
    refused = [row.approach for row in rows if row.refused]
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    plot_pareto(
        points, [row.approach for row in pareto(rows)], refused, quiet(figure.add_subplot())
    )
    with replaced(out / "compression.png") as path:
        figure.savefig(path, dpi=150, format="png")
