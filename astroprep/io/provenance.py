"""Where a product came from: written into every format, and read back from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from astroprep.errors import DataError
from astroprep.io.astrotable import read_about
from astroprep.io.files import beside, check_file, first_line, format_of
from astroprep.io.hats_catalog import hats_catalog

__all__ = ["KEY", "make_provenance", "read_provenance"]

KEY = "astroprep"  # of Parquet metadata and of the INFO of a VOTable


def make_provenance(verb: str, **about: Any) -> dict[str, Any]:
    """Record of how a product was made.

    Parameters
    ----------
    verb : str
        What was done, such as ``"merge"``.
    **about
        Such as ``inputs`` (name, sha256 and rows of each), ``settings`` and ``counts``; what
        JSON can hold.

    Returns
    -------
    dict
        With ``made_by`` (program and version), ``verb`` and ``written`` (UTC, ISO 8601, seconds)
        before the rest.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made_by = f"astroprep {version('astroprep')}"
    return {"made_by": made_by, "verb": verb, "written": now, **about}


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Record of how a product was made, whatever its format.

    Parameters
    ----------
    path : str or Path
        What `astroprep merge` or `astroprep crossmatch` wrote: Parquet (its metadata), FITS
        (keyword ``ASTROPRP``), VOTable (INFO ``astroprep``), HATS (metadata of its
        ``_common_metadata``) or CSV (the file beside it).

    Returns
    -------
    dict
        See `make_provenance`.

    Raises
    ------
    DataError
        If the file cannot be read or holds no record.
    """
    path = Path(path)
    text = _text(path)
    try:
        about = json.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: its record is no JSON ({first_line(error)})") from error
    if not isinstance(about, dict):
        raise DataError(f"{path} does not say how it was made; was it written by astroprep?")
    return about


def _text(path: Path) -> str:
    kind = format_of(path)
    try:
        if kind == "hats":
            catalog = hats_catalog(path)
            common = catalog.folder / "dataset" / "_common_metadata"
            metadata = pq.read_schema(common if common.is_file() else catalog.files[0]).metadata
            return str((metadata or {}).get(KEY.encode(), b"").decode())
        check_file(path)
        if kind == "parquet":
            return str((pq.read_schema(path).metadata or {}).get(KEY.encode(), b"").decode())
        if kind == "csv":
            return beside(path).read_text("utf-8") if beside(path).is_file() else ""
    except (pa.ArrowException, OSError, UnicodeDecodeError, IndexError) as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error
    if kind in ("fits", "votable"):
        return read_about(path, kind).get(KEY, "")
    raise DataError(f"{path}: no format goes by {path.suffix!r}")
