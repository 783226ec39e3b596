"""The distributions of a report, from the tally of a survey."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.quality.tally import (
    GAP_EDGES,
    POINT_EDGES,
    WINDOW_FREQUENCIES,
    Tally,
    survey_bit_names,
)

__all__ = [
    "bands_of",
    "brightness_of",
    "cadence_of",
    "drift_measures",
    "errors_of",
    "histogram",
    "percentiles",
    "survey_flags_of",
]

BRIGHTNESS_BINS = 60
PICTURED = 2000  # objects kept for the picture of scatter against brightness
HONESTY_EDGES = np.geomspace(0.05, 20.0, 61)


def errors_of(tally: Tally) -> dict[str, Any]:
    """Section ``errors``."""
    honesty = tally.column("honesty")
    return {
        "unknown": tally.n_unknown_errors,
        "quoted": percentiles(tally.column("quoted")),
        "honesty": percentiles(honesty),
        "histogram": histogram(honesty, HONESTY_EDGES),
    }


def cadence_of(tally: Tally) -> dict[str, Any]:
    """Section ``cadence``."""
    window = tally.column("window").reshape(-1, len(WINDOW_FREQUENCIES))
    n_points = tally.column("n_usable")
    return {
        "points_per_object": percentiles(n_points),
        "baseline": percentiles(tally.column("span")),
        "step": percentiles(tally.column("step")),
        "longest_gap": percentiles(tally.column("gap")),
        "histograms": {
            "points_per_object": histogram(n_points, POINT_EDGES),
            "gap": {"edges": GAP_EDGES, "counts": tally.gaps},
        },
        "window": {
            name: percentiles(window[:, k])["median"] for k, name in enumerate(WINDOW_FREQUENCIES)
        },
    }


def brightness_of(tally: Tally, expected: NDArray[np.float64]) -> dict[str, Any]:
    """Section ``brightness``; `expected` is the usual scatter at the brightness of each object."""
    median, scatter = tally.column("median"), tally.column("scatter")
    known = np.flatnonzero(np.isfinite(median))
    low, high = np.percentile(median[known], [0.1, 99.9]) if known.size else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, BRIGHTNESS_BINS + 1)
    chosen = known[:: max(1, -(-known.size // PICTURED))]
    return {
        "median": percentiles(median),
        "histogram": histogram(median, edges),
        "sample": {
            "median": median[chosen],
            "scatter": scatter[chosen],
            "expected": expected[chosen],
        },
    }


def bands_of(tally: Tally) -> dict[str, dict[str, int]]:
    """Section ``bands``: of each, objects with a point, objects with five, and points."""
    return {
        name: dict(zip(("objects", "enough", "points"), map(int, found), strict=True))
        for name, found in tally.bands.items()
    }


def survey_flags_of(tally: Tally) -> dict[str, int]:
    """Section ``survey_flags``: points by the name of the survey's own bit."""
    names = survey_bit_names(tally.meta.survey if tally.meta else "")
    return {names.get(bit, f"bit {bit}"): count for bit, count in sorted(tally.survey_bits.items())}


def drift_measures(tally: Tally) -> dict[str, NDArray[np.float64]]:
    """Measures per object that are compared with those of another survey."""
    n_points = tally.column("n_points").astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        unusable = 1.0 - tally.column("n_usable") / n_points
    measures = {
        "brightness": tally.column("median"),
        "scatter": tally.column("scatter"),
        "quoted error": tally.column("quoted"),
        "honesty of errors": tally.column("honesty"),
        "points of an object": n_points,
        "share of unusable points": unusable,
        "baseline": tally.column("span"),
        "time to the next point": tally.column("step"),
        "longest gap": tally.column("gap"),
    }
    return {name: np.asarray(column, np.float64) for name, column in measures.items()}


def percentiles(values: NDArray[Any]) -> dict[str, float]:
    """Minimum, 5th, 16th, 50th, 84th, 95th percentile and maximum of the finite values."""
    known = values[np.isfinite(values)] if values.size else values
    names = ("min", "p5", "p16", "median", "p84", "p95", "max")
    if not known.size:
        return dict.fromkeys(names, float("nan"))
    found = np.percentile(known, [0, 5, 16, 50, 84, 95, 100])
    return dict(zip(names, found.tolist(), strict=True))


def histogram(values: NDArray[Any], edges: NDArray[np.float64]) -> dict[str, Any]:
    """Edges and counts of the finite values; those beyond the edges count at the ends."""
    known = values[np.isfinite(values)] if values.size else values
    return {"edges": edges, "counts": np.histogram(np.clip(known, edges[0], edges[-1]), edges)[0]}
