"""Nights, objects, bands, classes and drift: what the page on quality shows beyond its verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.plot import (
    plot_band_coverage,
    plot_class_counts,
    plot_drift,
    plot_light_curve,
    plot_nights,
    plot_scatter,
)
from astroprep.report.picture import Picture, bitmap, drawing
from astroprep.report.table import Cell, Table, number, share, verdict, words

__all__ = ["Detail", "quality_details"]


@dataclass(frozen=True)
class Detail:
    """One section of the page.

    Parameters
    ----------
    name, title : str
        Anchor and headline.
    sentences : list of str
        In the order of reading.
    pictures : list of Picture
        Wide ones, each with its text below.
    table : Table or None
        Of what is worst.
    kinds : list of str
        What the rows of the table can be filtered by; empty for no filter.
    row_kinds : list of int
        Position of each row's kind in `kinds`.
    curves : list of Picture
        Small pictures in a grid.
    """

    name: str
    title: str
    sentences: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    table: Table | None = None
    kinds: list[str] = field(default_factory=list)
    row_kinds: list[int] = field(default_factory=list)
    curves: list[Picture] = field(default_factory=list)


def quality_details(quality: Mapping[str, Any]) -> list[Detail]:
    """Sections that have something to say.

    Parameters
    ----------
    quality : mapping
        ``to_dict()`` of `astroprep.quality.QualityReport`; every part of it may be missing.
        Under ``"curves"`` perhaps pairs of a one-curve batch and what is said of it.
    """
    made = (
        _drift(quality),
        _nights(quality),
        _objects(quality),
        _classes(quality),
        _bands(quality),
    )
    return [one for one in made if one is not None]


def _part(source: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    here: Any = source
    for name in path:
        here = here.get(name) if isinstance(here, Mapping) else None
    return here if isinstance(here, Mapping) else {}


def _rows(source: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = source.get(name)
    if not isinstance(found, Sequence) or isinstance(found, str):
        return []
    return [row for row in found if isinstance(row, Mapping)]


def _numbers(source: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    found = source.get(name)
    known = found if isinstance(found, Sequence) else []
    return np.array([np.nan if v is None else v for v in known], np.float64)


def _unit(quality: Mapping[str, Any]) -> str:
    return "share of the flux" if _part(quality, "survey").get("quantity") == "flux" else "mag"


def _sortable(value: object) -> float | str:
    return float(value) if isinstance(value, int | float) else ""


def _percent(value: object) -> Cell:
    """Cell of a share as a percentage."""
    if not isinstance(value, int | float):
        return number(None)
    return Cell(f"{100 * value:.3g} %", float(value))


def _kinds(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[int]]:
    """Worst checks of rows, without their details, and which of them each row has."""
    each = [str(row.get("worst_check") or "").partition(":")[0] for row in rows]
    kinds = sorted(set(each) - {""})
    return kinds, [kinds.index(one) if one else -1 for one in each]


def _nights(quality: Mapping[str, Any]) -> Detail | None:
    nights = _part(quality, "nights")
    columns = _part(nights, "columns")
    if not _numbers(columns, "night").size:
        return None
    unit = _unit(quality)
    worst = _rows(nights, "worst")
    kinds, row_kinds = _kinds(worst)
    rows = [
        [
            Cell(str(row.get("night")), _sortable(row.get("night"))),
            verdict(row.get("verdict", "unknown")),
            words(row.get("worst_check", "")),
            number(row.get("points")),
            number(row.get("objects")),
            _percent(row.get("flagged")),
            number(row.get("shift"), 2),
            number(row.get("shift_error"), 2),
            number(row.get("noise"), 3),
            number(row.get("honesty"), 3),
        ]
        for row in worst
    ]
    head = (
        "night [MJD]", "verdict", "worst in", "points", "objects", "flagged",
        f"zero point [{unit}]", "±", "noise / usual", "scatter / error",
    )  # fmt: skip
    caption = "The worst nights; click a head to sort."
    return Detail(
        "nights",
        "Nights",
        _night_sentences(nights),
        _night_pictures(nights, unit),
        Table(head, rows, caption, text_columns=(1, 2)) if rows else None,
        kinds,
        row_kinds,
    )


def _night_pictures(nights: Mapping[str, Any], unit: str) -> list[Picture]:
    """One picture a check, of the nights that it could judge."""
    columns, bad = _part(nights, "columns"), _part(nights, "bad")
    night, said = _numbers(columns, "night"), list(columns.get("verdict") or ())
    reason = list(columns.get("worst_check") or [""] * night.size)
    pictures = []
    for name, kind, usual, label, what in (
        ("shift", "zero point", 0.0, f"zero point [{unit}]", "Zero point"),
        ("noise", "noise", 1.0, "noise / usual", "Noise of near points over the usual one"),
        ("honesty", "error bars", 1.0, "scatter / error", "Scatter of near points over the error"),
        ("flagged", "bad points", None, "flagged share", "Share of points that are flagged"),
    ):
        value = _numbers(columns, name)
        if value.size != night.size or len(said) != night.size or not np.isfinite(value).any():
            continue
        text = f"{what} of each night; {bad.get(kind) or 0} nights are beyond the limit."
        # a night that is bad for another reason is ordinary here
        mine = [
            v if v == "unknown" or r == kind else "good" for v, r in zip(said, reason, strict=False)
        ]
        ax = plot_nights(night, value, mine, label, usual)
        pictures.append((bitmap if night.size > 400 else drawing)(ax, text))
    return pictures


def _night_sentences(nights: Mapping[str, Any]) -> list[str]:
    judged, bad = _part(nights, "judged"), _part(nights, "bad")
    counted = [f"{name} {bad.get(name, 0)} of {n}" for name, n in judged.items()]
    sentences = [
        f"{number(nights.get('count')).text} nights. A night is {nights.get('rule', '')}. "
        f"Beyond their limits, of those that can be judged: {', '.join(counted)}."
    ]
    cut, fitting = nights.get("cut"), nights.get("suggested_longitude")
    if isinstance(cut, float) and cut > 0.02:
        sentence = f"{100 * cut:.1f} % of the points lie within an hour of the border of a night"
        if isinstance(fitting, int | float):
            sentence += f": give the longitude, which seems to be about {fitting:g} degrees east"
        sentences.append(sentence + ".")
    gaps = _rows(nights, "gaps")
    if gaps:
        listed = ", ".join(f"{gap.get('days')} d after MJD {gap.get('first')}" for gap in gaps[:5])
        observed = nights.get("observed")
        share_ = f"{100 * observed:.0f} % of all nights have points; " if observed else ""
        sentences.append(f"{share_}the longest gaps: {listed}.")
    return sentences


def _objects(quality: Mapping[str, Any]) -> Detail | None:
    objects = _part(quality, "objects")
    verdicts, worst = _part(objects, "verdicts"), _rows(objects, "worst")
    curves = [
        bitmap(plot_light_curve(batch), _curve_text(about))
        for batch, about in quality.get("curves") or ()
    ]
    if not verdicts:
        return None
    sentences = [
        f"{name}: " + ", ".join(f"{count:,} {said}" for said, count in counts.items() if count)
        for name, counts in verdicts.items()
        if isinstance(counts, Mapping) and any(counts.values())
    ]
    kinds, row_kinds = _kinds(worst)
    rows = [
        [
            words(row.get("id", "")),
            verdict(row.get("verdict", "unknown")),
            words(row.get("worst_check", "")),
            number(row.get("n_points")),
            number(row.get("n_usable")),
            number(row.get("median")),
            number(row.get("scatter"), 3),
            number(row.get("expected_scatter"), 3),
            number(row.get("honesty"), 3),
            number(row.get("longest_gap"), 3),
        ]
        for row in worst
    ]
    head = (
        "id", "verdict", "worst in", "points", "usable", "median", "scatter", "usual scatter",
        "scatter / error", "longest gap [d]",
    )  # fmt: skip
    caption = "The worst objects; objects.parquet has all of them. Click a head to sort."
    return Detail(
        "objects",
        "Objects",
        sentences,
        _marked(quality, worst),
        Table(head, rows, caption, text_columns=(0, 1, 2)) if rows else None,
        kinds,
        row_kinds,
        curves,
    )


def _curve_text(about: Mapping[str, Any]) -> str:
    return (
        f"Light curve of {about.get('id')}: {about.get('verdict')}, {about.get('worst_check')}; "
        f"{about.get('n_usable')} of {about.get('n_points')} points usable"
    )


def _marked(quality: Mapping[str, Any], worst: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """Scatter against brightness with the worst objects on top."""
    sample = _part(quality, "brightness", "sample")
    x, y = _numbers(sample, "median"), _numbers(sample, "scatter")
    if not (np.isfinite(x) & np.isfinite(y) & (y > 0)).any() or not worst:
        return []
    points = np.array(
        [(row.get("median"), row.get("scatter")) for row in worst], dtype=np.float64
    )  # None becomes NaN
    points = points[(np.isfinite(points) & (points != 0)).all(axis=1)]
    marked = (points[:, 0], points[:, 1])
    label = "median flux" if _unit(quality) != "mag" else "median magnitude"
    ax = plot_scatter(x, y, label=label, marked=marked)
    return [drawing(ax, "Scatter against brightness, the worst objects marked by crosses")]


def _classes(quality: Mapping[str, Any]) -> Detail | None:
    classes = {name or "(no label)": c for name, c in _part(quality, "classes").items() if c}
    if not any(name != "(no label)" for name in classes):
        return None
    rare = _part(quality, "rare_classes")
    sentences = [
        f"{words(name).text} has {count} objects: too few to learn and to test."
        for name, count in rare.items()
    ]
    total = {name: sum(split.values()) for name, split in classes.items()}
    most = max(total, key=lambda name: total[name])
    sentences.insert(0, f"{len(total)} classes; the most frequent, {most}, has {total[most]:,}.")
    picture = drawing(plot_class_counts(classes), "Objects of each class, by split")
    return Detail("balance", "Classes", sentences, [picture])


def _bands(quality: Mapping[str, Any]) -> Detail | None:
    bands = _part(quality, "bands")
    total = _part(quality, "objects").get("readable") or 0
    if len(bands) < 2 or not total:
        return None
    counts = {
        name: (int(_part(bands, name).get("objects", 0)), int(_part(bands, name).get("enough", 0)))
        for name in bands
    }
    picture = drawing(
        plot_band_coverage(counts, int(total)),
        "Share of the objects with a usable point, and with five, in each band",
    )
    rows = [
        [
            words(name),
            number(_part(bands, name).get("objects")),
            number(_part(bands, name).get("enough")),
            number(_part(bands, name).get("points")),
            share(counts[name][0] / total),
        ]
        for name in bands
    ]
    head = ("band", "objects with a point", "with five", "points", "share of the objects")
    return Detail("bands", "Bands", [], [picture], Table(head, rows))


def _drift(quality: Mapping[str, Any]) -> Detail | None:
    drift = _part(quality, "drift")
    measures = _rows(drift, "measures")
    if not measures:
        return None
    psi = {str(m.get("name")): m["psi"] for m in measures if m.get("psi") is not None}
    said = {str(m.get("name")): str(m.get("verdict")) for m in measures}
    moved = [m for m in measures if m.get("verdict") in ("fair", "poor")]
    sentences = [f"{len(moved)} of {len(measures)} measures moved since training."]
    sentences += [str(one) for one in drift.get("differences") or ()]
    rows = [
        [
            words(m.get("name", "")),
            verdict(m.get("verdict", "unknown")),
            number(m.get("before")),
            number(m.get("now")),
            number(m.get("psi"), 3),
            number(m.get("ks"), 3),
            number(m.get("missing"), 3),
        ]
        for m in measures
    ]
    head = (
        "measure", "verdict", "median before", "median now", "stability index", "distance",
        "more unknown",
    )  # fmt: skip
    picture = drawing(
        plot_drift(psi, said), "Population stability index of each measure against training"
    )
    kinds = ["moved"] if moved else []
    row_kinds = [0 if m in moved else -1 for m in measures]
    return Detail(
        "drift", "Drift from training", sentences, [picture],
        Table(head, rows, text_columns=(0, 1)), kinds, row_kinds,
    )  # fmt: skip
