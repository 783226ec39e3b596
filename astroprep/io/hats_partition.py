"""One file of a HATS catalogue, read as the part of the whole that it is, without the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from astroprep.base import OnBad
from astroprep.data import LightCurveBatch, Meta
from astroprep.io.columns import ColumnNames
from astroprep.io.parquet import NestedParquetReader

__all__ = ["HatsPartition", "placed"]


@dataclass(frozen=True)
class HatsPartition:
    """What has to be known of a catalogue to read one of its files.

    Parameters
    ----------
    path : Path
        The file.
    first_row : int
        Rows of all files before it.
    names : ColumnNames
        As of the catalogue's reader, positions included.
    meta : Meta
        Of the whole catalogue.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with a row whose lists differ in length.
    """

    path: Path
    first_row: int
    names: ColumnNames
    meta: Meta
    on_bad: OnBad = "raise"

    def iter_batches(self, max_objects: int = 4096) -> Iterator[LightCurveBatch]:
        """Batches of the file; rows and bands are those of the catalogue.

        Parameters
        ----------
        max_objects : int, default 4096
            Objects in a batch; a file without rows gives one empty batch.

        Raises
        ------
        DataError
            If the file is damaged, or lacks a column.
        """
        with NestedParquetReader(self.path, self.names, on_bad=self.on_bad) as file:
            for batch in file.iter_batches(max_objects):
                yield placed(batch, self.first_row, self.meta)


def placed(batch: LightCurveBatch, first_row: int, meta: Meta) -> LightCurveBatch:
    """A batch of one file among all of them: its rows, its bands."""
    band = batch.band
    if band is not None and batch.meta.bands != meta.bands:
        codes = [meta.bands.index(name) for name in batch.meta.bands]
        band = np.array([*codes, -1], np.int16)[band]
    objects: dict[str, Any] = {**batch.objects, "row": batch.objects["row"] + first_row}
    away = replace(batch.rejected, row=batch.rejected.row + first_row)
    return replace(batch, band=band, objects=objects, rejected=away, meta=meta)
