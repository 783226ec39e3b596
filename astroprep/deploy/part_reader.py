"""Typed access to one JSON part of a bundle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.deploy.plain import UNREADABLE, from_json
from astroprep.errors import DataError

__all__ = ["PartReader"]

MOST_AXES = 8  # of a tensor; ours have four


class PartReader:
    """Typed access to one JSON part; whatever is not as expected is a DataError."""

    def __init__(self, data: bytes, source: str) -> None:
        self.source = source
        try:
            self.content: dict[str, Any] = from_json(data)
        except UNREADABLE as error:
            why = str(error)[:200]
            raise DataError(f"{source}: not readable ({why}); fetch the bundle again") from None
        if not isinstance(self.content, dict):
            raise DataError(f"{source}: must be an object, is a {type(self.content).__name__}")

    def _get(self, key: str, kind: type | tuple[type, ...]) -> Any:
        value = self.content.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise DataError(f"{self.source}: {key!r} is missing or is a {type(value).__name__}")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """Object of that name."""
        return dict(self._get(key, dict))

    def number(self, key: str) -> float:
        """Number of that name."""
        return self._floats(key, [self._get(key, (int, float))])[0]

    def numbers(self, key: str) -> tuple[float, ...]:
        """List of numbers."""
        values = self._get(key, list)
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            raise DataError(f"{self.source}: {key!r} must be numbers")
        return self._floats(key, values)

    def _floats(self, key: str, values: list[Any]) -> tuple[float, ...]:
        try:
            return tuple(float(v) for v in values)
        except OverflowError:
            raise DataError(f"{self.source}: {key!r} has a number that no float holds") from None

    def texts(self, key: str) -> tuple[str, ...]:
        """List of texts."""
        values = self._get(key, list)
        if not all(isinstance(v, str) for v in values):
            raise DataError(f"{self.source}: {key!r} must be text")
        return tuple(values)

    def shapes(self, key: str) -> dict[str, tuple[int, ...]]:
        """Shapes of tensors by name, in order."""
        out = {}
        for name, shape in self.mapping(key).items():
            if not (isinstance(shape, list) and len(shape) <= MOST_AXES) or not all(
                isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 31 for n in shape
            ):
                raise DataError(f"{self.source}: {key!r} has a bad shape for {name!r}")
            out[name] = tuple(shape)
        return out

    def array(self, key: str) -> NDArray[np.float32]:
        """Array of floats; what float32 cannot hold becomes infinite."""
        array = self._get(key, np.ndarray)
        if array.dtype.kind != "f":
            raise DataError(f"{self.source}: {key!r} must hold floats, holds {array.dtype}")
        with np.errstate(over="ignore"):  # becomes infinite, which is refused
            return np.asarray(array, dtype=np.float32)
