"""Read and write cotrending vectors: FITS as the archive has them, CSV and Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.detrend.cbv_vectors import ANY, CotrendingVectors
from astroprep.errors import ConfigError, DataError
from astroprep.io.files import unpacked
from astroprep.units import TIME_REFERENCES

__all__ = ["channel_of", "module_output_of", "read_vectors", "write_vectors"]

# Science modules of the Kepler focal plane in the order of the channels; the corners 1, 5, 21
# and 25 hold guidance sensors. Kepler Instrument Handbook, KSCI-19033, figure 13.
MODULES = (2, 3, 4, *range(6, 21), 22, 23, 24)
SEGMENT_KEYS = (("QUARTER", "Kepler"), ("CAMPAIGN", "K2"), ("SECTOR", "TESS"))
TIME_COLUMNS = (("TIME_MJD", TIME_REFERENCES["MJD"]), ("TIME", None))
SCALES = {"single-scale": "single", "spike": "spike"}


def channel_of(module: int, output: int) -> int:
    """Channel (1 to 84) of a Kepler module and output.

    Raises
    ------
    DataError
        If there is no such module or output.
    """
    if module not in MODULES or not 1 <= output <= 4:
        raise DataError(f"Kepler has no science module {module} with an output {output}")
    return 4 * MODULES.index(module) + output


def module_output_of(channel: int) -> tuple[int, int]:
    """Kepler module and output of a channel (1 to 84).

    Raises
    ------
    DataError
        If there is no such channel.
    """
    if not 1 <= channel <= 4 * len(MODULES):
        raise DataError(f"Kepler has the channels 1 to 84, not {channel}")
    return MODULES[(channel - 1) // 4], (channel - 1) % 4 + 1


def read_vectors(path: str | Path, **known: Any) -> list[CotrendingVectors]:
    """Cotrending vectors of a file, one entry a channel and scale.

    Parameters
    ----------
    path : str or Path
        ``.fits`` (the archive's files for Kepler, K2 and TESS, or ours), ``.csv`` or
        ``.parquet`` with ``VECTOR_1`` ... and ``CADENCENO``, ``TIME`` or both.
    **known
        What the file does not say: ``time_ref``, ``survey``, ``segment``, ``channel``.

    Returns
    -------
    list of CotrendingVectors
        Channels whose vectors are all gaps are left out; at least one remains.

    Raises
    ------
    DataError
        If the file is not there, holds no vectors, or nothing but gaps.
    ConfigError
        If the ending is none of these.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no cotrending vectors at {path}: there is no such file")
    ending = path.suffix.lower()
    if ending in (".fits", ".fit"):
        tables = _fits_tables(path)
    elif ending == ".csv":
        about, lines = _csv_notes(path)
        tables = [(pd.read_csv(path, skiprows=lines, float_precision="round_trip"), about)]
    elif ending in (".parquet", ".pq"):
        table = pq.read_table(path)
        notes = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        tables = [(table.to_pandas(ignore_metadata=True), notes)]
    else:
        raise ConfigError(f"{path}: cotrending vectors are read from .fits, .csv and .parquet")
    found, broken = [], []
    for frame, about in tables:
        try:
            found.append(_from_table(frame, {**_typed(about), **known}, path))
        except DataError as error:
            broken.append(str(error))
    if not found:
        raise DataError(f"{path}: " + (broken[0] if broken else "no table with VECTOR_1 in it"))
    return found


def write_vectors(path: str | Path, sets: CotrendingVectors | Sequence[CotrendingVectors]) -> None:
    """Write vectors so that `read_vectors` gives them back; FITS in the archive's layout.

    Parameters
    ----------
    path : str or Path
        ``.fits`` takes any number of channels of one segment, ``.csv`` and ``.parquet`` one.
        A file that is there is replaced.
    sets : CotrendingVectors, or several

    Raises
    ------
    ConfigError
        If the ending is none of these, or the format cannot hold so many.
    """
    path = Path(path)
    every = [sets] if isinstance(sets, CotrendingVectors) else list(sets)
    ending = path.suffix.lower()
    if ending in (".fits", ".fit"):
        _write_fits(path, every)
        return
    if len(every) != 1:
        raise ConfigError(f"{path}: {ending} holds vectors of one channel, got {len(every)}")
    one = every[0]
    frame, about = _to_table(one), _notes(one)
    if ending == ".csv":
        with path.open("w", newline="") as out:
            out.writelines(f"# {key} = {value}\n" for key, value in about.items())
            frame.to_csv(out, index=False)
    elif ending in (".parquet", ".pq"):
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(about)
        pq.write_table(table, path)
    else:
        raise ConfigError(f"{path}: cotrending vectors are written to .fits, .csv and .parquet")


def _from_table(frame: pd.DataFrame, about: dict[str, Any], path: Path) -> CotrendingVectors:
    frame = frame.rename(columns=str.upper)
    names = [name for name in frame.columns if name.startswith("VECTOR_")]
    names.sort(key=lambda name: int(name.removeprefix("VECTOR_")))
    if not names:
        raise DataError(f"no columns VECTOR_1 ... among {', '.join(map(str, frame.columns))}")
    vectors = frame[names].to_numpy(np.float64, copy=True)
    for name in ("GAPFLAG", "GAP"):
        if name in frame:
            vectors[frame[name].to_numpy() != 0] = np.nan
    kept: dict[str, Any] = {}
    if "CADENCENO" in frame:
        kept["cadence"] = frame["CADENCENO"].to_numpy(np.int64)
    for name, reference in TIME_COLUMNS:
        if name in frame:
            kept["time"] = frame[name].to_numpy(np.float64)
            if reference is not None:
                about = {**about, "time_ref": reference}
            break
    return CotrendingVectors(vectors=vectors, **kept, **about)


def _to_table(one: CotrendingVectors) -> pd.DataFrame:
    columns: dict[str, NDArray[Any]] = {}
    if one.time is not None:
        columns["TIME"] = one.time
    if one.cadence is not None:
        columns["CADENCENO"] = one.cadence
    for j in range(one.n_vectors):
        columns[f"VECTOR_{j + 1}"] = one.vectors[:, j]
    return pd.DataFrame(columns)


def _notes(one: CotrendingVectors) -> dict[str, str]:
    about = {"survey": one.survey, "scale": one.scale}
    about |= {"time_ref": repr(float(one.time_ref))} if one.time_ref is not None else {}
    about |= {k: str(v) for k in ("segment", "channel") if (v := getattr(one, k)) != ANY}
    return {key: value for key, value in about.items() if value}


def _typed(about: dict[str, str]) -> dict[str, Any]:
    kinds = {"time_ref": float, "segment": int, "channel": int, "survey": str, "scale": str}
    return {key: kind(about[key]) for key, kind in kinds.items() if key in about}


def _csv_notes(path: Path) -> tuple[dict[str, str], int]:
    """What ``# key = value`` lines at the top say, and how many lines they are."""
    about, lines = {}, 0
    with path.open() as text:
        for line in text:
            if not line.startswith("#"):
                break
            key, _, value = line[1:].partition("=")
            about[key.strip()] = value.strip()
            lines += 1
    return about, lines


def _fits_tables(path: Path) -> list[tuple[pd.DataFrame, dict[str, str]]]:
    from astropy.io import fits

    tables = []
    with fits.open(unpacked(path), memmap=False) as hdus:
        for hdu in hdus[1:]:
            if not isinstance(hdu, fits.BinTableHDU) or "VECTOR_1" not in hdu.columns.names:
                continue
            header = {**dict(hdus[0].header), **dict(hdu.header)}
            frame = pd.DataFrame(
                {
                    name: hdu.data[name].astype(hdu.data[name].dtype.newbyteorder("="))
                    for name in hdu.columns.names
                    if hdu.data[name].ndim == 1
                }
            )
            tables.append((frame, _fits_notes(header)))
    return tables


def _fits_notes(header: dict[str, Any]) -> dict[str, str]:
    about: dict[str, str] = {}
    for key, survey in SEGMENT_KEYS:
        if header.get(key) is not None:
            about |= {"segment": str(header[key]), "survey": survey}
    if "SURVEY" in header:
        about["survey"] = str(header["SURVEY"])
    if header.get("CHANNEL") is not None:
        about["channel"] = str(header["CHANNEL"])
    elif header.get("MODULE") is not None and header.get("OUTPUT") is not None:
        about["channel"] = str(channel_of(int(header["MODULE"]), int(header["OUTPUT"])))
    elif header.get("CAMERA") is not None and header.get("CCD") is not None:
        about["channel"] = str(4 * (int(header["CAMERA"]) - 1) + int(header["CCD"]))
    name = str(header.get("EXTNAME", "")).lower()
    if name.startswith("cbv."):
        kind = name.split(".")[1]
        about["scale"] = SCALES.get(kind, kind.replace("multiscale-", ""))
    if header.get("BJDREFI") is not None:
        about["time_ref"] = repr(float(header["BJDREFI"]) + float(header.get("BJDREFF", 0)))
    elif header.get("TIMEREF") is not None:
        about["time_ref"] = repr(float(header["TIMEREF"]))
    elif about.get("survey") == "TESS":
        about["time_ref"] = repr(TIME_REFERENCES["BTJD"])
    return about


def _write_fits(path: Path, every: Sequence[CotrendingVectors]) -> None:
    from astropy.io import fits

    segments = {(one.survey, one.segment) for one in every}
    if len(segments) != 1:
        raise ConfigError(f"{path}: one file holds one segment of one survey, got {segments}")
    survey, segment = segments.pop()
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"] = survey
    keys = {name: key for key, name in SEGMENT_KEYS}
    if segment != ANY:
        primary.header[keys.get(survey, "SECTOR")] = segment
    if survey not in keys:
        primary.header["SURVEY"] = survey
    fits.HDUList([primary, *(_table_hdu(one) for one in every)]).writeto(path, overwrite=True)


def _table_hdu(one: CotrendingVectors) -> Any:
    from astropy.io import fits

    kepler, tess = one.survey in ("Kepler", "K2"), one.survey == "TESS"
    columns, header = [], fits.Header()
    if one.time is not None:
        mjd = TIME_REFERENCES["MJD"]
        if kepler and one.time_ref is not None:
            shifted = one.time + (one.time_ref - mjd)
            columns.append(fits.Column("TIME_MJD", "D", unit="d", array=shifted))
        else:
            columns.append(fits.Column("TIME", "D", unit="d", array=one.time))
            if one.time_ref is not None:
                header["TIMEREF"] = one.time_ref
    if one.cadence is not None:
        columns.append(fits.Column("CADENCENO", "J", array=one.cadence.astype(np.int32)))
    gap = (~one.is_known).astype(np.int16)
    columns.append(fits.Column("GAP" if tess else "GAPFLAG", "I", array=gap))
    filled = np.where(np.isfinite(one.vectors), one.vectors, 0.0)  # as the archive's gaps are
    columns += [fits.Column(f"VECTOR_{j + 1}", "D", array=v) for j, v in enumerate(filled.T)]
    if one.channel != ANY:
        header["CHANNEL"] = one.channel
    name = "CBV"
    if kepler and one.channel != ANY:
        header["MODULE"], header["OUTPUT"] = module_output_of(one.channel)
        name = f"MODOUT_{header['MODULE']}_{header['OUTPUT']}"
    elif tess and one.channel != ANY:
        header["CAMERA"], header["CCD"] = (one.channel - 1) // 4 + 1, (one.channel - 1) % 4 + 1
        kind = {"single": "single-scale", "spike": "spike"}.get(one.scale)
        kind = kind or f"multiscale-{one.scale}"
        name = f"CBV.{kind}.{header['CAMERA']}.{header['CCD']}"
    return fits.BinTableHDU.from_columns(columns, header=header, name=name)
