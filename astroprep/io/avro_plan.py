"""From an Avro schema to the operations that read the wanted fields and step over the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.io import avro_kernel as kernel

__all__ = ["AvroField", "AvroRequest", "Plan", "compile_plan"]

Kind = Literal["float", "int", "text", "bool"]
Path = tuple[int, str]

LONGEST = 20_000  # operations; the largest alert schema has some 5,000
OPERATIONS = {
    "boolean": kernel.BOOLEAN,
    "int": kernel.LONG,
    "long": kernel.LONG,
    "float": kernel.FLOAT,
    "double": kernel.DOUBLE,
    "string": kernel.STRING,
    "bytes": kernel.STRING,
}
SERVES: Mapping[Kind, Mapping[int, int]] = {  # of an operation that is there, the one to use
    "float": {
        kernel.FLOAT: kernel.FLOAT,
        kernel.DOUBLE: kernel.DOUBLE,
        kernel.LONG: kernel.WHOLE,
    },
    "int": {kernel.LONG: kernel.LONG},
    "text": {kernel.STRING: kernel.STRING},
    "bool": {kernel.BOOLEAN: kernel.BOOLEAN},
}


@dataclass(frozen=True)
class AvroField:
    """One wanted field.

    Parameters
    ----------
    name : str
        Of the column it becomes.
    kind : {"float", "int", "text", "bool"}
        What it becomes; whole numbers serve as floats, nothing else is converted.
    paths : tuple of str
        Where it may stand, such as ``"candidate.jd"``: the first one that the schema has.
    required : bool, default False
        Whether a schema without it is refused; otherwise the column is empty.
    """

    name: str
    kind: Kind
    paths: tuple[str, ...]
    required: bool = False


@dataclass(frozen=True)
class AvroRequest:
    """What is wanted of each record.

    Parameters
    ----------
    record : tuple of AvroField
        Of the record itself: a row each.
    arrays : mapping of str to tuple of AvroField
        Of arrays, by the path of the array: a row an item, with paths relative to the item.
    """

    record: tuple[AvroField, ...]
    arrays: Mapping[str, tuple[AvroField, ...]] = field(default_factory=dict)

    @property
    def columns(self) -> list[tuple[int, AvroField]]:
        """Table and field of each column."""
        tables = [self.record, *self.arrays.values()]
        return [(k, one) for k, fields in enumerate(tables) for one in fields]


@dataclass(frozen=True, eq=False)
class Plan:
    """A compiled schema.

    Parameters
    ----------
    operations : int64 array, shape (n_operations, 4)
        See `astroprep.io.avro_kernel`.
    name : str
        Of the record, with its namespace.
    """

    operations: NDArray[np.int64]
    name: str


def compile_plan(schema: bytes | str, request: AvroRequest) -> Plan:
    """Compile the schema that a file was written with.

    Parameters
    ----------
    schema : bytes or str
        JSON.
    request : AvroRequest
        What is wanted.

    Returns
    -------
    Plan

    Raises
    ------
    DataError
        If the schema is not valid Avro, refers to itself, is absurdly large, lacks a required
        field or has one of a type that does not serve.

    Notes
    -----
    Fields are found by name and the missing ones are empty, as the resolution of Avro's
    specification with null as default [1]_.

    References
    ----------
    .. [1] Apache Avro 1.12 specification, "Schema Resolution" and "Binary Encoding"
    """
    try:
        parsed = json.loads(schema)
        there = _Compiler(request, {})
        there.start(parsed)
        chosen = _choose(request, there.found)
        made = _Compiler(request, chosen)
        made.start(parsed)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        what = f"{type(error).__name__}: {str(error)[:100]}"
        raise DataError(f"its Avro schema cannot be understood ({what})") from None
    name = parsed.get("name", "") if isinstance(parsed, dict) else ""
    space = str(parsed.get("namespace", "")) if isinstance(parsed, dict) else ""
    full = name if "." in name or not space else f"{space}.{name}"
    return Plan(np.array(made.operations, np.int64).reshape(-1, 4), str(full))


def _choose(request: AvroRequest, found: Mapping[Path, set[int]]) -> dict[Path, tuple[int, Kind]]:
    """Column and kind by path: of each field the first path that is there."""
    chosen = {}
    for column, (table, one) in enumerate(request.columns):
        path = next((path for path in one.paths if (table, path) in found), None)
        if path is None:
            if one.required:
                raise DataError(f"its Avro schema has no field {' or '.join(one.paths)}")
            continue
        if not found[table, path] <= SERVES[one.kind].keys():
            raise DataError(f"its Avro schema has a field {path} that is no {one.kind}")
        chosen[table, path] = (column, one.kind)
    return chosen


class _Compiler:
    """Walks a schema and writes operations; notes on its way what is there."""

    def __init__(self, request: AvroRequest, chosen: Mapping[Path, tuple[int, Kind]]) -> None:
        self.tables = {path: 1 + k for k, path in enumerate(request.arrays)}
        self.chosen = chosen
        self.found: dict[Path, set[int]] = {}
        self.operations: list[list[int]] = []
        self.named: dict[str, Any] = {}
        self.open: list[str] = []
        self.depth = 0

    def start(self, schema: Any) -> None:
        self.write(schema, (0, ""), "")
        self.add(kernel.END)

    def add(self, operation: int, a: int = 0, b: int = 0, column: int = -1) -> list[int]:
        if len(self.operations) >= LONGEST:
            raise DataError("its Avro schema is absurdly large")
        self.operations.append([operation, a, b, column])
        return self.operations[-1]

    def write(self, schema: Any, path: Path | None, space: str) -> None:
        """Operations of one value; `path` is None where nothing is wanted."""
        if isinstance(schema, list):
            self.union(schema, path, space)
        elif isinstance(schema, str):
            if schema == "null":
                return
            if schema in OPERATIONS:
                self.leaf(OPERATIONS[schema], path)
            else:
                self.reference(schema, path, space)
        else:
            kind = schema["type"]
            if kind in ("record", "error"):
                self.record(schema, path, space)
            elif kind in ("array", "map"):
                self.items(schema, path, space)
            elif kind in ("fixed", "enum"):
                self.define(schema, space)
                size = schema["size"] if kind == "fixed" else len(schema["symbols"])
                if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 1 << 31:
                    raise DataError("its Avro schema has an absurd size")
                self.leaf(kernel.FIXED if kind == "fixed" else kernel.ENUM, path, size)
            else:
                self.write(kind, path, space)

    def leaf(self, operation: int, path: Path | None, size: int = 0) -> None:
        column = -1
        if path is not None:
            self.found.setdefault(path, set()).add(operation)
            if path in self.chosen:
                column, kind = self.chosen[path]
                operation = SERVES[kind][operation]
        self.add(operation, size, column=column)

    def union(self, branches: list[Any], path: Path | None, space: str) -> None:
        start = len(self.operations) + 1
        self.add(kernel.UNION, len(branches), start)
        doors = [self.add(kernel.JUMP) for _ in branches]
        exits = []
        for door, branch in zip(doors, branches, strict=True):
            door[1] = len(self.operations)
            self.write(branch, path, space)
            exits.append(self.add(kernel.JUMP))
        for way_out in exits:
            way_out[1] = len(self.operations)

    def define(self, schema: Mapping[str, Any], space: str) -> str:
        """Enter a named type and give its full name."""
        name = str(schema["name"])
        inside = str(schema.get("namespace", space) or "")
        full = name if "." in name or not inside else f"{inside}.{name}"
        self.named[full] = schema
        return full

    def record(self, schema: Mapping[str, Any], path: Path | None, space: str) -> None:
        full = self.define(schema, space)
        if full in self.open:
            raise DataError(f"its Avro schema has a record {full} within itself")
        self.open.append(full)
        inside = full.rpartition(".")[0]
        for one in schema["fields"]:
            below = None
            if path is not None:
                below = (path[0], f"{path[1]}.{one['name']}" if path[1] else str(one["name"]))
            self.write(one["type"], below, inside)
        self.open.pop()

    def reference(self, name: str, path: Path | None, space: str) -> None:
        for full in (name, f"{space}.{name}") if "." in name else (f"{space}.{name}", name):
            if full in self.named:
                return self.write(self.named[full], path, full.rpartition(".")[0])
        raise DataError(f"its Avro schema names an unknown type {name[:60]!r}")

    def items(self, schema: Mapping[str, Any], path: Path | None, space: str) -> None:
        """Operations of an array or a map, whose keys are stepped over."""
        wanted = schema["type"] == "array" and path is not None and path[0] == 0
        table = self.tables.get(path[1], -1) if wanted and path is not None else -1
        self.depth += 1
        if self.depth > kernel.DEEPEST:
            raise DataError("its Avro schema nests arrays too deeply")
        loop = self.add(kernel.ARRAY, 0, table)
        body = len(self.operations)
        if schema["type"] == "map":
            self.add(kernel.STRING)
        self.write(
            schema["values" if schema["type"] == "map" else "items"],
            (table, "") if table > 0 else None,
            space,
        )
        after = self.add(kernel.NEXT, 0, body)
        loop[1] = after[1] = len(self.operations)
        self.depth -= 1
