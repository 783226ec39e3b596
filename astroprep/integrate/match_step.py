"""The step that looks every object of a batch up in a catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.integrate.catalogue import Catalogue
from astroprep.integrate.catalogue_files import read_catalogue, read_columns
from astroprep.integrate.crossmatch import MAX_RADIUS, crossmatch

__all__ = ["CrossMatch"]


class CrossMatch(Transformer):
    """Find the nearest entry of a catalogue for every object.

    No object is dropped: one without a match says so in ``match_status``.

    Parameters
    ----------
    catalogue : str, Path, Catalogue or pair of arrays (ra, dec)
        What is searched: a file (see `astroprep.integrate.read_catalogue`), read anew by each
        ``transform``, or positions in degrees.
    radius : float, default 2.0
        Arcseconds.
    columns : sequence of str, default ()
        Columns of the file that matched objects get, as ``match_<name>``. Numbers are NaN and
        texts empty without a match.
    on_bad : {"raise", "reject"}, default "raise"
        Of no effect: this step refuses no object.

    Notes
    -----
    The batch needs ``ra`` and ``dec`` per object, degrees. It gets ``match_id`` (the row number
    where the catalogue has no ids), ``match_row`` (-1 for none), ``match_separation``
    (arcseconds, NaN for none) and ``match_status``. Two objects may match the same entry.
    """

    needs = Needs(single_band=False)
    example: ClassVar[dict[str, Any]] = {"catalogue": [[10.0, 15.0], [0.0, 0.0]]}

    def __init__(
        self,
        catalogue: Any = None,
        radius: float = 2.0,
        columns: Sequence[str] = (),
        on_bad: OnBad = "raise",
    ) -> None:
        self.catalogue = catalogue
        self.radius = radius
        self.columns = columns
        self.on_bad = on_bad

    def _check(self) -> None:
        if not 0 <= self.radius <= MAX_RADIUS:
            raise ConfigError(
                f"CrossMatch: radius must lie in [0, {MAX_RADIUS:,.0f}] arcseconds, "
                f"got {self.radius!r}"
            )
        given = self.catalogue
        pair = isinstance(given, list | tuple) and len(given) == 2
        if not (isinstance(given, str | Path | Catalogue) or pair):
            raise ConfigError(
                f"CrossMatch: catalogue must be a file, a Catalogue or a pair (ra, dec), "
                f"got {type(given).__name__}"
            )
        if isinstance(self.columns, str) or (
            len(self.columns) and not isinstance(given, str | Path)
        ):
            raise ConfigError("CrossMatch: columns is a list of names, for a catalogue file only")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        for name in ("ra", "dec"):
            if name not in batch.objects:
                raise DataError(
                    f"CrossMatch needs the column {name!r} per object, but the batch has "
                    f"{', '.join(sorted(batch.objects))}"
                )
        objects = Catalogue.of(
            batch.objects["ra"], batch.objects["dec"], ra_unit="degree", name="CrossMatch: objects"
        )
        found = crossmatch(objects, self._opened(), radius=self.radius)
        row = found.right_row
        extra: dict[str, NDArray[Any]] = {}
        if len(self.columns):
            for name, values in read_columns(self.catalogue, self.columns).items():
                empty = np.nan if values.dtype.kind == "f" else ""
                there = values[row] if values.size else np.full(row.size, empty, values.dtype)
                extra[f"match_{name}"] = np.where(row >= 0, there, empty)
        return batch.with_columns(
            objects={
                "match_id": found.right_id,
                "match_row": row,
                "match_separation": found.separation,
                "match_status": found.match_status,
                **extra,
            }
        )

    def _opened(self) -> Catalogue:
        if isinstance(self.catalogue, Catalogue):
            return self.catalogue
        if isinstance(self.catalogue, str | Path):
            return read_catalogue(self.catalogue)
        return Catalogue.of(*self.catalogue, name="CrossMatch: catalogue")
