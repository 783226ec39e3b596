"""From numpy to Arrow and back through their buffers, and Arrow's text, without pandas.

`pyarrow.array`, `pyarrow.scalar` and ``to_numpy`` import pandas on their first call, to see whether
it is concerned; for one object that takes longer than to classify it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["arrow_numbers", "arrow_text", "numpy_numbers"]


def arrow_numbers(values: NDArray[Any], is_null: NDArray[np.bool_] | None = None) -> pa.Array:
    """Arrow array of numbers, of the same type; it shares the memory of contiguous ones.

    Parameters
    ----------
    values : array of bool, integers or floats, shape (n,)
        NaN stays NaN.
    is_null : bool array, shape (n,), optional
        Whose values are not there.

    Raises
    ------
    TypeError
        If the values are of another kind.
    """
    if values.dtype.kind not in "biuf" or values.ndim != 1:
        raise TypeError(f"needs numbers in one row, got {values.dtype} of shape {values.shape}")
    values = values.astype(values.dtype.newbyteorder("="), copy=False)  # as Arrow means its bytes
    data = _bits(values) if values.dtype.kind == "b" else pa.py_buffer(np.ascontiguousarray(values))
    valid = None if is_null is None else _bits(~is_null)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), values.size, [valid, data])


def arrow_text(values: Iterable[str | None]) -> pa.Array:
    """Arrow array of strings, null where there is None.

    Raises
    ------
    pyarrow.ArrowInvalid
        If there are more than 2 GB.
    """
    words = [None if value is None else value.encode() for value in values]
    offsets = np.zeros(len(words) + 1, np.int64)
    np.cumsum([len(word or b"") for word in words], out=offsets[1:])
    valid = _bits(np.array([word is not None for word in words], bool))
    joined = b"".join(word or b"" for word in words)
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(joined)]
    return pa.Array.from_buffers(pa.large_string(), len(words), buffers).cast(pa.string())


def numpy_numbers(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Numbers of Arrow as a numpy array of the same type, shape (n,); read-only where shared.

    Null becomes NaN, and whole numbers and truth values beside it float64.

    Raises
    ------
    TypeError
        If the column does not hold numbers.
    """
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise TypeError(f"needs numbers, got {kind}")
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    dtype = np.dtype(kind.to_pandas_dtype())
    n, start = len(column), column.offset
    data = column.buffers()[1] if n else b""
    if dtype.kind == "b":
        bits = np.frombuffer(data, np.uint8)
        values = np.unpackbits(bits, count=start + n, bitorder="little")[start:].astype(bool)
    else:
        values = np.frombuffer(data, dtype, n, start * dtype.itemsize if n else 0)
    if column.null_count:
        values = np.where(numpy_numbers(column.is_valid()), values, np.nan)
    return values


def _bits(is_set: NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(is_set, bitorder="little"))
