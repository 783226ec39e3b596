"""What `examine` finds out about a known period, column by column."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["EVIDENCE", "much_better"]

EVIDENCE = (
    "harmonics",  # of the Fourier series, 1 to 4
    "dominant",  # the stronger of the first two
    "baseline",  # days
    "reach",  # how far from the old frequency was searched, in units of 1 / baseline
    "power_old",  # share of variance explained at the old frequency
    "frequency_near",  # maximum that a climb from the old frequency reaches, cycles per day
    "power_near",
    "curvature_near",  # minus the second derivative of the power
    "frequency_far",  # the same from the strongest frequency within reach; 0 if there is no other
    "power_far",
    "curvature_far",
    "frequency_alias",  # best of the day, month and year aliases; 0 if none comes close
    "power_alias",
    "curvature_alias",
    "frequency_long",  # better of half and a third of the frequency
    "power_long",
    "curvature_long",
    "power_half",  # of the even harmonics alone: what half the period explains
    "power_third",  # of every third harmonic alone
    "frequency_bent",  # fit of frequency and its change; the local one and 0 if not needed
    "bend",  # half the change of frequency, cycles per day squared
    "power_bent",
    "variance_bent",  # of frequency_bent, per unit of noise
    "variance_bend",  # of bend, per unit of noise
    "scatter",  # reduced chi-square of the O-C about their line or parabola, at least 1
    "extreme",  # time of the template's extreme nearest the middle, days after the middle
    "middle",  # of the baseline, days
    "strength",  # of the strongest constant frequency, in the units of `strongest_nearby`
)
(
    HARMONICS, DOMINANT, BASELINE, REACHED, OLD, NEAR, P_NEAR, C_NEAR, FAR, P_FAR, C_FAR, ALIAS,
    P_ALIAS, C_ALIAS, LONG, P_LONG, C_LONG, HALF, THIRD, BENT, BEND, P_BENT, V_BENT, V_BEND,
    SCATTER, EXTREME, MIDDLE, STRENGTH,
) = range(len(EVIDENCE))  # fmt: skip

VERY_STRONG = 10.0  # difference of n ln(rest) from which another frequency is preferred;
# Kass & Raftery 1995, JASA 90, 773, doi:10.1080/01621459.1995.10476572


@njit(cache=True)
def much_better(power: float, other: float, n_points: int, trials: float) -> bool:
    """Whether the best of some trials explains very much more, for as many parameters.

    Parameters
    ----------
    power, other : float
        Shares of the variance that the trial explains, and what it is compared with.
    n_points : int
        Of the curve.
    trials : float
        How many frequencies were tried.

    Returns
    -------
    bool
        Whether ``n_points ln(1 - power)`` is lower by `VERY_STRONG` and twice ln `trials`.

    References
    ----------
    .. [1] Kass & Raftery 1995, JASA 90, 773, doi:10.1080/01621459.1995.10476572
    """
    rest = max(1.0 - power, 1e-12)
    gain = n_points * np.log(max(1.0 - other, 1e-12) / rest)
    return bool(gain > VERY_STRONG + 2 * np.log(max(trials, 1.0)))
