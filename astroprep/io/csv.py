"""Long CSV: one row a measurement, the rows of an object together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.interchange import NAMES
from astroprep.io.columns import ColumnNames
from astroprep.io.files import check_file, first_line, replaced, write_beside
from astroprep.io.long import FLAGS, WEIGHT, LongReader
from astroprep.io.parquet_writer import narrow, point_columns

__all__ = ["LongCsvReader", "write_long_csv"]

BLOCK_BYTES = 1 << 22


class LongCsvReader(LongReader):
    """Survey in a CSV file with one row a measurement, read block by block.

    The rows of an object must stand together, in any order of time; an id that comes back
    after another one is an error, because finding it all would need the whole file in memory.
    Columns per object (position, label, split) repeat their value on every row of the object.
    A file ending in ``.gz`` is decompressed on the way.

    Parameters
    ----------
    path : str or Path
        The file; its first line names the columns.
    names : ColumnNames, optional
        Columns that do not have one of the usual names, and the catalogue's period if wanted.

    Attributes
    ----------
    columns : list of str
        Columns of the file.
    schema_metadata : dict of str to str
        Empty: CSV says nothing of itself. The time system is taken from the name of the time
        column (``mjd``, ``hjd`` ...) and unknown for ``time``.

    Raises
    ------
    DataError
        If the file is missing or empty, or has no id, time or value column.
    """

    def __init__(self, path: str | Path, names: ColumnNames | None = None) -> None:
        path = Path(path)
        check_file(path)
        super().__init__(path, names, _header(path), {})

    def _blocks(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        schema = self._schema()
        convert = pacsv.ConvertOptions(
            column_types=schema, include_columns=columns or schema.names, strings_can_be_null=True
        )
        read = pacsv.ReadOptions(block_size=BLOCK_BYTES)
        try:
            with pacsv.open_csv(self.path, read_options=read, convert_options=convert) as file:
                for block in file:
                    if block.num_rows:
                        yield pa.Table.from_batches([block])
        except (pa.ArrowException, OSError, EOFError) as error:
            raise DataError(
                f"{self.path}: {first_line(error)}; correct the file, or name another column"
            ) from error


def _header(path: Path) -> list[str]:
    read = pacsv.ReadOptions(block_size=BLOCK_BYTES)
    try:
        with pacsv.open_csv(path, read_options=read) as file:
            return list(file.schema.names)
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as CSV ({first_line(error)}); it may be truncated or of "
            "another format"
        ) from error


def write_long_csv(
    path: str | Path,
    batch: LightCurveBatch,
    *,
    points: Sequence[str] | Literal["all"] = (),
    objects: Sequence[str] = (),
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write a batch as CSV with one row a measurement; the file appears whole or not at all.

    Objects without points leave no row, and so are lost: write nested Parquet to keep them.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists; compressed if it ends in ``.gz``.
    batch : LightCurveBatch
        Its id, points, position, label, split and catalogue period (as ``period``) are
        written, as far as they are there. The time column is called after the time system
        (``mjd``, ``hjd`` ...) where it has such a name. Values and errors that float32 holds
        are written with its digits (``17.433``) and are equal in float32 when read back; all
        others come back exactly. Flags and weights are written where there are any, as
        ``astroprep_flags`` and ``astroprep_weight``, and read back by themselves.
    points : sequence of str or "all", default ()
        Which of ``batch.points`` to write, see `write_batch`; ``ColumnNames(points=...)`` reads
        them back, ``cadence`` and ``survey_flags`` as whole numbers and the others as float64.
    objects : sequence of str, default ()
        Further columns per object, of one dimension, to write under their own names;
        ``ColumnNames(extra=...)`` reads them back as text.
    record : mapping, optional
        Where the batch comes from, see `astroprep.io.make_provenance`; written into
        ``FILE.json`` beside.

    Raises
    ------
    DataError
        If the file cannot be written, or `points` are none that can be.
    """
    further = point_columns(batch, points)
    curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
    quantity = batch.meta.quantity
    system = batch.meta.time_scale.lower().split(" ")[0]
    columns: dict[str, Any] = {
        "id": pa.array(batch.ids[curve], pa.string()),
        system if system in NAMES["time"] else "time": batch.time,
        quantity: narrow(batch.value),
        f"{quantity}_err": narrow(batch.error),
    }
    if batch.band is not None:
        names = np.array([*batch.meta.bands, ""], dtype=object)
        columns["band"] = pa.array(names[batch.band], pa.string())
    if batch.flags.any():
        columns[FLAGS] = batch.flags
    if (batch.weight != 1).any():
        columns[WEIGHT] = batch.weight
    columns |= further
    for name in dict.fromkeys(("ra", "dec", "label", "split", "catalogue_period", *objects)):
        if name in columns:
            raise DataError(f"{path}: two columns would be called {name!r}; rename one")
        if name in batch.objects:
            values = batch.objects[name][curve]
            kind = pa.string() if values.dtype == object else None
            columns["period" if name == "catalogue_period" else name] = pa.array(values, kind)
    compression = "gzip" if Path(path).suffix == ".gz" else None
    with replaced(path) as part, pa.output_stream(part, compression=compression) as sink:
        pacsv.write_csv(pa.table(columns), sink)
    if record:
        write_beside(path, record)
