"""One door to every survey file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, Self

from astroprep.base import OnBad
from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import DataError
from astroprep.io.columns import ColumnNames
from astroprep.io.csv import LongCsvReader, write_long_csv
from astroprep.io.parquet import NestedParquetReader, write_batch

__all__ = ["Survey", "open_survey", "write_survey"]


class Survey(Protocol):
    """What every reader gives: counts, names and batches."""

    path: Path
    columns: list[str]
    schema_metadata: dict[str, str]

    @property
    def n_objects(self) -> int:
        """Objects in the file."""

    @property
    def meta(self) -> Meta:
        """Metadata of every batch."""

    def iter_batches(
        self, max_objects: int = 4096, *, first_row: int = 0
    ) -> Iterator[LightCurveBatch]:
        """Batches in the order of the file."""

    def read(self) -> LightCurveBatch:
        """Whole file as one batch."""

    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_survey(
    path: str | Path, names: ColumnNames | None = None, *, on_bad: OnBad = "raise"
) -> Survey:
    """Open a survey file by its suffix; nothing but its description is read yet.

    Parameters
    ----------
    path : str or Path
        ``.parquet`` (`NestedParquetReader`), ``.csv`` or ``.csv.gz`` (`LongCsvReader`).
    names : ColumnNames, optional
        Columns that do not have one of the usual names, and the catalogue's period if wanted.
    on_bad : {"raise", "reject"}, default "raise"
        What a nested reader does with a row whose lists differ in length.

    Returns
    -------
    Survey
        With ``n_objects``, ``columns``, ``schema_metadata``, ``meta``, ``iter_batches`` and
        ``read``; close it, or use it in a ``with`` statement.

    Raises
    ------
    DataError
        If the suffix is unknown, the file cannot be read, or a column is missing or of the
        wrong type; the message says what is there and what to do.
    """
    path = Path(path)
    if _format(path) == "parquet":
        return NestedParquetReader(path, names, on_bad=on_bad)
    return LongCsvReader(path, names)


def write_survey(path: str | Path, batch: LightCurveBatch) -> None:
    """Write a batch in the format that the suffix names; the file appears whole or not at all.

    Parameters
    ----------
    path : str or Path
        ``.parquet`` (see `write_batch`), ``.csv`` or ``.csv.gz`` (see `write_long_csv`).
    batch : LightCurveBatch
        What to write.

    Raises
    ------
    DataError
        If the suffix is unknown or the file cannot be written.
    """
    if _format(Path(path)) == "parquet":
        write_batch(path, batch)
    else:
        write_long_csv(path, batch)


def _format(path: Path) -> str:
    name = path.name.lower()
    if name.endswith((".parquet", ".pq")):
        return "parquet"
    if name.endswith((".csv", ".csv.gz")):
        return "csv"
    ending = f"no format goes by {path.suffix!r}" if path.suffix else "a name without a suffix"
    raise DataError(f"{path}: {ending}; there are .parquet, .csv and .csv.gz")
