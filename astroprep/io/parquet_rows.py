"""Rows of a Parquet file, cut into batches alike wherever one starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from astroprep.errors import DataError
from astroprep.io.files import check_file, first_line

__all__ = ["open_parquet", "row_batches"]


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a file by its footer.

    Raises
    ------
    DataError
        If it is missing, empty, truncated or no Parquet.
    """
    check_file(path)
    try:
        return pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet ({first_line(error)}); it may be truncated or of "
            "another format: copy or write it again"
        ) from error


def row_batches(
    file: pq.ParquetFile, path: Path, columns: Sequence[str], max_objects: int, first_row: int
) -> Iterator[pa.RecordBatch]:
    """Rows from `first_row` on, copied only where pieces of row groups are joined.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
        Open.
    path : Path
        Its name, for messages.
    columns : sequence of str
        Which to read.
    max_objects : int
        Rows of a batch; only the last has fewer.
    first_row : int
        Row groups before it are not read.

    Yields
    ------
    pyarrow.RecordBatch

    Raises
    ------
    DataError
        If the file is damaged; the message says from which row on.
    """
    row, groups = _groups_from(file, first_row)
    skip = first_row - row
    held: list[pa.RecordBatch] = []
    try:
        for part in file.iter_batches(batch_size=max_objects, row_groups=groups, columns=columns):
            row += part.num_rows
            left = part.slice(skip)
            skip = max(0, skip - part.num_rows)
            room = max_objects - sum(p.num_rows for p in held)
            if left.num_rows:
                held.append(left.slice(0, room))
            if left.num_rows >= room:
                yield _joined(held)
                held = [left.slice(room)] if left.num_rows > room else []
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} is damaged from row {row} on ({first_line(error)}); "
            "copy or write the file again"
        ) from error
    if held:
        yield _joined(held)


def _groups_from(file: pq.ParquetFile, first_row: int) -> tuple[int, list[int]]:
    """First row of the first row group that holds `first_row`, and the groups from there."""
    info = file.metadata
    row, first = 0, 0
    while first < info.num_row_groups and row + info.row_group(first).num_rows <= first_row:
        row += info.row_group(first).num_rows
        first += 1
    return row, list(range(first, info.num_row_groups))


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(parts) == 1:
        return parts[0]
    return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
