"""What every reader of survey files gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, Self

from astroprep.data import LightCurveBatch, Meta

__all__ = ["Survey"]


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
        """Whole survey as one batch, where it fits into memory."""
        return LightCurveBatch.concat(list(self.iter_batches(max(1, self.n_objects))))

    def close(self) -> None:
        """Let go of the file; a reader that keeps none open has nothing to do."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
