"""HATS catalogues in: their nested light curves, partition by partition, without lsdb."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from astroprep.base import OnBad
from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.io.columns import ColumnNames
from astroprep.io.hats_catalog import hats_catalog
from astroprep.io.hats_partition import HatsPartition, placed
from astroprep.io.parquet import NestedParquetReader
from astroprep.io.survey import Survey

__all__ = ["HatsReader"]


class HatsReader(Survey):
    """Survey of nested light curves in a HATS catalogue, partition by partition.

    Parameters
    ----------
    path : str or Path
        See `hats_catalog`.
    names : ColumnNames, optional
        As for `NestedParquetReader`; the catalogue says itself where its positions are.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with a row whose lists differ in length.

    Attributes
    ----------
    columns : list of str
        Top-level columns of the first partition.
    schema_metadata : dict of str to str
        What the first partition says of itself.

    Raises
    ------
    DataError
        If the catalogue is not complete (see `hats_catalog`) or holds no light curves.
    """

    def __init__(
        self, path: str | Path, names: ColumnNames | None = None, *, on_bad: OnBad = "raise"
    ) -> None:
        self.path = Path(path)
        self.catalog = hats_catalog(path)
        given = names or ColumnNames()
        self.names = replace(
            given, ra=given.ra or self.catalog.ra, dec=given.dec or self.catalog.dec
        )
        self.on_bad = on_bad
        self._sizes = self.catalog.sizes()
        with self._open(0) as first:
            self.columns, self.schema_metadata = first.columns, first.schema_metadata
        self._meta: Meta | None = None

    def _open(self, k: int) -> NestedParquetReader:
        return NestedParquetReader(self.catalog.files[k], self.names, on_bad=self.on_bad)

    @property
    def n_objects(self) -> int:
        """Rows of the catalogue."""
        return sum(self._sizes)

    @property
    def meta(self) -> Meta:
        """Metadata of every batch; the bands are those of all partitions."""
        if self._meta is None:
            found: list[Meta] = []
            for k, path in enumerate(self.catalog.files):
                with self._open(k) as part:
                    found.append(part.meta)
                if replace(found[-1], bands=()) != replace(found[0], bands=()):
                    raise DataError(
                        f"{path}: is of {found[-1]}, where the first partition is of {found[0]}"
                    )
            same = all(one.bands == found[0].bands for one in found)
            bands = sorted({band for one in found for band in one.bands})
            self._meta = found[0] if same else replace(found[0], bands=tuple(bands))
        return self._meta

    def iter_batches(
        self, max_objects: int = 4096, *, first_row: int = 0
    ) -> Iterator[LightCurveBatch]:
        """Batches of `max_objects` rows, the last one of what is left.

        Parameters
        ----------
        max_objects : int, default 4096
            Batches go on over the borders of partitions, so that they are cut alike wherever
            reading starts.
        first_row : int, default 0
            Rows before it are skipped, whole partitions without being read.

        Yields
        ------
        LightCurveBatch
            ``objects["row"]`` counts the rows of all partitions in their order.

        Raises
        ------
        DataError
            If a partition is damaged, or differs from the first in its columns.
        """
        if max_objects < 1:
            raise ConfigError(f"max_objects must be at least 1, got {max_objects!r}")
        held: list[LightCurveBatch] = []
        base, count, given = 0, 0, False
        for k, size in enumerate(self._sizes):
            start = min(max(0, first_row - base), size)
            nothing = k + 1 == len(self._sizes) and not (given or held)  # one empty batch, then
            if start < size or nothing:
                for batch in self._of_part(k, start, max_objects - count, max_objects):
                    held.append(placed(batch, base, self.meta))
                    count += len(batch) + len(batch.rejected)
                    if count >= max_objects:
                        yield LightCurveBatch.concat(held)
                        held, count, given = [], 0, True
            base += size
        if held:
            yield LightCurveBatch.concat(held)

    def partitions(self) -> list[HatsPartition]:
        """The files, each with what it takes to read it without the others."""
        first = np.cumsum([0, *self._sizes[:-1]]).tolist()
        return [
            HatsPartition(path, row, self.names, self.meta, self.on_bad)
            for path, row in zip(self.catalog.files, first, strict=True)
        ]

    def _of_part(self, k: int, start: int, room: int, full: int) -> Iterator[LightCurveBatch]:
        """Batches of one partition: one that fills the room, then full ones."""
        with self._open(k) as part:
            yield next(part.iter_batches(room, first_row=start))
            if start + room < self._sizes[k]:
                yield from part.iter_batches(full, first_row=start + room)
