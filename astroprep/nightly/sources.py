"""Where alert packets come from: a file, a folder, a tar archive or a Kafka topic."""

from __future__ import annotations

import logging
import os
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from astroprep.errors import ConfigError, DataError
from astroprep.io.files import first_line
from astroprep.nightly.archive import ARCHIVES, open_archive
from astroprep.optional import need

__all__ = [
    "AlertSource",
    "FileAlerts",
    "KafkaAlerts",
    "Message",
    "open_alerts",
    "public_address",
    "schema_registry",
]

log = logging.getLogger(__name__)

LARGEST = 1 << 28  # bytes of a packet; more is something else
FETCHED = 256  # messages of a topic that are asked for at once
LOOK = 0.5  # seconds between looks at whether to stop
JOIN = 60.0  # seconds that a broker has to give partitions
QUIET: dict[str, Any] = {  # or a dead broker is 20 lines a second
    "log_level": 2,
    "reconnect.backoff.ms": 1000,
}


@dataclass(frozen=True)
class Message:
    """A packet as it came.

    Parameters
    ----------
    data : bytes
        Its content.
    origin : str
        File, member of an archive, or topic, partition and offset.
    fault : str
        Why it could not be fetched whole, or empty.
    """

    data: bytes
    origin: str
    fault: str = ""


class AlertSource(Protocol):
    """Gives packets one after the other."""

    def messages(self, size: int) -> Iterator[Message | None]:
        """Packets, and None behind each batch of them.

        A batch ends behind `size` packets, always at the same ones, or where there is nothing more
        for now. Nothing is fetched beyond a batch before it was asked for.
        """
        ...

    def commit(self) -> None:
        """Told when everything given so far is stored."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def public_address(source: str) -> str:
    """Address of a topic without the settings of the client, among which may be passwords."""
    if not source.startswith("kafka:"):
        return source
    address, _, query = source.partition("?")
    group = parse_qs(query).get("group")
    return f"{address}?group={group[-1]}" if group else address


def open_alerts(
    source: str,
    *,
    follow: bool = False,
    poll: float = 5.0,
    stop: threading.Event | None = None,
) -> AlertSource:
    """Open a source of packets.

    Parameters
    ----------
    source : str
        An Avro file, a folder of them (searched to the bottom, in the order of the names), a tar
        archive, or ``kafka://HOST:PORT/TOPIC?group=NAME``; further parameters of the address are
        settings of the client, such as ``security.protocol``.
    follow : bool, default False
        Wait for more instead of ending: new files of a folder, new messages of a topic.
    poll : float, default 5
        Seconds between looks at a folder, and that a batch of a topic waits for messages in all.
    stop : threading.Event, optional
        Once set the source ends within a second, in the midst of a batch.

    Raises
    ------
    ConfigError
        If there is no such file, or an archive or single file is to be followed.
    MissingExtraError
        If confluent-kafka is needed and not installed.
    """
    if source.startswith("kafka://"):
        return KafkaAlerts(source, follow=follow, wait=poll, stop=stop)
    path = Path(source)
    if not (path.is_file() or path.is_dir()):
        raise ConfigError(f"--alerts {source}: there is no such file or folder")
    if follow and not path.is_dir():
        raise ConfigError(f"--follow needs a folder or a Kafka topic, {source} is neither")
    return FileAlerts(path, follow=follow, poll=poll, stop=stop)


class FileAlerts:
    """Packets of files; see `open_alerts`."""

    def __init__(
        self,
        path: Path,
        *,
        follow: bool = False,
        poll: float = 5.0,
        stop: threading.Event | None = None,
    ) -> None:
        self.path = path
        self.follow = follow
        self.poll = poll
        self.stop = stop or threading.Event()

    def messages(self, size: int) -> Iterator[Message | None]:
        """Packets, and None behind each batch; see `AlertSource`."""
        n = 0
        for message in self._packets():
            if self.stop.is_set():
                return
            if message is not None:
                yield message
                n += 1
            if n >= size or (message is None and n):
                yield None
                n = 0

    def commit(self) -> None:
        """Files stay where they are."""

    def close(self) -> None:
        """No file is held open between packets."""

    def _packets(self) -> Iterator[Message | None]:
        """Packets; None when there is nothing more for now."""
        seen: set[str] = set()
        while True:
            for name in self._files():
                if name not in seen:
                    seen.add(name)
                    if name.endswith(ARCHIVES) and os.path.isfile(name):
                        yield from _of_archive(Path(name))
                    else:
                        yield _of_file(Path(name))
            yield None
            if not self.follow or self.stop.wait(self.poll):
                return

    def _files(self) -> list[str]:
        """Files in the order of their names, but those that begin with a dot."""
        if not self.path.is_dir():
            return [str(self.path)]
        closed: list[str] = []  # folders that may not be looked into
        found = [
            os.path.join(folder, name)
            for folder, inner, names in os.walk(
                self.path, onerror=lambda e: closed.append(e.filename)
            )
            for name in (*names, *(n for n in inner if os.path.islink(os.path.join(folder, n))))
            if not name.startswith(".")
        ]
        found += [name for name in closed if os.path.lexists(name)]
        return sorted(found, key=lambda name: name.split(os.sep))


def _readable(name: str) -> str:
    """A name of a file, whose bytes need not be UTF-8, as a text that can be stored."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _of_file(path: Path) -> Message:
    origin = _readable(str(path))
    try:
        if path.is_dir():
            return Message(b"", origin, "it is a link to a folder, or a folder that is closed")
        if not path.is_file():  # to open a pipe is to wait for who writes to it
            return Message(b"", origin, "it is no ordinary file")
        if path.stat().st_size > LARGEST:
            return Message(b"", origin, "it is absurdly large")
        return Message(path.read_bytes(), origin)
    except OSError as error:
        return Message(b"", origin, f"it cannot be read ({error.strerror or error})")


def _of_archive(path: Path) -> Iterator[Message]:
    """Packets of a tar archive, streamed; what is damaged ends it."""
    try:
        with open_archive(path) as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it would remember all
                if not member.isfile():
                    continue
                origin = _readable(f"{path}:{member.name}")
                if member.size > LARGEST:
                    yield Message(b"", origin, "it is absurdly large")
                    continue
                file = archive.extractfile(member)
                data = b"" if file is None else file.read()
                short = len(data) != member.size
                yield Message(data, origin, "the archive ends within it" if short else "")
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        yield Message(
            b"", _readable(str(path)), f"the archive is damaged here ({first_line(error)})"
        )
    except Exception as error:  # zlib.error and lzma.LZMAError have no common parent
        if type(error).__module__ not in ("zlib", "_lzma", "lzma", "bz2"):
            raise
        yield Message(
            b"", _readable(str(path)), f"the archive is damaged here ({first_line(error)})"
        )


class KafkaAlerts:
    """Packets of a Kafka topic; offsets are committed when their alerts are stored.

    Parameters
    ----------
    address : str
        See `open_alerts`.
    follow : bool, default False
        Go on when there is no message for `wait` seconds.
    wait : float, default 5
        Seconds that a batch waits for messages, in all.
    stop : threading.Event, optional
        Once set no more is fetched.
    consumer : object, optional
        With the methods of ``confluent_kafka.Consumer``; made from the address otherwise.
    """

    def __init__(
        self,
        address: str,
        *,
        follow: bool = False,
        wait: float = 5.0,
        stop: threading.Event | None = None,
        consumer: Any = None,
    ) -> None:
        parts = urlsplit(address)
        topic = parts.path.strip("/")
        if not parts.netloc or not topic:
            raise ConfigError(
                f"--alerts {public_address(address)}: write kafka://HOST:PORT/TOPIC?group=NAME"
            )
        settings = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        group = settings.pop("group", "astroprep")
        if consumer is None:
            kafka = need("confluent_kafka", extra="stream", who="A Kafka topic")
            try:
                consumer = kafka.Consumer(
                    {
                        "bootstrap.servers": parts.netloc,
                        "auto.offset.reset": "earliest",
                        **QUIET,
                        **settings,
                        "group.id": group,
                        "enable.auto.commit": False,  # only what is stored is done
                    }
                )
            except kafka.KafkaException as error:
                raise ConfigError(
                    f"--alerts {public_address(address)}: {error.args[0].str()}"
                ) from error
        self.address = public_address(address)
        self._consumer = consumer
        self._consumer.subscribe([topic])
        self.follow = follow
        self.wait = wait
        self.stop = stop or threading.Event()
        self._given = False

    def messages(self, size: int) -> Iterator[Message | None]:
        """Messages, and None behind each batch; see `AlertSource`."""
        n, waited = 0, 0.0
        begun, joined = time.monotonic(), False
        while not self.stop.is_set():
            asked = time.monotonic()
            fetched = self._consumer.consume(min(FETCHED, size - n), LOOK)
            joined = joined or bool(self._consumer.assignment())
            if joined:
                waited += time.monotonic() - asked
            elif not self.follow and asked - begun > JOIN:
                raise DataError(f"{self.address}: no partition was given within {JOIN:.0f} s")
            for one in fetched:
                if one.error() is None:
                    self._given = True
                    n += 1
                    origin = f"{one.topic()}[{one.partition()}]@{one.offset()}"
                    yield Message(one.value() or b"", origin)
                elif one.error().fatal():
                    raise DataError(f"Kafka: {one.error().str()}")
                else:
                    log.warning("Kafka: %s", one.error().str())
            if n >= size or waited >= self.wait:
                if n:
                    yield None
                elif not self.follow:
                    return
                n, waited = 0, 0.0

    def commit(self) -> None:
        """Tell the broker that what was given is done."""
        if self._given:
            self._consumer.commit(asynchronous=False)
            self._given = False

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()


def schema_registry(place: str) -> Callable[[int], bytes]:
    """Schemas by number, for messages in Confluent's framing.

    Parameters
    ----------
    place : str
        Address of a registry (``https://...``), or a folder of files ``NUMBER.avsc``.

    Returns
    -------
    callable
        Gives the JSON of a number; raises `DataError` where there is none.
    """
    known: dict[int, bytes | str] = {}

    def fetch(number: int) -> bytes:
        if place.startswith(("http://", "https://")):
            import json

            address = f"{place.rstrip('/')}/schemas/ids/{number}"
            with urllib.request.urlopen(address, timeout=30) as answer:
                return str(json.load(answer)["schema"]).encode()
        return (Path(place) / f"{number}.avsc").read_bytes()

    def get(number: int) -> bytes:
        if number not in known:
            if len(known) > 10_000:  # damaged messages name any number
                known.clear()
            try:
                known[number] = fetch(number)
            except (OSError, ValueError, KeyError, TypeError) as error:
                known[number] = f"the registry has no schema {number} ({first_line(error)})"
        found = known[number]
        if isinstance(found, str):
            raise DataError(found)
        return found

    return get
