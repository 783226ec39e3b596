"""Plain values to JSON and back, arrays and odd floats included, nothing ever executed.

Arrays inside JSON are objects ``{"dtype": ..., "shape": ..., "values": [...]}``, long ones with
``"base64"`` of the little-endian bytes in place of the values; numbers survive exactly, also NaN
and infinities.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError

__all__ = ["UNREADABLE", "from_json", "to_json"]

UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError)
"""What `from_json` raises for bytes that `to_json` did not write."""

ARRAY_LIMIT = 1 << 20  # values in one array
LONG_ARRAY = 256  # values; shorter arrays stay readable
_FLOAT_KEYS = {"float"}
_ARRAY_KEYS = {"dtype", "shape", "values"}
_LONG_ARRAY_KEYS = {"dtype", "shape", "base64"}
_DTYPES = {"float64", "float32", "float16", "int64", "int32", "int16", "uint8", "bool", "str"}


def to_json(content: Any, who: str) -> bytes:
    """Nested plain values as JSON.

    Parameters
    ----------
    content : dict, list, array, number, text, bool or None
        Nested; keys are text, arrays hold numbers, bools or text.
    who : str
        Named in errors.

    Returns
    -------
    bytes
        UTF-8; equal content gives equal bytes.

    Raises
    ------
    ConfigError
        If there is anything else in it.
    """
    text = json.dumps(_to_plain(content, who), allow_nan=False, separators=(",", ":"))
    return text.encode()


def _to_plain(content: Any, who: str) -> Any:
    """Nested plain values; arrays become tagged objects, odd floats become tagged text."""
    if content is None or isinstance(content, bool | int | str):
        return content
    if isinstance(content, float):
        return content if np.isfinite(content) else {"float": repr(content)}
    if isinstance(content, np.generic):
        return _to_plain(content.item(), who)
    if isinstance(content, np.ndarray):
        return _array_to_plain(content, who)
    if isinstance(content, Mapping):
        out = {}
        for key, value in content.items():
            if not isinstance(key, str):
                raise ConfigError(f"bundle: key {key!r} in {who} must be text")
            out[key] = _to_plain(value, f"{who}.{key}")
        if set(out) in (_FLOAT_KEYS, _ARRAY_KEYS, _LONG_ARRAY_KEYS):
            raise ConfigError(f"bundle: {who} has just the keys {sorted(out)}, which mean an array")
        return out
    if isinstance(content, Sequence) and not isinstance(content, bytes):
        return [_to_plain(value, f"{who}[{i}]") for i, value in enumerate(content)]
    raise ConfigError(
        f"bundle: {who} holds a {type(content).__name__}; only numbers, text, arrays, lists and "
        "dicts can be stored"
    )


def _array_to_plain(array: NDArray[Any], who: str) -> dict[str, Any]:
    dtype = "str" if array.dtype.kind in "OU" else array.dtype.name
    if dtype not in _DTYPES or array.size > ARRAY_LIMIT:
        raise ConfigError(f"bundle: {who} is an array of {array.size} {array.dtype}")
    head = {"dtype": dtype, "shape": list(array.shape)}
    flat = array.ravel()
    if dtype == "str":
        values: list[Any] = flat.tolist()
        if not all(isinstance(v, str) for v in values):
            raise ConfigError(f"bundle: {who} is an array of objects that are not all text")
        return {**head, "values": values}
    if flat.size > LONG_ARRAY:
        data = flat.astype(flat.dtype.newbyteorder("<")).tobytes()
        return {**head, "base64": base64.b64encode(data).decode()}
    if flat.dtype.kind == "f":
        values = [v if np.isfinite(v) else repr(v) for v in _short_floats(flat)]
        return {**head, "values": values}
    return {**head, "values": flat.tolist()}


def _short_floats(flat: NDArray[Any]) -> list[float]:
    """Floats with no more digits than their own precision needs to come back exactly."""
    if flat.dtype == np.float64:
        return [float(v) for v in flat]
    return [float(str(v)) for v in flat]


def _from_plain(content: Any) -> Any:
    if isinstance(content, list):
        return [_from_plain(value) for value in content]
    if not isinstance(content, dict):
        return content
    if set(content) == _FLOAT_KEYS:
        return float(content["float"])
    if set(content) in (_ARRAY_KEYS, _LONG_ARRAY_KEYS):
        return _array_from_plain(content)
    return {key: _from_plain(value) for key, value in content.items()}


def _array_from_plain(content: dict[str, Any]) -> NDArray[Any]:
    dtype, shape, values = content["dtype"], content["shape"], content.get("values", [])
    if dtype not in _DTYPES or not isinstance(shape, list) or not isinstance(values, list):
        raise ValueError("an array that is none")
    if len(shape) > 8 or not all(type(n) is int and 0 <= n <= ARRAY_LIMIT for n in shape):
        raise ValueError(f"an array of shape {str(shape)[:80]}")
    size = math.prod(shape)
    if size > ARRAY_LIMIT:
        raise ValueError(f"an array of shape {shape}")
    if dtype == "str":
        if len(values) != size or not all(isinstance(v, str) for v in values):
            raise ValueError(f"an array of shape {shape} with other values")
        return np.array([*values, None], dtype=object)[:-1].reshape(shape)
    kind = np.dtype(dtype)
    if "base64" in content:
        data = base64.b64decode(content["base64"], validate=True)
        flat = np.frombuffer(data, dtype=kind.newbyteorder("<")).astype(kind)
    else:
        with np.errstate(over="ignore"):
            flat = np.array([float(v) if isinstance(v, str) else v for v in values], dtype=kind)
    if flat.shape != (size,):
        raise ValueError(f"an array of shape {shape} with {flat.size} values")
    return flat.reshape(shape)


def from_json(data: bytes) -> Any:
    """What `to_json` was given.

    Parameters
    ----------
    data : bytes
        From `to_json`, or from anyone.

    Returns
    -------
    dict, list, array, number, text, bool or None
        Numbers and arrays exactly as they were; tuples come back as lists.

    Raises
    ------
    ValueError, TypeError, OverflowError, RecursionError
        For bytes that are no JSON in UTF-8, hold an array that is none, or text that nothing can
        write again.
    """
    content = json.loads(data.decode(), parse_constant=_refuse_constant)
    if b"\\ud" in data.lower():  # half of a pair of surrogates is no text
        json.dumps(content, ensure_ascii=False).encode()
    return _from_plain(content)


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")
