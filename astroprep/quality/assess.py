"""The data-quality report of a survey, from one pass over its batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError
from astroprep.integrate import twins
from astroprep.quality.checks import RARE, conditions_of
from astroprep.quality.conditions import Condition
from astroprep.quality.drift import FINE, compare, summarize_measures
from astroprep.quality.measures import (
    bands_of,
    brightness_of,
    cadence_of,
    drift_measures,
    errors_of,
    survey_flags_of,
)
from astroprep.quality.objects import ObjectTable, expected_scatter, object_table
from astroprep.quality.tally import Tally

__all__ = ["SCHEMA_VERSION", "QualityReport", "assess"]

SCHEMA_VERSION = 2  # of `QualityReport.to_dict`; 1 had no nights, bands, worst objects or drift
EXAMPLES = 20  # groups of twins that are named
WORST = 30  # objects that are listed


@dataclass(frozen=True)
class QualityReport:
    """What `assess` found. Times are days, brightness is in the unit of the survey.

    Parameters
    ----------
    survey : dict
        ``name``, ``quantity``, ``unit``, ``time_scale``, ``time_ref``, ``bands``.
    objects : dict
        Counts: ``total``, ``readable``, ``unreadable`` (by reason), ``empty``, ``one_point``,
        ``short``, ``unsorted``; ``verdicts``: by condition, and for ``all``, how many objects
        are good, fair, poor, unknown; ``worst``: the rows of `table` to look at first.
    points : dict
        ``total``, ``usable``, ``repeated_times``, ``absurd`` and ``flags``, a count by the name
        of the flag; ``survey_flags``, a count by the name of the survey's own bit.
    errors : dict
        ``unknown`` (points), percentiles of the ``quoted`` errors (median of each object) and
        of their ``honesty`` (true over quoted scatter by object), and its ``histogram``.
    cadence : dict
        Percentiles of ``points_per_object``, ``baseline``, ``step`` (median time to the next
        point) and ``longest_gap`` by object, ``histograms`` of points per object and of the
        time to the next point, and ``window``: median power of the sampling at a day, a
        sidereal day, a lunation and a year.
    brightness : dict
        Percentiles of the objects' ``median``, its ``histogram``, and a sample of ``median``,
        ``scatter`` and ``expected`` scatter by object for a picture.
    bands : dict
        By band: ``objects`` with a usable point in it, with ``enough`` (five), and ``points``.
    nights : dict
        See `astroprep.quality.nightly.night_rule` and `judge_nights`.
    classes : dict
        By label ("" for none): count of objects by split ("" for none).
    rare_classes : dict
        Labels with fewer than 20 objects, and how many they have.
    redundancy : dict
        ``groups`` of twins, ``objects`` in them beyond the first, ``crossing`` groups that
        stand on both sides of the split, ``repeated_ids``, ``examples`` (lists of ids),
        ``redundant_columns``, ``constant_columns``, ``correlated_columns`` (two names and
        their rank correlation) and ``telling_columns`` (a name, and the classes that have it
        while no other has).
    conditions : tuple of Condition
        The five conditions in the order of `CONDITIONS`.
    drift : dict
        ``measures`` (see `astroprep.quality.drift.Drift`) and ``differences``; empty where
        nothing was given to compare with.
    summary : dict
        What a bundle keeps of this survey, see `astroprep.quality.drift.summarize_measures`.
    table : ObjectTable
        One row an object; not part of `to_dict`.
    """

    survey: dict[str, Any]
    objects: dict[str, Any]
    points: dict[str, Any]
    errors: dict[str, Any]
    cadence: dict[str, Any]
    brightness: dict[str, Any]
    bands: dict[str, dict[str, int]]
    nights: dict[str, Any]
    classes: dict[str, dict[str, int]]
    rare_classes: dict[str, int]
    redundancy: dict[str, Any]
    conditions: tuple[Condition, ...]
    drift: dict[str, Any]
    summary: dict[str, Any]
    table: ObjectTable = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: no NaN (None instead), no numpy. ``schema`` is the version."""
        whole: dict[str, Any] = {"schema": SCHEMA_VERSION}
        whole |= {k: v for k, v in vars(self).items() if k not in ("conditions", "table")}
        whole["conditions"] = [condition.to_dict() for condition in self.conditions]
        return dict(_plain(whole))


def assess(
    batches: Iterable[LightCurveBatch],
    *,
    min_points: int = 20,
    twin_radius: float = 6.0,
    longitude: float | None = None,
    training: Mapping[str, Any] | None = None,
    further: Callable[[], Mapping[str, NDArray[np.float64]]] | None = None,
) -> QualityReport:
    """Judge a survey before anything is learned from it.

    Parameters
    ----------
    batches : iterable of LightCurveBatch
        As a reader gives them; one is held at a time, and some hundred bytes an object.
    min_points : int, default 20
        Curves with fewer usable points count as short.
    twin_radius : float, default 6.0
        Objects closer than this are one star, arcseconds.
    longitude : float or None, default None
        Of the observatory, degrees east: nights then run from local mean noon to the next.
        Without it a night is an integer MJD (UTC), which suits surveys from space and
        observatories whose noon is near 0 h UTC; the report says how many points lie at the
        border and which longitude would fit.
    training : mapping, optional
        Summary of the survey that a network learned from (`QualityReport.summary`, which a
        bundle holds): drift from it is judged too.
    further : callable, optional
        Called after the last batch; gives more measures per object, such as features, that
        are compared with those of the training summary and are part of the report's own.

    Returns
    -------
    QualityReport
        Counts, distributions and a verdict on each of the five conditions, for the survey,
        each night and each object. A survey without objects gives a report of zeros with
        unknown verdicts.

    Raises
    ------
    ConfigError
        If `min_points` is below 1 or the longitude is none.
    DataError
        If `training` is no summary of ours.

    Notes
    -----
    Points are flagged by `SurveyFlags` (where the survey's bits are there and known), `FlagBad`
    and `SigmaClip` with their defaults. The honesty of error bars is the robust scatter of the
    differences of points within an hour, in units of their errors, so that variability hardly
    enters; in multi-band surveys the band with most points speaks for an object.

    The zero point of a night is the weighted median, over stars, of the star's median that
    night less its median in all nights, with weights ``1 / (scatter^2 + 0.01^2)``: quiet
    stars decide, and a star that was exposed fifty times counts once.
    """
    if min_points < 1:
        raise ConfigError(f"assess: min_points must be at least 1, got {min_points!r}")
    tally = Tally(longitude)
    for batch in batches:
        tally.add(batch)
    group = _groups(tally, twin_radius)
    table = object_table(tally, group, min_points)
    redundancy, conflicts = _redundancy(tally, group)
    meta = tally.meta or Meta()
    classes = _classes(tally)
    parts: dict[str, Any] = {
        "survey": _survey(meta),
        "objects": _objects(tally, table, min_points),
        "points": {
            "total": tally.n_points,
            "usable": tally.n_usable,
            "repeated_times": tally.n_repeated_times,
            "absurd": tally.n_absurd,
            "flags": dict(tally.flags),
            "survey_flags": survey_flags_of(tally),
        },
        "errors": errors_of(tally),
        "cadence": cadence_of(tally),
        "brightness": brightness_of(
            tally, expected_scatter(tally.column("median"), tally.column("scatter"))
        ),
        "bands": bands_of(tally),
        "nights": tally.nights.to_dict(),
        "classes": classes,
        "rare_classes": {
            name: sum(split.values())
            for name, split in classes.items()
            if name and sum(split.values()) < RARE
        },
        "redundancy": redundancy,
    }
    measures = {**drift_measures(tally), **({} if further is None else further())}
    labels = {name: sum(split.values()) for name, split in classes.items() if name}
    about: dict[str, Any] = {
        "quantity": meta.quantity,
        "unit": meta.unit,
        "bands": list(meta.bands),
    }
    drifts = None
    if training is not None:
        now = summarize_measures(measures, labels, points=FINE, **about)
        drifts = compare(training, now)
    return QualityReport(
        **parts,
        conditions=conditions_of(tally, parts, conflicts, drifts),
        drift={}
        if drifts is None
        else {"measures": [one.to_dict() for one in drifts[0]], "differences": list(drifts[1])},
        summary=summarize_measures(measures, labels, **about),
        table=table,
    )


def _survey(meta: Meta) -> dict[str, Any]:
    return {
        "name": meta.survey,
        "quantity": meta.quantity,
        "unit": meta.unit,
        "time_scale": meta.time_scale,
        "time_ref": meta.time_ref,
        "bands": list(meta.bands),
    }


def _objects(tally: Tally, table: ObjectTable, min_points: int) -> dict[str, Any]:
    usable = tally.column("n_usable")
    worst = table.worst(WORST)
    return {
        "total": tally.n_objects,
        "readable": int(usable.size),
        "unreadable": dict(tally.rejected),
        "empty": int(np.count_nonzero(usable == 0)),
        "one_point": int(np.count_nonzero(usable == 1)),
        "short": int(np.count_nonzero(usable < min_points)),
        "unsorted": tally.n_unsorted,
        "verdicts": table.counts,
        "worst": [
            {name: column[i] for name, column in table.columns.items()} for i in worst.tolist()
        ],
    }


def _classes(tally: Tally) -> dict[str, dict[str, int]]:
    classes: dict[str, dict[str, int]] = {}
    for (label, split), count in sorted(tally.labels.items()):
        classes.setdefault(label, {})[split] = count
    return classes


def _groups(tally: Tally, radius: float) -> NDArray[np.int64]:
    """Group of twins of each readable object, by position."""
    ra, dec = tally.column("ra"), tally.column("dec")
    possible = np.abs(dec) <= 90.0
    return twins(np.where(possible, ra, np.nan), np.where(possible, dec, np.nan), radius=radius)


def _redundancy(tally: Tally, group: NDArray[np.int64]) -> tuple[dict[str, Any], int]:
    """What is there twice, and how many groups of twins bear two labels."""
    ids, label, split = tally.column("id"), tally.column("label"), tally.column("split")
    order = np.argsort(group, kind="stable")
    runs = np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if order.size else []
    groups = [run for run in runs if run.size > 1]
    crossing = [run for run in groups if len(set(split[run]) - {""}) > 1]
    conflicts = [run for run in groups if len(set(label[run]) - {""}) > 1]
    repeated = Counter(ids.tolist())
    return {
        "groups": len(groups),
        "objects": sum(run.size - 1 for run in groups),
        "crossing": len(crossing),
        "repeated_ids": sum(count - 1 for count in repeated.values()),
        "examples": [ids[run].tolist() for run in groups[:EXAMPLES]],
        "redundant_columns": tally.fields.redundant(),
        "constant_columns": tally.fields.constant(),
        "correlated_columns": tally.fields.correlated(),
        "telling_columns": tally.fields.telling(),
    }, len(conflicts)


def _plain(value: Any) -> Any:
    """Lists, dicts, numbers and text; None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
