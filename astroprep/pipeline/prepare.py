"""From raw light curves to what the network takes: the steps of a recipe, batch by batch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astroprep.base import Transformer
from astroprep.data import LightCurveBatch, Rejected
from astroprep.errors import ConfigError, DataError
from astroprep.io import replaced

__all__ = ["Prepared", "apply_steps", "fit_steps", "learns", "prepare", "recut", "taken_out"]

ARRAYS = ("row", "id", "period", "features", "folded")  # of `Prepared`, an object a row
TEXTS = ("id", "step", "reason", "label", "split")  # columns of `Rejected` beside the row


def learns(steps: Sequence[Transformer]) -> bool:
    """Whether any step has to see training data before it can transform."""
    return any(type(step)._learns() for step in steps)


def fit_steps(steps: Sequence[Transformer], batch: LightCurveBatch) -> None:
    """Fit each step on what the steps before it make of a sample of training objects."""
    for step in steps:
        batch = step.fit(batch).transform(batch)


def apply_steps(steps: Sequence[Transformer], batch: LightCurveBatch) -> LightCurveBatch:
    """Send a batch through fitted steps; curves that one refuses end in ``rejected``."""
    for step in steps:
        batch = step.transform(batch)
    return batch


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the network takes and what people look at, of one batch.

    Parameters
    ----------
    row : int64 array, shape (n_curves,)
        Row in the input.
    id : object array of str, shape (n_curves,)
        Names.
    period : float64 array, shape (n_curves,)
        Days; NaN where the recipe finds none.
    features : float64 array, shape (n_curves, n_features)
        NaN where undefined.
    folded : float32 array, shape (n_curves, n_channels, n_bins)
        Folded channels.
    rejected : Rejected
        Objects that a step refused.
    feature_names : tuple of str
        Names of the columns of `features`.
    """

    row: NDArray[np.int64]
    id: NDArray[np.object_]
    period: NDArray[np.float64]
    features: NDArray[np.float64]
    folded: NDArray[np.float32]
    rejected: Rejected
    feature_names: tuple[str, ...]

    @property
    def n_objects(self) -> int:
        """Curves and rejected objects together."""
        return int(self.row.size) + len(self.rejected)

    def rows(self, first: int, stop: int) -> Prepared:
        """Objects of the input rows from `first` to `stop`, which is left out."""
        mine = (self.row >= first) & (self.row < stop)
        gone = (self.rejected.row >= first) & (self.rejected.row < stop)
        return replace(
            self,
            **{name: getattr(self, name)[mine] for name in ARRAYS},
            rejected=Rejected(
                row=self.rejected.row[gone],
                **{name: getattr(self.rejected, name)[gone] for name in TEXTS},
            ),
        )

    @classmethod
    def concat(cls, parts: Sequence[Prepared]) -> Prepared:
        """All objects of one part at least, in their order."""
        if len(parts) == 1:
            return parts[0]
        whole: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS
        }
        return replace(parts[0], **whole, rejected=Rejected.concat(p.rejected for p in parts))

    def save(self, path: Path) -> None:
        """Store as an Arrow file, from which `load` maps what it needs."""
        table = pa.table(
            {
                "row": self.row,
                "id": pa.array(self.id, pa.string()),
                "period": self.period,
                "features": _fixed(self.features),
                "folded": _fixed(self.folded),
            }
        )
        note = {
            "folded": self.folded.shape[1:],
            "feature_names": self.feature_names,
            "rejected": {
                "row": self.rejected.row.tolist(),
                **{k: getattr(self.rejected, k).tolist() for k in TEXTS},
            },
        }
        table = table.replace_schema_metadata({"astroprep": json.dumps(note)})
        with (
            replaced(path) as temporary,
            pa.ipc.new_file(str(temporary), table.schema) as writer,
        ):
            writer.write_table(table)

    @classmethod
    def load(cls, path: Path) -> Prepared:
        """Take up what `save` stored.

        Raises
        ------
        DataError
            If the file is damaged.
        """
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all().combine_chunks()
            note = json.loads(table.schema.metadata[b"astroprep"])
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise DataError(f"{path} is damaged; pass --restart to begin anew") from error
        n = table.num_rows
        away = note["rejected"]
        return cls(
            row=table["row"].to_numpy(),
            id=table["id"].to_numpy(),
            period=table["period"].to_numpy(),
            features=_flat(table["features"]).reshape(n, len(note["feature_names"])),
            folded=_flat(table["folded"]).reshape(n, *note["folded"]),
            rejected=Rejected(
                row=np.array(away["row"], np.int64),
                **{k: np.array(away[k], dtype=object) for k in TEXTS},
            ),
            feature_names=tuple(note["feature_names"]),
        )


def _fixed(array: NDArray[Any]) -> pa.Array:
    width = int(np.prod(array.shape[1:]))
    if width == 0:  # a recipe without features
        return pa.nulls(len(array))
    return pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), width)


def _flat(column: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_null(column.type):
        return np.empty(0)
    values: NDArray[Any] = column.combine_chunks().flatten().to_numpy()
    return values


def prepare(batch: LightCurveBatch, steps: Sequence[Transformer]) -> Prepared:
    """Send a batch through the steps and take out what the network needs.

    Parameters
    ----------
    batch : LightCurveBatch
        Raw light curves.
    steps : sequence of Transformer
        Fitted.

    Raises
    ------
    ConfigError
        If no step makes folded channels.
    DataError
        If a step raises.
    """
    return taken_out(apply_steps(steps, batch), steps)


def taken_out(result: LightCurveBatch, steps: Sequence[Transformer]) -> Prepared:
    """What the network needs of a batch behind the steps; as `prepare`."""
    if "folded" not in result.objects:
        raise ConfigError("the recipe makes no folded channels: add the step FoldedChannels")
    n = result.n_curves
    names: tuple[str, ...] = ()
    for step in steps:
        if hasattr(step, "feature_names"):
            names = tuple(step.feature_names())
    return Prepared(
        row=result.objects["row"],
        id=result.ids,
        period=result.objects.get("period", np.full(n, np.nan)),
        features=result.objects.get("features", np.empty((n, 0))),
        folded=result.objects["folded"],
        rejected=result.rejected,
        feature_names=names,
    )


def recut(batches: Iterable[Prepared], n_objects: int, first_row: int = 0) -> Iterator[Prepared]:
    """Parts of `n_objects` rows of the input, however it was cut when it was prepared.

    Parameters
    ----------
    batches : iterable of Prepared
        Of all rows from `first_row` on, in their order.
    n_objects : int
        Rows of each part, rejected ones included; the last has what is left.
    first_row : int, default 0
        Of the first part.

    Yields
    ------
    Prepared
        No more than one part and one batch are in memory.
    """
    held: list[Prepared] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.n_objects
        while count >= n_objects:
            whole = Prepared.concat(held)
            stop = first_row + n_objects
            yield whole if count == n_objects else whole.rows(first_row, stop)
            count -= n_objects
            held = [whole.rows(stop, stop + count)] if count else []
            first_row = stop
    if count:
        yield Prepared.concat(held)
