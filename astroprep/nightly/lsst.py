"""Alerts of LSST: fluxes of the star in nJy, from the early simulations to version 11."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import PointFlag
from astroprep.io.avro import AvroField, AvroRequest, AvroTables
from astroprep.nightly.rows import DETECTION, FORCED, SurveyAlerts, SurveyRows, mixed

__all__ = ["LSST"]

ELASTICC = 10 ** (0.4 * (31.4 - 27.5))  # nJy in a unit of fluxes of zero point 27.5
BANDS = {name: f"lsst_{name.lower()}" for name in ("u", "g", "r", "i", "z", "y", "Y")}

Array = NDArray[np.float64]


def _both(inside: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{inside}{name}" for name in names)


def _source(inside: str, required: bool) -> tuple[AvroField, ...]:
    """Fields of a DiaSource, by the names of all versions."""
    return (
        AvroField("source_id", "int", _both(inside, "diaSourceId"), required),
        AvroField("object_id", "int", _both(inside, "diaObjectId")),
        AvroField("time", "float", _both(inside, "midpointMjdTai", "midPointTai"), required),
        AvroField("band", "text", _both(inside, "band", "filterName")),
        AvroField("ra", "float", _both(inside, "ra"), required),
        AvroField("dec", "float", _both(inside, "dec", "decl"), required),
        AvroField("ra_err", "float", _both(inside, "raErr")),
        AvroField("dec_err", "float", _both(inside, "decErr", "declErr")),
        AvroField("ra_dec_cov", "float", _both(inside, "ra_dec_Cov", "ra_decl_Cov")),
        AvroField("total", "float", _both(inside, "scienceFlux", "totFlux")),
        AvroField("total_err", "float", _both(inside, "scienceFluxErr", "totFluxErr")),
        AvroField("difference", "float", _both(inside, "psfFlux", "psFlux")),
        AvroField("difference_err", "float", _both(inside, "psfFluxErr", "psFluxErr")),
        AvroField("template", "float", _both(inside, "templateFlux")),
        AvroField("withdrawn", "float", _both(inside, "timeWithdrawnMjdTai")),
        AvroField("bad", "bool", _both(inside, "psfFlux_flag")),
    )


REQUEST = AvroRequest(
    record=(
        *_source("diaSource.", required=True),
        AvroField("known_ra", "float", ("diaObject.ra",)),
        AvroField("known_dec", "float", ("diaObject.dec", "diaObject.decl")),
    ),
    arrays={
        "prvDiaSources": _source("", required=False),
        "prvDiaForcedSources": (
            AvroField("source_id", "int", ("diaForcedSourceId",)),
            *(one for one in _source("", required=False) if one.name != "source_id"),
        ),
    },
)


def _columns(
    table: dict[str, NDArray[Any]], kind: int, unit: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Columns of sources; `unit` is nJy in the unit of each row's fluxes."""
    n = table["time"].size
    value, error = table["total"], table["total_err"]
    made = table["difference"] + table["template"]
    use = ~np.isfinite(value) & np.isfinite(made)
    value = np.where(use, made, value) * unit
    error = np.where(use, table["difference_err"], error) * unit
    flags = np.where(np.isfinite(value), 0, PointFlag.MISSING_VALUE)
    flags |= np.where(np.isfinite(error) & (error > 0), 0, PointFlag.MISSING_ERROR)
    flags |= np.where(table["bad"], PointFlag.SURVEY, 0)
    band = [BANDS.get(name or "", "") for name in table["band"].tolist()]
    return {
        "source_id": table["source_id"],
        "kind": np.full(n, kind, np.int8),
        "time": table["time"],
        "value": np.where(np.isfinite(value), value, np.nan),
        "error": np.where(np.isfinite(error), error, np.nan),
        "band": np.array(band, object),
        "flags": flags.astype(np.int32),
        "ra": table["ra"],
        "dec": table["dec"],
        "ra_err": table["ra_err"].astype(np.float32),
        "dec_err": table["dec_err"].astype(np.float32),
        "ra_dec_cov": table["ra_dec_cov"].astype(np.float32),
        "withdrawn": np.isfinite(table["withdrawn"]),
        "object_id": table["object_id"],
    }


def _refused(own: dict[str, NDArray[Any]]) -> NDArray[np.object_]:
    why = np.full(own["time"].size, "", object)
    why[~(np.abs(own["dec"]) <= 90) | ~(np.abs(own["ra"]) <= 360)] = "it has no position"
    why[~np.isfinite(own["time"])] = "it has no time"
    why[own["source_id"] == 0] = "it has no diaSourceId"
    return why


def _numbered(forced: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Forced photometry whose number is 0 gets one by its time, below zero, where no other is."""
    made = (mixed(forced["time"].view(np.uint64)) | np.uint64(1 << 63)).view(np.int64)
    made = np.where(np.isfinite(forced["time"]), made, 0)
    return {**forced, "source_id": np.where(forced["source_id"] != 0, forced["source_id"], made)}


class _Lsst(SurveyAlerts):
    def rows(self, tables: AvroTables) -> SurveyRows:
        own, earlier, forced = tables.tables
        forced = _numbered(forced)
        why = _refused(own)
        good = why == ""
        early = np.array([name.startswith("elasticc") for name in tables.schema], bool)
        unit = np.where(early, ELASTICC, 1.0)
        keep = [
            good,
            good[tables.record[1]] & (earlier["source_id"] != 0),
            good[tables.record[2]] & (forced["source_id"] != 0),
        ]
        record = [np.flatnonzero(good), tables.record[1][keep[1]], tables.record[2][keep[2]]]
        parts = []
        kinds = ((own, DETECTION), (earlier, DETECTION), (forced, FORCED))
        for k, (found, kind) in enumerate(kinds):
            table = {name: column[keep[k]] for name, column in found.items()}
            parts.append(_columns(table, kind, unit[record[k]]))
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        every = np.concatenate(record)
        lost = ~(np.abs(columns["dec"]) <= 90) | ~(np.abs(columns["ra"]) <= 360)
        known = (np.abs(own["known_dec"]) <= 90) & (np.abs(own["known_ra"]) <= 360)
        for name in ("ra", "dec"):  # forced photometry says no position before version 7.1
            place = np.where(known, own[f"known_{name}"], own[name])[every]
            columns[name] = np.where(lost, place, columns[name])
        star = np.where(columns["object_id"] != 0, columns["object_id"], own["object_id"][every])
        orphan = star == 0
        columns["object_id"] = np.where(orphan, "", star.astype(np.str_)).astype(object)
        return SurveyRows(
            record=every,
            own=np.arange(every.size) < record[0].size,
            columns=columns,
            refused=tuple((int(i), str(why[i])) for i in np.flatnonzero(~good)),
            n_limits=0,
        )


LSST = _Lsst(
    name="lsst",
    request=REQUEST,
    quantity="flux",
    unit="nJy",
    system="MJD TAI",
    site="cerro pachon",
    bands=tuple(sorted(set(BANDS.values()))),
)
