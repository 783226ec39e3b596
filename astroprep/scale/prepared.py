"""The preparing of a run on a cluster: what the network takes, partition by partition."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.base import Transformer
from astroprep.data import LightCurveBatch, Meta, Rejected
from astroprep.io import ColumnNames
from astroprep.pipeline.prepare import Prepared, prepare
from astroprep.pipeline.restore import state_of_steps
from astroprep.pipeline.steps import step_from_table
from astroprep.scale.work import Step

__all__ = ["PrepareWork", "read_prepared"]

SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("period", pa.float64()),
        ("features", pa.list_(pa.float64())),
        ("folded", pa.list_(pa.float32())),
        ("rejected_step", pa.string()),
        ("rejected_reason", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
    ]
)


@dataclass(frozen=True)
class PrepareWork:
    """Send light curves through the fitted steps of a run.

    Parameters
    ----------
    steps : str
        JSON of `astroprep.pipeline.restore.state_of_steps`: text, because a worker knows the same
        work by it.
    names : ColumnNames
        Columns to read.
    """

    steps: str
    names: ColumnNames
    verb = "partitions"

    @classmethod
    def of(cls, steps: Sequence[Transformer], names: ColumnNames) -> PrepareWork:
        """The work of these steps."""
        return cls(json.dumps(state_of_steps(steps), sort_keys=True), names)

    def settings(self) -> dict[str, Any]:
        """Steps with what they learned."""
        return {"verb": self.verb, "steps": self.steps, "names": asdict(self.names)}

    def begin(self, meta: Meta) -> tuple[pa.Schema, Step]:
        """Make the steps anew."""
        steps = [
            step_from_table(one["table"]).load_state(one["state"]) for one in json.loads(self.steps)
        ]

        def step(batch: LightCurveBatch) -> tuple[pa.Table, Rejected]:
            prepared = prepare(batch, steps)
            return _table(prepared), prepared.rejected

        return SCHEMA, step


def _table(prepared: Prepared) -> pa.Table:
    """A row for every object, in the order of the input."""
    away, n = prepared.rejected, prepared.row.size
    m = len(away)
    row = np.concatenate([prepared.row, away.row])
    columns = {
        "row": row,
        "id": pa.array([*prepared.id, *away.id], pa.string()),
        "period": np.concatenate([prepared.period, np.full(m, np.nan)]),
        "features": _lists(prepared.features, m),
        "folded": _lists(prepared.folded.reshape(n, int(np.prod(prepared.folded.shape[1:]))), m),
        "rejected_step": pa.array([*[None] * n, *away.step], pa.string()),
        "rejected_reason": pa.array([*[None] * n, *away.reason], pa.string()),
        "label": pa.array([*[None] * n, *away.label], pa.string()),
        "split": pa.array([*[None] * n, *away.split], pa.string()),
    }
    return pa.table(columns, schema=SCHEMA).take(np.argsort(row, kind="stable"))


def _lists(values: NDArray[Any], n_empty: int) -> pa.Array:
    """Rows as lists, and so many empty ones behind them."""
    n, width = values.shape
    offsets = np.minimum(np.arange(n + n_empty + 1), n) * width
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values.ravel()))


def read_prepared(files: Sequence[Path], first_row: int, sample: Prepared) -> Iterator[Prepared]:
    """What a cluster prepared, row group by row group.

    Parameters
    ----------
    files : sequence of Path
        That `PrepareWork` made, in the order of the catalogue.
    first_row : int
        Rows before it are left out.
    sample : Prepared
        Of the same steps: names of the features, and shape of the folded channels.
    """
    for path in files:
        with pq.ParquetFile(path) as file:
            for k in range(file.num_row_groups):
                table = file.read_row_group(k, columns=SCHEMA.names)
                table = table.filter(pc.greater_equal(table["row"], first_row))
                if len(table):
                    yield _prepared(table, sample)


def _prepared(table: pa.Table, sample: Prepared) -> Prepared:
    away = table["rejected_reason"].is_valid()
    kept, lost = table.filter(pc.invert(away)), table.filter(away)
    n = kept.num_rows
    values = {name: kept[name].combine_chunks().flatten() for name in ("features", "folded")}
    return Prepared(
        row=kept["row"].to_numpy(),
        id=kept["id"].to_numpy(),
        period=kept["period"].to_numpy(),
        features=values["features"].to_numpy().reshape(n, len(sample.feature_names)),
        folded=values["folded"].to_numpy().reshape(n, *sample.folded.shape[1:]),
        rejected=Rejected(
            row=lost["row"].to_numpy(),
            id=lost["id"].to_numpy(),
            step=lost["rejected_step"].to_numpy(),
            reason=lost["rejected_reason"].to_numpy(),
            label=lost["label"].to_numpy(),
            split=lost["split"].to_numpy(),
        ),
        feature_names=sample.feature_names,
    )
