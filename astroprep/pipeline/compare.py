"""Compress the network of a run in several ways and put them into one table."""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astroprep.deploy.kernel import IntegerKernel
from astroprep.deploy.onnx import build_graph
from astroprep.deploy.runtime import golden_vectors
from astroprep.errors import ConfigError, DataError
from astroprep.io import replaced
from astroprep.model.calibrate import tempered_priors
from astroprep.model.outputs import Outputs
from astroprep.model.priors import estimate_shares, read_shares
from astroprep.model.train import class_weights, predict_logits
from astroprep.pipeline.account import Progress, silent
from astroprep.pipeline.classify import spare_inputs
from astroprep.pipeline.job import Job, RunOptions
from astroprep.pipeline.learn import (
    LearningData,
    learning_data,
    settings_of_network,
    teach,
    train,
)
from astroprep.pipeline.recipe import Recipe
from astroprep.pipeline.run import opened, prepared
from astroprep.pipeline.split import Roles

if TYPE_CHECKING:
    import pandas as pd

    from astroprep.compress.budget import BudgetRow
    from astroprep.compress.stored import CompressedNetwork
    from astroprep.model.firenet import FireNet

__all__ = ["answers", "compare", "milliseconds"]

log = logging.getLogger(__name__)

RESULTS = ("compression.json", "compression.txt", "compression.png")
_TIMED = 2048  # objects


def answers(
    made: CompressedNetwork, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
) -> NDArray[np.floating]:
    """Logits of a network in the arithmetic that it is deployed in, one row an object."""
    from astroprep.compress.quantize import quantize_network

    if made.ranges is None:
        return predict_logits(made.net, folded, auxiliary)
    network = quantize_network(made.net, made.ranges)
    return IntegerKernel(network).logits(folded, auxiliary) * network.logit_scale


def milliseconds(
    made: CompressedNetwork, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
) -> float:
    """Time of one object in ONNX Runtime or the integer kernel, one thread, in batches, ms.

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
    from astroprep.compress.quantize import quantize_network

    rows = np.resize(np.arange(len(folded)), _TIMED)
    few = rows[:64]
    run: Callable[[NDArray[np.float32], NDArray[np.float32]], Any]
    if made.ranges is None:
        graph = build_graph(made.spec, made.shapes)
        run = functools.partial(golden_vectors, graph, made.weights)
    else:
        run = IntegerKernel(quantize_network(made.net, made.ranges)).logits
        run(folded[few], auxiliary[few])  # compiled before the clock starts

    def seconds(index: NDArray[np.int64]) -> float:
        begin = time.process_time()  # one thread: what else the machine does counts less
        run(folded[index], auxiliary[index])
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

    chosen = list(dict.fromkeys(["reference", *(approaches or APPROACHES)]))
    unknown = sorted(set(chosen) - set(APPROACHES))
    if unknown:
        raise ConfigError(f"no approach {unknown[0]!r}; there are {', '.join(APPROACHES)}")
    if not 0 <= most_lost <= 1:
        raise ConfigError(f"the recall that a class may lose must be 0 to 1, got {most_lost!r}")
    for name in RESULTS:
        spare_inputs(Path(out) / name, Path(source))
    with opened(recipe, source, out, options, progress=progress) as job:
        catalogue, roles = prepared(job)
        data = learning_data(job, catalogue, roles)
        if not data.arrays.is_validation.any():
            raise DataError("no validation object is left to judge compressed networks by")
        data = teach(job, data)
        net, _ = train(job, data)
        if not approaches:
            chosen = _possible(chosen, net)
        task = Task(
            net,
            data.arrays,
            job.compression,
            settings_of_network(job),
            calibration=job.recipe.deployment.calibration,
        )
        for done, name in enumerate(chosen):
            progress("compress", done, len(chosen))
            compress_by(name, task)
        progress("compress", len(chosen), len(chosen))
        test = _test_objects(job, data, catalogue, roles)
        rows = _rows(job, data, {name: task.made[name] for name in chosen}, test, most_lost)
        _write(Path(out), rows, len(test.label))
    return rows


def _possible(names: list[str], net: FireNet) -> list[str]:
    """Leave out integers where the network has none."""
    from astroprep.compress.approaches import INTEGERS
    from astroprep.model.spec import FORMAT

    if net.spec["format"] == FORMAT:
        return names
    log.warning("%s left out: this network runs in floats only", ", ".join(INTEGERS))
    return [name for name in names if name not in INTEGERS]


class _Objects(NamedTuple):
    """Inputs and class codes."""

    folded: NDArray[np.float32]
    auxiliary: NDArray[np.float32]
    label: NDArray[np.int64]


def _test_objects(job: Job, data: LearningData, catalogue: pd.DataFrame, roles: Roles) -> _Objects:
    """Test objects that survived preparation."""
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
    folded, auxiliary = (np.concatenate([one[k] for one in kept]) for k in (0, 1))
    return _Objects(folded, auxiliary, label)


def _rows(
    job: Job,
    data: LearningData,
    made: dict[str, CompressedNetwork],
    test: _Objects,
    most_lost: float,
) -> list[BudgetRow]:
    """Measured on test objects as a bundle would answer; refused by validation objects alone.

    The reference comes first: class shares that are estimated from its answers serve all.
    """
    from astroprep.compress.budget import gate, measure

    arrays, check = data.arrays, data.arrays.is_validation
    n_classes, power = len(data.classes), job.training.class_power
    count = np.bincount(arrays.label[~check], minlength=n_classes)
    learned = tempered_priors(count, power)
    weight = class_weights(arrays.label[~check], n_classes, power)
    held = _Objects(arrays.folded[check], arrays.auxiliary[check], arrays.label[check])
    first = made["reference"]
    shares: NDArray[np.float64] | None = None
    judged: list[BudgetRow] = []
    measured: list[BudgetRow] = []
    for name, network in made.items():
        validation, logits = (answers(network, o.folded, o.auxiliary) for o in (held, test))
        outputs = Outputs.fit(validation, held.label, learned, weight)
        if shares is None:
            shares = _shares(job, data.classes, outputs, logits, count)
        ms = milliseconds(network, test.folded, test.auxiliary)
        sides = ((judged, validation, held.label, None), (measured, logits, test.label, ms))
        for rows, found, label, spent in sides:
            p = np.log(np.maximum(outputs.probabilities(found, shares), 1e-300))
            rows.append(measure(name, network, first, p, label, data.classes, milliseconds=spent))
    counts = dict(zip(data.classes, np.bincount(held.label, minlength=n_classes), strict=True))
    judged = gate(judged, judged[0], most_lost, counts)
    return [replace(m, refused=j.refused) for m, j in zip(measured, judged, strict=True)]


def _shares(
    job: Job,
    classes: list[str],
    outputs: Outputs,
    logits: NDArray[np.floating],
    count: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Class shares that the answers assume: as the run's, but estimated from test objects."""
    if job.options.prior not in ("train", "estimate"):
        return read_shares(job.options.prior, classes)
    if job.options.prior == "estimate":
        try:
            return estimate_shares(outputs.probabilities(logits), outputs.learned).shares
        except DataError as error:
            log.warning("%s; those of the training objects are assumed", error)
    return tempered_priors(count, 0.0)


def _write(out: Path, rows: list[BudgetRow], n_test: int) -> None:
    """The table as JSON and text, and its picture."""
    from matplotlib.figure import Figure

    from astroprep.compress.budget import NIGHT_OBJECTS, pareto, table_text
    from astroprep.plot import plot_pareto
    from astroprep.plot.style import quiet

    front = [row.approach for row in pareto(rows)]
    content = {
        "n_test": n_test,
        "night_objects": NIGHT_OBJECTS,
        "rows": [row.to_dict() | {"on_pareto_front": row.approach in front} for row in rows],
    }
    with replaced(out / "compression.json") as path:
        path.write_text(json.dumps(content, indent=1) + "\n")
    with replaced(out / "compression.txt") as path:
        path.write_text(table_text(rows) + "\n")
    points = {row.approach: (row.compressed_bytes, row.balanced_accuracy) for row in rows}
    refused = [row.approach for row in rows if row.refused]
    figure = Figure(figsize=(9.0, max(4.2, 0.24 * len(rows))), layout="constrained")
    plot_pareto(points, front, refused, quiet(figure.add_subplot()))
    with replaced(out / "compression.png") as path:
        figure.savefig(path, dpi=150, format="png")
