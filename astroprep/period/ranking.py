"""How probable each candidate period is: a linear score, fitted on labelled stars.

The score is that of a multinomial choice among the candidates of one curve. What it is linear in:
how far the fits of one to four harmonics fall behind the best candidate's, whether the frequency
is a whole number of cycles per day and how much the sampling repeats at it, the frequency itself,
and for twice the period the shape of the folded curve. The coefficients are in `coefficients`,
with their origin; ``benchmarks/period_ranking.py`` fits them again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astroprep.period.candidates import EVIDENCE
from astroprep.period.coefficients import COEFFICIENTS

__all__ = ["candidate_features", "rank"]

WHOLE = 0.01  # cycles per day within which a frequency counts as a whole number
SLOPES = (-2.5, -1.5, -0.5, 0.0, 0.4, 0.8, 1.1)  # knots in log10 frequency, any candidate
DOUBLE_SLOPES = (-2.0, 0.0, 0.4, 0.7, 0.9, 1.1)  # knots for twice the period


def candidate_features(
    evidence: NDArray[np.float64], n_points: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies of the candidates and the numbers that their score is linear in.

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
    column = {name: evidence[:, :, k] for k, name in enumerate(EVIDENCE)}
    there = column["frequency"] > 0
    root = np.sqrt(n_points.astype(np.float64))[:, None]

    def left(name: str) -> NDArray[np.float64]:
        return np.asarray(np.log(np.clip(1 - column[name], 1e-3, 1.0)), np.float64)

    def against_best(name: str, reference: str) -> NDArray[np.float64]:
        best = np.where(there, left(reference), 0.0).min(axis=1, keepdims=True)
        return np.asarray(np.clip((best - left(name)) * root, -20.0, 20.0), np.float64)

    peak = np.where(there, column["frequency_refined"], 1.0)
    half = np.where(there, column["frequency_half"], 1.0)
    nothing = np.zeros_like(peak)
    shape = [
        np.ones_like(peak),
        *(np.clip(np.log10(peak) - knot, 0, None) for knot in DOUBLE_SLOPES),
        np.clip(column["sharp_faint"], -1, 1),
        np.clip(column["sharp_rise"], -1, 1),
        np.minimum(np.hypot(column["sharp_faint"], column["sharp_rise"]), 1),
        np.clip(left("power_1"), -4, 0),
    ]
    rows = []
    for double, at in ((False, peak), (True, half)):
        logarithm = np.log10(np.clip(at, 1e-4, None))
        day = np.where(at > 0.5, np.abs(at - np.rint(at)), 1.0)
        names = ("half_2", "half_4", "half_8") if double else ("power_1", "power_2", "power_4")
        rows.append(
            np.stack(
                [
                    *(
                        against_best(name, reference)
                        for name, reference in zip(
                            names, ("power_1", "power_2", "power_4"), strict=True
                        )
                    ),
                    np.exp(-((day / WHOLE) ** 2)),
                    column["window"],
                    column["window"] ** 4,
                    *(np.clip(logarithm - k, 0, None) for k in SLOPES),
                    *(column_ if double else nothing for column_ in shape),
                ],
                axis=2,
            )
        )
    frequency = np.concatenate([np.where(there, peak, 0.0), np.where(there, half, 0.0)], axis=1)
    return frequency, np.concatenate(rows, axis=1)


def rank(
    evidence: NDArray[np.float64], n_points: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
    # one product after the other, so that no batch size changes the order of a sum
    score = np.zeros(frequency.shape)
    for k, coefficient in enumerate(COEFFICIENTS):
        score += coefficient * features[:, :, k]
    score = np.where(frequency > 0, score, -np.inf)
    likely = np.exp(score - score.max(axis=1, keepdims=True, initial=-1e300))
    total = np.zeros(frequency.shape[0])
    for k in range(frequency.shape[1]):
        total += likely[:, k]
    return frequency, likely / total[:, None]
