"""The kernel that walks a compiled Avro plan over the bytes of one record."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "ARRAY",
    "BOOLEAN",
    "DEEPEST",
    "DOUBLE",
    "END",
    "ENUM",
    "ERRORS",
    "FIXED",
    "FLOAT",
    "FULL",
    "JUMP",
    "LONG",
    "MOST_ITEMS",
    "NEXT",
    "STRING",
    "UNION",
    "WHOLE",
    "walk",
]

# A row of a plan is (operation, a, b, column), with column -1 where nobody wants it. Of FIXED, ENUM
# and UNION `a` is the size; the rows from `b` on are the jumps to the branches of a union. Of ARRAY
# `b` is the table that gets a row an item, or -1; of NEXT it is the first operation of an item.
# WHOLE is a LONG that is wanted as a float.
END, BOOLEAN, LONG, FLOAT, DOUBLE, STRING, FIXED, ENUM, UNION, JUMP, ARRAY, NEXT, WHOLE = range(13)
MOST_ITEMS = 200_000  # array or map items in one record; more is damage, not astronomy
DEEPEST = 16  # arrays within arrays
FULL = 1

ERRORS = {
    2: "it ends early",
    3: "a union has no such branch",
    4: "a number is longer than 64 bits",
    5: "an array or map has an absurd size",
    6: "a text or byte string has a negative length",
    8: "a boolean is neither 0 nor 1",
    9: "an enumeration has no such symbol",
}
"""What a code of `walk` means, of a record."""


@njit(nogil=True, cache=True)
def _varint(data: NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """A zigzag number and the position behind it, or minus an error code."""
    value, shift = np.uint64(0), np.uint64(0)
    while True:
        if at >= end:
            return 0, -2
        byte = np.uint64(data[at])
        at += 1
        if shift == np.uint64(63) and byte > np.uint64(1):
            return 0, -4
        value |= (byte & np.uint64(127)) << shift
        if byte < np.uint64(128):
            break
        shift += np.uint64(7)
        if shift > np.uint64(63):
            return 0, -4
    return int(np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))), at


@njit(nogil=True, cache=True)
def walk(
    data: NDArray[np.uint8],
    at: int,
    end: int,
    plan: NDArray[np.int64],
    table_of: NDArray[np.int64],
    values: NDArray[np.int64],
    present: NDArray[np.bool_],
    start: NDArray[np.int64],
    rows: NDArray[np.int64],
    pool: NDArray[np.uint8],
    used: NDArray[np.int64],
) -> int:
    """Read one record; what no column wants is stepped over.

    Parameters
    ----------
    data : uint8 array
        Bytes; the record is ``at:end``.
    at, end : int
        Where the record begins and ends.
    plan : int64 array, shape (n_operations, 4)
        From `astroprep.io.avro_plan.compile_plan`.
    table_of : int64 array, shape (n_columns,)
        Table of each column; table 0 has one row a record, the others one an item.
    values : int64 array, shape (n_columns, capacity)
        Filled: whole numbers; bits of float64; of texts the position in `pool` times 65536 plus
        the length.
    present : bool array, shape (n_columns, capacity)
        Filled: False where the field is null or not there.
    start : int64 array, shape (n_tables,)
        First row that the record fills in each table.
    rows : int64 array, shape (n_tables,)
        Filled: the row behind the last one of the record, in each table.
    pool : uint8 array
        Texts, one behind the other.
    used : int64 array, shape (2,)
        Bytes of `pool` in use, moved on; and filled, the position behind the record.

    Returns
    -------
    int
        0, `FULL` when a table or the pool is too small, or a key of `ERRORS`.
    """
    left = np.zeros(DEEPEST, np.int64)
    whole = np.zeros(1, np.int64)
    single = np.zeros(1, np.uint32)
    double, narrow = whole.view(np.float64), single.view(np.float32)
    depth, pc, items, opened = 0, 0, 0, 0
    for k in range(rows.size):
        rows[k] = start[k]
    while True:
        if opened >= 0:  # a row begins in this table
            rows[opened] += 1
            if rows[opened] > values.shape[1]:
                return FULL
            for k in range(table_of.size):
                if table_of[k] == opened:
                    present[k, rows[opened] - 1] = False
            opened = -1
        op, a, b, column = plan[pc, 0], plan[pc, 1], plan[pc, 2], plan[pc, 3]
        pc += 1
        row = rows[table_of[column]] - 1 if column >= 0 else 0
        if op in (LONG, WHOLE, ENUM):
            number, at = _varint(data, at, end)
            if at < 0:
                return -at
            if op == ENUM and (number < 0 or number >= a):
                return 9
            if column >= 0:
                if op == WHOLE:
                    double[0] = number
                    number = whole[0]
                values[column, row] = number
                present[column, row] = True
        elif op == FLOAT:
            if at + 4 > end:
                return 2
            if column >= 0:
                single[0] = (
                    np.uint32(data[at])
                    | np.uint32(data[at + 1]) << np.uint32(8)
                    | np.uint32(data[at + 2]) << np.uint32(16)
                    | np.uint32(data[at + 3]) << np.uint32(24)
                )
                double[0] = narrow[0]
                values[column, row] = whole[0]
                present[column, row] = True
            at += 4
        elif op == DOUBLE:
            if at + 8 > end:
                return 2
            if column >= 0:
                word = np.uint64(0)
                for k in range(8):
                    word |= np.uint64(data[at + k]) << np.uint64(8 * k)
                values[column, row] = np.int64(word)
                present[column, row] = True
            at += 8
        elif op == BOOLEAN:
            if at >= end:
                return 2
            if data[at] > 1:
                return 8
            if column >= 0:
                values[column, row] = data[at]
                present[column, row] = True
            at += 1
        elif op in (STRING, FIXED):
            size = a
            if op == STRING:
                size, at = _varint(data, at, end)
                if at < 0:
                    return -at
                if size < 0:
                    return 6
            if size > end - at:
                return 2
            if column >= 0:
                kept = min(size, 65535)
                if used[0] + kept > pool.size:
                    return FULL
                for k in range(kept):
                    pool[used[0] + k] = data[at + k]
                values[column, row] = used[0] * 65536 + kept
                present[column, row] = True
                used[0] += kept
            at += size
        elif op == UNION:
            branch, at = _varint(data, at, end)
            if at < 0:
                return -at
            if branch < 0 or branch >= a:
                return 3
            pc = plan[b + branch, 1]
        elif op == JUMP:
            pc = a
        elif op in (ARRAY, NEXT):
            # ARRAY opens a loop and NEXT closes an item of it; `a` is the operation behind the loop
            if op == NEXT:
                left[depth - 1] -= 1
            else:
                depth += 1
                left[depth - 1] = 0
            if left[depth - 1] == 0:
                count, at = _varint(data, at, end)
                if at < 0:
                    return -at
                if count < 0:
                    if count < -MOST_ITEMS:
                        return 5
                    count = -count
                    size, at = _varint(data, at, end)
                    if at < 0:
                        return -at
                    if size < 0 or size > end - at:
                        return 2
                left[depth - 1] = count
                items += count
                if items > MOST_ITEMS:
                    return 5
            if left[depth - 1] == 0:
                depth -= 1
                pc = a
            else:
                if op == NEXT:
                    pc = b
                opened = plan[pc - 1, 2]
        elif op == END:
            used[1] = at
            return 0
