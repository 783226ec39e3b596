"""Avro records in: containers and bare messages, read by name, without what nobody wants.

An alert packet holds some 200 fields of the detection, as many of each earlier one and three
images; a light curve needs a dozen of them. A schema is compiled once into a plan that steps over
everything else, and a kernel walks the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.io.avro_container import read_container
from astroprep.io.avro_kernel import ERRORS, FULL, walk
from astroprep.io.avro_plan import AvroField, AvroRequest, Plan, compile_plan

__all__ = ["AvroDecoder", "AvroField", "AvroRequest", "AvroTables"]

PLANS = 1000  # compiled schemas that are kept


@dataclass(frozen=True, eq=False)
class AvroTables:
    """What was wanted of some messages.

    Parameters
    ----------
    tables : tuple of dict of str to array
        One of the records and one of each array. Columns are float64 (NaN where null), int64
        (0 where null), bool (False where null) or object (None where null).
    present : tuple of dict of str to bool array
        Where a column is not null.
    record : tuple of int64 arrays
        For each row of each table, the row of its record in the first.
    message : int64 array, shape (n_records,)
        Which message each record was in.
    schema : object array of str, shape (n_records,)
        Full name of the record's type.
    failed : tuple of (int, str)
        Messages that could not be read, or not to their end, with the reason.
    """

    tables: tuple[dict[str, NDArray[Any]], ...]
    present: tuple[dict[str, NDArray[np.bool_]], ...]
    record: tuple[NDArray[np.int64], ...]
    message: NDArray[np.int64]
    schema: NDArray[np.object_]
    failed: tuple[tuple[int, str], ...]


class AvroDecoder:
    """Reads wanted fields out of many messages.

    Parameters
    ----------
    request : AvroRequest
        What is wanted.
    registry : callable, optional
        Gives the schema (JSON) of a number, for messages in Confluent's framing: a zero byte,
        the number in four bytes, and one record.

    Notes
    -----
    A message may be a whole container (the ZTF stream) or a record in Confluent's framing (the
    LSST stream). Schemas are compiled once and kept. An instance is not for several threads.
    """

    def __init__(
        self, request: AvroRequest, registry: Callable[[int], bytes] | None = None
    ) -> None:
        self.request = request
        self.registry = registry
        self._plans: dict[bytes, Plan | str] = {}
        columns = request.columns
        self._table_of = np.array([table for table, _ in columns], np.int64)
        self._values = np.empty((len(columns), 1024), np.int64)
        self._present = np.zeros((len(columns), 1024), np.bool_)
        self._pool = np.empty(1 << 16, np.uint8)

    def decode(self, messages: Sequence[bytes]) -> AvroTables:
        """Read messages; none of them stops the others.

        Parameters
        ----------
        messages : sequence of bytes
            As they came.

        Returns
        -------
        AvroTables
        """
        n_tables = 1 + len(self.request.arrays)
        self._rows = np.zeros(n_tables, np.int64)
        self._used = np.zeros(2, np.int64)
        found: list[tuple[int, str, NDArray[np.int64]]] = []
        failed = []
        for i, message in enumerate(messages):
            before = len(found)
            try:
                found.extend((i, name, self._rows.copy()) for name in self._records(message))
                if len(found) == before:
                    failed.append((i, "it holds no record"))
            except DataError as error:
                failed.append((i, str(error)))
        ends = np.array([rows for _, _, rows in found], np.int64).reshape(-1, n_tables)
        counts = np.diff(ends, axis=0, prepend=0)
        order = np.arange(len(found))
        return AvroTables(
            *self._columns(),
            record=tuple(np.repeat(order, counts[:, k]) for k in range(n_tables)),
            message=np.array([i for i, _, _ in found], np.int64),
            schema=np.array([name for _, name, _ in found], object),
            failed=tuple(failed),
        )

    def _records(self, message: bytes) -> Iterator[str]:
        """Read the records of one message, giving the name of each one's type."""
        if message[:1] == b"\0" and len(message) > 5:
            if self.registry is None:
                raise DataError("it has Confluent's framing, and no schema registry is given")
            schema = self.registry(int.from_bytes(message[1:5], "big"))
            yield from self._block(self._plan(schema), memoryview(message)[5:], 1)
            return
        schema, blocks = read_container(message)
        plan = self._plan(schema)
        for block, count in blocks:
            yield from self._block(plan, block, count)

    def _plan(self, schema: bytes) -> Plan:
        known = self._plans.get(schema)
        if known is None:
            if len(self._plans) >= PLANS:
                self._plans.clear()
            try:
                known = compile_plan(schema, self.request)
            except DataError as error:
                known = str(error)
            self._plans[schema] = known
        if isinstance(known, str):
            raise DataError(known)
        return known

    def _block(self, plan: Plan, block: Any, count: int) -> Iterator[str]:
        data = np.frombuffer(block, np.uint8)
        at = 0
        rows = np.empty_like(self._rows)
        for _ in range(count):
            used = self._used[0]
            while True:
                code = walk(
                    data,
                    at,
                    data.size,
                    plan.operations,
                    self._table_of,
                    self._values,
                    self._present,
                    self._rows,
                    rows,
                    self._pool,
                    self._used,
                )
                if code != FULL:
                    break
                self._used[0] = used
                self._grow()
            if code:
                self._used[0] = used
                raise DataError(f"a record is damaged: {ERRORS[code]}")
            at = int(self._used[1])
            self._rows[:] = rows
            yield plan.name
        if at != data.size:
            raise DataError("a block has bytes behind its last record")

    def _grow(self) -> None:
        self._values = np.concatenate([self._values, np.empty_like(self._values)], axis=1)
        self._present = np.concatenate([self._present, np.zeros_like(self._present)], axis=1)
        self._pool = np.concatenate([self._pool, np.empty_like(self._pool)])

    def _columns(
        self,
    ) -> tuple[tuple[dict[str, NDArray[Any]], ...], tuple[dict[str, NDArray[np.bool_]], ...]]:
        tables: list[dict[str, NDArray[Any]]] = [{} for _ in self._rows]
        there: list[dict[str, NDArray[np.bool_]]] = [{} for _ in self._rows]
        pool = self._pool[: self._used[0]].tobytes()
        for k, (table, one) in enumerate(self.request.columns):
            n = int(self._rows[table])
            raw, present = self._values[k, :n], self._present[k, :n].copy()
            there[table][one.name] = present
            tables[table][one.name] = _as_kind(raw, present, one.kind, pool)
        return tuple(tables), tuple(there)


def _as_kind(
    raw: NDArray[np.int64], present: NDArray[np.bool_], kind: str, pool: bytes
) -> NDArray[Any]:
    """Column of its kind out of the bits that the kernel wrote."""
    if kind == "float":
        return np.where(present, raw.view(np.float64), np.nan)
    if kind == "int":
        return np.where(present, raw, 0)
    if kind == "bool":
        return np.asarray(present & (raw == 1))
    text = np.full(raw.size, None, object)
    for i in np.flatnonzero(present):
        first, size = divmod(int(raw[i]), 65536)
        text[i] = pool[first : first + size].decode("utf-8", "replace")
    return text
