"""Of several rows of one observation, the one that counts; whatever order they came in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["Merged", "latest_objects", "merge_observations"]


@dataclass(frozen=True, eq=False)
class Merged:
    """Observations as they stand, and what is new among them.

    Parameters
    ----------
    current : pyarrow.Table
        One row an observation, by object, time and source.
    is_new : bool array, shape (n_current,)
        Whether the row was not there before.
    """

    current: pa.Table
    is_new: NDArray[np.bool_]


def merge_observations(stored: pa.Table, incoming: pa.Table) -> Merged:
    """Join new observations to those that are stored.

    Parameters
    ----------
    stored, incoming : pyarrow.Table
        Columns of `astroprep.nightly.rows.OBSERVATIONS` but ``run``.

    Returns
    -------
    Merged

    Notes
    -----
    Of the rows with the same object and source the withdrawn one counts, then the alert itself
    before its copies in the histories of later alerts, then the larger value, error and flags.
    This is an order, so that the outcome does not depend on who came first, and a repetition is
    none: of equal rows the stored one stays.
    """
    both = pa.concat_tables([stored, incoming.select(stored.column_names)]).combine_chunks()
    n = both.num_rows
    if n == 0:
        return Merged(both, np.zeros(0, bool))
    code = _codes(both["object_id"])
    key = {
        name: both[name].to_numpy(zero_copy_only=False)
        for name in ("source_id", "withdrawn", "quality", "value", "error", "flags", "time")
    }
    was_stored = np.arange(n) < stored.num_rows
    value, error = (np.nan_to_num(key[name], nan=-np.inf) for name in ("value", "error"))
    first = np.lexsort((key["source_id"], code))
    same = _same(code[first], key["source_id"][first])
    doubtful = np.zeros(n, bool)  # only rows with a rival are compared column by column
    doubtful[first] = same | np.append(same[1:], False)
    order = first
    if doubtful.any():
        rank = np.zeros(n, np.int64)
        some = np.flatnonzero(doubtful)
        ranked = np.lexsort(
            (
                was_stored[some],
                key["flags"][some],
                error[some],
                value[some],
                key["quality"][some],
                key["withdrawn"][some],
            )
        )
        rank[some[ranked]] = np.arange(some.size)
        order = np.lexsort((rank, key["source_id"], code))
    best = np.append(~_same(code[order], key["source_id"][order])[1:], True)  # the last counts
    chosen = order[best]
    chosen = chosen[np.lexsort((key["source_id"][chosen], key["time"][chosen], code[chosen]))]
    return Merged(both.take(pa.array(chosen)), ~was_stored[chosen])


def _same(code: NDArray[np.int64], source: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each row has the key of the one before."""
    same = np.zeros(code.size, bool)
    same[1:] = (code[1:] == code[:-1]) & (source[1:] == source[:-1])
    return same


def _codes(names: pa.ChunkedArray) -> NDArray[np.int64]:
    """Rank of each name in the order of the names."""
    encoded = names.combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    codes: NDArray[np.int64] = rank[encoded.indices.to_numpy()]
    return codes


def latest_objects(rows: pa.Table) -> pa.Table:
    """The row of the latest run of each object, by object."""
    rows = rows.combine_chunks()
    if not rows.num_rows:
        return rows
    code, run = _codes(rows["object_id"]), rows["run"].to_numpy()
    order = np.lexsort((run, code))
    return rows.take(pa.array(order[np.append(code[order][1:] != code[order][:-1], True)]))
