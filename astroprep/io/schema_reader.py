"""Survey tables read as a schema says: CSV, other text and Parquet, flat or nested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astroprep.base import OnBad
from astroprep.data import LightCurveBatch, Meta, Quantity, Rejected
from astroprep.errors import ConfigError, DataError
from astroprep.io.columns import ColumnNames
from astroprep.io.curve_blocks import is_nested, run_starts, whole_curves
from astroprep.io.files import files_named
from astroprep.io.survey import Survey
from astroprep.io.text_blocks import file_columns, iter_blocks
from astroprep.surveys.apply import apply_schema, schema_meta
from astroprep.surveys.cells import as_words
from astroprep.surveys.load import load_schema
from astroprep.surveys.resolve import Plan, named, resolve
from astroprep.surveys.schema import FileTable, Schema
from astroprep.surveys.tables import explode, plain_table

__all__ = ["SchemaReader", "read_head"]

SUFFIXES = (".parquet", ".pq", ".csv", ".csv.gz")


def read_head(path: str | Path, schema: Schema | None = None) -> pa.Table:
    """The first rows of a table, to be compared with a schema.

    Parameters
    ----------
    path : str or Path
        Parquet, or text, every cell of which comes as text.
    schema : Schema, optional
        Says how text is laid out; plain CSV without it.

    Returns
    -------
    pyarrow.Table
        Up to 100,000 rows.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    path = Path(path)
    layout = FileTable() if schema is None else schema.file
    columns = file_columns(path, layout)
    for block in iter_blocks(path, layout, columns):
        return block
    return pa.table({name: pa.array([], pa.string()) for name in columns})


class SchemaReader(Survey):
    """Survey table whose columns a schema explains, read block by block.

    A table with one row a measurement must have the rows of an id together, in any order of
    time, because finding them all would need the whole file in memory; `Schema.apply` takes a
    table in any order. A file without a column of ids is one light curve with the file's name.
    A row of a nested table is one light curve.

    Parameters
    ----------
    path : str, Path or sequence of them
        A file, several, a folder or a pattern; files of a folder are those with the schema's
        suffixes, in the order of their names.
    names : ColumnNames
        With ``schema``; ``label``, ``split``, ``period`` and ``extra`` are columns per object
        to carry along, ``value`` chooses among the values that the schema has.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with a light curve that cannot be made, see `apply_schema`.

    Attributes
    ----------
    columns : list of str
        Columns of the first file.
    schema_metadata : dict of str to str
        Survey, time system and quantity as the schema states them.

    Raises
    ------
    ConfigError
        If there is no such schema or it has mistakes.
    DataError
        If there is no file, it cannot be read, or a column that the schema needs is missing.
    """

    def __init__(
        self,
        path: str | Path | Sequence[str | Path],
        names: ColumnNames,
        *,
        on_bad: OnBad = "raise",
    ) -> None:
        if names.schema is None:
            raise ConfigError("SchemaReader needs names with a schema, as in schema='ztf'")
        self.schema = load_schema(names.schema)
        self.names, self.on_bad = names, on_bad
        self.files = files_named(path, (*SUFFIXES, *self.schema.file.suffixes))
        self.path = Path(path) if isinstance(path, str | Path) else self.files[0]
        self.columns = self._columns_of(self.files[0])
        self._objects = {
            role: column
            for role, column in (
                ("label", names.label or named("label", self.columns)),
                ("split", names.split or named("split", self.columns)),
                ("catalogue_period", names.period),
                *((name, name) for name in names.extra),
            )
            if column is not None
        }
        plan = self._plan(self.files[0])
        self._meta = schema_meta(self.schema, plan, ())
        self.schema_metadata = {
            "survey": self._meta.survey,
            "time_system": self._meta.time_scale,
            "quantity": self._meta.quantity,
            "unit": self._meta.unit,
        }
        self._bands: tuple[str, ...] | None = None
        self._n_objects: int | None = None

    @property
    def n_objects(self) -> int:
        """Light curves; the first use reads the column of ids once."""
        if self._n_objects is None:
            self._scan()
        assert self._n_objects is not None
        return self._n_objects

    @property
    def meta(self) -> Meta:
        """Metadata of every batch; reads the column of bands once if there is one."""
        if self._bands is None:
            self._scan()
        assert self._bands is not None
        return replace(self._meta, bands=self._bands)

    def iter_batches(
        self, max_objects: int = 4096, *, first_row: int = 0
    ) -> Iterator[LightCurveBatch]:
        """Batches of at most `max_objects` ids in the order of the files.

        Parameters
        ----------
        max_objects : int, default 4096
            Bounds the size of a batch.
        first_row : int, default 0
            Light curves before it are read but not given.

        Yields
        ------
        LightCurveBatch
            ``objects["row"]`` counts the light curves of all files. A table without rows gives
            one empty batch.

        Raises
        ------
        DataError
            If a file is damaged, an id comes back after others, or as `apply_schema` says.
        """
        if max_objects < 1:
            raise ConfigError(f"max_objects must be at least 1, got {max_objects!r}")
        meta, row, given = self.meta, 0, False
        held: list[LightCurveBatch] = []
        for batch in self._pieces(max_objects, meta.bands):
            n = batch.n_objects
            batch = _numbered(batch, row, first_row)
            row += n
            if not batch.n_objects:
                continue
            if held and sum(one.n_objects for one in held) + batch.n_objects > max_objects:
                yield LightCurveBatch.concat(held)
                held, given = [], True
            held.append(batch)
        if held or not given:
            yield LightCurveBatch.concat(held) if held else self._empty(meta)

    def read(self) -> LightCurveBatch:
        """All files as one batch, where they fit into memory."""
        return LightCurveBatch.concat(list(self.iter_batches()))

    def _columns_of(self, path: Path) -> list[str]:
        if path.name.lower().endswith((".parquet", ".pq")):
            import pyarrow.parquet as pq

            file_columns(path, self.schema.file)
            return list(plain_table(pq.read_schema(path).empty_table()).columns)
        return file_columns(path, self.schema.file)

    def _plan(self, path: Path) -> Plan:
        columns = self._columns_of(path)
        try:
            plan = resolve(self.schema, columns, quantity=self._quantity(), objects=self._objects)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        if plan.missing:
            raise DataError(
                f"{path}: schema {self.schema.name} needs {'; '.join(plan.missing)}; there is "
                f"{', '.join(columns) or 'nothing'}. Is it of another survey?"
            )
        return plan

    def _quantity(self) -> Quantity | None:
        wanted = self.names.value
        if wanted is None:
            return None
        for value in self.schema.value:
            if wanted.lower() in (value.column.lower(), value.quantity):
                return value.quantity
        raise DataError(
            f"schema {self.schema.name} has no value {wanted!r}; there is "
            f"{', '.join(v.column for v in self.schema.value)}"
        )

    def _blocks(self, path: Path, plan: Plan, only: set[str] | None = None) -> Iterator[pa.Table]:
        """Blocks with the columns of the plan, nested ones whole."""
        used = plan.used() if only is None else only
        raw = file_columns(path, self.schema.file)
        nested = [c for c in raw if c not in used] if not used <= set(raw) else []
        return iter_blocks(path, self.schema.file, [*(c for c in raw if c in used), *nested])

    def _pieces(self, max_objects: int, bands: Sequence[str]) -> Iterator[LightCurveBatch]:
        """Batches of whole light curves of one file each, numbered from 0."""
        for path in self.files:
            plan = self._plan(path)
            seen: set[str] = set()
            for table in whole_curves(self._blocks(path, plan), _id_columns(plan), max_objects):
                yield self._batch(table, path, bands, seen)

    def _batch(
        self, table: pa.Table, path: Path, bands: Sequence[str], seen: set[str]
    ) -> LightCurveBatch:
        batch = apply_schema(
            self.schema,
            table,
            quantity=self._quantity(),
            objects=self._objects,
            on_bad=self.on_bad,
            bands=bands,
            object_id=_stem(path),
            where=f"{path}",
        )
        if not is_nested(table):
            names = batch.objects.get("object", batch.ids).tolist()
            again = next((name for name in names if name in seen), None)
            if again is not None:
                raise DataError(
                    f"{path}: the rows of {again!r} do not stand together; sort the file by id, "
                    f"or read it whole and use load_schema({self.schema.name!r}).apply(table)"
                )
            seen.update(names)
        return batch

    def _scan(self) -> None:
        """Count the ids and collect the bands, in one pass over those columns."""
        count, seen = 0, set[str]()
        for path in self.files:
            plan = self._plan(path)
            ids = _id_columns(plan)
            band = plan.columns.get("band")
            seen.update(s.band for s in plan.series)
            only = {*ids, *(() if band is None else (band,))} or {plan.columns["time"]}
            last: tuple[object, ...] | None = None
            for block in self._blocks(path, plan, only):
                if band is not None:
                    column = explode(plain_table(block), [band]).columns[band]
                    seen.update(pc.unique(pc.fill_null(as_words(column, band), "")).to_pylist())
                if is_nested(block) or self._row_is_curve(path, plan):
                    count += block.num_rows
                elif ids:
                    starts = run_starts(block, ids)
                    edge = [
                        tuple(block[c][i].as_py() for c in ids) for i in (0, block.num_rows - 1)
                    ]
                    count += starts.size - (edge[0] == last)
                    last = edge[1]
                else:
                    count += last is None
                    last = ()
        known = dict(self.schema.band.names)
        there = {known.get(word, word) for word in seen}
        if self.schema.band.fixed is not None and not seen:
            there.add(self.schema.band.fixed)
        names = self.schema.band.canonical() or tuple(s.band for s in self.schema.series)
        self._n_objects, self._bands = count, tuple(n for n in names if n in there)

    def _row_is_curve(self, path: Path, plan: Plan) -> bool:
        if not path.name.lower().endswith((".parquet", ".pq")):
            return False
        import pyarrow.parquet as pq

        return is_nested(pq.read_schema(path).empty_table())

    def _empty(self, meta: Meta) -> LightCurveBatch:
        return LightCurveBatch(
            time=np.empty(0), value=np.empty(0), error=np.empty(0), offsets=np.zeros(1, np.int64),
            band=np.empty(0, np.int16) if meta.bands else None, meta=meta,
        )  # fmt: skip


def _stem(path: Path) -> str:
    """Name of a file without its suffix, compressed or not."""
    return Path(path.name.removesuffix(".gz")).stem


def _id_columns(plan: Plan) -> tuple[str, ...]:
    return (plan.columns["id"],) if "id" in plan.columns else plan.id_parts


def _numbered(batch: LightCurveBatch, row: int, first_row: int) -> LightCurveBatch:
    """The batch with its rows counted from `row`, without those before `first_row`."""
    rows = batch.objects["row"] + row
    away = batch.rejected
    batch = batch.with_columns(objects={"row": rows})
    keep, kept = rows >= first_row, away.row + row >= first_row
    away = Rejected(
        **{
            name: (getattr(away, name) + row if name == "row" else getattr(away, name))[kept]
            for name in ("row", "id", "step", "reason", "label", "split")
        }
    )
    return replace(batch if keep.all() else batch[keep], rejected=away)
