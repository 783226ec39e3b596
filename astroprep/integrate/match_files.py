"""Match two catalogue files and write the table of matches with where it came from."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from astroprep.integrate.catalogue_files import CatalogueColumns, read_catalogue
from astroprep.integrate.crossmatch import crossmatch
from astroprep.integrate.matches import Matches
from astroprep.integrate.table_files import write_table
from astroprep.io import source_sha256

__all__ = ["match_files"]


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
        and match_status; its metadata hold inputs, checksums, settings, counts and version.
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
    about = {
        "made_by": f"astroprep {version('astroprep')}",
        "verb": "crossmatch",
        "inputs": [
            {"name": Path(path).name, "sha256": source_sha256(path), "rows": len(catalogue)}
            for path, catalogue in ((left, one), (right, two))
        ],
        "settings": found.about,
        "columns": {
            "left": vars(left_columns or CatalogueColumns()),
            "right": vars(right_columns or CatalogueColumns()),
        },
        "counts": found.counts(),
    }
    write_table(out, found.columns(), about)
    return found
