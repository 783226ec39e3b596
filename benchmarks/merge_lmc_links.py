"""Wrong links of MACHO, made on purpose, for `merge_lmc`: how many are flagged, and what else is.

Nobody says which of the surveys' own links are wrong, so a tenth of the MACHO curves exchange their
places, in a field without decoys. Those not joined with any curve of their new place are flagged.
Of the others that are left apart, those that vary with the period of their star (of its fullest
other curve; the fold explains more than at any of 20 other periods) are right links that were
missed: MACHO's own period was found at an alias. Its points before and after the turn of the Julian
day fold well apart and badly together, see ``fold_*`` of the results (medians).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from astroprep.data import LightCurveBatch
from astroprep.integrate import find_same_stars


def explained(time: np.ndarray, mag: np.ndarray, period: float) -> float:
    """Share of the variance that three harmonics explain, far points left out."""
    middle = np.median(mag)
    near = np.abs(mag - middle) < 7.5 * np.median(np.abs(mag - middle)) + 1e-9
    time, mag = time[near] - time.mean(), mag[near]
    angle = 2 * np.pi * np.outer(time / period, np.arange(1, 4))
    matrix = np.hstack([np.ones((time.size, 1)), np.cos(angle), np.sin(angle)])
    return float(1 - (mag - matrix @ np.linalg.lstsq(matrix, mag, rcond=None)[0]).var() / mag.var())


def folds(real: LightCurveBatch, star: np.ndarray, macho: np.ndarray) -> tuple[np.ndarray, dict]:
    """Which MACHO curves vary with their star's period, and how well their halves fold by it."""
    usable, survey = real.usable, real.objects["survey"]
    counts = np.where(survey == "MACHO", -1, usable.counts())
    random = np.random.default_rng(0).uniform(0.6, 1.7, 20)
    varies, shares = np.zeros(macho.size, bool), []
    for at, k in enumerate(macho):
        own = np.flatnonzero(star == star[k])
        period = real.objects["period"][own[np.argmax(counts[own])]]
        part = slice(*usable.offsets[k : k + 2])
        time, mag = usable.time[part], usable.value[part]
        if mag.size < 60 or not period > 0:
            continue
        whole = explained(time, mag, period)
        varies[at] = whole > max(explained(time, mag, period * ratio) for ratio in random)
        early = time % 1 < 0.5
        if 30 <= early.sum() <= mag.size - 30:
            halves = [explained(time[half], mag[half], period) for half in (early, ~early)]
            shares.append([whole, *halves])
    whole, early, late = np.median(shares, axis=0).tolist()
    return varies, {"fold_all": whole, "fold_before": early, "fold_after": late}


def wrong_links(
    real: LightCurveBatch, star: np.ndarray, seed: int, position_error: float
) -> dict[str, Any]:
    """How many MACHO curves at the place of another star are left apart, and how many others."""
    rng = np.random.default_rng(2000 + seed)
    other = np.flatnonzero(real.objects["survey"] != "MACHO")
    macho = np.flatnonzero(real.objects["survey"] == "MACHO")
    macho = macho[np.isin(star[macho], star[other])]  # those with anything to be joined to
    moved = rng.choice(macho, max(macho.size // 10, 2), replace=False)
    place = np.arange(len(real))
    place[moved] = np.roll(moved, 1)
    moved = moved[star[place[moved]] != star[moved]]
    swapped = real.with_columns(objects={k: real.objects[k][place] for k in ("ra", "dec")})
    host = star[place]
    found = find_same_stars(swapped, radius=2.0, position_error=position_error)
    joined = np.zeros(len(real), bool)
    for k in macho:
        joined[k] = np.any(found.group[other[host[other] == host[k]]] == found.group[k])
    left = np.setdiff1d(macho, np.flatnonzero(place != np.arange(len(real))))
    period = real.objects["period"]
    agrees = np.array(
        [np.any(np.abs(period[other[star[other] == star[k]]] / period[k] - 1) < 1e-4) for k in left]
    )
    varies, shares = folds(real, star, left)
    row = {
        "seed": seed, "method": "wrong links of MACHO", "wrong": int(moved.size),
        "flagged": int((~joined[moved]).sum()), "others": int(left.size),
        "others_flagged": int((~joined[left]).sum()), "others_of_one_period": int(agrees.sum()),
        "others_of_one_period_flagged": int((~joined[left])[agrees].sum()),
        "others_flagged_that_vary_with_the_star": int((~joined[left])[varies].sum()), **shares,
    }  # fmt: skip
    print(row, flush=True)
    return row
