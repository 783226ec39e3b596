"""A night: alerts in, history joined, what changed classified, everything stored at once."""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Callable
from pathlib import Path

from astroprep.errors import ConfigError
from astroprep.nightly.session import NightSession
from astroprep.nightly.settings import NightOptions, NightResult
from astroprep.nightly.sources import AlertSource, open_alerts, public_address

__all__ = ["run_night"]


def run_night(
    state: str,
    bundle: str | Path,
    alerts: str | AlertSource,
    options: NightOptions | None = None,
    after_batch: Callable[[NightResult], None] | None = None,
    stop: threading.Event | None = None,
    before_close: Callable[[NightResult], None] | None = None,
) -> NightResult:
    """Take in the alerts of a night and classify what they changed.

    Parameters
    ----------
    state : str
        Folder or address of the state; begun if it is not there.
    bundle : path
        Made by ``astroprep run``.
    alerts : str or AlertSource
        See `open_alerts`.
    options : NightOptions, optional
        The default ones otherwise.
    after_batch : callable, optional
        Told what came of each batch when it is stored, before the source is told.
    stop : threading.Event, optional
        Once set the night ends: what is being stored is stored, what is still being read is given
        up, for the next call to read again.
    before_close : callable, optional
        Told what came of the night when all of it is stored and the night is not yet closed: if
        it raises, or is killed, the next call gets there again without doing the batches again.

    Returns
    -------
    NightResult
        With ``follow`` its classifications are those of the last batch only.

    Raises
    ------
    ConfigError
        If a setting is wrong, the bands do not fit, or somebody else writes to the state.
    DataError
        If bundle or state are damaged, the state cannot be written, or a topic does not take what
        is published.

    Notes
    -----
    Alerts are stored in batches, each with everything that follows from it. Killed at any
    instant and started again with the same night and source, the run goes on behind the last
    batch that was stored whole.
    """
    chosen = options or NightOptions()
    if chosen.batch < 1:
        raise ConfigError(f"--batch must be at least 1, got {chosen.batch}")
    asked = stop or threading.Event()
    source = alerts
    if isinstance(source, str):
        source = open_alerts(source, follow=chosen.follow, stop=asked)
    name = public_address(alerts) if isinstance(alerts, str) else type(alerts).__name__
    started = clock.perf_counter(), clock.process_time()
    try:
        with NightSession(state, bundle, name, source, chosen, asked) as night:
            for incoming, digest in night.batches():
                one = night.take(incoming, digest)
                night.publish()
                if after_batch is not None:
                    after_batch(one)
                source.commit()
            complete = not asked.is_set()
            if complete:
                if before_close is not None:
                    before_close(night.result(started, complete=True))
                night.finish()
            return night.result(started, complete=complete)
    finally:
        source.close()
