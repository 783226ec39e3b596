"""Long tables out: one row a measurement, every column of the batch, as FITS or VOTable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import DataError
from astroprep.io.astrotable import AstroTable
from astroprep.io.astrotable_writer import astro_bytes
from astroprep.io.columns import WRITTEN_BY
from astroprep.io.files import format_of, replaced
from astroprep.io.long import FLAGS, WEIGHT
from astroprep.io.long_table import META
from astroprep.io.parquet_writer import narrow, point_columns

__all__ = ["write_long_table"]

PLACES = {"BJD": "BARYCENTER", "BKJD": "BARYCENTER", "BTJD": "BARYCENTER", "HJD": "HELIOCENTER"}
DESCRIPTIONS = {
    "id": "Object",
    "time": "Time of mid-exposure",
    "band": "Passband",
    FLAGS: "Bits of astroprep.PointFlag, 0 is good",
    WEIGHT: "Trust, 1 is full; the usable error is the error over its root",
    "ra": "Right ascension, ICRS",
    "dec": "Declination, ICRS",
    "period": "Period of the catalogue",
}
UNITS = {"time": "d", "ra": "deg", "dec": "deg", "period": "d"}


def write_long_table(
    path: str | Path,
    batch: LightCurveBatch,
    *,
    points: Sequence[str] | Literal["all"] = (),
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write a batch as a FITS table or VOTable with one row a measurement, whole or not at all.

    Parameters
    ----------
    path : str or Path
        ``.fits``, ``.vot`` or ``.xml``, or ``.gz`` of them. A VOTable is written as BINARY2.
    batch : LightCurveBatch
        Every column per object of one dimension repeats its value on each row of the object;
        ``row`` is not written, ``catalogue_period`` is ``period``. Flags and weights are
        ``astroprep_flags`` and ``astroprep_weight``, where there are any. The clock is stated as
        the standards have it, where it is known.
    points : sequence of str or "all", default ()
        Which of ``batch.points`` to write, see `astroprep.io.write_batch`.
    record : mapping, optional
        Where the batch comes from, see `astroprep.io.make_provenance`.

    Raises
    ------
    DataError
        If an object has no points, and so would be lost; two columns have one name; a text does
        not go into FITS; or the file cannot be written.

    References
    ----------
    .. [1] Rots et al. 2015, A&A 574, A36, doi:10.1051/0004-6361/201424653 (time in FITS)
    .. [2] Ochsenbein et al. 2019, VOTable 1.4, IVOA Recommendation (TIMESYS)
    """
    path = Path(path)
    size = np.diff(batch.offsets)
    if (size == 0).any():
        raise DataError(
            f"{path}: {batch.ids[size == 0][0]!r} has no points, like {int((size == 0).sum())} of "
            f"{size.size} objects; a table of one row a measurement would lose them. Drop them "
            "first with DropShort(min_points=1), or write Parquet"
        )
    kind = "fits" if format_of(path) == "fits" else "votable"
    further = point_columns(batch, points)
    columns = _columns(batch, further)
    names = [name.lower() if kind == "fits" else name for name in columns]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: two columns would be called {name!r}; rename one")
    meta = batch.meta
    unit = {meta.quantity: meta.unit, f"{meta.quantity}_err": meta.unit}
    about = {META: json.dumps(_metadata(batch, list(further)))}
    table = AstroTable(
        columns,
        {name: u for name, u in {**UNITS, **unit}.items() if u and name in columns},
        {name: text for name, text in DESCRIPTIONS.items() if name in columns},
        about,
        _clock(meta),
    )
    zipped = path.name.lower().endswith(".gz")
    content = astro_bytes(table, kind, record, dense=True, zipped=zipped)
    with replaced(path) as part:
        part.write_bytes(content)


def _columns(batch: LightCurveBatch, further: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """All columns, per point."""
    curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
    quantity = batch.meta.quantity
    columns: dict[str, NDArray[Any]] = {
        "id": batch.ids[curve],
        "time": batch.time,
        quantity: narrow(batch.value).to_numpy(),
        f"{quantity}_err": narrow(batch.error).to_numpy(),
    }
    if batch.band is not None:
        columns["band"] = np.array([*batch.meta.bands, ""], dtype=object)[batch.band]
    if batch.flags.any():
        columns[FLAGS] = batch.flags
    if (batch.weight != 1).any():
        columns[WEIGHT] = batch.weight
    objects = {
        "period" if name == "catalogue_period" else name: values[curve]
        for name, values in batch.objects.items()
        if values.ndim == 1 and name not in ("id", "row")
    }
    taken = sorted((set(columns) | set(further)) & set(objects))
    if taken:
        raise DataError(f"a column per point and one per object are both called {taken[0]!r}")
    return {**columns, **further, **objects}


def _metadata(batch: LightCurveBatch, further: list[str]) -> dict[str, str]:
    """What `LongTableReader` needs to give the batch back."""
    meta = batch.meta
    about = {
        "survey": meta.survey,
        "time_system": meta.time_scale,
        "quantity": meta.quantity,
        "unit": meta.unit,
        "points": json.dumps(further),
        **WRITTEN_BY,
    }
    if meta.time_ref is not None:
        about["time_ref"] = repr(meta.time_ref)
    if batch.band is not None:
        about["bands"] = json.dumps(meta.bands)
    return about


def _clock(meta: Meta) -> dict[str, str]:
    """Clock in the words of the standards; nothing where the batch does not know it all."""
    words = meta.time_scale.upper().split()
    if len(words) < 2 or meta.time_ref is None:
        return {}
    place = PLACES.get(words[0].partition("-")[0], "UNKNOWN")
    return {"scale": words[1], "origin": repr(float(meta.time_ref)), "place": place}
