"""The verbs of the nightly run: ``astroprep nightly``, ``state`` and ``few-points``."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astroprep.cli import show
from astroprep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from astroprep.nightly.settings import NightOptions, NightResult

__all__ = ["few_points", "nightly", "state"]

StateUrl = Annotated[str, typer.Option("--state", help="Folder or object-store address.")]


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, message and what the record carries."""

    PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        """Line of a record."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= {k: v for k, v in vars(record).items() if k not in self.PLAIN}
        return json.dumps(line, default=str)


def _log_as_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("astroprep")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; a second one ends the process as ever."""
    stop = threading.Event()
    kinds = (signal.SIGTERM, signal.SIGINT)
    before = {kind: signal.getsignal(kind) for kind in kinds}

    def told(*_: object) -> None:
        threading.Thread(target=stop.set).start()  # the event may be locked by who was interrupted
        for kind in kinds:
            signal.signal(kind, before[kind])

    try:
        for kind in kinds:
            signal.signal(kind, told)
        yield stop
    finally:
        for kind in kinds:
            signal.signal(kind, before[kind])


def nightly(
    state: StateUrl,
    bundle: Annotated[Path, typer.Option(help="Bundle that `astroprep run` wrote.")],
    alerts: Annotated[
        str,
        typer.Option(help="Avro file, folder, tar archive or kafka://HOST:PORT/TOPIC?group=NAME."),
    ],
    night: Annotated[str, typer.Option(help="Name of the night; today, UTC, by default.")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more alerts.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for NIGHT.parquet, NIGHT.vot, NIGHT.json and the page NIGHT.html."
        ),
    ] = None,
    band_map: Annotated[
        list[str] | None,
        typer.Option(help="OBSERVED=TRAINED band, such as ztf_r=V; may be given several times."),
    ] = None,
    survey: Annotated[str, typer.Option(help="ztf or lsst; told from the packets.")] = "",
    unknown_below: Annotated[
        float,
        typer.Option(
            help="An object whose best class is less probable is unknown, as is one that the "
            "bundle finds unlike its training stars."
        ),
    ] = 0.5,
    few: Annotated[
        Path | None,
        typer.Option(help="Model of `astroprep few-points`, for objects with few points."),
    ] = None,
    registry: Annotated[
        str, typer.Option(help="Schema registry, or folder of NUMBER.avsc, of bare messages.")
    ] = "",
    batch: Annotated[int, typer.Option(min=1, help="Alerts that are stored together.")] = 20_000,
    order: Annotated[int, typer.Option(min=0, max=6, help="HEALPix order of a new state.")] = 2,
    publish: Annotated[
        str | None, typer.Option(help="kafka://HOST:PORT/TOPIC for the classifications.")
    ] = None,
    metrics: Annotated[Path | None, typer.Option(help="Text file for Prometheus.")] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log as JSON lines.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if anything was dead or rejected.")
    ] = False,
) -> None:
    """Take in a night of alerts and classify the objects that it changed.

    Killed at any instant and started again with the same night, it goes on. SIGTERM lets it store
    what it has classified. Exit codes: 0 done, or stopped under --follow; 1 under --strict with
    dead packets or rejected objects, 2 a mistake or a refused state, 130 stopped before the end.

    Example: `astroprep nightly --state state/ --bundle bundle.apz --alerts night.tar.gz
    --band-map ztf_r=V --night 2026-11-30 --out products/`
    """
    from astroprep.nightly.products import check_folder, product_path, write_metrics
    from astroprep.nightly.run import run_night
    from astroprep.nightly.settings import NightOptions

    if log_json:
        _log_as_json()
    options = NightOptions(
        night=night,
        survey=survey,
        band_map=tuple(band_map or ()),
        unknown_below=unknown_below,
        few=few,
        batch=batch,
        order=order,
        registry=registry,
        follow=follow,
        publish=publish or "",
    )
    if out is not None:
        check_folder(product_path(out, night, "html").parent, "--out")
    if metrics is not None:
        check_folder(metrics.parent, "--metrics")
    written: list[Path] = []

    def after_batch(one: NightResult) -> None:
        if metrics is not None and follow:
            write_metrics(one, metrics, time.time())

    def deliver(one: NightResult) -> None:
        if out is not None:
            written.extend(_write_files(one, out, state, bundle, options))
        if metrics is not None:
            write_metrics(one, metrics, time.time())

    with _until_told() as stop:
        result = run_night(state, bundle, alerts, options, after_batch, stop, deliver)
    if not result.complete:
        deliver(result)
    c = result.counts
    show.out.print(
        f"night {result.night}: {c['received']} alerts = {c['new']} new + {c['duplicate']} "
        f"duplicate + {c['dead']} dead"
    )
    show.out.print(
        f"{c['changed']} changed objects = {c['classified']} classified + {c['rejected']} "
        "rejected; "
        f"{c['verified']} periods verified, {c['searched']} searched"
    )
    show.out.print(
        f"{c['class_changes']} changed class, {c['unknown']} unknown, {c['by_features']} by "
        "features"
    )
    for path in written:
        show.out.print(str(path))
    if not result.complete and not follow:
        show.out.print("stopped before the end; the same call goes on")
        raise typer.Exit(130)
    if strict and (c["dead"] or c["rejected"]):
        raise typer.Exit(1)


def _write_files(
    result: NightResult, out: Path, state: str, bundle: Path, options: NightOptions
) -> list[Path]:
    """Write products and page of a night; a replay that found nothing new leaves them alone."""
    import pyarrow.compute as pc

    from astroprep.nightly.page import write_night_page
    from astroprep.nightly.products import product_path, write_products
    from astroprep.nightly.state import open_state

    paths = [product_path(out, result.night, kind) for kind in ("parquet", "vot", "json", "html")]
    if not (result.counts["new"] or result.counts["changed"]) and all(p.exists() for p in paths):
        return paths
    with open_state(state) as opened:
        said = opened.read("classifications", where=pc.field("night") == result.night)
    write_products(result, out, said.drop_columns(["run"]))
    write_night_page(result, out, state=state, bundle=bundle, options=options)
    return paths


def state(
    state: StateUrl,
    compact: Annotated[
        bool, typer.Option("--compact", help="Write it anew, without replaced rows.")
    ] = False,
    backup: Annotated[Path | None, typer.Option(help="Copy it to this new folder.")] = None,
) -> None:
    """Show what a nightly state holds, compact it or copy it.

    Example: `astroprep state --state state/ --compact`

    Example: `astroprep state --state state/ --backup copies/2026-11-30`
    """
    from astroprep.nightly.state import open_state
    from astroprep.nightly.upkeep import backup as copy
    from astroprep.nightly.upkeep import compact as compact_state
    from astroprep.nightly.upkeep import describe_state

    if compact:
        with open_state(state, write=True) as opened:
            show.out.print(json.dumps(compact_state(opened)))
    if backup is not None:
        copy(state, backup)
    with open_state(state) as opened:
        show.out.print(json.dumps(describe_state(opened), indent=1))


def few_points(
    bundle: Annotated[Path, typer.Argument(help="Bundle whose classes it shall know.")],
    input_: Annotated[Path, typer.Argument(metavar="INPUT", help="Survey file with labels.")],
    out: Annotated[Path, typer.Option(help="JSON file of the model.")],
    label_column: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the stretches that are drawn.")] = 1,
) -> None:
    """Learn to classify objects with 3 to 20 points by features that need no period.

    Objects whose split is ``test`` are left out.

    Example: `astroprep few-points bundle.apz survey.parquet --out few.json`
    """
    from astroprep.clean import FlagBad
    from astroprep.deploy.bundle import read_bundle
    from astroprep.io import ColumnNames, open_survey
    from astroprep.nightly.few import FewPointModel
    from astroprep.pipeline.restore import read_note

    opened = read_bundle(bundle)
    with open_survey(input_, ColumnNames(label=label_column), on_bad="reject") as survey:
        batch = survey.read()
    if "label" not in batch.objects:
        raise DataError(f"{input_} has no labels; name their column with --label-column")
    if batch.meta.quantity != read_note(opened).quantity:
        raise ConfigError(
            f"{input_} holds {batch.meta.quantity}, the bundle learned from the other"
        )
    if "split" in batch.objects:
        batch = batch[batch.objects["split"] != "test"]
    cleaned = FlagBad(missing_errors="estimate", on_bad="reject").transform(batch)
    model = FewPointModel.fit(cleaned, cleaned.objects["label"], opened.classes, seed=seed)
    model.save(out)
    show.out.print(f"{out}: learned from {len(cleaned)} stars")
