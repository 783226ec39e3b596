"""Candidate periods of curves in several bands, each with its evidence.

The bands of a curve are first put on one scale: a pulsating star of half the amplitude in z has
half the scatter in z. Then one series for all bands serves for the search, its strongest peaks and
their aliases are confirmed exactly, and each gets its evidence (`evidence`).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.backends import PRODUCT
from astroprep.period.exact import MAX_HARMONICS
from astroprep.period.multiband_evidence import DECAYS, SERIES, log_evidence, number_visits
from astroprep.period.multiband_fit import band_edges, multiband_fit, standardise_bands
from astroprep.period.multiband_grid import grid_power_multiband
from astroprep.period.peaks import strongest_peaks
from astroprep.period.series import series_room
from astroprep.period.spectrum import Plan

__all__ = ["HARMONICS", "collect_multiband", "level_bands", "most_candidates"]

HARMONICS = (1, 3)  # of the two searches: sines for few points, series for sharp rises
EXPANDED = 5  # strongest peaks of each search whose aliases are tried as well
SIDEREAL = 1.00273791  # sidereal days in a solar day
ALIASES = (1.0, SIDEREAL, 2.0, 2 * SIDEREAL)  # cycles per day, added and subtracted
PARTNERS = 2 * len(ALIASES) + 2  # and half and twice the frequency
REACH = 0.4  # over the baseline: how far a confirmed peak may lie from its grid point
SOFTENING = 0.1  # of the half range; no star follows four harmonics more closely
LEAST_SIGNAL = 0.2  # of the half range that is taken to be signal, however large the errors


def most_candidates(n_peaks: int) -> int:
    """Candidates at most, for so many peaks of each search."""
    return len(HARMONICS) * (n_peaks + min(EXPANDED, n_peaks) * PARTNERS)


@njit(cache=True, nogil=True)
def level_bands(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int16],
    offsets: NDArray[np.int64],
    least: int,
    levelled: NDArray[np.float64],
    softened: NDArray[np.float64],
    kept: NDArray[np.int64],
) -> None:
    """Put the bands of each curve on one scale: value in half ranges about the median.

    Parameters
    ----------
    value, error : float64 array, shape (n_points,)
        Finite, ``error > 0``.
    band : int16 array, shape (n_points,)
        Codes.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    least : int
        A band with fewer points is left out.
    levelled, softened : float64 array, shape (n_points,)
        Filled. The half range is half the distance of the percentiles 16 and 84, less the errors;
        the error is at least `SOFTENING` of it. Errors are 0 at the points that are left out:
        those of short bands and of bands without any variation.
    kept : int64 array, shape (n_curves, 2)
        Filled: bands with enough points, and those of them that vary.
    """
    for i in range(offsets.size - 1):
        first, last = offsets[i], offsets[i + 1]
        kept[i] = 0
        softened[first:last] = 0.0
        levelled[first:last] = 0.0
        if last == first:
            continue
        order = first + np.argsort(band[first:last], kind="mergesort")
        edges = band_edges(band[order])
        for b in range(edges.size - 1):
            at = order[edges[b] : edges[b + 1]]
            if at.size < least:
                continue
            kept[i, 0] += 1
            v = value[at]
            low, middle, high = np.percentile(v, np.array([16.0, 50.0, 84.0]))
            half = 0.5 * (high - low)
            if not half > 0:  # most values are equal: what varies are a few
                half = np.abs(v - middle).mean()
            if not half > 1e-13 * max(np.abs(v).max(), 1e-290):
                continue
            kept[i, 1] += 1
            noise = np.median(error[at]) / half
            scale = half * np.sqrt(max(1 - noise * noise, LEAST_SIGNAL**2))
            for j in at:
                levelled[j] = (value[j] - middle) / scale
                softened[j] = np.hypot(error[j] / scale, SOFTENING)


@njit(cache=True)
def _confirm(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    bands: NDArray[np.int64],
    center: float,
    reach: float,
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> tuple[float, float]:
    """Highest exact power of the series within reach: nine samples, then three bisections."""
    n_harmonics = HARMONICS[-1]
    step = reach / 4
    best, top = center, -1.0
    for k in range(-4, 5):
        at = center + k * step
        p = multiband_fit(time, weight, weighted, bands, at, n_harmonics, work, matrix, coefficient)
        if p > top:
            best, top = at, p
    for _ in range(3):
        step *= 0.5
        middle = best
        for side in (-1.0, 1.0):
            at = middle + side * step
            p = multiband_fit(
                time, weight, weighted, bands, at, n_harmonics, work, matrix, coefficient
            )
            if p > top:
                best, top = at, p
    return best, top


@njit(cache=True)
def _with_partners(
    peak: NDArray[np.float64], low: float, high: float, listed: NDArray[np.float64], count: int
) -> int:
    """Append the peaks and the aliases of the first few, within the range; the new count."""
    for k in range(peak.size):
        listed[count] = peak[k]
        count += 1
        if k >= EXPANDED:
            continue
        for at in (0.5 * peak[k], 2.0 * peak[k]):
            if low <= at <= high:
                listed[count] = at
                count += 1
        for alias in ALIASES:
            for at in (abs(peak[k] - alias), peak[k] + alias):
                if low <= at <= high:
                    listed[count] = at
                    count += 1
    return count


@njit(cache=True, nogil=True)
def collect_multiband(
    time: NDArray[np.float64],
    levelled: NDArray[np.float64],
    softened: NDArray[np.float64],
    band: NDArray[np.int16],
    offsets: NDArray[np.int64],
    start: NDArray[np.float64],
    step: NDArray[np.float64],
    size: NDArray[np.int64],
    choice: NDArray[np.int64],
    plans: tuple[Plan, ...],
    n_peaks: int,
    found: NDArray[np.float64],
    about: NDArray[np.float64],
) -> None:
    """Search some curves; weigh their strongest peaks and the aliases of those.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Sorted within each curve, days.
    levelled, softened : float64 array, shape (n_points,)
        From `level_bands`, without the points left out.
    band : int16 array, shape (n_points,)
        Codes.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``; all vary.
    start, step : float64 array, shape (n_curves,)
        Grids, cycles per day.
    size, choice : int64 array, shape (n_curves,)
        Frequencies of each grid; from `choose_multiband` for the longest series.
    plans : tuple of Plan
        Tables of the transforms.
    n_peaks : int
        Separate peaks of each search.
    found : float64 array, shape (n_curves, most_candidates(n_peaks), 3)
        Filled, by falling evidence: frequency (0 where there are no more), share explained by
        three harmonics, logarithm of the evidence.
    about : float64 array, shape (n_curves, 4)
        Filled: highest power of a sine on the grid, frequency of the highest peak of the series,
        what a visit counts for, number of visits.
    """
    matrix = np.empty((2 * MAX_HARMONICS, 2 * MAX_HARMONICS))
    coefficient = np.empty(2 * MAX_HARMONICS)
    for i in range(offsets.size - 1):
        first, last = offsets[i], offsets[i + 1]
        order = first + np.argsort(band[first:last], kind="mergesort")
        bands = band_edges(band[order])
        n_bands = bands.size - 1
        t, weight, weighted, _ = standardise_bands(
            time[order], levelled[order], softened[order], bands
        )
        baseline = time[last - 1] - time[first]
        reach = REACH / baseline
        plan = plans[max(choice[i], 0)]
        products = choice[i] == PRODUCT
        room = np.empty(series_room(t.size, HARMONICS[-1], n_bands, products, plan), np.float32)
        power = np.empty(size[i], np.float32)
        listed = np.empty(found.shape[1])
        count = 0
        for n_harmonics in HARMONICS:
            grid_power_multiband(
                t,
                weighted,
                weight,
                bands,
                start[i],
                step[i],
                n_harmonics,
                choice[i],
                plan,
                power,
                room,
            )
            place = strongest_peaks(
                power, int(np.rint(start[i] / step[i])), n_peaks, 1 / (baseline * step[i]), 0.0
            )
            peak = start[i] + step[i] * place
            if n_harmonics == 1:
                about[i, 0] = power[place[0]]
            about[i, 1] = peak[0]
            high = start[i] + step[i] * (size[i] - 1)
            count = _with_partners(peak, start[i], high, listed, count)
        work = np.empty((4, t.size))
        confirmed = np.empty((count, 2))
        for k in range(count):
            confirmed[k] = _confirm(
                t, weight, weighted, bands, listed[k], min(reach, 0.5 * listed[k]), work, matrix,
                coefficient,
            )  # fmt: skip
        visit = number_visits(time[first:last])[order - first]
        value, error = levelled[order], softened[order]
        _weigh(t, value, error, bands, visit, confirmed, reach, found[i], about[i])


@njit(cache=True)
def _weigh(
    time: NDArray[np.float64],
    levelled: NDArray[np.float64],
    softened: NDArray[np.float64],
    bands: NDArray[np.int64],
    visit: NDArray[np.int64],
    confirmed: NDArray[np.float64],
    apart: float,
    found: NDArray[np.float64],
    about: NDArray[np.float64],
) -> None:
    """Evidence of the confirmed peaks that stand apart, written by falling evidence."""
    precision = (softened.min() / softened) ** 2
    columns = np.empty((bands.size - 1 + 2 * SERIES, time.size))
    rank = np.argsort(-confirmed[:, 1], kind="mergesort")
    kept = np.zeros((rank.size, 3))
    count = 0
    worth = 1.0
    for k in rank:
        at = confirmed[k, 0]
        near = False
        for m in range(count):
            near = near or abs(kept[m, 0] - at) < apart
        if near:
            continue
        if count == 0:  # the best fit tells how the bands of a visit hang together
            worth = log_evidence(
                time, levelled, precision, bands, visit, at, 1.0, DECAYS[0], columns
            )[1]
        total = -np.inf
        for decay in DECAYS:  # equally probable beforehand
            evidence = log_evidence(
                time, levelled, precision, bands, visit, at, worth, decay, columns
            )[0]
            total = np.logaddexp(total, evidence - np.log(len(DECAYS)))
        kept[count, 0] = at
        kept[count, 1] = confirmed[k, 1]
        kept[count, 2] = total
        count += 1
    found[:] = 0.0
    best = np.argsort(-kept[:count, 2], kind="mergesort")
    for k in range(count):
        for m in range(found.shape[1]):
            found[k, m] = kept[best[k], m]
    about[2] = worth
    about[3] = visit.max() + 1
