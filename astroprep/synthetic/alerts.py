"""Nights of alert packets of simulated variable stars, in the schemas of ZTF and LSST."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError
from astroprep.synthetic.alert_packets import PacketWriter
from astroprep.synthetic.alert_stars import FIRST, AlertStars, Survey, draw_alert_stars

__all__ = ["AlertNight", "AlertStars", "simulate_alerts"]

CUTOUT = 18_000  # bytes of each of three compressed images in a ZTF packet, as of real ones


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
    if (
        survey not in ("ztf", "lsst")
        or n_stars < 1
        or n_nights < 1
        or not all(0 <= s < 1 for s in shares)
    ):
        raise ConfigError(
            "simulate_alerts needs survey 'ztf' or 'lsst', at least one star and night, and "
            f"shares from 0 to 1; got {survey!r}, {n_stars}, {n_nights}, {shares}"
        )
    rng = np.random.default_rng(seed)
    stars = draw_alert_stars(rng, n_stars, n_nights, visits_per_night, survey)
    writer = PacketWriter(stars, survey, version, codec, cutout, orphans, seed)
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


class _Packets(Sequence[bytes]):
    """Packets that are made when they are asked for."""

    def __init__(
        self, writer: PacketWriter, visit: NDArray[np.int64], withdraw: NDArray[np.bool_]
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
