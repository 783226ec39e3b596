"""Match two catalogue files and write the table of matches with where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from astroprep.integrate.catalogue_files import CatalogueColumns, read_catalogue
from astroprep.integrate.crossmatch import crossmatch
from astroprep.integrate.matches import Matches
from astroprep.integrate.table_files import write_table
from astroprep.io import make_provenance, source_sha256

__all__ = ["match_files"]

UNITS = {"separation": "arcsec"}
DESCRIPTIONS = {
    "left_id": "Id of the object in the left catalogue, its row where there are no ids",
    "right_id": "Id of the object in the right catalogue, its row where there are no ids",
    "left_row": "Row in the left catalogue, from 0; -1 for none",
    "right_row": "Row in the right catalogue, from 0; -1 for none",
    "separation": "Angle between the two, at one epoch",
    "probability": "Of the two being one object; missing for the plain method",
    "match_status": "What became of the row",
}


def match_files(
    left: str | Path,
    right: str | Path,
    out: str | Path,
    *,
    left_columns: CatalogueColumns | None = None,
    right_columns: CatalogueColumns | None = None,
    **settings: Any,
) -> Matches:
    """Match two files into a third.

    Parameters
    ----------
    left, right : path
        See `astroprep.integrate.catalogue_files.read_catalogue`.
    out : path
        Table of left_id, right_id, left_row, right_row, separation (arcsec), probability
        and match_status; it holds inputs, checksums, settings, counts, version and time, see
        `astroprep.io.read_provenance`.
    left_columns, right_columns : CatalogueColumns, optional
        Names of columns.
    **settings
        Of `astroprep.integrate.crossmatch`.

    Returns
    -------
    Matches
        What was written.

    Raises
    ------
    ConfigError, DataError
        As `read_catalogue` and `crossmatch` do; nothing is written then.
    """
    one = read_catalogue(left, left_columns)
    two = read_catalogue(right, right_columns)
    found = crossmatch(one, two, **settings)
    about = make_provenance(
        "crossmatch",
        inputs=[
            {"name": Path(path).name, "sha256": source_sha256(path), "rows": len(catalogue)}
            for path, catalogue in ((left, one), (right, two))
        ],
        settings=found.about,
        columns={
            "left": vars(left_columns or CatalogueColumns()),
            "right": vars(right_columns or CatalogueColumns()),
        },
        counts=found.counts(),
    )
    write_table(out, found.columns(), about, units=UNITS, descriptions=DESCRIPTIONS)
    return found
