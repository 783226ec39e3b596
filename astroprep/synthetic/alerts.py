"""Nights of alert packets of simulated variable stars, in the schemas of ZTF and LSST."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError
from astroprep.optional import need
from astroprep.synthetic.alert_schemas import lsst_schema, ztf_schema
from astroprep.synthetic.stars import Stars, draw_stars, magnitude

__all__ = ["AlertNight", "AlertStars", "simulate_alerts"]

Survey = Literal["ztf", "lsst"]

FIRST = 59000  # MJD of the first night
BANDS = {"ztf": ("g", "r"), "lsst": ("g", "r")}
HISTORY = 30.0  # days of earlier candidates and of forced photometry in a packet
ZERO_POINT = 26.3  # of forced ZTF photometry, mag
DETECTED = 5.0  # sigma of the difference
MJD = 2400000.5
CUTOUT = 18_000  # bytes of each of three compressed images in a ZTF packet, as of real ones
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VARIABLE = ("RRab", "RRc", "Cepheid", "delta-Scuti", "EA", "EW", "LPV", "rotational")


@dataclass(frozen=True, eq=False)
class AlertStars:
    """Stars that give alerts, and all visits of them.

    Parameters
    ----------
    label : object array of str, shape (n_stars,)
        True classes.
    period : float64 array, shape (n_stars,)
        True periods, days; NaN where nothing repeats.
    ra, dec : float64 array, shape (n_stars,)
        Degrees.
    id : object array of str, shape (n_stars,)
        Names in the packets.
    star : int64 array, shape (n_visits,)
        Star of each visit; visits are ordered by star and time.
    mjd : float64 array, shape (n_visits,)
        Mid-exposure, UTC, days.
    band : int64 array, shape (n_visits,)
        Code into the bands of the survey.
    flux, flux_err, reference : float64 array, shape (n_visits,)
        Of the star as measured, its error, and of the star in the reference image, nJy.
    detected : bool array, shape (n_visits,)
        Whether the difference gave an alert.
    """

    label: NDArray[np.object_]
    period: NDArray[np.float64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    id: NDArray[np.object_]
    star: NDArray[np.int64]
    mjd: NDArray[np.float64]
    band: NDArray[np.int64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    reference: NDArray[np.float64]
    detected: NDArray[np.bool_]

    @property
    def night(self) -> NDArray[np.int64]:
        """Whole MJD of each visit."""
        return np.floor(self.mjd).astype(np.int64)


@dataclass(frozen=True, eq=False)
class AlertNight:
    """One night.

    Parameters
    ----------
    mjd : int
        Its day.
    packets : sequence of bytes
        In the order of arrival; each is made when it is asked for, because a night may be larger
        than the memory.
    visit : int64 array, shape (n_packets,)
        Visit of each packet, in `AlertStars`.
    """

    mjd: int
    packets: Sequence[bytes]
    visit: NDArray[np.int64]


def simulate_alerts(
    n_stars: int = 50,
    n_nights: int = 10,
    seed: int = 1,
    *,
    survey: Survey = "ztf",
    version: str | None = None,
    visits_per_night: float | Sequence[float] = 2.0,
    duplicates: float = 0.03,
    late: float = 0.02,
    withdrawn: float = 0.01,
    orphans: float = 0.02,
    codec: str = "null",
    cutout: int = CUTOUT,
    only: int | None = None,
) -> tuple[AlertStars, Iterator[AlertNight]]:
    """Stars and the nights of their alerts.

    Parameters
    ----------
    n_stars, n_nights : int
        How many; the nights follow each other.
    seed : int
        The same seed, the same bytes.
    survey : {"ztf", "lsst"}
        Whose packets.
    version : str, optional
        Of the schema: 4.02 (default) or 3.3 of ZTF, 10.0 (default) or 7.4 of LSST.
    visits_per_night : float or sequence of float, shape (n_nights,), default 2
        Mean number in both bands together, of every night or of each.
    duplicates, late, withdrawn, orphans : float
        Shares of packets that come twice, that come a night later, that are withdrawn the night
        after (LSST) and that belong to no object (LSST). Packets come in no order.
    codec : {"null", "deflate", "snappy"}
        Of the containers.
    cutout : int, default 18000
        Bytes of each of three images, which are noise.
    only : int, optional
        Make the packets of this night alone, counted from 0; the others are empty.

    Returns
    -------
    stars : AlertStars
        The truth.
    nights : iterator of AlertNight
        Made one by one.

    Raises
    ------
    ConfigError
        If a number is out of range or the survey is not known.
    MissingExtraError
        If fastavro is not installed.
    """
    shares = (duplicates, late, withdrawn, orphans)
    if survey not in BANDS or n_stars < 1 or n_nights < 1 or not all(0 <= s < 1 for s in shares):
        raise ConfigError(
            "simulate_alerts needs survey 'ztf' or 'lsst', at least one star and night, and "
            f"shares from 0 to 1; got {survey!r}, {n_stars}, {n_nights}, {shares}"
        )
    rng = np.random.default_rng(seed)
    stars = _draw(rng, n_stars, n_nights, visits_per_night, survey)
    writer = _Writer(stars, survey, version, codec, cutout, orphans, seed)
    arrival = stars.night - FIRST + (rng.random(stars.mjd.size) < late)
    twice = rng.random(stars.mjd.size) < duplicates
    away = (rng.random(stars.mjd.size) < withdrawn) & (survey == "lsst") & (version != "7.4")

    def nights() -> Iterator[AlertNight]:
        for night in range(n_nights):
            if only is not None and night != only:
                nothing = np.empty(0, np.int64)
                yield AlertNight(FIRST + night, _Packets(writer, nothing, nothing > 0), nothing)
                continue
            shuffle = np.random.default_rng((seed, night))
            here = np.flatnonzero(stars.detected & (arrival == night))
            again = here[twice[here]]
            gone = np.flatnonzero(stars.detected & away & (arrival == night - 1))
            visit = np.concatenate([here, again, gone])
            withdraw = np.arange(visit.size) >= here.size + again.size
            order = shuffle.permutation(visit.size)
            packets = _Packets(writer, visit[order], withdraw[order])
            yield AlertNight(FIRST + night, packets, visit[order])

    return stars, nights()


def _draw(
    rng: np.random.Generator,
    n_stars: int,
    n_nights: int,
    visits_per_night: float | Sequence[float],
    survey: Survey,
) -> AlertStars:
    """Stars, visits and fluxes."""
    label = rng.permutation(np.resize(np.array(VARIABLE, object), n_stars))
    physical: Stars = draw_stars(rng, label)
    ra = (150.0 + rng.uniform(-20, 20, n_stars)) % 360
    dec = rng.uniform(-20.0, 20.0, n_stars)
    level = rng.uniform(15.5, 18.5, n_stars)
    colour = rng.uniform(0.1, 0.6, n_stars)
    count = rng.poisson(visits_per_night, (n_stars, n_nights))
    star = np.repeat(np.repeat(np.arange(n_stars), n_nights), count.ravel())
    night = np.repeat(np.tile(np.arange(n_nights), n_stars), count.ravel())
    mjd = FIRST + night + rng.uniform(0.15, 0.45, star.size)
    order = np.lexsort((mjd, star))
    star, mjd = star[order], np.round(mjd[order], 6)
    band = rng.integers(0, 2, star.size)
    base = level[star] + colour[star] * (band == 0)
    truth = 10 ** (0.4 * (31.4 - base - magnitude(physical, star, mjd)))
    reference = 10 ** (0.4 * (31.4 - base))
    error = 0.012 * truth + 150.0
    flux = truth + rng.normal(0, 1, star.size) * error
    return AlertStars(
        label=label,
        period=physical.period,
        ra=ra,
        dec=dec,
        id=_names(n_stars, survey),
        star=star,
        mjd=mjd,
        band=band,
        flux=flux,
        flux_err=error,
        reference=reference,
        detected=np.abs(flux - reference) > DETECTED * error,
    )


def _names(n: int, survey: Survey) -> NDArray[np.object_]:
    if survey == "lsst":
        return np.array([str(10**15 + 7919 * k) for k in range(n)], object)
    names = []
    for k in range(n):
        letters = ""
        for _ in range(7):
            k, rest = divmod(k, 26)
            letters = LETTERS[rest] + letters
        names.append("ZTF20" + letters)
    return np.array(names, object)


class _Packets(Sequence[bytes]):
    """Packets that are made when they are asked for."""

    def __init__(
        self, writer: _Writer, visit: NDArray[np.int64], withdraw: NDArray[np.bool_]
    ) -> None:
        self._writer, self._visit, self._withdraw = writer, visit, withdraw

    def __len__(self) -> int:
        return self._visit.size

    @overload
    def __getitem__(self, at: int) -> bytes: ...

    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...

    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        return self._writer.packet(int(self._visit[at]), bool(self._withdraw[at]))


class _Writer:
    """Makes the packet of a visit."""

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
            "band": BANDS["lsst"][s.band[visit]],
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
            "band": BANDS["lsst"][s.band[visit]],
            "timeProcessedMjdTai": s.mjd[visit] + 0.001,
        }
