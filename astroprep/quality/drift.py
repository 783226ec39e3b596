"""Whether a survey still looks like the one that a network learned from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import DataError
from astroprep.quality.conditions import Limits

__all__ = [
    "COARSE",
    "COARSE_DIGITS",
    "DRIFT_LIMITS",
    "FEATURE_PREFIX",
    "FINE",
    "SUMMARY_VERSION",
    "Drift",
    "compare",
    "summarize",
    "summarize_measures",
]

SUMMARY_VERSION = 1
FEATURE_PREFIX = "feature "  # of a feature's name among the measures
GRID = 24  # points of a stored distribution function: some 400 bytes a measure
COARSE = 11  # for features: the borders of the ten bins of the index
COARSE_DIGITS = 4
FINE = 1000  # points for the survey that is compared
PSI_BINS = 10  # for which the usual limits of the index were found
DIGITS = 5  # significant, of stored numbers
LEAST = 20  # values, before two distributions are compared

# Siddiqi 2006 (Credit Risk Scorecards, Wiley) calls an index above 0.1 a small shift and above
# 0.25 a large one. A distance of 0.1 moves one object in ten to another side of a threshold.
# The stars of a survey spread over magnitudes, so an error of the zero point of a few tenths,
# which every cut in brightness feels, passes both; it shows in the median of magnitudes.
DRIFT_LIMITS = {
    "psi": Limits(0.1, 0.25),
    "ks": Limits(0.1, 0.2),
    "missing": Limits(0.05, 0.2),
    "shift": Limits(0.1, 0.5),  # mag, of the median brightness
}


@dataclass(frozen=True)
class Drift:
    """How one measure moved from the training survey to the new one.

    Parameters
    ----------
    name : str
        The measure.
    psi : float or None
        Population stability index, ``sum (new - old) ln(new / old)`` over ten bins.
    ks : float or None
        Largest distance of the two distribution functions at the stored quantiles.
    missing : float
        How much larger the share of unknown values is; negative for a smaller one.
    before, now : float or None
        Medians.
    verdict : {"good", "fair", "poor", "unknown"}
        The worst of the three against `DRIFT_LIMITS`, and for brightness in magnitudes the
        shift of its median; what samples of this size show by
        chance once in a thousand is good.
    text : str
        The same in words.
    """

    name: str
    psi: float | None
    ks: float | None
    missing: float
    before: float | None
    now: float | None
    verdict: Literal["good", "fair", "poor", "unknown"]
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def summarize(values: ArrayLike, points: int = GRID, digits: int = DIGITS) -> dict[str, Any]:
    """Distribution of a measure in a few hundred bytes.

    Parameters
    ----------
    values : float array, shape (n_objects,)
        Any unit; NaN for unknown.
    points : int, default 24
        Quantiles that are kept; `COARSE` do for features, of which there are many.
    digits : int, default 5
        Significant digits of the stored numbers.

    Returns
    -------
    dict
        ``n`` values, the share ``missing``, and the distribution function: shares ``below`` of
        the known values that are not above each of the numbers ``at``, rounded quantiles.
        The shares are counted at the rounded numbers, so that rounding and repeated values do
        no harm. With five digits values must spread by more than 1e-4 of their size to be told
        apart.
    """
    given = np.asarray(values, np.float64).ravel()
    known = np.sort(given[np.isfinite(given)])
    if not known.size:
        return {"n": int(given.size), "missing": 1.0 if given.size else 0.0, "at": [], "below": []}
    at = np.quantile(known, np.linspace(0, 1, points), method="inverted_cdf")
    at = np.unique([float(f"{x:.{digits}g}") for x in at])
    below = np.searchsorted(known, at, side="right") / known.size
    return {
        "n": int(given.size),
        "missing": round(1 - known.size / given.size, digits),
        "at": at.tolist(),
        "below": [round(float(x), digits) for x in below],
    }


def summarize_measures(
    measures: Mapping[str, ArrayLike],
    labels: Mapping[str, int] | None = None,
    *,
    points: int = GRID,
    **about: Any,
) -> dict[str, Any]:
    """Training summary: what a bundle keeps of the survey that its network learned from.

    Parameters
    ----------
    measures : mapping of str to float array, shape (n_objects,)
        See `astroprep.quality.assess.QualityReport`, features, or anything per object.
    labels : mapping of str to int, optional
        Objects by class.
    points : int, default 24
        See `summarize`.
    **about
        Plain values such as ``quantity`` and ``bands``.

    Returns
    -------
    dict
        ``version``, ``measures`` (each by `summarize`), ``labels`` and what else was given.
    """
    return {
        "version": SUMMARY_VERSION,
        "measures": {name: summarize(values, points) for name, values in measures.items()},
        "labels": {str(k): int(v) for k, v in (labels or {}).items()},
        **about,
    }


def compare(
    summary: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[tuple[Drift, ...], tuple[str, ...]]:
    """Compare a survey with the training summary of a bundle.

    Parameters
    ----------
    summary, now : mapping
        From `summarize_measures`: of the training survey, and of the new one, which should be
        on a finer grid (`FINE`), because it is read between its points.

    Returns
    -------
    drifts : tuple of Drift
        One for each measure of both, worst first; classes as ``"classes"`` where both surveys
        have labels.
    differences : tuple of str
        What differs beyond distributions: the quantity, the unit, bands.

    Raises
    ------
    DataError
        If the summary is none of ours, or of a newer version.

    References
    ----------
    .. [1] Yurdakul & Naranjo 2020, Journal of Risk Model Validation 14, 89: under no drift the
       index is ``(1/n + 1/m)`` times a chi-squared variable of ``bins - 1`` degrees.
    """
    if summary.get("version") != SUMMARY_VERSION or not isinstance(
        summary.get("measures"), Mapping
    ):
        raise DataError(
            f"drift needs a training summary of version {SUMMARY_VERSION}, got version "
            f"{summary.get('version')!r}; train the bundle again with this astroprep"
        )
    differences = _differences(summary, now)
    in_magnitudes = summary.get("quantity") == now.get("quantity") == "mag"
    drifts = [
        _drift(name, old, now["measures"][name], name == "brightness" and in_magnitudes)
        for name, old in summary["measures"].items()
        if name in now["measures"]
    ]
    old, new = dict(summary.get("labels") or {}), dict(now.get("labels") or {})
    if old and new:
        drifts.append(_class_drift(old, new))
    rank = {"poor": 0, "fair": 1, "good": 2, "unknown": 3}
    drifts.sort(key=lambda d: (rank[d.verdict], -(d.psi or 0.0)))
    return tuple(drifts), differences


def _differences(summary: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    for name in ("quantity", "unit"):
        old, new = summary.get(name), now.get(name)
        if old and new and old != new:
            found.append(f"the {name} was {old} and is {new}")
    old_bands, new_bands = set(summary.get("bands") or ()), set(now.get("bands") or ())
    if old_bands and new_bands:
        if new_bands - old_bands:
            found.append(f"new bands: {', '.join(sorted(new_bands - old_bands))}")
        if old_bands - new_bands:
            found.append(f"bands that are gone: {', '.join(sorted(old_bands - new_bands))}")
    return tuple(found)


def _function(one: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        at = np.asarray(one["at"], np.float64)
        below = np.asarray(one["below"], np.float64)
        counts = np.array([one["n"], one["missing"]], np.float64)
    except (KeyError, TypeError, ValueError):
        at, below, counts = np.zeros(1), np.zeros(0), np.zeros(0)
    whole = np.concatenate([at, below, counts])
    if at.shape != below.shape or at.ndim != 1 or not np.isfinite(whole).all():
        raise DataError("drift: the training summary is damaged; train the bundle again")
    return at, below


def _below(one: Mapping[str, Any], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distribution function of a summary, straight between its points."""
    at, below = _function(one)
    return np.interp(x, at, below, left=0.0, right=1.0)


def _drift(name: str, old: Mapping[str, Any], new: Mapping[str, Any], in_magnitudes: bool) -> Drift:
    at, below = _function(old)
    _function(new)
    missing = float(new["missing"]) - float(old["missing"])
    n_old = round(old["n"] * (1 - old["missing"]))
    n_new = round(new["n"] * (1 - new["missing"]))
    if min(n_old, n_new) < LEAST:
        short = "old" if n_old < LEAST else "new"
        verdict = "poor" if min(old["n"], new["n"]) >= LEAST and missing > 0.5 else "unknown"
        return Drift(
            name, None, None, missing, None, None, verdict,  # type: ignore[arg-type]
            f"{name}: fewer than {LEAST} known values in the {short} survey",
        )  # fmt: skip
    theirs = _below(new, at)
    ks = float(np.abs(below - theirs).max())  # where the old function is known exactly
    psi, n_bins = _psi(below, theirs, n_old, n_new)
    by_chance = 1 / n_old + 1 / n_new
    limits = {
        "psi": _raised(DRIFT_LIMITS["psi"], by_chance * _chi2_999(n_bins - 1)),
        # 1.95 is the 99.9 % point of Kolmogorov's distribution
        "ks": _raised(DRIFT_LIMITS["ks"], 1.95 * math.sqrt(by_chance)),
        "missing": DRIFT_LIMITS["missing"],
    }
    measured = {"psi": psi, "ks": ks, "missing": abs(missing)}
    low, before, high = np.interp([0.25, 0.5, 0.75], *_function(old)[::-1]).tolist()
    after = float(np.interp(0.5, *_function(new)[::-1]))
    if in_magnitudes:
        # a median is uncertain by sqrt(pi / 2) sigma / sqrt(n); 3.3 of them are one in a thousand
        doubt = 3.3 * math.sqrt(math.pi / 2 * by_chance) * (high - low) / 1.349
        limits["shift"] = _raised(DRIFT_LIMITS["shift"], doubt)
        measured["shift"] = abs(after - before)
    rank = max((v > limits[kind].good) + (v > limits[kind].fair) for kind, v in measured.items())
    return Drift(
        name, psi, ks, missing, before, after, ("good", "fair", "poor")[rank],
        f"{name}: median {before:.4g} before, {after:.4g} now; index {psi:.2g}, distance {ks:.2g}",
    )  # fmt: skip


def _raised(limits: Limits, by_chance: float) -> Limits:
    """Limits that samples this small do not pass by chance."""
    return Limits(max(limits.good, by_chance), max(limits.fair, by_chance))


def _chi2_999(degrees: int) -> float:
    """99.9 % point of a chi-squared variable, by Wilson & Hilferty 1931 (PNAS 17, 684)."""
    k = max(degrees, 1)
    return float(k * (1 - 2 / (9 * k) + 3.0902 * math.sqrt(2 / (9 * k))) ** 3)


def _psi(
    below: NDArray[np.float64], theirs: NDArray[np.float64], n_old: int, n_new: int
) -> tuple[float, int]:
    """Index over bins that hold a tenth of the old survey each, as far as the grid allows."""
    cuts, last = [], 0.0
    for k in range(below.size - 1):
        if below[k] - last >= 0.9 / PSI_BINS and 1 - below[k] >= 0.5 / PSI_BINS:
            cuts.append(k)
            last = float(below[k])
    old = np.diff(np.concatenate([[0.0], below[cuts], [1.0]]))
    new = np.diff(np.concatenate([[0.0], theirs[cuts], [1.0]]))
    return _index(old, new, n_old, n_new), old.size


def _index(old: NDArray[np.float64], new: NDArray[np.float64], n_old: int, n_new: int) -> float:
    """Index of two lists of shares; half an object stands in for an empty bin."""
    old, new = np.maximum(old, 0.5 / n_old), np.maximum(new, 0.5 / n_new)
    return float(np.sum((new - old) * np.log(new / old)))


def _class_drift(old: Mapping[str, int], new: Mapping[str, int]) -> Drift:
    names = sorted({*old, *new})
    a = np.array([old.get(name, 0) for name in names], float)
    b = np.array([new.get(name, 0) for name in names], float)
    n_old, n_new = int(a.sum()), int(b.sum())
    if min(n_old, n_new) < LEAST:
        return Drift("classes", None, None, 0.0, None, None, "unknown", "classes: too few labels")
    psi = _index(a / n_old, b / n_new, n_old, n_new)
    limit = _raised(DRIFT_LIMITS["psi"], (1 / n_old + 1 / n_new) * _chi2_999(len(names) - 1))
    rank = (psi > limit.good) + (psi > limit.fair)
    moved = np.abs(a / n_old - b / n_new)
    k = int(moved.argmax())
    text = f"classes: {names[k]} {a[k] / n_old:.1%} before, {b[k] / n_new:.1%} now"
    strange = [name for name in names if not old.get(name)]
    if strange:
        text += f"; never seen in training: {', '.join(strange[:5])}"
    return Drift(
        "classes", psi, float(moved.max()), 0.0, None, None, ("good", "fair", "poor")[rank],
        text,
    )  # fmt: skip
