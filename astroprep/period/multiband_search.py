"""The period of objects that were observed in several bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.period.backends import plans
from astroprep.period.grid import GridRule
from astroprep.period.multiband_candidates import (
    HARMONICS,
    collect_multiband,
    level_bands,
    most_candidates,
)
from astroprep.period.multiband_grid import choose_multiband
from astroprep.period.points import check_points
from astroprep.threads import in_chunks

__all__ = [
    "LEAST_POINTS",
    "OVERSAMPLING",
    "RR_LYRAE",
    "BandCandidates",
    "LevelledPoints",
    "band_grids",
    "level_points",
    "search_levelled",
    "search_multiband",
]

RR_LYRAE = (1.0, 5.0)  # cycles per day; all RR Lyrae stars of Soszynski et al. 2014 (OGLE) but a
# few lie between 0.2 and 1 day: for ``min_frequency`` and ``max_frequency`` where a star is known
# to be one
OVERSAMPLING = 8.0  # grid steps per peak width: a series of three harmonics has sharper peaks
LEAST_POINTS = 5  # of a band, and visits of a curve


@dataclass(frozen=True)
class BandCandidates:
    """What the search found in each curve.

    Parameters
    ----------
    frequency : float64 array, shape (n_curves, n_candidates)
        Cycles per day, by falling evidence; 0 where there are no more.
    probability : float64 array, shape (n_curves, n_candidates)
        Of each among the candidates, by the evidence alone; sums to one.
    fit : float64 array, shape (n_curves, n_candidates)
        Share of the variance that three harmonics explain, the bands on one scale.
    highest : float64 array, shape (n_curves,)
        Frequency of the highest peak of the three-harmonic periodogram, cycles per day.
    power : float64 array, shape (n_curves,)
        Highest power of a sine for all bands.
    n_visits : int64 array, shape (n_curves,)
        Separate visits.
    """

    frequency: NDArray[np.float64]
    probability: NDArray[np.float64]
    fit: NDArray[np.float64]
    highest: NDArray[np.float64]
    power: NDArray[np.float64]
    n_visits: NDArray[np.int64]


@dataclass(frozen=True)
class LevelledPoints:
    """The points that take part, the bands of a curve on one scale.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_taken,)
        Days, and levelled values with softened errors, see `level_bands`.
    band : int16 array, shape (n_taken,)
        Codes of the bands.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    long_bands, used_bands : int64 array, shape (n_curves,)
        Bands of enough points, and those of them that vary.
    taken : bool array, shape (n_points,)
        Which of the given points take part.
    """

    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    band: NDArray[np.int16]
    offsets: NDArray[np.int64]
    long_bands: NDArray[np.int64]
    used_bands: NDArray[np.int64]
    taken: NDArray[np.bool_]

    @property
    def baseline(self) -> NDArray[np.float64]:
        """Last minus first time, days, shape (n_curves,); 0 for a curve without points."""
        length = np.zeros(self.offsets.size - 1)
        some = np.diff(self.offsets) > 0
        length[some] = self.time[self.offsets[1:][some] - 1] - self.time[self.offsets[:-1][some]]
        return length


def level_points(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int16],
    offsets: NDArray[np.int64],
    least: int,
) -> LevelledPoints:
    """Leave out the bands that are too short or constant, and put the others on one scale.

    Parameters
    ----------
    time, value, error, band, offsets
        As for `search_multiband`.
    least : int
        A band with fewer points is left out.

    Returns
    -------
    LevelledPoints
    """
    levelled, softened = np.empty(time.size), np.empty(time.size)
    kept = np.zeros((offsets.size - 1, 2), np.int64)
    level_bands(value, error, band, offsets, least, levelled, softened, kept)
    taken = softened > 0
    before = np.concatenate(([0], np.cumsum(taken)))
    return LevelledPoints(
        time[taken],
        levelled[taken],
        softened[taken],
        band[taken],
        np.asarray(before[offsets], np.int64),
        kept[:, 0],
        kept[:, 1],
        taken,
    )


def band_grids(
    rule: GridRule, min_frequency: float, baseline: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.object_]]:
    """Grids of a rule, begun at `min_frequency` where that is higher.

    Parameters
    ----------
    rule : GridRule
        What the grids are like otherwise.
    min_frequency : float
        Cycles per day.
    baseline : float64 array, shape (n_curves,)
        Days.

    Returns
    -------
    start, step, size, reason
        As from `GridRule.grids`.
    """
    start, step, size, reason = rule.grids(baseline)
    skipped = np.clip(np.ceil((min_frequency - start) / step), 0, None).astype(np.int64)
    skipped[reason != ""] = 0
    for i in np.flatnonzero((reason == "") & (skipped >= size)):
        reason[i] = (
            f"a frequency between min_frequency={min_frequency:g} and {rule.max_frequency:g} "
            f"cycles per day in its grid, a baseline of {baseline[i]:.4g} days has none"
        )
    return start + skipped * step, step, np.maximum(size - skipped, 0), reason


def search_multiband(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int16],
    offsets: NDArray[np.int64],
    *,
    grid: GridRule | None = None,
    min_frequency: float = 0.0,
    n_peaks: int = 15,
    min_band_points: int = LEAST_POINTS,
    jobs: int | None = None,
) -> BandCandidates:
    """Periodogram, peaks with their aliases, and how probable each is, for many curves.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time within each curve, finite, ``error > 0``.
    band : int16 array, shape (n_points,)
        Codes of the bands; all equal for curves of one band.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    grid : GridRule, optional
        Up to 24 cycles per day, eightfold oversampled, otherwise.
    min_frequency : float, default 0
        Cycles per day at which the grid begins, where it lies above the rule's first; `RR_LYRAE`
        is the range for those.
    n_peaks : int, default 15
        Separate peaks of each of the two searches, by one and by three harmonics.
    min_band_points : int, default 5
        A band with fewer points is left out of the fit.
    jobs : int or None
        Threads; None takes numba's number of threads. The result does not depend on it.

    Returns
    -------
    BandCandidates

    Raises
    ------
    DataError
        If a curve has no grid or no band of so many points that varies, is not sorted, or has a
        number that is not finite or an error that is not positive.
    """
    check_points("search_multiband", time, value, error, offsets)
    points = level_points(time, value, error, band, offsets, min_band_points)
    rule = grid or GridRule(oversampling=OVERSAMPLING)
    reason = band_grids(rule, min_frequency, points.baseline)[3]
    reason[points.used_bands == 0] = f"{min_band_points} points in a band that varies"
    if (reason != "").any():
        i = int(np.argmax(reason != ""))
        raise DataError(f"search_multiband needs {reason[i]}: curve {i}")
    return search_levelled(points, rule, min_frequency, n_peaks, jobs)


def search_levelled(
    points: LevelledPoints, rule: GridRule, min_frequency: float, n_peaks: int, jobs: int | None
) -> BandCandidates:
    """Search curves whose bands are on one scale and that all have a grid.

    Parameters
    ----------
    points : LevelledPoints
        From `level_points`.
    rule, min_frequency, n_peaks, jobs
        As for `search_multiband`.

    Returns
    -------
    BandCandidates
    """
    start, step, size, _ = band_grids(rule, min_frequency, points.baseline)
    n_curves = size.size
    n_points = np.diff(points.offsets)
    choice = choose_multiband(n_points, points.used_bands, size, HARMONICS[-1])
    found = np.zeros((n_curves, most_candidates(n_peaks), 3))
    about = np.zeros((n_curves, 4))
    tables = plans(choice)

    def work(first: int, last: int) -> None:
        collect_multiband(
            points.time,
            points.value,
            points.error,
            points.band,
            points.offsets[first : last + 1],
            start[first:last],
            step[first:last],
            size[first:last],
            choice[first:last],
            tables,
            n_peaks,
            found[first:last],
            about[first:last],
        )

    in_chunks(n_curves, jobs, work)
    frequency = found[:, :, 0]
    evidence = np.where(frequency > 0, found[:, :, 2], -np.inf)
    likely = np.exp(evidence - evidence.max(axis=1, keepdims=True, initial=-1e300))
    # sums by column, so that no batch size changes their order
    total = np.cumsum(likely, axis=1)[:, -1:]
    return BandCandidates(
        frequency,
        likely / total,
        found[:, :, 1],
        about[:, 1].copy(),
        about[:, 0].copy(),
        about[:, 3].astype(np.int64),
    )
