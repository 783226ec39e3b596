"""Tables in text and Parquet files as Arrow blocks, every cell of a text file as text."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from astroprep.errors import DataError
from astroprep.io.files import check_file, first_line
from astroprep.surveys.schema import FileTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["file_columns", "iter_blocks"]

BLOCK_BYTES = 1 << 22
BLOCK_ROWS = 100_000
MAX_COMMENTS = 1000  # lines at the head of a file


def is_parquet(path: Path) -> bool:
    """Whether the name is that of a Parquet file."""
    return path.name.lower().endswith((".parquet", ".pq"))


def file_columns(path: Path, layout: FileTable) -> list[str]:
    """Names of the columns of a file.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    check_file(path)
    if is_parquet(path):
        return [*_parquet(path).schema_arrow.names]
    if _headless(path, layout):
        return list(layout.columns)
    if _needs_pandas(path, layout):
        for frame in _frames(path, layout, 1, None):
            return [str(name) for name in frame.columns]
        return []
    try:
        with pacsv.open_csv(path, **_options(layout, [], [])) as file:
            return list(file.schema.names)
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def iter_blocks(path: Path, layout: FileTable, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Blocks of the named columns, in the order of the file; none is empty.

    Raises
    ------
    DataError
        If the file is damaged or has lines of different length.
    """
    columns = list(columns)
    try:
        if is_parquet(path):
            for part in _parquet(path).iter_batches(batch_size=BLOCK_ROWS, columns=columns):
                if part.num_rows:
                    yield pa.Table.from_batches([part])
        elif _needs_pandas(path, layout):
            for frame in _frames(path, layout, BLOCK_ROWS, columns):
                if len(frame):
                    yield pa.table({c: pa.array(frame[c], pa.string()) for c in columns})
        else:
            names = list(layout.columns) if _headless(path, layout) else []
            with pacsv.open_csv(path, **_options(layout, columns, names)) as file:
                for block in file:
                    if block.num_rows:
                        yield pa.Table.from_batches([block])
    except (pa.ArrowException, OSError, EOFError, ValueError, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise _unreadable(path, error) from error


def _options(layout: FileTable, columns: list[str], names: list[str]) -> dict[str, object]:
    return {
        "read_options": pacsv.ReadOptions(block_size=BLOCK_BYTES, column_names=names or None),
        "parse_options": pacsv.ParseOptions(delimiter=layout.delimiter),
        "convert_options": pacsv.ConvertOptions(
            include_columns=columns,
            column_types={c: pa.string() for c in columns},
            strings_can_be_null=True,
        ),
    }


def _frames(
    path: Path, layout: FileTable, rows: int, columns: list[str] | None
) -> Iterator[pd.DataFrame]:
    import pandas as pd

    try:
        with pd.read_csv(
            path,
            sep=r"\s+" if layout.delimiter == "space" else layout.delimiter,
            comment=layout.comment or None,
            names=list(layout.columns) if _headless(path, layout) else None,
            usecols=columns,
            dtype=str,
            index_col=False,
            chunksize=rows,
            keep_default_na=False,
            on_bad_lines="error",
        ) as frames:
            yield from frames
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _first_line(path: Path, layout: FileTable) -> str:
    """First line that is no comment."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8", errors="replace") as lines:
            for _, line in zip(range(MAX_COMMENTS), lines, strict=False):
                text = str(line).strip()
                if text and not (layout.comment and text.startswith(layout.comment)):
                    return text
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    return ""


def _headless(path: Path, layout: FileTable) -> bool:
    """Whether the file has no line of names: none of the layout's is in its first line."""
    if not layout.columns:
        return False
    line = _first_line(path, layout)
    cells = line.split() if layout.delimiter == "space" else line.split(layout.delimiter)
    known = {name.lower() for name in layout.columns}
    return not any(cell.strip().lower() in known for cell in cells)


def _needs_pandas(path: Path, layout: FileTable) -> bool:
    """Arrow reads one delimiter between cells, and no comments."""
    if layout.delimiter == "space":
        return True
    if not layout.comment:
        return False
    with path.open("rb") as file:
        return file.read(1) == layout.comment.encode()


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} cannot be read as a table ({first_line(error)}); it may be truncated, of "
        "another format, or laid out otherwise than [file] of the schema says"
    )
