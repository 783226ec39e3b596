"""The packet of a visit, in the schemas of ZTF and LSST."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.optional import need
from astroprep.synthetic.alert_schemas import lsst_schema, ztf_schema
from astroprep.synthetic.alert_stars import FIRST, AlertStars, Survey

__all__ = ["PacketWriter"]

BANDS = ("g", "r")
HISTORY = 30.0  # days of earlier candidates and of forced photometry in a packet
ZERO_POINT = 26.3  # of forced ZTF photometry, mag
MJD = 2400000.5


class PacketWriter:
    """Makes the packet of a visit.

    Parameters
    ----------
    stars : AlertStars
        Whose visits.
    survey : {"ztf", "lsst"}
        Whose schema.
    version : str or None
        Of the schema; 4.02 and 10.0 by default.
    codec : str
        Of Avro.
    cutout : int
        Bytes of each of three images.
    orphans : float
        Share of LSST packets without an object.
    seed : int
        Of the noise in the images and of the positions.

    Raises
    ------
    MissingExtraError
        If fastavro is not installed.
    """

    def __init__(
        self,
        stars: AlertStars,
        survey: Survey,
        version: str | None,
        codec: str,
        cutout: int,
        orphans: float,
        seed: int,
    ) -> None:
        self.avro = need("fastavro", extra="nightly", who="simulate_alerts")
        self.stars = stars
        self.survey = survey
        self.version = version or {"ztf": "4.02", "lsst": "10.0"}[survey]
        make = ztf_schema if survey == "ztf" else lsst_schema
        self.schema = self.avro.parse_schema(make(self.version))
        self.codec = codec
        rng = np.random.default_rng((seed, 99))
        self.noise = rng.bytes(4 * cutout + 1)
        self.cutout = cutout
        self.first = np.searchsorted(stars.star, np.arange(stars.id.size + 1))
        self.orphan = rng.random(stars.mjd.size) < orphans
        offset = rng.normal(0, 0.05, (2, stars.mjd.size)) / 3600
        self.dec = stars.dec[stars.star] + offset[0]
        self.ra = stars.ra[stars.star] + offset[1] / np.cos(np.deg2rad(self.dec))

    def packet(self, visit: int, withdraw: bool) -> bytes:
        """The file of a visit, or, of LSST, the one that withdraws its source."""
        start = int(self.first[self.stars.star[visit]])
        before = np.arange(start, visit)
        before = before[self.stars.mjd[before] > self.stars.mjd[visit] - HISTORY]
        if self.survey == "ztf":
            content = self._ztf(visit, before)
        else:
            content = self._lsst(visit, before, withdraw)
        out = io.BytesIO()
        marker = visit.to_bytes(16, "big")
        self.avro.writer(out, self.schema, [content], codec=self.codec, sync_marker=marker)
        return out.getvalue()

    def _image(self, visit: int, which: int) -> bytes:
        start = (visit * 7 + which * self.cutout) % (len(self.noise) - self.cutout)
        return self.noise[start : start + self.cutout]

    def _ztf(self, visit: int, before: NDArray[np.int64]) -> dict[str, Any]:
        own = self._ztf_row(visit) | {
            "ndethist": 5,
            "ncovhist": 100,
            "nmtchps": 3,
            "rfid": 77,
            "jdstartref": MJD + FIRST - 700,
            "jdendref": MJD + FIRST - 600,
            "nframesref": 15,
            "rbversion": "t17_f5_c3",
            "nmatches": 500,
            "exptime": 30.0,
            "drb": 0.99,
            "drbversion": "d6_m7",
            "ssnamenr": "null",
        }
        packet = {
            "schemavsn": self.version,
            "publisher": "astroprep simulation",
            "objectId": self.stars.id[self.stars.star[visit]],
            "candid": own["candid"],
            "candidate": own,
            "prv_candidates": [self._ztf_row(int(k)) for k in before] or None,
            "fp_hists": [self._ztf_forced(int(k)) for k in before] or None,
        }
        for which, name in enumerate(("Science", "Template", "Difference")):
            stamp = {"fileName": f"{visit}_{name}.fits.gz", "stampData": self._image(visit, which)}
            packet[f"cutout{name}"] = stamp
        return packet

    def _ztf_row(self, visit: int) -> dict[str, Any]:
        """A candidate, or the limit of a visit without one."""
        s = self.stars
        row: dict[str, Any] = {
            "jd": s.mjd[visit] + MJD - 15 / 86400,
            "fid": int(s.band[visit]) + 1,
            "pid": 10**12 + visit,
            "diffmaglim": 20.5,
            "programid": 1,
            "rcid": 12,
            "field": 500,
            "nid": int(s.mjd[visit]),
        }
        if not s.detected[visit]:
            return row
        difference = s.flux[visit] - s.reference[visit]
        return row | {
            "candid": 10**15 + visit,
            "isdiffpos": ("t" if visit % 2 else "1") if difference > 0 else "f",
            "ra": self.ra[visit],
            "dec": self.dec[visit],
            "magpsf": 31.4 - 2.5 * np.log10(abs(difference)),
            "sigmapsf": 1.0857 * s.flux_err[visit] / abs(difference),
            "distnr": 0.3,
            "magnr": 31.4 - 2.5 * np.log10(s.reference[visit]),
            "sigmagnr": 0.01,
            "ranr": s.ra[s.star[visit]],
            "decnr": s.dec[s.star[visit]],
            "magzpsci": ZERO_POINT,
            "rb": 0.9,
            "scorr": 12.0,
        }

    def _ztf_forced(self, visit: int) -> dict[str, Any]:
        s = self.stars
        counts = 10 ** (0.4 * (ZERO_POINT - 31.4))
        return {
            "fid": int(s.band[visit]) + 1,
            "pid": 10**12 + visit,
            "rfid": 77,
            "magzpsci": ZERO_POINT,
            "exptime": 30.0,
            "programid": 1,
            "jd": s.mjd[visit] + MJD - 15 / 86400,
            "forcediffimflux": counts * (s.flux[visit] - s.reference[visit]),
            "forcediffimfluxunc": counts * s.flux_err[visit],
            "procstatus": "0",
            "distnr": 0.3,
            "ranr": s.ra[s.star[visit]],
            "decnr": s.dec[s.star[visit]],
            "magnr": 31.4 - 2.5 * np.log10(s.reference[visit]),
            "sigmagnr": 0.01,
        }

    def _lsst(self, visit: int, before: NDArray[np.int64], withdraw: bool) -> dict[str, Any]:
        s = self.stars
        own = self._lsst_row(visit)
        if withdraw:
            own["timeWithdrawnMjdTai"] = s.mjd[visit] + 1.0
        known = [int(k) for k in before if s.detected[k] and not self.orphan[k]]
        star = s.star[visit]
        target = {
            "diaObjectId": int(s.id[star]),
            "validityStartMjdTai": float(FIRST),
            "ra": s.ra[star],
            "dec": s.dec[star],
            "nDiaSources": len(known) + 1,
        }
        orphan = bool(self.orphan[visit])
        forced = [self._lsst_forced(int(k)) for k in before]
        return {
            "diaSourceId": own["diaSourceId"],
            "alertId": own["diaSourceId"],
            "diaSource": own,
            "prvDiaSources": None if orphan else [self._lsst_row(k) for k in known] or None,
            "prvDiaForcedSources": None if orphan else forced or None,
            "diaObject": None if orphan else target,
            "cutoutDifference": self._image(visit, 0),
            "cutoutScience": self._image(visit, 1),
            "cutoutTemplate": self._image(visit, 2),
        }

    def _lsst_row(self, visit: int) -> dict[str, Any]:
        s = self.stars
        return {
            "diaSourceId": 10**16 + visit,
            "visit": visit,
            "detector": 94,
            "diaObjectId": None if self.orphan[visit] else int(s.id[s.star[visit]]),
            "midpointMjdTai": s.mjd[visit] + 37 / 86400,
            "ra": self.ra[visit],
            "raErr": 1e-5,
            "dec": self.dec[visit],
            "decErr": 1e-5,
            "ra_dec_Cov": 1e-11,
            "x": 100.0,
            "y": 200.0,
            "psfFlux": s.flux[visit] - s.reference[visit],
            "psfFluxErr": s.flux_err[visit],
            "scienceFlux": s.flux[visit],
            "scienceFluxErr": s.flux_err[visit],
            "templateFlux": s.reference[visit],
            "templateFluxErr": 10.0,
            "reliability": 0.9,
            "band": BANDS[s.band[visit]],
            "timeProcessedMjdTai": s.mjd[visit] + 0.001,
        }

    def _lsst_forced(self, visit: int) -> dict[str, Any]:
        s = self.stars
        star = s.star[visit]
        return {
            "diaForcedSourceId": 2 * 10**16 + visit,
            "diaObjectId": int(s.id[star]),
            "ra": s.ra[star],
            "dec": s.dec[star],
            "visit": visit,
            "detector": 94,
            "psfFlux": s.flux[visit] - s.reference[visit],
            "psfFluxErr": s.flux_err[visit],
            "midpointMjdTai": s.mjd[visit] + 37 / 86400,
            "scienceFlux": s.flux[visit],
            "scienceFluxErr": s.flux_err[visit],
            "band": BANDS[s.band[visit]],
            "timeProcessedMjdTai": s.mjd[visit] + 0.001,
        }
