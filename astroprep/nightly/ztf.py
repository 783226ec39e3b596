"""Alerts of the Zwicky Transient Facility: from differences to the magnitude of the star."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import PointFlag
from astroprep.io.avro import AvroField, AvroRequest, AvroTables
from astroprep.nightly.rows import DETECTION, FORCED, SurveyAlerts, SurveyRows, mixed

__all__ = ["ZTF", "apparent_magnitude"]

NEAR = 1.4  # arcsec to the reference source, within which it is the same star; Forster et al. 2021
PIXEL = 1.012  # arcsec; the candidate's distance is in pixels, that of forced photometry in arcsec
EXPOSURE = 30.0  # seconds of the survey's exposures; histories do not state it
MJD_0 = 2400000.5
SENTINEL = -900.0  # -999 and -99999 stand for none
BANDS = np.array(["", "ztf_g", "ztf_r", "ztf_i"], object)
POGSON = 2.5 / np.log(10.0)

Array = NDArray[np.float64]

POINT = (
    ("jd", "float", "jd"),
    ("fid", "int", "fid"),
    ("positive", "text", "isdiffpos"),
    ("magpsf", "float", "magpsf"),
    ("sigmapsf", "float", "sigmapsf"),
    ("magnr", "float", "magnr"),
    ("distnr", "float", "distnr"),
    ("ra", "float", "ra"),
    ("dec", "float", "dec"),
    ("candid", "int", "candid"),
)
FORCED_POINT = (
    ("jd", "float"),
    ("fid", "int"),
    ("pid", "int"),
    ("exptime", "float"),
    ("forcediffimflux", "float"),
    ("forcediffimfluxunc", "float"),
    ("magzpsci", "float"),
    ("procstatus", "text"),
    ("magnr", "float"),
    ("distnr", "float"),
    ("ranr", "float"),
    ("decnr", "float"),
)
REQUEST = AvroRequest(
    record=(
        AvroField("object_id", "text", ("objectId",), required=True),
        *(
            AvroField(name, kind, (f"candidate.{path}",), required=name in ("candid", "jd"))  # type: ignore[arg-type]
            for name, kind, path in POINT
        ),
        AvroField("exptime", "float", ("candidate.exptime",)),
    ),
    arrays={
        "prv_candidates": tuple(AvroField(n, k, (p,)) for n, k, p in POINT),  # type: ignore[arg-type]
        "fp_hists": tuple(AvroField(n, k, (n,)) for n, k in FORCED_POINT),  # type: ignore[arg-type]
    },
)


def apparent_magnitude(
    magpsf: Array,
    sigmapsf: Array,
    sign: NDArray[np.int64],
    magnr: Array,
    near: NDArray[np.bool_],
) -> tuple[Array, Array]:
    """Magnitude of the star itself out of that of a difference.

    Parameters
    ----------
    magpsf, sigmapsf : float64 array, shape (n,)
        Of the size of the difference, mag.
    sign : int64 array, shape (n,)
        1 where the source is brighter than in the reference, -1 where it is fainter, 0 unknown.
    magnr : float64 array, shape (n,)
        Of the source in the reference image, mag.
    near : bool array, shape (n,)
        Whether that source is the same star.

    Returns
    -------
    magnitude, error : float64 array, shape (n,)
        NaN where there is none: the sign is unknown, the total is not positive, or a fainter
        source has no reference to be fainter than.

    Notes
    -----
    ``m = -2.5 log10(10**(-0.4 magnr) + sign 10**(-0.4 magpsf))`` [1]_, and ``magpsf`` itself where
    the reference has no source. The error is that of the difference: the error of the reference
    shifts all points of a star in a band alike and is no scatter.

    References
    ----------
    .. [1] Forster et al. 2021, AJ 161, 242, doi:10.3847/1538-3881/abe9bc
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        difference = 10 ** (-0.4 * magpsf)
        total = np.where(near, 10 ** (-0.4 * magnr), 0.0) + sign * difference
        good = (total > 0) & (sign != 0) & np.isfinite(total)
        magnitude = np.where(good, -2.5 * np.log10(total), np.nan)
        magnitude = np.where(good & ~near, magpsf, magnitude)
        error = np.where(good, sigmapsf * difference / total, np.nan)
    return magnitude, error


def _clean(column: Array) -> Array:
    return np.where(np.isfinite(column) & (column > SENTINEL), column, np.nan)


def _sign(text: NDArray[np.object_]) -> NDArray[np.int64]:
    known = {"t": 1, "1": 1, "true": 1, "f": -1, "0": -1, "false": -1}
    return np.array([known.get(str(t).lower(), 0) for t in text.tolist()], np.int64)


def _flags(value: Array, error: Array, bad: NDArray[np.bool_]) -> NDArray[np.int32]:
    flags = np.where(np.isfinite(value), 0, PointFlag.MISSING_VALUE)
    flags |= np.where(np.isfinite(error) & (error > 0), 0, PointFlag.MISSING_ERROR)
    return np.asarray(flags | np.where(bad, PointFlag.SURVEY, 0), np.int32)


def _detections(table: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Columns of candidates, the alert's own or earlier ones."""
    near = _clean(table["distnr"]) * PIXEL < NEAR
    near &= np.isfinite(_clean(table["magnr"])) & (table["magnr"] > 0)
    value, error = apparent_magnitude(
        _clean(table["magpsf"]),
        _clean(table["sigmapsf"]),
        _sign(table["positive"]),
        table["magnr"],
        near,
    )
    exposure = table.get("exptime", np.full(value.size, np.nan))
    exposure = np.where(exposure > 0, exposure, EXPOSURE)
    return {
        "source_id": table["candid"],
        "kind": np.full(value.size, DETECTION, np.int8),
        "time": table["jd"] - MJD_0 + 0.5 * exposure / 86400.0,
        "value": value,
        "error": error,
        "band": BANDS[np.where((table["fid"] >= 1) & (table["fid"] <= 3), table["fid"], 0)],
        "flags": _flags(value, error, np.zeros(value.size, bool)),
        "ra": table["ra"],
        "dec": table["dec"],
    }


def _forced(table: dict[str, NDArray[Any]], star: NDArray[np.uint64]) -> dict[str, NDArray[Any]]:
    """Columns of forced photometry: counts of the difference and the reference source."""
    zero, counts = _clean(table["magzpsci"]), _clean(table["forcediffimflux"])
    deviation = _clean(table["forcediffimfluxunc"])
    near = (table["distnr"] < NEAR) & (table["distnr"] > SENTINEL) & (table["magnr"] > 0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        total = counts + np.where(near, 10 ** (0.4 * (zero - table["magnr"])), 0.0)
        good = (total > 0) & np.isfinite(total)
        value = np.where(good, zero - 2.5 * np.log10(total), np.nan)
        error = np.where(good & (deviation > 0), POGSON * deviation / total, np.nan)
    exposure = np.where(table["exptime"] > 0, table["exptime"], EXPOSURE)
    bad = np.array([status not in ("0", None) for status in table["procstatus"].tolist()], bool)
    key = mixed(star ^ mixed(table["pid"].astype(np.uint64))) | np.uint64(1 << 63)
    return {
        "source_id": key.view(np.int64),  # below zero, where no candid is
        "kind": np.full(value.size, FORCED, np.int8),
        "time": table["jd"] - MJD_0 + 0.5 * exposure / 86400.0,
        "value": value,
        "error": error,
        "band": BANDS[np.where((table["fid"] >= 1) & (table["fid"] <= 3), table["fid"], 0)],
        "flags": _flags(value, error, bad),
        "ra": table["ranr"],
        "dec": table["decnr"],
    }


def _refused(own: dict[str, NDArray[Any]]) -> NDArray[np.object_]:
    """Why records are no alerts, empty where they are."""
    n = own["jd"].size
    why = np.full(n, "", object)
    why[~(np.abs(own["dec"]) <= 90) | ~(np.abs(own["ra"]) <= 360)] = "it has no position"
    why[~np.isfinite(own["jd"])] = "it has no time"
    why[own["candid"] == 0] = "it has no candid"
    why[[not name for name in own["object_id"].tolist()]] = "it has no objectId"
    return why


class _Ztf(SurveyAlerts):
    def rows(self, tables: AvroTables) -> SurveyRows:
        own, earlier, forced = tables.tables
        why = _refused(own)
        good = why == ""
        seen = good[tables.record[1]] & (earlier["candid"] != 0)
        late = good[tables.record[2]]
        record = [
            np.flatnonzero(good),
            tables.record[1][seen],
            tables.record[2][late],
        ]
        star = np.array([_hash(name or "") for name in own["object_id"].tolist()], np.uint64)
        parts = [
            _detections({name: column[good] for name, column in own.items()}),
            _detections({name: column[seen] for name, column in earlier.items()}),
            _forced({name: column[late] for name, column in forced.items()}, star[record[2]]),
        ]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        every = np.concatenate(record)
        columns["object_id"] = own["object_id"][every]
        columns["withdrawn"] = np.zeros(every.size, bool)
        _place(columns, own, every)
        return SurveyRows(
            record=every,
            own=np.arange(every.size) < record[0].size,
            columns=columns,
            refused=tuple((int(i), str(why[i])) for i in np.flatnonzero(~good)),
            n_limits=int((good[tables.record[1]] & (earlier["candid"] == 0)).sum()),
        )


def _place(
    columns: dict[str, NDArray[Any]], own: dict[str, NDArray[Any]], record: NDArray[np.int64]
) -> None:
    """Give rows without a position that of their alert."""
    lost = ~(np.abs(columns["dec"]) <= 90) | ~(np.abs(columns["ra"]) <= 360)
    for name in ("ra", "dec"):
        columns[name] = np.where(lost, own[name][record], columns[name])


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


ZTF = _Ztf(
    name="ztf",
    request=REQUEST,
    quantity="mag",
    unit="mag",
    system="MJD UTC",
    site="palomar",
    bands=tuple(BANDS[1:].tolist()),
)
