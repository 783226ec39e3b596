"""Blocks of rows become tables of whole light curves."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["is_nested", "run_starts", "whole_curves"]


def is_nested(table: pa.Table) -> bool:
    """Whether a row is a light curve: a column holds lists or structs."""
    return any(
        pa.types.is_nested(field.type) and not pa.types.is_map(field.type) for field in table.schema
    )


def run_starts(table: pa.Table, ids: Sequence[str]) -> NDArray[np.int64]:
    """Row at which each run of one id begins.

    Parameters
    ----------
    table : pyarrow.Table
        Any.
    ids : sequence of str
        Columns that together are the id.

    Returns
    -------
    int64 array, shape (n_runs,)
    """
    new = np.zeros(table.num_rows, bool)
    new[:1] = True
    for name in ids:
        coded = table[name].combine_chunks().dictionary_encode(null_encoding="encode")
        code = np.asarray(coded.indices.to_numpy(), np.int64)
        new[1:] |= code[1:] != code[:-1]
    return np.flatnonzero(new).astype(np.int64)


def whole_curves(
    blocks: Iterable[pa.Table], ids: Sequence[str], max_objects: int
) -> Iterator[pa.Table]:
    """Cut blocks anew, so that the rows of an id that stand together stay together.

    Parameters
    ----------
    blocks : iterable of pyarrow.Table
        In the order of the file.
    ids : sequence of str
        Columns that together are the id; without any, all rows are one light curve.
    max_objects : int
        Ids of a table at most, at least 1.

    Yields
    ------
    pyarrow.Table
    """
    held: list[pa.Table] = []
    for block in blocks:
        if is_nested(block):
            for start in range(0, block.num_rows, max_objects):
                yield block.slice(start, max_objects)
            continue
        held.append(block)
        if not ids:
            continue
        table = pa.concat_tables(held)
        starts = run_starts(table, ids)
        if starts.size > max_objects:
            cuts = starts[: starts.size - 1 : max_objects]  # the last may go on
            for first, last in itertools.pairwise(cuts):
                yield table.slice(first, last - first)
            held = [table.slice(cuts[-1])]
    if held:
        table = pa.concat_tables(held)
        cuts = np.append(run_starts(table, ids)[::max_objects] if ids else 0, table.num_rows)
        for first, last in itertools.pairwise(cuts):
            yield table.slice(first, last - first)
