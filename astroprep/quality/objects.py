"""One row an object: its measures, a verdict on each condition, and what is worst about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.quality.conditions import CONDITIONS, Limits
from astroprep.quality.tally import COUNTED, Tally

__all__ = ["OBJECT_LIMITS", "ObjectTable", "expected_scatter", "object_table"]

UNREADABLE = "unreadable"
NEVER = np.inf  # as a fair limit: the check alone never makes an object poor

# By condition: (good up to, fair up to). Shares of the points of the object unless said. One
# bad point in a hundred is ordinary; beyond a tenth the object is described by its accidents.
OBJECT_LIMITS: dict[str, dict[str, Limits]] = {
    "validity": {
        "bad times": Limits(0.0, 0.05),
        "sentinel values": Limits(0.01, 0.1),
        "absurd values": Limits(0.0, 0.01),
        "one value only": Limits(0.0, 0.5),  # 0 or 1
    },
    "accuracy and reliability": {
        "outlying points": Limits(0.02, 0.1),
        "misquoted errors": Limits(2.0, 4.0),  # factor, either way
    },
    "consistency": {
        "not in order of time": Limits(0.0, NEVER),  # 0 or 1
        "a twin with another label": Limits(0.0, NEVER),  # 0 or 1
    },
    "completeness": {
        "missing values": Limits(0.05, 0.3),
        "missing errors": Limits(0.05, 0.3),
        "marked by the survey": Limits(0.2, 0.5),
        "too few points": Limits(1.0, 4.0),  # wanted over usable
        "one long gap": Limits(0.6, 0.9),  # of the baseline
        "missing bands": Limits(0.0, NEVER),  # of the survey's
        "no position": Limits(0.0, NEVER),  # 0 or 1
    },
    "no redundancy": {
        "repeated points": Limits(0.01, 0.1),
        "a twin": Limits(0.0, NEVER),  # 0 or 1
        "an id that is there already": Limits(0.0, NEVER),  # 0 or 1
    },
}
VERDICTS = np.array(["unknown", "good", "fair", "poor"], dtype=object)


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """Measures and verdicts of all objects, sorted by row.

    Parameters
    ----------
    columns : dict of str to array, shape (n_objects,)
        ``row`` (of the input), ``id``, ``label``, ``n_points``, ``n_usable``, ``baseline`` and
        ``longest_gap`` (days), ``median``, ``scatter`` and ``expected_scatter`` (unit of the
        survey; the last is the usual scatter at this brightness), ``honesty``, a share of the
        points for each kind of flag (``share_...``), ``twin_of`` (row of the first twin, -1
        for none), one ``verdict_...`` for each condition, ``verdict`` (the worst of them),
        ``worst_check`` and ``severity``: 0 good, 1 fair, 2 poor, and further by how many
        checks are beyond their limits and how far.
    counts : dict
        By condition: how many objects are good, fair, poor and unknown.
    """

    columns: dict[str, NDArray[Any]]
    counts: dict[str, dict[str, int]]

    @property
    def n_objects(self) -> int:
        """Rows, the unreadable objects included."""
        return int(self.columns["row"].size)

    def worst(self, n: int) -> NDArray[np.int64]:
        """Positions of the worst objects in the table, worst first, none that is good."""
        severity = self.columns["severity"]
        order = np.argsort(-severity, kind="stable")[:n]
        return order[severity[order] >= 1].astype(np.int64)


def expected_scatter(
    median: NDArray[np.float64], scatter: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Usual scatter at the brightness of each object.

    Parameters
    ----------
    median, scatter : float64 array, shape (n_objects,)
        Of each object, in one unit.

    Returns
    -------
    float64 array, shape (n_objects,)
        Medians of up to 40 groups of equally many objects by brightness, joined by straight
        lines. NaN where the brightness is unknown, and everywhere with fewer than 20 objects.
    """
    expected = np.full(median.size, np.nan)
    known = np.flatnonzero(np.isfinite(median) & np.isfinite(scatter))
    if known.size < 20:
        return expected
    order = known[np.argsort(median[known], kind="stable")]
    groups = np.array_split(order, min(40, order.size // 10))
    x = np.array([np.median(median[g]) for g in groups])
    y = np.array([np.median(scatter[g]) for g in groups])
    expected[known] = np.interp(median[known], x, y)
    return expected


def object_table(tally: Tally, group: NDArray[np.int64], min_points: int) -> ObjectTable:
    """Judge every object of a survey.

    Parameters
    ----------
    tally : Tally
        Of the whole survey.
    group : int64 array, shape (n_readable,)
        Group of twins of each readable object, see `astroprep.integrate.twins`.
    min_points : int
        Usable points that an object should have.
    """
    measures = _measures(tally, group, min_points)
    n = group.size
    columns = _columns(tally, group)
    severity, worst = np.zeros(n), np.full(n, "", dtype=object)
    overall = np.zeros(n, np.int64)
    reach, beyond = np.zeros(n), np.zeros(n)
    counts = {}
    for condition, limits in OBJECT_LIMITS.items():
        rank = np.zeros(n, np.int64)
        for name, limit in limits.items():
            value = measures[name]
            mine, excess = _rank(value, limit)
            rank = np.maximum(rank, mine)
            bad = mine >= 2
            worse = bad & (mine + excess > reach)
            worst[worse], reach[worse] = name, (mine + excess)[worse]
            beyond += np.where(bad, mine - 1, 0)
        columns[f"verdict_{condition.replace(' ', '_')}"] = VERDICTS[rank]
        counts[condition] = _counted(rank)
        overall = np.maximum(overall, rank)
    severity = np.where(overall >= 2, overall - 1 + beyond / 100 + (reach % 1) / 1000, 0.0)
    columns |= {"verdict": VERDICTS[overall], "worst_check": worst, "severity": severity}
    counts["all"] = _counted(overall)
    return _with_refused(columns, counts, tally)


def _counted(rank: NDArray[np.int64]) -> dict[str, int]:
    found = np.bincount(rank, minlength=4).tolist()
    return dict(zip(VERDICTS.tolist(), found, strict=True))


def _rank(
    value: NDArray[np.float64], limit: Limits
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """0 unknown, 1 good, 2 fair, 3 poor; and from 0 to 1 how far beyond the good limit."""
    with np.errstate(invalid="ignore"):
        rank = 1 + (value > limit.good).astype(np.int64) + (value > limit.fair)
    rank[np.isnan(value)] = 0
    step = limit.fair if 0 < limit.fair < NEVER else max(limit.good, 1.0)
    ratio = np.nan_to_num(value / step, nan=0.0, posinf=1e12)
    return rank, np.where(rank >= 2, 0.999 * ratio / (1 + ratio), 0.0)


def _measures(
    tally: Tally, group: NDArray[np.int64], min_points: int
) -> dict[str, NDArray[np.float64]]:
    n_points = tally.column("n_points").astype(np.float64)
    usable = tally.column("n_usable").astype(np.float64)
    honesty, scatter = tally.column("honesty"), tally.column("scatter")
    label, ids = tally.column("label"), tally.column("id")

    def share(name: str) -> NDArray[np.float64]:
        unknown = np.full(n_points.size, np.nan)
        np.divide(tally.column(name), n_points, out=unknown, where=n_points > 0)
        return unknown

    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.maximum(honesty, 1 / honesty)
        off[~(honesty > 0)] = np.nan
        gap = tally.column("gap") / tally.column("span")
        few = min_points / usable
    gap[usable < 5] = np.nan  # three points always have a long gap; they are too few already
    n_twins = np.bincount(group, minlength=group.size)[group] if group.size else group
    nowhere = ~(np.isfinite(tally.column("ra")) & np.isfinite(tally.column("dec")))
    bands = np.full(group.size, np.nan)
    if len(tally.bands) > 1 and tally.column("n_bands").size == group.size:
        bands = 1 - tally.column("n_bands") / len(tally.bands)
    return {
        "bad times": share("bad_times"),
        "sentinel values": share("sentinels"),
        "absurd values": share("absurd"),
        "one value only": np.where(usable >= 5, (scatter == 0).astype(float), np.nan),
        "outlying points": share("outliers"),
        "misquoted errors": off,
        "not in order of time": tally.column("unsorted").astype(float),
        "a twin with another label": _conflicting(group, label).astype(float),
        "missing values": share("missing_values"),
        "missing errors": share("unknown_errors"),
        "marked by the survey": (
            share("survey_marked") if tally.has_survey_flags else np.full(group.size, np.nan)
        ),
        "too few points": few,
        "one long gap": gap.astype(np.float64),
        "missing bands": bands,
        "no position": nowhere.astype(float),
        "repeated points": share("duplicates"),
        "a twin": (n_twins > 1).astype(float),
        "an id that is there already": _repeated(ids).astype(float),
    }


def _conflicting(group: NDArray[np.int64], label: NDArray[Any]) -> NDArray[np.bool_]:
    """Objects whose twins bear another label."""
    said: dict[int, set[str]] = {}
    in_groups = np.flatnonzero(
        np.bincount(group, minlength=group.size)[group] > 1 if group.size else group
    )
    for i in in_groups.tolist():
        if label[i]:
            said.setdefault(int(group[i]), set()).add(label[i])
    found = np.zeros(group.size, bool)
    for i in in_groups.tolist():
        found[i] = len(said.get(int(group[i]), ())) > 1
    return found


def _repeated(ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Objects with the id of an earlier one."""
    seen: set[str] = set()
    repeated = np.zeros(ids.size, bool)
    for i, name in enumerate(ids.tolist()):
        repeated[i] = name in seen
        seen.add(name)
    return repeated


def _columns(tally: Tally, group: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    n_points = tally.column("n_points")
    median, scatter = tally.column("median"), tally.column("scatter")
    row = tally.column("row").astype(np.int64)
    first = np.arange(group.size)
    single = np.bincount(group, minlength=group.size)[group] == 1 if group.size else group == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = {
            f"share_{name}": (tally.column(name) / n_points).astype(np.float32)
            for name in (*COUNTED, "absurd")
        }
    n_bands = tally.column("n_bands")
    return {
        "row": row,
        "id": tally.column("id").astype(object),
        "label": tally.column("label").astype(object),
        "n_points": n_points.astype(np.int32),
        "n_usable": tally.column("n_usable").astype(np.int32),
        "n_bands": n_bands if n_bands.size == group.size else np.ones(group.size, np.int16),
        "baseline": tally.column("span").astype(np.float64),
        "longest_gap": tally.column("gap").astype(np.float32),
        "median": median.astype(np.float64),
        "scatter": scatter.astype(np.float32),
        "expected_scatter": expected_scatter(median, scatter).astype(np.float32),
        "honesty": tally.column("honesty").astype(np.float32),
        **shares,
        "twin_of": np.where(single | (group == first), -1, row[group] if group.size else row),
    }


def _with_refused(
    columns: dict[str, NDArray[Any]], counts: dict[str, dict[str, int]], tally: Tally
) -> ObjectTable:
    """Append the objects that could not be read, and put all in the order of the input."""
    m = len(tally.refused)
    whole = {}
    for name, column in columns.items():
        if column.dtype == object:
            tail = np.full(m, "unknown" if name.startswith("verdict") else "", dtype=object)
        elif column.dtype.kind == "f":
            tail = np.full(m, np.nan, column.dtype)
        else:
            tail = np.full(m, -1 if name == "twin_of" else 0, column.dtype)
        whole[name] = np.concatenate([column, tail])
    if m:
        rows, ids, reasons = zip(*tally.refused, strict=True)
        whole["row"][-m:], whole["id"][-m:] = rows, ids
        whole["worst_check"][-m:] = [f"{UNREADABLE}: {reason}" for reason in reasons]
        whole["verdict"][-m:] = whole["verdict_completeness"][-m:] = "poor"
        whole["severity"][-m:] = 3.0
        for name in ("completeness", "all"):
            counts[name]["poor"] += m
        for name in CONDITIONS.keys() - {"completeness"}:
            counts[name]["unknown"] += m
    order = np.argsort(whole["row"], kind="stable")
    return ObjectTable({name: column[order] for name, column in whole.items()}, counts)
