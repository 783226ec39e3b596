"""The page of a night: what came in, what was found, and whether it can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from astroprep.data import LightCurveBatch
from astroprep.report.curve import curve_svg
from astroprep.report.page import write_template
from astroprep.report.quality_details import quality_details
from astroprep.report.sections import Card
from astroprep.report.table import (
    NOTHING,
    Cell,
    Table,
    number,
    seconds_text,
    share,
    without_numbers,
    words,
)

__all__ = ["LISTS", "write_night_report"]

LISTS = {
    "discoveries": ("Discoveries", "Classified for the first time, most confident first."),
    "changes": ("Class changes", "Another class than before, most confident first."),
    "unknowns": (
        "Unknowns",
        "No class is probable, or unlike all training stars; the least probable first.",
    ),
}
"""Name, title and order of each list of objects."""

MAX_REASONS = 12
COLUMNS = ("object", "class", "before", "probability", "period [d]", "points", "ra", "dec")


@dataclass(frozen=True)
class _Listed:
    """One list of objects."""

    name: str
    title: str
    sentence: str
    rows: list[tuple[str, str, list[Cell], Markup]]
    kinds: list[str]


def write_night_report(
    path: str | Path,
    *,
    title: str,
    about: str,
    counts: Mapping[str, int],
    seconds: float,
    cpu_seconds: float,
    n_timed: int,
    points: pd.DataFrame,
    flags: Mapping[str, int],
    dead: Mapping[str, int],
    rejected: Mapping[str, int],
    classes: Mapping[str, int],
    training_classes: Mapping[str, int],
    drift: Mapping[str, Any],
    drift_note: str,
    objects: pd.DataFrame,
    totals: Mapping[str, int],
    curves: LightCurveBatch | None,
) -> None:
    """Page on a night.

    Parameters
    ----------
    path : str or Path
        The HTML file; written whole or not at all.
    title, about : str
        Headline, and a line below it.
    counts : mapping
        Of the alerts and objects, see `astroprep.nightly.settings.COUNTS`.
    seconds, cpu_seconds : float
        That the night took.
    n_timed : int
        Alerts that were taken in meanwhile.
    points : pandas.DataFrame
        New observations: one row a band, the name in ``band``, counts in the other columns.
    flags, dead, rejected : mapping of str to int
        Flagged observations by flag, packets and objects by reason.
    classes, training_classes : mapping of str to int
        Objects by class: that were classified, and that the network learned from.
    drift : mapping
        ``measures`` and ``differences``, see `astroprep.quality.QualityReport`; empty where
        nothing can be compared.
    drift_note : str
        What was compared, or why not.
    objects : pandas.DataFrame
        Columns ``list`` (of `LISTS`), ``object_id``, ``class``, ``previous_class``,
        ``probability``, ``period`` (days), ``n_points``, ``ra``, ``dec`` (degrees).
    totals : mapping of str to int
        Objects that belong to each list, shown or not.
    curves : LightCurveBatch or None
        Light curves, found by ``id``; an object without one has no picture.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    details = [one for one in quality_details({"drift": drift}) if one.name == "drift"]
    lists = [_listed(name, objects, totals, curves) for name in LISTS]
    sections = [("headline", "Result"), ("quality", "Data quality")]
    sections += [(one.name, one.title) for one in lists]
    sections += [("classes", "Classes"), ("drift", "Drift from training")]
    write_template(
        path,
        "night.html",
        title=_plain(title),
        subtitle=_plain(about),
        sections=sections,
        cards=_cards(counts, totals, seconds, n_timed, drift),
        accounts=_accounts(counts),
        throughput=_throughput(seconds, cpu_seconds, n_timed, counts),
        tables=[t for t in (_points(points), *_reasons(flags, dead, rejected)) if t is not None],
        classes=_classes(classes, training_classes),
        drift=details[0] if details else None,
        drift_note=drift_note,
        lists=lists,
        columns=COLUMNS,
    )


def _plain(text: object) -> str:
    """Text of bounded length without characters that a page cannot hold or show."""
    return "".join(c if c.isprintable() else "\ufffd" for c in words(text).text)


def _accounts(counts: Mapping[str, int]) -> list[Cell]:
    """The two equations, and whether they hold."""
    cells = []
    for whole, name, parts in (
        ("received", "alerts", ("new", "duplicate", "dead")),
        ("changed", "changed objects", ("classified", "rejected")),
    ):
        total = sum(counts[part] for part in parts)
        equation = " + ".join(f"{counts[part]:,} {part}" for part in parts)
        holds = total == counts[whole]
        text = f"{counts[whole]:,} {name} = {equation}"
        cells.append(
            Cell(text if holds else f"{text}: does not add up", tone="" if holds else "bad")
        )
    return cells


def _cards(
    counts: Mapping[str, int],
    totals: Mapping[str, int],
    seconds: float,
    n_timed: int,
    drift: Mapping[str, Any],
) -> list[Card]:
    rate = f"{n_timed / seconds:,.0f}" if seconds > 0 and n_timed else NOTHING
    measures = drift.get("measures", ())
    poor = sum(one["verdict"] == "poor" for one in measures)
    return [
        Card(f"{counts['received']:,}", "alerts"),
        Card(f"{counts['changed']:,}", "changed objects"),
        *(Card(f"{totals.get(name, 0):,}", text.lower()) for name, (text, _) in LISTS.items()),
        Card(f"{counts['dead']:,}", "dead letters", "bad" if counts["dead"] else ""),
        Card(rate, "alerts a second"),
        Card(
            f"{poor} of {len(measures)}" if measures else NOTHING,
            "measures far from training",
            "poor" if poor else "",
        ),
    ]


def _throughput(seconds: float, cpu_seconds: float, n_timed: int, counts: Mapping[str, int]) -> str:
    text = (
        f"{n_timed:,} alerts in {seconds_text(seconds)} ({seconds_text(cpu_seconds)} of processor"
    )
    text += f", {1e3 * cpu_seconds / n_timed:.3g} ms an alert)" if n_timed else ")"
    if n_timed < counts["received"]:
        text += f"; {counts['received'] - n_timed:,} more were stored before an interruption"
    text += f". {counts['verified']:,} periods were verified, {counts['searched']:,} searched"
    return f"{text}; {counts['by_features']:,} objects were classified by features of few points."


def _points(points: pd.DataFrame) -> Table | None:
    if not len(points):
        return None
    names = [name for name in points.columns if name != "band"]
    rows = [
        [words(_plain(row["band"] or "(none)")), *(number(int(row[name])) for name in names)]
        for row in points.to_dict("records")
    ]
    return Table(("band", *names), rows, "New observations")


def _reasons(*found: Mapping[str, int]) -> list[Table | None]:
    """Tables of reasons, like ones together, the most frequent first."""
    titles = (
        ("flag", "New observations that are flagged; one may have several flags"),
        ("reason", "Packets that could not be read and are new among the dead letters"),
        ("reason", "Changed objects that were not classified"),
    )
    tables: list[Table | None] = []
    for counts, (head, caption) in zip(found, titles, strict=True):
        alike: dict[str, int] = {}
        for reason, n in counts.items():
            text = _plain(without_numbers(words(reason).text))
            alike[text] = alike.get(text, 0) + n
        ordered = sorted(alike.items(), key=lambda one: -one[1])
        rows = [[words(text), number(n)] for text, n in ordered[:MAX_REASONS]]
        if len(ordered) > MAX_REASONS:
            caption += f"; {MAX_REASONS} of {len(ordered)} reasons"
        tables.append(Table((head, "count"), rows, caption) if rows else None)
    return tables


def _classes(classes: Mapping[str, int], training: Mapping[str, int]) -> Table | None:
    names = sorted({*classes, *training}, key=lambda name: -classes.get(name, 0))
    now, before = sum(classes.values()), sum(training.values())
    if not now:
        return None
    rows = [
        [
            words(_plain(name)),
            number(classes.get(name, 0)),
            share(classes.get(name, 0) / now),
            share(training.get(name, 0) / before if before else None),
        ]
        for name in names
    ]
    return Table(("class", "objects", "share", "share in training"), rows)


def _listed(
    name: str, objects: pd.DataFrame, totals: Mapping[str, int], curves: LightCurveBatch | None
) -> _Listed:
    title, order = LISTS[name]
    mine = objects[objects["list"] == name]
    total = totals.get(name, 0)
    sentence = f"{order} {len(mine):,} of {total:,} are shown." if total else "None."
    place = {} if curves is None else {one: i for i, one in enumerate(curves.ids)}
    rows = []
    for row in mine.to_dict("records"):
        text, kind = _plain(row["object_id"]), _plain(row["class"])
        cells = [
            words(text),
            words(kind),
            words(_plain(row["previous_class"] or NOTHING)),
            share(row["probability"]),
            number(float(row["period"]), 7),
            number(int(row["n_points"])),
            number(float(row["ra"]), 9),
            number(float(row["dec"]), 9),
        ]
        picture = _picture(curves, place.get(row["object_id"]), float(row["period"]))
        rows.append((kind, f"{text} {kind}", cells, picture))
    return _Listed(name, title, sentence, rows, sorted({row[0] for row in rows}))


def _picture(curves: LightCurveBatch | None, i: int | None, period: float) -> Markup:
    if curves is None or i is None:
        return Markup("")
    usable = curves.usable
    part = slice(usable.offsets[i], usable.offsets[i + 1])
    return curve_svg(
        usable.time[part],
        usable.value[part],
        np.nan_to_num(usable.error[part]),
        period,
        downwards=curves.meta.quantity == "mag",
    )
