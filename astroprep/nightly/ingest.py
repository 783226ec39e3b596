"""From packets to observations: decoded, placed, on one clock; what cannot be goes to the dead."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astroprep.data import PointFlag
from astroprep.errors import ConfigError
from astroprep.integrate import to_bjd_tdb
from astroprep.io.avro import AvroDecoder
from astroprep.nightly.lsst import LSST
from astroprep.nightly.rows import OBSERVATIONS, SurveyAlerts, SurveyRows, healpix_pixel
from astroprep.nightly.sources import Message
from astroprep.nightly.ztf import ZTF

__all__ = ["DEAD_LETTERS", "SURVEYS", "AlertReader", "Incoming", "survey_of"]

SURVEYS: dict[str, SurveyAlerts] = {one.name: one for one in (ZTF, LSST)}
CHUNK = 256  # packets decoded at a time: their columns stay in the cache
KEPT = 1 << 24  # bytes of a dead packet that are stored
ZERO = 2400000.5

DEAD_LETTERS = pa.schema(
    [
        ("sha256", pa.string()),
        ("origin", pa.string()),
        ("reason", pa.string()),
        ("data", pa.binary()),
        ("run", pa.int64()),
    ]
)
"""Columns of the table of packets that could not be read: bytes, and why."""


@dataclass(frozen=True, eq=False)
class Incoming:
    """What some packets said.

    Parameters
    ----------
    observations : pyarrow.Table
        Columns of `OBSERVATIONS` but ``run``, repeats included.
    dead : pyarrow.Table
        Columns of `DEAD_LETTERS` but ``run``, one row a packet or damaged remainder.
    n_received : int
        Alerts: those read, and the dead.
    n_limits : int
        Non-detections that were left out.
    """

    observations: pa.Table
    dead: pa.Table
    n_received: int
    n_limits: int


class AlertReader:
    """Turns packets of one survey into observations.

    Parameters
    ----------
    survey : SurveyAlerts
        Whose.
    order : int
        HEALPix order of the pixels.
    registry : callable, optional
        See `astroprep.io.avro.AvroDecoder`.
    """

    def __init__(
        self, survey: SurveyAlerts, order: int, registry: Callable[[int], bytes] | None = None
    ) -> None:
        self.survey = survey
        self.order = order
        self._decoder = AvroDecoder(survey.request, registry)

    def read(self, messages: Iterable[Message]) -> Incoming:
        """Observations of packets; none of them stops the others.

        They are taken one by one and let go of, so that a night may be larger than the memory.
        """
        parts, dead = [], []
        received = limits = 0
        for chunk in _chunks(messages):
            whole = [one for one in chunk if not one.fault]
            dead += [_dead(one, one.fault) for one in chunk if one.fault]
            tables = self._decoder.decode([one.data for one in whole])
            rows = self.survey.rows(tables)
            dead += [_dead(whole[i], reason) for i, reason in tables.failed]
            dead += [_dead(whole[tables.message[i]], reason) for i, reason in rows.refused]
            received += tables.message.size - len(rows.refused)
            limits += rows.n_limits
            parts.append(self._observations(rows))
        names = [name for name in DEAD_LETTERS.names if name != "run"]
        columns = list(zip(*dead, strict=True)) if dead else [()] * len(names)
        return Incoming(
            observations=pa.concat_tables(parts) if parts else _empty(),
            dead=pa.table(
                {
                    name: pa.array(column, DEAD_LETTERS.field(name).type)
                    for name, column in zip(names, columns, strict=True)
                }
            ),
            n_received=received + len(dead),
            n_limits=limits,
        )

    def _observations(self, rows: SurveyRows) -> pa.Table:
        columns: dict[str, Any] = dict(rows.columns)
        place = (columns["ra"], columns["dec"])
        time = to_bjd_tdb(
            columns["time"],
            system=self.survey.system,
            ra=place[0],
            dec=place[1],
            site=self.survey.site,
            reference=ZERO,
        )
        lost = ~np.isfinite(time)
        columns["time"] = time
        columns["flags"] = columns["flags"] | np.where(lost, np.int32(PointFlag.BAD_TIME), 0)
        columns["pixel"] = healpix_pixel(*place, self.order)
        columns["quality"] = rows.own.astype(np.int8)
        return _table(columns, rows.record.size)


def _chunks(messages: Iterable[Message]) -> Iterator[list[Message]]:
    rest = iter(messages)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _table(columns: dict[str, NDArray[Any]], n: int) -> pa.Table:
    arrays = {}
    for field in OBSERVATIONS:
        if field.name == "run":
            continue
        column = columns.get(field.name)
        if column is None:
            arrays[field.name] = pa.nulls(n, field.type)
        else:
            arrays[field.name] = pa.array(column, field.type)
    return pa.table(arrays)


def _empty() -> pa.Table:
    return _table({}, 0)


def _dead(message: Message, reason: str) -> tuple[str, str, str, bytes]:
    digest = hashlib.sha256(message.data or message.origin.encode()).hexdigest()
    return digest, message.origin, reason, message.data[:KEPT]


def survey_of(
    messages: Sequence[Message], registry: Callable[[int], bytes] | None = None
) -> SurveyAlerts:
    """Survey whose schema the packets have.

    Raises
    ------
    ConfigError
        If none can be read as a packet of a known survey.
    """
    decoders = {name: AvroDecoder(survey.request, registry) for name, survey in SURVEYS.items()}
    for message in messages:
        for name, decoder in decoders.items():
            if decoder.decode([message.data]).message.size:
                return SURVEYS[name]
    if not messages:
        raise ConfigError(
            "there are no packets, and a new state needs to know whose alerts it holds; say so "
            f"with --survey ({' or '.join(SURVEYS)})"
        )
    raise ConfigError(
        f"none of the first {len(messages)} packets is one of {', '.join(SURVEYS)}; "
        "say with --survey whose they are"
    )
