"""One call of a night: batches in, history joined, what changed classified, all of it stored."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time as clock
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astroprep.errors import ConfigError, DataError
from astroprep.nightly.classify import NightClassifier, Verdicts
from astroprep.nightly.histories import object_histories
from astroprep.nightly.ingest import SURVEYS, AlertReader, Incoming, survey_of
from astroprep.nightly.merge import latest_objects, merge_observations, object_pieces
from astroprep.nightly.objects import CLASSIFICATIONS
from astroprep.nightly.outbox import Outbox, connect
from astroprep.nightly.rows import OBSERVATIONS
from astroprep.nightly.settings import COUNTS, NightOptions, NightResult
from astroprep.nightly.sources import AlertSource, Message, schema_registry
from astroprep.nightly.state import State, open_state

__all__ = ["NightSession"]

log = logging.getLogger(__name__)

SNIFFED = 100  # packets that are looked at to tell the survey
TAIL = 256  # bytes that tell packets of one length apart: a container ends with a random mark


class NightSession:
    """One call of `run_night`; a context, whose end closes the state.

    Parameters
    ----------
    url, bundle
        See `run_night`.
    source_name : str
        For the ledger: without secrets.
    source : AlertSource
        Read in batches, and left open.
    options : NightOptions
        Choices.
    stop : threading.Event
        Once set, what is being read is given up.

    Raises
    ------
    ConfigError, DataError
        See `run_night`; the state is closed then.
    """

    def __init__(
        self,
        url: str,
        bundle: str | Path,
        source_name: str,
        source: AlertSource,
        options: NightOptions,
        stop: threading.Event,
    ) -> None:
        self.options = options
        producer = connect(options.publish) if options.publish else None
        self._stop = stop
        self.name = options.night or datetime.now(UTC).strftime("%Y-%m-%d")
        self.source_name = source_name
        registry = schema_registry(options.registry) if options.registry else None
        self._messages: Iterator[Message | None] = source.messages(options.batch)
        self.state = self._open(url, registry)
        try:
            survey = SURVEYS[self.state.about.survey]
            self.survey = survey
            self.reader = AlertReader(survey, self.state.about.order, registry)
            self.classifier = NightClassifier(
                bundle,
                survey,
                band_map=options.band_map,
                unknown_below=options.unknown_below,
                few=options.few,
            )
            self._outbox: Outbox | None = None
            if producer is not None:
                self._outbox = Outbox(self.state, options.publish, producer)
                self.publish()
        except BaseException:
            self.state.close()
            raise
        self.counts = dict.fromkeys(COUNTS, 0)
        self.n_resumed = 0
        self.runs: list[int] = []
        self._said: list[pa.Table] = []
        self._done = self._unfinished()
        self._index = 0
        self._begun = (0.0, 0.0)

    def __enter__(self) -> NightSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.state.close()

    def _open(self, url: str, registry: Any) -> State:
        """The state for writing; a new one gets the survey of the packets."""
        settings = {"order": self.options.order, "storage_options": self.options.storage_options}
        survey = self.options.survey
        if survey and survey not in SURVEYS:
            raise ConfigError(f"--survey {survey} is none of {', '.join(SURVEYS)}")
        if not survey:
            try:
                with open_state(url, storage_options=self.options.storage_options) as known:
                    survey = known.about.survey
            except (ConfigError, DataError):  # not there, or killed while it was begun
                survey = survey_of(self._sniffed(), registry).name
        return open_state(url, write=True, survey=survey, **settings)  # type: ignore[arg-type]

    def _sniffed(self) -> list[Message]:
        """First packets, which stay to be read; not beyond the first batch."""
        first: list[Message | None] = []
        for one in self._messages:
            first.append(one)
            if one is None or len(first) == SNIFFED:
                break
        self._messages = chain(first, self._messages)
        return [one for one in first if one is not None]

    def _unfinished(self) -> dict[int, dict[str, Any]]:
        """Batches that an interrupted run of this night has stored, by number."""
        rows = self.state.runs.to_pylist()
        mine = [r for r in rows if r["kind"] == "night" and r["night"] == self.name]
        mine = [r for r in mine if r["source"] == self.source_name]
        last = max((i for i, r in enumerate(mine) if r["closed"]), default=-1)
        return {int(row["batch"]): row for row in mine[last + 1 :]}

    def batches(self) -> Iterator[tuple[Incoming, str]]:
        """Batches that are not stored yet, and what tells them from others."""
        while True:
            seen, self._begun = _Seen(), (clock.perf_counter(), clock.process_time())
            incoming = self.reader.read(seen.batch(self._messages))
            if not seen.n or self._stop.is_set():
                return
            done = self._done.pop(self._index, None)
            if done is not None and done["digest"] == seen.digest():
                log.info("batch %d of night %s is stored already", self._index, self.name)
                counts = json.loads(done["counts"])
                self._count(counts)
                self.n_resumed += counts.get("received", 0)
                self._remember(int(done["run"]))
            else:
                self._done.clear()
                yield incoming, seen.digest()
            self._index += 1

    def take(self, incoming: Incoming, digest: str) -> NightResult:
        """Join a batch to the history, classify what changed and store all of it."""
        known, stored = self._history(incoming.observations)
        fresh, verdicts = self._classified(known, stored, incoming.observations)
        counts = _counted(incoming, fresh, verdicts)
        run = self.state.commit(
            "night",
            {
                "observations": fresh,
                "objects": verdicts.objects,
                "classifications": verdicts.classifications,
                "dead_letters": self._new_dead(incoming.dead),
            },
            counts=counts,
            night=self.name,
            source=self.source_name,
            batch=self._index,
            closed=False,
            digest=digest,
            bundle=self.classifier.bundle_sha256,
        )
        self._count(counts)
        self._remember(run, verdicts.classifications)
        seconds = (
            clock.perf_counter() - self._begun[0],
            clock.process_time() - self._begun[1],
        )
        log.info(
            "stored batch",
            extra={
                "night": self.name,
                "batch": self._index,
                "run": run,
                "seconds": round(seconds[0], 3),
                **counts,
            },
        )
        every = {**dict.fromkeys(COUNTS, 0), **counts}
        return NightResult(self.name, every, verdicts.classifications, *seconds, (run,))

    def publish(self) -> None:
        """Send what was said and not yet sent."""
        if self._outbox is not None:
            self._outbox.send()

    def finish(self) -> None:
        """Close the night in the ledger, so that its next run is a replay."""
        self.runs.append(
            self.state.commit(
                "night",
                {},
                counts=self.counts,
                night=self.name,
                source=self.source_name,
                batch=self._index,
                closed=True,
                bundle=self.classifier.bundle_sha256,
            )
        )

    def result(self, started: tuple[float, float], *, complete: bool) -> NightResult:
        """What came of the batches so far, since a time of the clock and of the processor."""
        schema = pa.schema([one for one in CLASSIFICATIONS if one.name != "run"])
        return NightResult(
            self.name,
            dict(self.counts),
            pa.concat_tables([schema.empty_table(), *self._said]),
            clock.perf_counter() - started[0],
            clock.process_time() - started[1],
            tuple(self.runs),
            self.n_resumed,
            complete,
        )

    # -- inside -----------------------------------------------------------------------------

    def _history(self, observations: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Latest rows of the objects in a batch, and all that is stored of them."""
        names = pc.unique(observations["object_id"].combine_chunks())
        names = names.filter(pc.not_equal(names, ""))
        known = latest_objects(self.state.read("objects", where=pc.field("object_id").isin(names)))
        pixels = set(np.unique(observations["pixel"].to_numpy()).tolist())
        pixels |= set(pc.unique(known["pixels"].combine_chunks().flatten()).to_pylist())
        where = pc.field("object_id").isin(names)
        orphans = observations.filter(pc.equal(observations["object_id"], ""))
        if orphans.num_rows:
            keys = pc.unique(orphans["source_id"].combine_chunks())
            where = where | ((pc.field("object_id") == "") & pc.field("source_id").isin(keys))
        columns = [name for name in OBSERVATIONS.names if name != "run"]
        stored = self.state.read(
            "observations", columns, pc.field("pixel").isin(sorted(pixels)) & where
        )
        schema = pa.schema([OBSERVATIONS.field(name) for name in columns])
        return known, stored.select(columns).cast(schema)

    def _classified(
        self, known: pa.Table, stored: pa.Table, incoming: pa.Table
    ) -> tuple[pa.Table, Verdicts]:
        """New rows, and what the histories that they change say now."""
        fresh, verdicts = [], []
        for old, new in object_pieces(stored, incoming):
            merged = merge_observations(old, new)
            fresh.append(merged.current.filter(pa.array(merged.is_new)))
            names = pc.unique(fresh[-1]["object_id"].combine_chunks())
            names = names.filter(pc.not_equal(names, "")).sort()
            histories = object_histories(merged.current, names, self.survey)
            verdicts.append(self.classifier.classify(histories, known, self.name))
        return pa.concat_tables(fresh), Verdicts.joined(verdicts)

    def _new_dead(self, dead: pa.Table) -> pa.Table:
        """Dead letters that are not stored yet, each once."""
        if not dead.num_rows:
            return dead
        digest = dead["sha256"].to_numpy(zero_copy_only=False)
        _, first = np.unique(digest.astype(str), return_index=True)
        dead = dead.take(pa.array(np.sort(first)))
        where = pc.field("sha256").isin(dead["sha256"].combine_chunks())
        stored = self.state.read("dead_letters", ["sha256"], where)
        old = pc.is_in(dead["sha256"], value_set=stored["sha256"].combine_chunks())
        return dead.filter(pc.invert(old))

    def _count(self, counts: Mapping[str, int]) -> None:
        for name in COUNTS:
            self.counts[name] += counts.get(name, 0)

    def _remember(self, run: int, rows: pa.Table | None = None) -> None:
        self.runs.append(run)
        if rows is None:
            rows = self.state.read("classifications", where=pc.field("run") == run)
            rows = rows.drop_columns(["run"])
        if self.options.follow:  # for ever, perhaps
            self._said.clear()
        self._said.append(rows)


class _Seen:
    """Tells, of packets that pass by, whether they are the same as others."""

    def __init__(self) -> None:
        self.n = 0
        self._hash = hashlib.sha256()

    def batch(self, messages: Iterable[Message | None]) -> Iterator[Message]:
        """Packets up to the end of a batch."""
        for one in messages:
            if one is None:
                return
            self.n += 1
            self._hash.update(f"{one.origin}\n{len(one.data)}\n".encode())
            self._hash.update(one.data[-TAIL:])
            yield one

    def digest(self) -> str:
        return self._hash.hexdigest()


def _counted(incoming: Incoming, fresh: pa.Table, verdicts: Verdicts) -> dict[str, int]:
    new = int(pc.sum(pc.equal(fresh["quality"], 1)).as_py() or 0)
    dead = incoming.dead.num_rows
    return {
        "received": incoming.n_received,
        "new": new,
        "duplicate": incoming.n_received - new - dead,
        "dead": dead,
        "limits": incoming.n_limits,
        "observations": fresh.num_rows,
        "withdrawn": int(pc.sum(fresh["withdrawn"]).as_py() or 0),
        **verdicts.counts,
    }
