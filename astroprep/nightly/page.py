"""What the page of a night shows, out of the state behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from astroprep.data import LightCurveBatch, PointFlag
from astroprep.nightly.classify import NightClassifier
from astroprep.nightly.drift import drift_from_training, in_band
from astroprep.nightly.histories import object_histories
from astroprep.nightly.ingest import SURVEYS
from astroprep.nightly.merge import latest_objects
from astroprep.nightly.products import product_path
from astroprep.nightly.rows import FORCED, SurveyAlerts
from astroprep.nightly.settings import NightOptions, NightResult
from astroprep.nightly.state import State, open_state
from astroprep.nightly.upkeep import current_observations

__all__ = ["write_night_page"]

SHOWN = 50  # of each list: some 10 kB each with its light curve
SAMPLE = 2000  # objects that stand for the night where it is compared with training
REPLACED = (
    "The bundle is not, or not throughout, the one that classified this night (its file was "
    "replaced meanwhile), so nothing is compared with the survey that it learned from."
)
SAID = (
    "object_id", "class", "probability", "n_points", "period", "previous_class", "unknown",
    "rejected_reason", "run",
)  # fmt: skip
NEW = ("band", "kind", "quality", "withdrawn", "value", "error", "flags")


def write_night_page(
    result: NightResult,
    out: str | Path,
    *,
    state: str,
    bundle: str | Path,
    options: NightOptions | None = None,
) -> Path:
    """Write ``NIGHT.html``: accounts, data quality, drift from training, and what was found.

    Parameters
    ----------
    result : NightResult
        Of `run_night`.
    out : path
        Folder.
    state : str
        That the night was stored in.
    bundle : path
        That classified it.
    options : NightOptions, optional
        Those of the night.

    Returns
    -------
    Path
        The file. It needs nothing but itself. At most 50 objects of each list are shown.

    Raises
    ------
    ConfigError
        If the name of the night cannot name a file, or the bands do not fit.
    DataError
        If state or bundle are damaged, or the file cannot be written.

    Notes
    -----
    An object that several batches of the night changed counts once in the lists, with its last
    class beside the one that it had before the night. At most 2,000 changed objects, drawn at
    random, stand for the night in the comparison with the training survey [1]_; the page costs
    what the history of one more batch would.

    References
    ----------
    .. [1] Siddiqi 2006, Credit Risk Scorecards, Wiley: the population stability index.
    """
    from astroprep.report import write_night_report

    chosen = options or NightOptions()
    path = product_path(out, result.night, "html")
    with open_state(state, storage_options=chosen.storage_options) as opened:
        survey = SURVEYS[opened.about.survey]
        classifier = NightClassifier(
            bundle, survey, band_map=chosen.band_map, unknown_below=chosen.unknown_below
        )
        of_night = pc.field("run").isin(pa.array(result.runs, pa.int64()))
        said, previous = _last_said(opened.read("classifications", list(SAID), of_night))
        lists, totals = _lists(said, previous)
        sample = _sample(said["object_id"])
        names = pc.unique(
            pa.concat_arrays([*(rows["object_id"] for rows in lists.values()), sample])
        )
        known, histories = _histories(opened, names, survey)
        points, flags = _observed(opened, of_night)
        dead = opened.read("dead_letters", ["reason"], of_night)["reason"]
        ledger = opened.runs
    used = _bundles(ledger, result.runs) or [classifier.bundle_sha256]
    if used == [classifier.bundle_sha256]:
        training = classifier.classifier.bundle.training_summary
        drift, note = drift_from_training(classifier, training, histories, known, sample, said)
    else:
        training, drift, note = {}, {}, REPLACED
    where = ", ".join(f"{a} as {b}" for a, b in classifier.bands.items())
    write_night_report(
        path,
        title=f"Night {result.night}",
        about=f"{survey.name}, bands {where}; bundle {', '.join(one[:12] for one in used)}",
        counts=result.counts,
        seconds=result.seconds,
        cpu_seconds=result.cpu_seconds,
        n_timed=result.counts["received"] - result.n_resumed,
        points=points,
        flags=flags,
        dead=_counted(dead),
        rejected=_counted(said["rejected_reason"].drop_null()),
        classes=_counted(said["class"].drop_null()),
        training_classes=dict(training.get("labels") or {}),
        drift=drift,
        drift_note=note,
        objects=_frame(lists, known),
        totals=totals,
        curves=in_band(classifier, histories),
    )
    return path


def _bundles(ledger: pa.Table, runs: tuple[int, ...]) -> list[str]:
    """SHA-256 of the bundles behind some runs."""
    mine = pc.is_in(ledger["run"], value_set=pa.array(runs, pa.int64()))
    found: list[str] = pc.unique(ledger["bundle"].filter(mine)).to_pylist()
    return sorted(found)


def _counted(words: pa.Array) -> dict[str, int]:
    found = pc.value_counts(words)
    return {one["values"]: one["counts"] for one in found.to_pylist()}


def _last_said(rows: pa.Table) -> tuple[pa.RecordBatch, pa.Array]:
    """The last row of each object, by object, and the class that it had before the night."""
    last = latest_objects(rows)
    reverse = rows.set_column(rows.column_names.index("run"), "run", pc.negate(rows["run"]))
    before = latest_objects(reverse)["previous_class"]
    empty = pa.RecordBatch.from_pylist([], schema=last.schema)
    batches = last.combine_chunks().to_batches()
    return (batches[0] if batches else empty), pa.array(before.to_pylist(), pa.string())


def _lists(
    said: pa.RecordBatch, previous: pa.Array
) -> tuple[dict[str, pa.RecordBatch], dict[str, int]]:
    """Rows of each list that are shown, and how many belong to it."""
    has_class = pc.is_valid(said["class"]).to_numpy(zero_copy_only=False)
    had = pc.is_valid(previous).to_numpy(zero_copy_only=False)
    unknown = said["unknown"].to_numpy(zero_copy_only=False).astype(bool)
    same = pc.fill_null(pc.equal(said["class"], previous), False).to_numpy(zero_copy_only=False)
    probability = said["probability"].to_numpy(zero_copy_only=False)
    points = said["n_points"].to_numpy(zero_copy_only=False)
    members = {
        "discoveries": (has_class & ~had & ~unknown, -probability),
        "changes": (has_class & had & ~same, -probability),
        "unknowns": (unknown, probability),
    }
    shown, totals = {}, {}
    for name, (mask, rank) in members.items():
        where = np.flatnonzero(mask)
        totals[name] = int(where.size)
        best = where[np.lexsort((-points[where], rank[where]))][:SHOWN]
        place = pa.array(best, pa.int64())
        shown[name] = said.append_column("before", previous).take(place)
    return shown, totals


def _sample(ids: pa.Array) -> pa.Array:
    """Objects drawn at random, the same ones whenever the page is made."""
    if len(ids) <= SAMPLE:
        return ids
    drawn = np.random.default_rng(0).choice(len(ids), SAMPLE, replace=False)
    return ids.take(pa.array(np.sort(drawn)))


def _histories(
    state: State, names: pa.Array, survey: SurveyAlerts
) -> tuple[pa.Table, LightCurveBatch]:
    """Latest rows and light curves of objects, both by object."""
    where = pc.field("object_id").isin(names)
    known = latest_objects(state.read("objects", where=where))
    pixels = pc.unique(known["pixels"].combine_chunks().flatten())
    rows = current_observations(state, pc.field("pixel").isin(pixels) & where)
    ids = known["object_id"].combine_chunks()
    return known, object_histories(rows, ids, survey).batch


def _observed(state: State, where: pc.Expression) -> tuple[pd.DataFrame, dict[str, int]]:
    """New observations by band, and by flag; read piece by piece."""
    parts: list[pd.DataFrame] = []
    flags = dict.fromkeys(PointFlag, 0)
    for rows in state.batches("observations", list(NEW), where):
        column = {name: rows[name].to_numpy(zero_copy_only=False) for name in NEW}
        forced = column["kind"] == FORCED
        own = (column["quality"] == 1) & ~forced
        table = pd.DataFrame(
            {
                "band": column["band"],
                "observations": 1,
                "of the alerts themselves": own,
                "from histories": ~own & ~forced,
                "forced photometry": forced,
                "withdrawn": column["withdrawn"],
                "without a value": ~np.isfinite(column["value"]),
                "without an error": ~(np.isfinite(column["error"]) & (column["error"] > 0)),
                "flagged": column["flags"] != 0,
            }
        )
        parts.append(table.groupby("band", dropna=False).sum())
        for flag in flags:
            flags[flag] += int(np.count_nonzero(column["flags"] & int(flag)))
    words = {
        str(flag.name).lower().replace("_", " "): count for flag, count in flags.items() if count
    }
    if not parts:
        return pd.DataFrame({"band": []}), words
    return pd.concat(parts).groupby("band", dropna=False).sum().reset_index(), words


def _frame(lists: dict[str, pa.RecordBatch], known: pa.Table) -> pd.DataFrame:
    """Rows that are shown, with positions."""
    parts = []
    for name, rows in lists.items():
        place = pc.index_in(rows["object_id"], value_set=known["object_id"].combine_chunks())
        position = known.select(["ra", "dec"]).take(place)
        parts.append(
            pd.DataFrame(
                {
                    "list": np.full(rows.num_rows, name, object),
                    "object_id": rows["object_id"].to_pylist(),
                    "class": rows["class"].to_pylist(),
                    "previous_class": pc.fill_null(rows["before"], "").to_pylist(),
                    "probability": rows["probability"].to_numpy(zero_copy_only=False),
                    "period": rows["period"].to_numpy(zero_copy_only=False),
                    "n_points": rows["n_points"].to_numpy(zero_copy_only=False),
                    "ra": position["ra"].to_numpy(),
                    "dec": position["dec"].to_numpy(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
