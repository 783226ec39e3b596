"""Which nights are bad, and how a night is named."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NIGHT_LIMITS", "binned_quantiles", "judge_nights", "night_rule"]

WORST = 30  # nights that are listed
LONGEST = 12  # gaps that are listed
SIGNIFICANT = 5.0  # standard errors before a shift is called one
SURE = 3.0  # standard errors that a ratio must be above its limit
LEAST_STARS = 8.0  # effective number of stars for a zero point
LEAST_PAIRS = 20  # of near points, for noise and honesty
LEAST_POINTS = 20  # for a share of bad points

# (good up to, fair up to). A shift of 0.03 mag is the calibration of a good survey, 0.1 mag moves
# a star to another class; twice the usual noise is a night of clouds; half of the points away is
# a night to leave out.
NIGHT_LIMITS = {
    "zero point": (0.03, 0.1),
    "noise": (1.7, 3.0),
    "error bars": (1.7, 3.0),
    "bad points": (0.2, 0.5),
}


def night_rule(longitude: float | None, hours: NDArray[np.int64]) -> dict[str, Any]:
    """How nights are cut, when the survey observes, and whether the cut falls into its nights.

    Parameters
    ----------
    longitude : float or None
        Degrees east, if it was given.
    hours : int64 array, shape (24,)
        Points by hour of the day, UTC.

    Returns
    -------
    dict
        ``rule`` in words, ``longitude``, ``hours``, ``cut`` (share of the points within an hour
        of the border between two nights) and ``suggested_longitude``: where the middle of the
        emptiest eight hours is noon; None for surveys that know no day.
    """
    total = int(hours.sum())
    suggested: float | None = None
    cut = float("nan")
    if total:
        eight = np.array([np.roll(hours, -k)[:8].sum() for k in range(24)])
        quiet = np.flatnonzero(eight == eight.min())
        if eight.min() < total / 24:  # a third of the day with an eighth of its fair share
            # the middle of the run of equally quiet starts, on the circle
            angle = np.angle(np.exp(2j * np.pi * quiet / 24).sum())
            noon = (angle / (2 * np.pi) * 24 + 4.0) % 24
            suggested = float(round((180.0 - 15.0 * noon + 180.0) % 360.0 - 180.0, 1))
        noon_utc = 0.0 if longitude is None else (12.0 - longitude / 15.0) % 24
        first = int(np.floor(noon_utc - 1)) % 24
        cut = float(hours[first] + hours[(first + 1) % 24]) / total
    rule = (
        "integer MJD (UTC); give a longitude for nights from local noon to local noon"
        if longitude is None
        else f"from local mean noon at longitude {longitude:g} to the next, MJD of the evening"
    )
    return {
        "rule": rule,
        "longitude": longitude,
        "hours": hours,
        "cut": cut,
        "suggested_longitude": suggested,
    }


def judge_nights(table: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Verdicts on nights.

    Parameters
    ----------
    table : dict
        From `Nights.table`.

    Returns
    -------
    dict
        ``count``; ``judged`` and ``bad`` nights by kind of check (`NIGHT_LIMITS`): those beyond
        the good limit; ``columns``, the table with ``verdict`` and ``worst_check``; ``worst``,
        the nights to look at first; ``gaps``, the longest stretches without a point (first
        and last night of each, and days); ``observed``, the share of nights with points from
        the first to the last.
    """
    n = table["night"].size
    measures = _measures(table)
    score = np.zeros(n)
    worst = np.full(n, "", dtype=object)
    judged, bad = {}, {}
    for name, (value, known) in measures.items():
        good, fair = NIGHT_LIMITS[name]
        with np.errstate(invalid="ignore"):
            mine = np.where(known & (value > good), np.where(value > fair, 2.0, 1.0), 0.0)
            mine += np.where(mine > 0, np.clip(value / fair, 0, 100) / 101, 0.0)  # order in a rank
        worst[mine > score] = name
        score = np.maximum(score, mine)
        judged[name], bad[name] = int(known.sum()), int(np.count_nonzero(mine))
    any_known = np.any([known for _, known in measures.values()], axis=0) if n else np.zeros(0)
    verdict = np.array(["unknown", "good", "fair", "poor"], object)[
        np.where(any_known, 1 + np.floor(np.minimum(score, 2)), 0).astype(np.int64)
    ]
    columns = {**table, "verdict": verdict, "worst_check": worst}
    order = np.argsort(-score, kind="stable")[:WORST]
    return {
        "count": n,
        "judged": judged,
        "bad": bad,
        "columns": columns,
        "worst": [
            {name: column[i] for name, column in columns.items()} for i in order if score[i] > 0
        ],
        **_gaps(table["night"]),
    }


def _measures(
    table: dict[str, NDArray[Any]],
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Of each kind of check: how bad the night is, and whether that is known."""
    shift, uncertain = np.abs(table["shift"]), table["shift_error"]
    with np.errstate(invalid="ignore"):
        real = shift > SIGNIFICANT * uncertain
    paired = table["pairs"] >= LEAST_PAIRS
    honesty = table["honesty"]
    usual = float(np.median(honesty[paired])) if paired.any() else 1.0
    usual = usual if usual > 0 else 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        odd = np.maximum(honesty / usual, usual / honesty)
        # a MAD of n values is uncertain by 1.17 / sqrt(n); what is left is sure
        doubt = 1 + SURE * 1.17 / np.sqrt(table["pairs"])
        noise, odd = table["noise"] / doubt, odd / doubt
    return {
        "zero point": (np.where(real, shift, 0.0), table["stars"] >= LEAST_STARS),
        "noise": (noise, paired & np.isfinite(noise)),
        "error bars": (odd, paired & np.isfinite(odd)),
        "bad points": (table["flagged"], table["points"] >= LEAST_POINTS),
    }


def _gaps(night: NDArray[np.int64]) -> dict[str, Any]:
    if night.size < 2:
        return {"gaps": [], "observed": float("nan")}
    step = np.diff(night)
    longest = np.argsort(-step, kind="stable")[:LONGEST]
    return {
        "gaps": [
            {"first": night[k], "last": night[k + 1], "days": step[k]}
            for k in longest
            if step[k] > 1
        ],
        "observed": night.size / float(night[-1] - night[0] + 1),
    }


def binned_quantiles(
    counts: NDArray[Any], edges: NDArray[np.float64], q: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Quantiles of binned values, linear within a bin.

    Parameters
    ----------
    counts : array, shape (n_rows, n_bins)
        Counts or weights.
    edges : float64 array, shape (n_bins + 1,)
        Of the bins.
    q : float64 array, shape (n_quantiles,)
        Between 0 and 1.

    Returns
    -------
    float64 array, shape (n_quantiles, n_rows)
        NaN for empty rows.
    """
    found = np.full((q.size, counts.shape[0]), np.nan)
    below = np.cumsum(counts, axis=1, dtype=np.float64)
    for i in np.flatnonzero(below[:, -1] > 0) if below.size else ():
        wanted = q * below[i, -1]
        bin_ = np.minimum(np.searchsorted(below[i], wanted), edges.size - 2)
        before = np.where(bin_ > 0, below[i][bin_ - 1], 0.0)
        part = (wanted - before) / np.maximum(below[i][bin_] - before, 1e-300)
        found[:, i] = edges[bin_] + np.clip(part, 0, 1) * (edges[bin_ + 1] - edges[bin_])
    return found
