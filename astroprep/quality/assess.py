"""The data-quality report of a survey, from one pass over its batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Meta
from astroprep.integrate import twins
from astroprep.quality.conditions import Condition, judge
from astroprep.quality.tally import GAP_EDGES, POINT_EDGES, WINDOW_FREQUENCIES, Tally

__all__ = ["QualityReport", "assess"]

BRIGHTNESS_BINS = 60
PICTURED = 2000  # objects kept for the picture of scatter against brightness
PLAUSIBLE_MAG = (-30.0, 40.0)  # the Sun is -27; no survey reaches 40
EXAMPLES = 20  # groups of twins that are named


@dataclass(frozen=True)
class QualityReport:
    """What `assess` found.

    Parameters
    ----------
    survey : dict
        ``name``, ``quantity``, ``unit``, ``time_scale``, ``time_ref``, ``bands``.
    objects : dict
        Counts: ``total``, ``readable``, ``unreadable`` (by reason), ``empty``, ``one_point``,
        ``short``, ``unsorted``.
    points : dict
        ``total``, ``usable``, ``repeated_times`` and ``flags``, a count by the name of the flag.
    errors : dict
        ``unknown`` (points), ``honesty`` (percentiles of true over quoted scatter by object)
        and its ``histogram``.
    cadence : dict
        Percentiles of ``points_per_object`` and ``baseline`` (days), ``histograms`` of points
        per object and of the time to the next point (days), and ``window``: median power of
        the sampling at a day, a sidereal day, a lunation and a year.
    brightness : dict
        Percentiles of the objects' ``median``, its ``histogram``, and a sample of ``median``
        and ``scatter`` by object for a picture.
    classes : dict
        By label ("" for none): count of objects by split ("" for none).
    redundancy : dict
        ``groups`` of twins, ``objects`` in them beyond the first, ``crossing`` groups that
        stand on both sides of the split, ``repeated_ids``, ``examples`` (lists of ids),
        ``redundant_columns``, ``constant_columns``.
    conditions : tuple of Condition
        The five conditions in the order of `CONDITIONS`.
    """

    survey: dict[str, Any]
    objects: dict[str, Any]
    points: dict[str, Any]
    errors: dict[str, Any]
    cadence: dict[str, Any]
    brightness: dict[str, Any]
    classes: dict[str, dict[str, int]]
    redundancy: dict[str, Any]
    conditions: tuple[Condition, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: no NaN (None instead), no numpy."""
        whole = {name: value for name, value in vars(self).items() if name != "conditions"}
        whole["conditions"] = [condition.to_dict() for condition in self.conditions]
        return dict(_plain(whole))


def assess(
    batches: Iterable[LightCurveBatch], *, min_points: int = 20, twin_radius: float = 6.0
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

    Returns
    -------
    QualityReport
        Counts, distributions and a verdict on each of the five conditions. A survey without
        objects gives a report of zeros with unknown verdicts.

    Notes
    -----
    Points are flagged by `FlagBad` and `SigmaClip` with their defaults. The honesty of error
    bars is the robust scatter of the differences of points within an hour, in units of their
    errors, so that variability hardly enters; in multi-band surveys the band with most points
    speaks for an object.
    """
    tally = Tally()
    for batch in batches:
        tally.add(batch)
    usable = tally.column("n_usable")
    objects = {
        "total": tally.n_objects,
        "readable": int(usable.size),
        "unreadable": dict(tally.rejected),
        "empty": int(np.count_nonzero(usable == 0)),
        "one_point": int(np.count_nonzero(usable == 1)),
        "short": int(np.count_nonzero(usable < min_points)),
        "unsorted": tally.n_unsorted,
    }
    classes: dict[str, dict[str, int]] = {}
    for (label, split), count in sorted(tally.labels.items()):
        classes.setdefault(label, {})[split] = count
    redundancy, conflicts = _redundancy(tally, twin_radius)
    meta = tally.meta or Meta()
    return QualityReport(
        survey={
            "name": meta.survey,
            "quantity": meta.quantity,
            "unit": meta.unit,
            "time_scale": meta.time_scale,
            "time_ref": meta.time_ref,
            "bands": list(meta.bands),
        },
        objects=objects,
        points={
            "total": tally.n_points,
            "usable": tally.n_usable,
            "repeated_times": tally.n_repeated_times,
            "flags": dict(tally.flags),
        },
        errors=_errors(tally),
        cadence=_cadence(tally),
        brightness=_brightness(tally),
        classes=classes,
        redundancy=redundancy,
        conditions=_conditions(tally, meta, objects, redundancy, conflicts),
    )


def _errors(tally: Tally) -> dict[str, Any]:
    honesty = tally.column("honesty")
    edges = np.geomspace(0.05, 20.0, 61)
    return {
        "unknown": tally.n_unknown_errors,
        "honesty": _percentiles(honesty),
        "histogram": _histogram(honesty, edges),
    }


def _cadence(tally: Tally) -> dict[str, Any]:
    window = tally.column("window").reshape(-1, len(WINDOW_FREQUENCIES))
    n_points = tally.column("n_usable")
    return {
        "points_per_object": _percentiles(n_points),
        "baseline": _percentiles(tally.column("span")),
        "histograms": {
            "points_per_object": _histogram(n_points, POINT_EDGES),
            "gap": {"edges": GAP_EDGES, "counts": tally.gaps},
        },
        "window": {
            name: _percentiles(window[:, k])["median"] for k, name in enumerate(WINDOW_FREQUENCIES)
        },
    }


def _brightness(tally: Tally) -> dict[str, Any]:
    median, scatter = tally.column("median"), tally.column("scatter")
    known = np.flatnonzero(np.isfinite(median))
    low, high = np.percentile(median[known], [0.1, 99.9]) if known.size else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, BRIGHTNESS_BINS + 1)
    chosen = known[:: max(1, -(-known.size // PICTURED))]
    return {
        "median": _percentiles(median),
        "histogram": _histogram(median, edges),
        "sample": {"median": median[chosen], "scatter": scatter[chosen]},
    }


def _redundancy(tally: Tally, radius: float) -> tuple[dict[str, Any], int]:
    """What is there twice, and how many groups of twins bear two labels."""
    ids, ra, dec = tally.column("id"), tally.column("ra"), tally.column("dec")
    label, split = tally.column("label"), tally.column("split")
    possible = np.abs(dec) <= 90.0
    group = twins(np.where(possible, ra, np.nan), np.where(possible, dec, np.nan), radius=radius)
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
        "redundant_columns": tally.redundant_columns(),
        "constant_columns": tally.constant_columns(),
    }, len(conflicts)


def _conditions(
    tally: Tally,
    meta: Meta,
    objects: dict[str, Any],
    redundancy: dict[str, Any],
    conflicts: int,
) -> tuple[Condition, ...]:
    flags, n_points, n = tally.flags, tally.n_points, tally.n_objects

    def points(flag: str) -> tuple[float, str]:
        count = flags[flag]
        return _share(count, n_points), f"{count:,} of {n_points:,} points"

    def stars(count: int) -> tuple[float, str]:
        return _share(count, n), f"{count:,} of {n:,} objects"

    dec, median = tally.column("dec"), tally.column("median")
    placed = np.isfinite(tally.column("ra")) & np.isfinite(dec)
    impossible = int(np.count_nonzero(placed & (np.abs(dec) > 90)))
    odd = 0
    if meta.quantity == "mag":
        odd = int(np.count_nonzero((median < PLAUSIBLE_MAG[0]) | (median > PLAUSIBLE_MAG[1])))
    honesty = _percentiles(tally.column("honesty"))
    middle, low, high = honesty["median"], honesty["p16"], honesty["p84"]
    off = max(middle, 1 / middle) if middle > 0 else np.nan
    spread = high / low if low > 0 else np.nan
    spellings = Counter(label.casefold().replace(" ", "") for label in {k[0] for k in tally.labels})
    variants = sum(count - 1 for count in spellings.values())
    known = meta.time_ref is not None
    unknown_errors = tally.n_unknown_errors
    return (
        judge(
            "validity",
            {
                "bad times": points("bad_time"),
                "sentinel values": points("sentinel"),
                "impossible positions": stars(impossible),
                "implausible brightness": stars(odd),
            },
        ),
        judge(
            "accuracy and reliability",
            {
                "outlying points": points("outlier"),
                "misquoted errors": (
                    off,
                    f"the scatter within an hour is {middle:.2g} times the quoted error"
                    if middle > 0
                    else "no objects with errors and points within an hour of each other",
                ),
                "spread of misquoting": (
                    spread,
                    f"from {low:.2g} to {high:.2g} times (16 % to 84 % of the objects)"
                    if low > 0
                    else "not known",
                ),
            },
        ),
        judge(
            "consistency",
            {
                "unknown time system": (
                    np.nan if not n else float(not known),
                    f"times are {meta.time_scale}" if known else "the file does not say",
                ),
                "unsorted curves": stars(objects["unsorted"]),
                "labels spelled in several ways": (float(variants), f"{variants} labels"),
                "twins with different labels": stars(conflicts),
            },
        ),
        judge(
            "completeness",
            {
                "missing values": points("missing_value"),
                "missing errors": (
                    _share(unknown_errors, n_points),
                    f"{unknown_errors:,} of {n_points:,} points",
                ),
                "short curves": stars(objects["short"]),
                "objects without a position": stars(int(np.count_nonzero(~placed))),
                "unreadable objects": stars(sum(objects["unreadable"].values())),
            },
        ),
        judge(
            "no redundancy",
            {
                "repeated points": points("duplicate"),
                "repeated ids": stars(redundancy["repeated_ids"]),
                "twins": stars(redundancy["objects"]),
                "twins across the split": stars(redundancy["crossing"]),
                "redundant columns": (
                    float(len(redundancy["redundant_columns"])),
                    ", ".join(f"{a} = {b}" for a, b in redundancy["redundant_columns"]) or "none",
                ),
            },
        ),
    )


def _share(count: int, total: int) -> float:
    return count / total if total else float("nan")


def _percentiles(values: NDArray[Any]) -> dict[str, float]:
    """Minimum, 5th, 16th, 50th, 84th, 95th percentile and maximum of the finite values."""
    known = values[np.isfinite(values)] if values.size else values
    names = ("min", "p5", "p16", "median", "p84", "p95", "max")
    if not known.size:
        return dict.fromkeys(names, float("nan"))
    found = np.percentile(known, [0, 5, 16, 50, 84, 95, 100])
    return dict(zip(names, found.tolist(), strict=True))


def _histogram(values: NDArray[Any], edges: NDArray[np.float64]) -> dict[str, Any]:
    known = values[np.isfinite(values)] if values.size else values
    return {"edges": edges, "counts": np.histogram(np.clip(known, edges[0], edges[-1]), edges)[0]}


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
