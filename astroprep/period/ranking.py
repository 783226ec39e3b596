"""How probable each candidate period is: a small network, fitted on labelled stars.

Every candidate of a curve gets a score, and the scores of one curve share its probability as in
a multinomial choice. The network sees how far a candidate's Fourier fits and fold statistics fall
behind the best of the curve, what doubling or halving it would gain, the shape of the fold,
whether its frequency is a whole number of cycles per day or the sampling repeats at it, and the
frequency itself: that twice the highest peak's period is right for most eclipsing stars is a
prior, learned from labels, and nothing in a sine of half the period forbids it. Brightness and
amplitude stay out, so that magnitudes and fluxes of any survey are judged alike. The numbers are
in `coefficients`, with their origin; ``benchmarks/period_ranking.py`` fits them again.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.candidates import EVIDENCE
from astroprep.period.coefficients import LAYERS, WEIGHTS

__all__ = ["Network", "candidate_features", "network", "rank", "score"]

Array = NDArray[np.float64]
Network = tuple[Array, Array, Array, Array, Array, Array, Array]

SHARES = ("power_1", "power_2", "power_4", "power_8", "bins_40", "bins_20", "bins_10")
WHOLE = (0.01, 0.04)  # cycles per day within which a frequency counts as a whole number
MONTH = 29.53  # days, synodic
LIMIT = 6.0  # standard deviations at which a feature is clipped


class _Evidence:
    """Columns of the evidence by name, with the numbers derived from one alone."""

    def __init__(self, evidence: Array, n_points: NDArray[np.int64]) -> None:
        self._column = {name: evidence[:, :, k] for k, name in enumerate(EVIDENCE)}
        self.there = self["frequency"] > 0
        self.n = n_points.astype(np.float64)[:, None] + np.zeros(self.there.shape)

    def __getitem__(self, name: str) -> Array:
        return self._column[name]

    def left(self, name: str) -> Array:
        """Minus the logarithm of the variance share that stays unexplained."""
        return np.asarray(-np.log(np.clip(1 - self[name], 1e-3, 1.0)))

    def best(self, name: str) -> Array:
        """Most of `left` at any peak or half of it, shape (n_curves, 1)."""
        both = np.maximum(self.left(name), self.left(f"{name}_half"))
        return np.asarray(np.where(self.there, both, 0.0).max(axis=1, keepdims=True, initial=0))

    def least(self, name: str) -> Array:
        """Smallest value at any peak or half of it, shape (n_curves, 1)."""
        both = np.minimum(self[name], self[f"{name}_half"])
        return np.asarray(np.where(self.there, both, 9.0).min(axis=1, keepdims=True, initial=9))


def _signed_log(x: Array) -> Array:
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)))


def _fits(seen: _Evidence, own: str, other: str) -> list[Array]:
    """How well the candidate fits, against the best and against its double or half."""
    n = seen.n
    p = {name: seen.left(name + own) for name in SHARES}
    q = {name: seen.left(name + other) for name in SHARES}
    lost = {name: np.clip(0.5 * n * (seen.best(name) - p[name]), 0, None) for name in SHARES}
    if own:  # half the frequency of a peak, whose own half is a quarter
        below_4, below_8 = seen.left("power_4_quarter"), seen.left("power_8_quarter")
        above_1, above_2 = q["power_1"], q["power_2"]
    else:
        below_4, below_8 = q["power_4"], q["power_8"]
        above_1, above_2 = seen.left("power_1_twice"), seen.left("power_2_twice")
    sine = seen.left("power")
    highest = np.where(seen.there, sine, 0.0).max(axis=1, keepdims=True, initial=0)
    steps = {s: np.log(np.clip(seen["steps" + s], 0.01, 2.0)) for s in (own, other)}
    fewest = np.log(np.clip(seen.least("steps"), 0.01, 2.0))
    entropy = seen["entropy" + own]
    root = np.sqrt(n)
    return [
        *p.values(),
        *(np.log1p(x) for x in lost.values()),
        np.sqrt(lost["power_4"]),
        np.sqrt(lost["power_8"]),
        np.log1p(0.5 * n * (highest - sine)),
        steps[own],
        steps[own] - fewest,
        steps[own] - steps[other],
        entropy,
        (entropy - seen.least("entropy")) * root,
        (entropy - seen["entropy" + other]) * root,
        # odd harmonics of half the frequency, and of this one: does doubling pay, did halving?
        _signed_log(0.5 * n * (below_8 - p["power_4"])),
        _signed_log(0.5 * n * (below_4 - p["power_2"])),
        _signed_log(0.5 * n * (p["power_4"] - above_2)),
        above_1,
        above_1 - p["power_1"],
        p["power_2"] - p["power_1"],
        p["power_4"] - p["power_2"],
        p["power_8"] - p["power_4"],
        _signed_log(0.5 * n * (p["bins_40"] - q["bins_20"])),
        _signed_log(0.5 * n * (p["bins_20"] - q["bins_40"])),
        _signed_log(0.5 * n * (p["bins_20"] - q["bins_10"])),
    ]


def _shape_and_place(seen: _Evidence, own: str, other: str, at: Array) -> list[Array]:
    """Shape of the fold, and where the frequency lies."""
    day = np.where(at > 0.3, np.abs(at - np.rint(at)), 0.5)
    half_day = np.abs(2 * at - np.rint(2 * at))
    cycles = np.log10(np.clip(at * seen["baseline"], 0.1, None))
    return [
        *(
            np.clip(seen[name + s], -2, 2)
            for s in (own, other)
            for name in ("sharp_faint", "sharp_rise")
        ),
        np.log10(np.clip(at, 1e-4, None)),
        *(np.exp(-((day / width) ** 2)) for width in WHOLE),
        np.exp(-((half_day / WHOLE[0]) ** 2)),
        np.exp(-50 * (at * MONTH - 1) ** 2),
        seen["window"],
        seen["window"] ** 4,
        cycles,
        np.clip(cycles, 0, 1.5),
        np.clip(seen["skew"], -4, 4),
        np.log1p(np.clip(seen["tail"], -0.9, 50)),
        np.log10(seen.n),
    ]


def candidate_features(evidence: Array, n_points: NDArray[np.int64]) -> tuple[Array, Array]:
    """Frequencies of the candidates and the numbers that their score is made of.

    Parameters
    ----------
    evidence : float64 array, shape (n_curves, n_peaks, len(EVIDENCE))
        From `collect_candidates`.
    n_points : int64 array, shape (n_curves,)
        Usable points.

    Returns
    -------
    frequency : float64 array, shape (n_curves, 2 * n_peaks)
        Cycles per day: the peaks, then half of each; 0 where there is none.
    features : float64 array, shape (n_curves, 2 * n_peaks, n_features)
        Finite everywhere.
    """
    seen = _Evidence(evidence, n_points)
    frequency, rows = [], []
    for own, other in (("", "_half"), ("_half", "")):
        at = np.where(seen.there, seen["frequency" + own if own else "frequency_fit"], 1.0)
        role = np.full(at.shape, 1.0 if own else 0.0)
        row = [role, *_fits(seen, own, other), *_shape_and_place(seen, own, other, at)]
        rows.append(np.stack(row, axis=2))
        frequency.append(np.where(seen.there, at, 0.0))
    return np.concatenate(frequency, axis=1), np.concatenate(rows, axis=1)


@cache
def network() -> Network:
    """Mean and scale of the features, then weights and biases of two layers and the output."""
    numbers = np.array(WEIGHTS.split(), np.float64)
    n, first, second = LAYERS
    parts = np.split(
        numbers,
        np.cumsum([n, n, n * first, first, first * second, second]),
    )
    mean, scale, w1, b1, w2, b2, w3 = parts
    return mean, scale, w1.reshape(n, first), b1, w2.reshape(first, second), b2, w3


@njit(cache=True, nogil=True)
def score(
    features: Array,
    there: NDArray[np.bool_],
    mean: Array,
    scale: Array,
    w1: Array,
    b1: Array,
    w2: Array,
    b2: Array,
    w3: Array,
) -> Array:
    """Score of each candidate, one after the other so that no batch changes the order of a sum.

    Parameters
    ----------
    features : float64 array, shape (n_curves, n_candidates, n_features)
        From `candidate_features`.
    there : bool array, shape (n_curves, n_candidates)
        False where there is no candidate.
    mean, scale, w1, b1, w2, b2, w3 : float64 arrays
        A `Network`.

    Returns
    -------
    float64 array, shape (n_curves, n_candidates)
        Minus infinity where there is no candidate.
    """
    out = np.full(there.shape, -np.inf)
    first = np.empty(b1.size)
    second = np.empty(b2.size)
    for i in range(there.shape[0]):
        for k in range(there.shape[1]):
            if not there[i, k]:
                continue
            for h in range(first.size):
                first[h] = b1[h]
            for d in range(mean.size):
                x = min(max((features[i, k, d] - mean[d]) / scale[d], -LIMIT), LIMIT)
                for h in range(first.size):
                    first[h] += x * w1[d, h]
            for m in range(second.size):
                second[m] = b2[m]
            for h in range(first.size):
                x = first[h] / (1.0 + np.exp(-first[h]))
                for m in range(second.size):
                    second[m] += x * w2[h, m]
            total = 0.0
            for m in range(second.size):
                total += w3[m] * second[m] / (1.0 + np.exp(-second[m]))
            out[i, k] = total
    return out


def rank(evidence: Array, n_points: NDArray[np.int64]) -> tuple[Array, Array]:
    """Candidates and their probabilities.

    Parameters
    ----------
    evidence, n_points
        As for `candidate_features`.

    Returns
    -------
    frequency, probability : float64 array, shape (n_curves, 2 * n_peaks)
        Cycles per day, 0 where there is no candidate; probabilities add up to one per curve.
    """
    frequency, features = candidate_features(evidence, n_points)
    return frequency, share(score(features, frequency > 0, *network()))


def share(points: Array) -> Array:
    """Probabilities from the scores of each curve, shape (n_curves, n_candidates)."""
    likely = np.exp(points - points.max(axis=1, keepdims=True, initial=-1e300))
    total = np.zeros(points.shape[0])
    for k in range(points.shape[1]):
        total += likely[:, k]
    return np.asarray(likely / total[:, None])
