"""What is said of each object, and the file that says it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.arrow_arrays import arrow_numbers, arrow_text, numpy_numbers
from astroprep.errors import ConfigError
from astroprep.io import replaced
from astroprep.model.calibrate import correct_priors
from astroprep.model.outputs import COVERAGE, Outputs
from astroprep.model.taxonomy import Taxonomy
from astroprep.pipeline.account import Counts
from astroprep.pipeline.prepare import Prepared

__all__ = ["Answers", "PredictionWriter", "facts_of", "prediction_file"]

DECISION = "class of highest calibrated probability under the stated class shares"
SETS_JOINED_BY = "|"


@dataclass(frozen=True, eq=False)
class Answers:
    """How facts about objects become answers.

    Parameters
    ----------
    classes : tuple of str
        In the order of the probabilities.
    outputs : Outputs
        Of the bundle.
    shares : float64 array, shape (n_classes,)
        Class shares that probabilities and decisions assume.
    taxonomy : Taxonomy, optional
        Groups of the classes.
    coverage : float
        Of the conformal sets, between 0 and 1.
    prior : str
        Where the shares came from.
    standard_error : float64 array, shape (n_classes,), optional
        Of estimated shares.

    Raises
    ------
    ConfigError
        If the coverage is not between 0 and 1.
    """

    classes: tuple[str, ...]
    outputs: Outputs
    shares: NDArray[np.float64]
    taxonomy: Taxonomy | None = None
    coverage: float = COVERAGE
    prior: str = "train"
    standard_error: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise ConfigError(f"coverage must be between 0 and 1, got {self.coverage!r}")

    @property
    def levels(self) -> range:
        """Levels of the taxonomy above the classes themselves, from the top."""
        return range(1, self.taxonomy.depth if self.taxonomy is not None else 1)

    @property
    def schema(self) -> pa.Schema:
        """Columns of a file of answers, with what they assume."""
        text, number = pa.string(), pa.float64()
        columns = [("row", pa.int64()), ("id", text), ("label", text), ("split", text)]
        columns += [("predicted", text), *((f"prob_{name}", number) for name in self.classes)]
        for level in self.levels:
            columns += [(f"group_{level}", text), (f"group_{level}_probability", number)]
        if self.outputs.conformal is not None:
            columns += [("conformal_set", text)]
        if self.outputs.unknown is not None:
            columns += [("unknown_score", number), ("is_unknown", pa.bool_())]
        columns += [("period", number), ("rejected_reason", text)]
        return pa.schema(columns, metadata={"astroprep_answers": json.dumps(self.about())})

    def about(self) -> dict[str, Any]:
        """What the answers assume, for the file's metadata."""
        said: dict[str, Any] = {
            "decision": DECISION,
            "prior": self.prior,
            "shares": dict(zip(self.classes, self.shares.tolist(), strict=True)),
        }
        if self.standard_error is not None:
            errors = zip(self.classes, self.standard_error.tolist(), strict=True)
            said["standard_error"] = dict(errors)
        if self.outputs.conformal is not None:
            said["coverage"] = self.coverage
        if (unknown := self.outputs.unknown) is not None:
            said |= {
                "unknown_method": unknown.method,
                "unknown_threshold": unknown.threshold,
                "false_unknown_rate": unknown.false_unknown_rate,
            }
        return said

    def table(self, facts: pa.Table) -> pa.Table:
        """Answers to the facts of `facts_of`, row by row; none about rejected objects."""
        served = numpy_numbers(facts["rejected_reason"].is_null())
        place = np.full(served.size, -1)
        place[served] = np.arange(int(served.sum()))
        flat = numpy_numbers(facts["calibrated"].combine_chunks().flatten())
        calibrated = flat.reshape(-1, len(self.classes))[served]
        probability = correct_priors(calibrated, self.outputs.learned, self.shares)
        columns = self._of_probabilities(probability)
        if self.outputs.conformal is not None:
            columns["conformal_set"] = self._sets(calibrated)
        if self.outputs.unknown is not None:
            score = numpy_numbers(facts["unknown_score"])[served]
            columns["unknown_score"] = score
            columns["is_unknown"] = self.outputs.unknown.is_unknown(score)
        index = arrow_numbers(place, ~served)  # null takes null
        whole = {
            name: (
                arrow_text(column)
                if pa.types.is_string(self.schema.field(name).type)
                else arrow_numbers(column)
            ).take(index)
            for name, column in columns.items()
        }
        kept = {name: facts[name] for name in self.schema.names if name in facts.schema.names}
        return pa.table({**kept, **whole}).select(self.schema.names).cast(self.schema)

    def _of_probabilities(self, probability: NDArray[np.float64]) -> dict[str, Any]:
        columns: dict[str, Any] = {"predicted": _best(probability, self.classes)}
        columns |= {f"prob_{name}": probability[:, k] for k, name in enumerate(self.classes)}
        for level in self.levels:
            assert self.taxonomy is not None
            share = self.taxonomy.probabilities(probability, level)
            columns[f"group_{level}"] = _best(share, self.taxonomy.nodes(level))
            columns[f"group_{level}_probability"] = share.max(axis=1, initial=0.0)
        return columns

    def _sets(self, calibrated: NDArray[np.float64]) -> list[str]:
        assert self.outputs.conformal is not None
        inside = self.outputs.conformal.contains(calibrated, self.coverage, self.shares)
        names = np.array(self.classes, dtype=object)
        return [SETS_JOINED_BY.join(names[row]) for row in inside]


def _best(probability: NDArray[np.float64], names: Any) -> NDArray[np.object_]:
    return np.asarray(np.array([*names, None], dtype=object)[:-1][probability.argmax(axis=1)])


def facts_of(
    prepared: Prepared,
    calibrated: NDArray[np.float64],
    unknown_score: NDArray[np.float64],
    said: Mapping[str, NDArray[np.object_]],
) -> pa.Table:
    """What is known of each object before class shares are stated.

    Parameters
    ----------
    prepared : Prepared
        A batch.
    calibrated : float64 array, shape (n_curves, n_classes)
        Calibrated probabilities under the learned shares, of the curves that were not rejected.
    unknown_score : float64 array, shape (n_curves,)
        Likewise; NaN where the bundle has none.
    said : mapping of str to object arrays, shape (n_objects,)
        ``label`` and ``split`` of the input rows of this batch, in the order of the rows.

    Returns
    -------
    pyarrow.Table
        In the order of the rows: ``row, id, label, split, calibrated, unknown_score, period,
        rejected_reason``; of a rejected object only the reason.
    """
    away = prepared.rejected
    n, m = prepared.row.size, len(away)
    order = np.argsort(np.concatenate([prepared.row, away.row]), kind="stable")
    reasons = [f"{step} {why}" for step, why in zip(away.step, away.reason, strict=True)]
    blank = np.full((m, calibrated.shape[1]), np.nan)
    values = np.concatenate([calibrated, blank])[order].ravel()
    nothing = np.full(m, np.nan)
    period = np.concatenate([prepared.period, nothing])
    table = pa.table(
        {
            "row": arrow_numbers(np.concatenate([prepared.row, away.row])),
            "id": arrow_text([*prepared.id, *away.id]),
            "unknown_score": arrow_numbers(np.concatenate([unknown_score, nothing])),
            "period": arrow_numbers(period, np.isnan(period)),
            "rejected_reason": arrow_text([*[None] * n, *reasons]),
        }
    ).take(arrow_numbers(order))
    fixed = pa.FixedSizeListArray.from_arrays(arrow_numbers(values), calibrated.shape[1])
    table = table.append_column("calibrated", fixed)
    for name in ("label", "split"):
        table = table.append_column(name, arrow_text(said[name]))
    return table


class PredictionWriter:
    """Write predictions batch by batch, one row for every object of the input.

    Parameters
    ----------
    path : Path
        Parquet file with ``row, id, label, split, predicted, prob_<class>...``, with a taxonomy
        ``group_<level>`` and ``group_<level>_probability`` from the top level on,
        ``conformal_set`` (classes joined by ``|``; empty where no class is typical enough),
        ``unknown_score``, ``is_unknown``, ``period, rejected_reason``. A rejected object has the
        reason and nothing predicted. The metadata say what the answers assume.
    answers : Answers
        What to say.
    """

    def __init__(self, path: Path, answers: Answers) -> None:
        self.answers = answers
        self.counts = Counts()
        self._file = pq.ParquetWriter(path, answers.schema, compression="zstd")

    def write(self, facts: pa.Table, prepared: Prepared | None = None) -> pa.Table:
        """Write the answers to the facts of one batch and give their table.

        Parameters
        ----------
        facts : pyarrow.Table
            From `facts_of`.
        prepared : Prepared, optional
            The batch, where it is to be counted here.
        """
        table = self.answers.table(facts)
        self._file.write_table(table)
        if prepared is not None:
            self.counts.add(prepared.row.size, prepared.rejected)
        return table

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


@contextlib.contextmanager
def prediction_file(path: Path, answers: Answers) -> Iterator[PredictionWriter]:
    """Open a `PredictionWriter` whose file appears only when all is written."""
    with replaced(path) as temporary:
        writer = PredictionWriter(temporary, answers)
        try:
            yield writer
        finally:
            writer.close()
