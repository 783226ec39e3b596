"""The data-quality part of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from astroprep.plot import (
    plot_error_honesty,
    plot_magnitudes,
    plot_points_per_object,
    plot_sampling,
    plot_scatter,
)
from astroprep.report.picture import Picture, drawing
from astroprep.report.table import Cell, Table, number, verdict, words

__all__ = ["quality_name", "quality_parts"]

MAX_TWINS = 10


def _part(quality: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Mapping at a path, empty where there is none."""
    here: Any = quality
    for name in path:
        here = here.get(name) if isinstance(here, Mapping) else None
    return here if isinstance(here, Mapping) else {}


def _list(source: Mapping[str, Any], name: str) -> list[Any]:
    found = source.get(name)
    return list(found) if isinstance(found, Sequence) and not isinstance(found, str) else []


def _value_name(quality: Mapping[str, Any]) -> str:
    survey = _part(quality, "survey")
    unit = survey.get("unit") or ""
    if survey.get("quantity") == "flux":
        return f"flux [{unit}]" if unit else "flux"
    return "magnitude"


def quality_name(quality: Mapping[str, Any]) -> str:
    """Name of the survey, ``""`` where it has none."""
    return words(_part(quality, "survey").get("name") or "").text.strip()


def quality_parts(quality: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of a quality report.

    Parameters
    ----------
    quality : mapping
        ``to_dict()`` of `astroprep.quality.QualityReport`; every part of it may be missing.

    Returns
    -------
    dict
        ``sentences`` (list of str), ``verdicts`` (Table or None), ``pictures``, ``tables``.
    """
    if not quality:
        sentence = "The quality of the data was not assessed."
        return {"sentences": [sentence], "verdicts": None, "pictures": [], "tables": []}
    tables = (_checks(quality), _facts(quality), _flags(quality), _twins(quality))
    return {
        "sentences": _sentences(quality),
        "verdicts": _verdicts(quality),
        "pictures": _pictures(quality),
        "tables": [table for table in tables if table is not None],
    }


def _sentences(quality: Mapping[str, Any]) -> list[str]:
    survey, objects = _part(quality, "survey"), _part(quality, "objects")
    total = objects.get("total", 0)
    if not total:
        return ["There are no objects."]
    name = words(survey.get("name") or "A survey without a name").text
    scale = words(survey.get("time_scale") or "a time system that the file does not name").text
    points = number(_part(quality, "points").get("total")).text
    bands = [words(band).text for band in _list(survey, "bands")]
    listed = f" in {', '.join(bands)}" if bands else ""
    name_of_value = _value_name(quality)
    return [
        f"{name}: {number(total).text} objects, {points} points{listed}; times are {scale}, "
        f"values are {'magnitudes' if name_of_value == 'magnitude' else name_of_value}."
    ]


def _verdicts(quality: Mapping[str, Any]) -> Table | None:
    """The five conditions, each with what speaks against it."""
    rows = []
    for condition in _list(quality, "conditions"):
        checks = [check for check in _list(condition, "checks") if isinstance(check, Mapping)]
        against = [
            f"{check.get('name')} ({check.get('text')})"
            for check in checks
            if check.get("verdict") in ("fair", "poor")
        ]
        rows.append(
            [
                words(condition.get("name", "")),
                verdict(condition.get("verdict", "unknown")),
                words(condition.get("meaning", "")),
                words("; ".join(against) or "nothing"),
            ]
        )
    head = ("condition", "verdict", "means that", "against it")
    return Table(head, rows, text_columns=(0, 1, 2, 3)) if rows else None


def _checks(quality: Mapping[str, Any]) -> Table | None:
    rows = []
    for condition in _list(quality, "conditions"):
        for check in _list(condition, "checks"):
            limits = _part(check, "limits")
            rows.append(
                [
                    words(check.get("name", "")),
                    verdict(check.get("verdict", "unknown")),
                    words(check.get("text", "")),
                    number(check.get("value"), 3),
                    number(limits.get("good"), 3),
                    number(limits.get("fair"), 3),
                ]
            )
    head = ("check", "verdict", "found", "value", "good up to", "fair up to")
    caption = "Every check and its limits; shares unless the words say otherwise."
    return Table(head, rows, caption, text_columns=(0, 1, 2)) if rows else None


def _facts(quality: Mapping[str, Any]) -> Table | None:
    objects, points = _part(quality, "objects"), _part(quality, "points")
    cadence, errors = _part(quality, "cadence"), _part(quality, "errors")
    brightness, redundancy = _part(quality, "brightness"), _part(quality, "redundancy")
    counted = (
        ("objects", objects.get("total")),
        ("objects without a usable point", objects.get("empty")),
        ("objects with one usable point", objects.get("one_point")),
        ("short curves", objects.get("short")),
        ("curves not in order of time", objects.get("unsorted")),
        ("points", points.get("total")),
        ("usable points", points.get("usable")),
        ("points at a time that is there already", points.get("repeated_times")),
        ("points without an error", errors.get("unknown")),
        ("groups of twins", redundancy.get("groups")),
        ("groups of twins across the split", redundancy.get("crossing")),
        ("ids that are there already", redundancy.get("repeated_ids")),
    )
    rows: list[list[Cell]] = [
        [words(name), number(value), words(""), words("")]
        for name, value in counted
        if value is not None
    ]
    spread = (
        ("points of an object", _part(cadence, "points_per_object")),
        ("baseline of an object [d]", _part(cadence, "baseline")),
        (f"median {_value_name(quality)} of an object", _part(brightness, "median")),
        ("true scatter over quoted error", _part(errors, "honesty")),
    )
    rows += [
        [
            words(name),
            number(found.get("median")),
            number(found.get("p5")),
            number(found.get("p95")),
        ]
        for name, found in spread
        if found.get("median") is not None
    ]
    rows += [
        [words(f"power of the sampling at a {name}"), number(power, 3), words(""), words("")]
        for name, power in _part(cadence, "window").items()
        if power is not None
    ]
    head = ("", "number or median", "5 %", "95 %")
    return Table(head, rows, "In numbers") if rows else None


def _flags(quality: Mapping[str, Any]) -> Table | None:
    flags = _part(quality, "points", "flags")
    unreadable = _part(quality, "objects", "unreadable")
    rows = [
        [words(f"point: {str(name).replace('_', ' ')}"), number(count)]
        for name, count in flags.items()
    ]
    rows += [[words(f"object: {reason}"), number(n)] for reason, n in unreadable.items()]
    return Table(("flagged or unreadable", "count"), rows) if rows else None


def _twins(quality: Mapping[str, Any]) -> Table | None:
    groups = _list(_part(quality, "redundancy"), "examples")[:MAX_TWINS]
    rows = [[words(", ".join(map(str, group)))] for group in groups if isinstance(group, Sequence)]
    return Table(("ids at one place in the sky",), rows, "Twins, some of them") if rows else None


def _pictures(quality: Mapping[str, Any]) -> list[Picture]:
    """Histograms that are there and not empty."""
    histograms, label = _part(quality, "cadence", "histograms"), f"median {_value_name(quality)}"
    pictures = []
    for source, draw, text in (
        (
            _part(histograms, "points_per_object"),
            plot_points_per_object,
            "How many usable points the objects have",
        ),
        (_part(histograms, "gap"), plot_sampling, "Time from one point to the next"),
        (
            _part(quality, "brightness", "histogram"),
            plot_magnitudes,
            f"Brightness of the objects: {label}",
        ),
        (
            _part(quality, "errors", "histogram"),
            plot_error_honesty,
            "Error bars: true scatter within an hour over the quoted error",
        ),
    ):
        counts, edges = _list(source, "counts"), _list(source, "edges")
        if any(counts) and len(edges) == len(counts) + 1:
            pictures.append(drawing(draw(counts, edges), text))
    sample = _part(quality, "brightness", "sample")
    pairs = [
        pair
        for pair in zip(_list(sample, "median"), _list(sample, "scatter"), strict=False)
        if None not in pair
    ]
    if pairs:
        ax = plot_scatter([x for x, _ in pairs], [y for _, y in pairs], label=label)
        pictures.append(drawing(ax, "Scatter of the objects against their brightness"))
    return pictures
