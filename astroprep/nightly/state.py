"""What is known from night to night: Delta tables that change together or not at all.

A state is a folder (or a prefix of an object store) of five Delta tables. A run appends to four of
them and then writes one row to the fifth, the ledger, with the version that each table has
reached. Whoever reads takes the versions of the last row, so that an unfinished run is invisible;
whoever writes next puts the tables back to them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from astroprep.errors import ConfigError, DataError
from astroprep.io.files import first_line
from astroprep.nightly.ingest import DEAD_LETTERS, SURVEYS
from astroprep.nightly.lock import WriterLock, is_local
from astroprep.nightly.objects import CLASSIFICATIONS, OBJECTS
from astroprep.nightly.rows import OBSERVATIONS
from astroprep.optional import need

__all__ = ["RUNS", "State", "StateAbout", "open_state"]

VERSION = 1
ORDER = 2  # HEALPix order of the partitions: 192 pixels of 215 square degrees
STAMP = pa.timestamp("us", "UTC")
UNFIT = re.compile(r"[\[\]^|\\\x00-\x1f]|%[0-9A-Fa-f]{2}")  # it reads a folder as an address

RUNS = pa.schema(
    [
        ("run", pa.int64()),
        ("kind", pa.string()),
        ("night", pa.string()),
        ("source", pa.string()),
        ("batch", pa.int64()),
        ("closed", pa.bool_()),
        ("digest", pa.string()),
        ("bundle", pa.string()),
        ("code", pa.string()),
        ("counts", pa.string()),
        ("versions", pa.string()),
        ("about", pa.string()),
        ("finished", STAMP),
    ]
)
"""Columns of the ledger: ``counts``, ``versions`` (of the tables behind the run) and ``about`` are
JSON; ``closed`` is True behind the last batch of a night."""

TABLES = {
    "observations": OBSERVATIONS,
    "objects": OBJECTS,
    "classifications": CLASSIFICATIONS,
    "dead_letters": DEAD_LETTERS,
}


@dataclass(frozen=True)
class StateAbout:
    """What is true of a whole state.

    Parameters
    ----------
    version : int
        Of the layout.
    survey : str
        Whose alerts are in it.
    order : int
        HEALPix order (nested) of the pixels that observations are partitioned by.
    """

    version: int
    survey: str
    order: int


def open_state(
    url: str,
    *,
    write: bool = False,
    survey: str = "",
    order: int = ORDER,
    storage_options: Mapping[str, str] | None = None,
) -> State:
    """Open a state, or begin one.

    Parameters
    ----------
    url : str
        Folder, or address of an object store such as ``s3://bucket/prefix``.
    write : bool, default False
        Whether to write: one at a time may. A state that is not there is begun.
    survey : str
        Of a new state; of an old one it must agree where it is given.
    order : int, default 2
        HEALPix order of a new state.
    storage_options : mapping, optional
        Of the object store, as deltalake takes them.

    Raises
    ------
    ConfigError
        If there is no state to read, another survey's is there, or somebody else writes.
    DataError
        If the state is damaged, of a newer version, or cannot be written.
    MissingExtraError
        If deltalake is not installed.
    """
    need("deltalake", extra="nightly", who="The nightly state")
    if not url.strip():
        raise ConfigError("--state names no folder and no address of an object store")
    if is_local(url) and UNFIT.search(url):
        raise ConfigError(
            f"--state {url!r}: the name of the folder has a character that deltalake cannot have "
            "in one ([ ] ^ | \\, a control character, or % before two digits); name another"
        )
    if not 0 <= order <= 6:
        raise ConfigError(f"the HEALPix order of a state must be 0 to 6, got {order}")
    state = State(url, dict(storage_options or {}))
    if write:
        state._lock(survey, order)
    else:
        state._load()
    if survey and state.about.survey != survey:
        held = state.about.survey
        state.close()
        raise ConfigError(f"{url} holds alerts of {held}, not of {survey}; name another state")
    return state


class State:
    """Tables of everything known; made by `open_state`.

    Attributes
    ----------
    url : str
        Where it is.
    about : StateAbout
        Survey, layout, partitions.
    last : dict
        Last row of the ledger.
    """

    about: StateAbout
    last: dict[str, Any]

    def __init__(self, url: str, storage_options: dict[str, str]) -> None:
        self.url = str(Path(url)) if is_local(url) else url.rstrip("/")
        self._options = storage_options
        self._writer: WriterLock | None = None
        self._versions: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- reading ----------------------------------------------------------------------------

    @property
    def runs(self) -> pa.Table:
        """The ledger, in the order of the runs."""
        table = self._delta("runs").to_pyarrow_table()
        return table.sort_by("run")

    def read(
        self, table: str, columns: list[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """Rows of a table behind the last finished run, as they were written.

        Parameters
        ----------
        table : str
            ``observations``, ``objects``, ``classifications`` or ``dead_letters``. Of
            observations and objects later rows replace earlier ones, see
            `astroprep.nightly.merge`.
        columns : list of str, optional
            All by default.
        where : pyarrow expression, optional
            Which rows.

        Raises
        ------
        DataError
            If a file of the table is damaged or gone.
        """
        try:
            dataset = self._delta(table, self._versions[table]).to_pyarrow_dataset()
            found = dataset.to_table(columns=columns, filter=where)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{self.url}: table {table} is damaged: {first_line(error)}") from error
        wanted = TABLES[table] if columns is None else None
        return found if wanted is None else found.select(wanted.names).cast(wanted)

    def batches(
        self, table: str, columns: list[str], where: pc.Expression
    ) -> Iterator[pa.RecordBatch]:
        """Rows of a table as `read` gives them, piece by piece: for tables that fill no memory."""
        try:
            dataset = self._delta(table, self._versions[table]).to_pyarrow_dataset()
            yield from dataset.to_batches(columns=columns, filter=where)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{self.url}: table {table} is damaged: {first_line(error)}") from error

    # -- writing ----------------------------------------------------------------------------

    def commit(
        self,
        kind: str,
        rows: Mapping[str, pa.Table],
        *,
        replace: bool = False,
        counts: Mapping[str, int] | None = None,
        **entry: Any,
    ) -> int:
        """Write a run: all of it, or nothing that anybody sees.

        Parameters
        ----------
        kind : str
            ``begin``, ``night``, ``publish``, ``compact``, ``pack`` or ``vacuum``.
        rows : mapping of str to Table
            New rows by table, without the column ``run``.
        replace : bool, default False
            They take the place of what is there.
        counts : mapping, optional
            For the ledger.
        **entry
            Further columns of `RUNS`.

        Returns
        -------
        int
            Number of the run.

        Raises
        ------
        DataError
            If somebody else has written meanwhile, or the system refuses; the state is then as
            it was before.
        """
        if self._writer is None:
            raise ConfigError(f"{self.url} was opened for reading")
        run = int(self.last["run"]) + 1
        versions = dict(self._versions)
        try:
            for name, table in rows.items():
                if table.num_rows or replace:
                    versions[name] = self._write(name, table, run, replace)
            self.last = self._enter(
                {"run": run, "kind": kind, "counts": json.dumps(dict(counts or {})), **entry},
                versions,
            )
        except (OSError, _delta_errors()) as error:
            raise DataError(f"{self.url} cannot be written: {first_line(error)}") from error
        self._versions = versions
        return run

    def pack(self) -> None:
        """Join the small files of tables that only grow, a file a batch; every row stays.

        Raises
        ------
        ConfigError
            If it was opened for reading.
        DataError
            If the system refuses.
        """
        if self._writer is None:
            raise ConfigError(f"{self.url} was opened for reading")
        try:
            for name in ("classifications", "dead_letters"):
                table = self._delta(name)
                table.optimize.compact()
                self._versions[name] = int(table.version())
            self.commit("pack", {})
            self._delta("runs").optimize.compact()
        except (OSError, _delta_errors()) as error:
            raise DataError(f"{self.url} cannot be written: {first_line(error)}") from error

    def vacuum(self, hours: int = 168, *, enforce: bool = True) -> int:
        """Remove files that no version of the last hours needs, and give their number.

        Parameters
        ----------
        hours : int, default 168
            Readers that opened the state within them are not disturbed.
        enforce : bool, default True
            Refuse less than a week.

        Raises
        ------
        ConfigError
            If it was opened for reading.
        DataError
            If the system refuses.
        """
        if self._writer is None:
            raise ConfigError(f"{self.url} was opened for reading")
        removed = 0
        try:
            for name in (*TABLES, "runs"):
                table = self._delta(name)
                removed += len(
                    table.vacuum(hours, dry_run=False, enforce_retention_duration=enforce)
                )
                if name != "runs":
                    self._versions[name] = int(self._delta(name).version())
        except (OSError, _delta_errors()) as error:
            raise DataError(f"{self.url} cannot be written: {first_line(error)}") from error
        self.commit("vacuum", {})
        return removed

    def close(self) -> None:
        """Let others write."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    # -- inside -----------------------------------------------------------------------------

    def _place(self, table: str) -> str:
        return f"{self.url}/{table}"

    def _delta(self, table: str, version: int | None = None) -> Any:
        deltalake = need("deltalake", extra="nightly", who="The nightly state")
        try:
            return deltalake.DeltaTable(
                self._place(table), version=version, storage_options=self._options or None
            )
        except deltalake.exceptions.TableNotFoundError:
            raise ConfigError(
                f"there is no state at {self.url} (no table {table}); `astroprep nightly` "
                "begins one"
            ) from None
        except (OSError, _delta_errors()) as error:
            raise DataError(f"{self.url}: table {table} is damaged: {first_line(error)}") from error

    def _load(self) -> None:
        """Take up the last row of the ledger."""
        runs = self._delta("runs").to_pyarrow_table()
        if not runs.num_rows:
            raise DataError(f"{self.url}: the ledger is empty; the state was never begun")
        last = int(pc.index(runs["run"], pc.max(runs["run"])).as_py())
        self.last = runs.slice(last, 1).to_pylist()[0]
        about = json.loads(self.last["about"])
        if about["version"] > VERSION:
            raise DataError(
                f"{self.url} is a state of version {about['version']}, this astroprep knows "
                f"{VERSION}; use the newer astroprep that wrote it"
            )
        if about["survey"] not in SURVEYS:
            raise DataError(
                f"{self.url} holds alerts of {about['survey']}, this astroprep knows "
                f"{' and '.join(SURVEYS)}; use the newer astroprep that wrote it"
            )
        self.about = StateAbout(**about)
        self._versions = json.loads(self.last["versions"])

    def _lock(self, survey: str, order: int) -> None:
        self._writer = WriterLock(self.url, self._options)
        try:
            deltalake = need("deltalake", extra="nightly", who="The nightly state")
            place = self._place("runs")
            if not deltalake.DeltaTable.is_deltatable(place, self._options or None):
                self._begin(survey, order)
            try:
                self._load()
            except DataError:
                if self._delta("runs").to_pyarrow_table().num_rows:
                    raise
                self._begin(survey, order)  # killed between the table and its first row
                self._load()
            self._put_back()
        except (OSError, _delta_errors()) as error:
            self.close()
            raise DataError(f"{self.url} cannot be written: {first_line(error)}") from error
        except BaseException:
            self.close()
            raise

    def _begin(self, survey: str, order: int) -> None:
        if not survey:
            raise ConfigError(f"there is no state at {self.url}; a new one needs the survey's name")
        deltalake = need("deltalake", extra="nightly", who="The nightly state")
        versions = {}
        for name, schema in {**TABLES, "runs": RUNS}.items():
            table = deltalake.DeltaTable.create(
                self._place(name),
                schema,
                mode="ignore",
                partition_by=["pixel"] if name == "observations" else None,
                storage_options=self._options or None,
            )
            versions[name] = int(table.version())
        del versions["runs"]
        self.about = StateAbout(VERSION, survey, order)
        self._enter({"run": 0, "kind": "begin", "counts": "{}"}, versions)

    def _put_back(self) -> None:
        """Undo what an unfinished run has written."""
        for name in TABLES:
            table = self._delta(name)
            wanted = self._versions[name]
            if table.version() < wanted:
                raise DataError(
                    f"{self.url}: table {name} has version {table.version()}, the ledger says "
                    f"{wanted}; if this is a copy, copy the folder runs before the others"
                )
            if table.version() > wanted:
                table.restore(wanted)
                self._versions[name] = int(table.version())

    def _write(self, name: str, table: pa.Table, run: int, replace: bool) -> int:
        deltalake = need("deltalake", extra="nightly", who="The nightly state")
        schema = TABLES[name]
        if "run" not in table.column_names:
            table = table.append_column("run", pa.array([run] * table.num_rows, pa.int64()))
        delta = self._delta(name)
        if delta.version() != self._versions[name]:
            raise DataError(f"{self.url}: somebody else has written to table {name} meanwhile")
        deltalake.write_deltalake(
            delta,
            table.select(schema.names).cast(schema),
            mode="overwrite" if replace else "append",
            writer_properties=deltalake.WriterProperties(compression="ZSTD"),
        )
        return int(self._delta(name).version())

    def _enter(self, entry: dict[str, Any], versions: Mapping[str, int]) -> dict[str, Any]:
        """Write the row of the ledger that makes a run count."""
        deltalake = need("deltalake", extra="nightly", who="The nightly state")
        row = {
            "night": "",
            "source": "",
            "batch": 0,
            "closed": True,
            "digest": "",
            "bundle": "",
            "code": installed("astroprep"),
            "versions": json.dumps(dict(versions)),
            "about": json.dumps(asdict(self.about)),
            "finished": datetime.now(UTC),
            **entry,
        }
        table = pa.Table.from_pylist([row], RUNS)
        deltalake.write_deltalake(
            self._delta("runs"), table, mode="append", storage_options=self._options or None
        )
        return row


def _delta_errors() -> type[Exception]:
    deltalake = need("deltalake", extra="nightly", who="The nightly state")
    error: type[Exception] = deltalake.exceptions.DeltaError
    return error
