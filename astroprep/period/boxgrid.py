"""Which periods and durations a search for boxes tries."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError

__all__ = ["MAX_BOX_GRID", "SUN_DURATION", "BoxRule"]

MAX_BOX_GRID = 1_000_000  # trial periods; four years of Kepler from half a day on ask for 380,000

GRAVITY = 6.6743e-11  # m3 kg-1 s-2, CODATA 2018
SUN_DENSITY = 1410.0  # kg m-3, from the IAU 2015 nominal mass parameter and radius
DAY = 86400.0  # seconds
SUN_DURATION: float = (3 * math.pi / (GRAVITY * SUN_DENSITY * DAY**2)) ** (1 / 3) / math.pi
"""Days that a planet on a circular orbit of one day takes across the middle of the Sun."""

SHORTEST, LONGEST = 0.35, 2.8  # of that: 24 to 1/22 of the Sun's density, or grazing transits
RATIO = math.sqrt(2.0)  # of neighbouring durations; half a ratio costs 8 % of the signal to noise
WIDEST = 0.25  # of the period; the eclipses of stars in contact are as wide
MAX_BINS = 1_000_000  # shortest durations in the longest period; memory grows with it
OCTAVE = 2.0  # periods searched with one set of durations


@dataclass(frozen=True)
class BoxRule:
    """How the trial periods and durations follow from the baseline T of a curve.

    A box of duration d moves against the data by ``T * df / f`` when the frequency changes by
    df, so the step is ``df = d f / (oversampling T)`` with the shortest duration tried at f. A
    transit across a star of given density lasts ``d ~ f^(-1/3)``: the steps are then even in
    the cube root of the frequency. Steps even in frequency, ``d / T^2`` as astropy has them,
    are 13 times as many for a month from half a day on, and 540 times for four years.

    Parameters
    ----------
    min_period : float, default 0.5
        Days.
    max_period : float or None, default None
        Days; None for half the baseline, where two transits are certain to fall within it.
    durations : tuple of float, default ()
        Days. Empty: from 0.35 to 2.8 times the central transit of the Sun at each period, in
        ratios of 1.4, a quarter of the period at most. Those given are tried where they are
        shorter than half the period.
    oversampling : float, default 2.0
        Trial frequencies while first and last transit drift apart by the shortest duration.
    max_size : int, default 1,000,000
        Ceiling on the trial periods of one curve.

    Raises
    ------
    ConfigError
        If a number is not positive and finite, the limits are crossed, the grid is coarser than
        the boxes, or no duration fits into the shortest period.

    References
    ----------
    .. [1] Ofir 2014, A&A 561, A138, doi:10.1051/0004-6361/201220860 (eqs. 1 to 7)
    .. [2] Seager & Mallen-Ornelas 2003, ApJ 585, 1038, doi:10.1086/346105 (duration and density)
    """

    min_period: float = 0.5
    max_period: float | None = None
    durations: tuple[float, ...] = ()
    oversampling: float = 2.0
    max_size: int = MAX_BOX_GRID

    def __post_init__(self) -> None:
        wrong = [
            f"{name} must be positive and finite, got {value!r}"
            for name in ("min_period", "max_period", "oversampling", "max_size")
            if (value := getattr(self, name)) is not None and not (0 < value < math.inf)
        ]
        if any(not 0 < d < math.inf for d in self.durations):
            wrong.append(f"durations must be positive and finite, got {self.durations!r}")
        if wrong:
            raise ConfigError("box search: " + "; ".join(wrong))
        if self.max_period is not None and not self.max_period > self.min_period:
            wrong.append(
                f"max_period must be above min_period={self.min_period:g}, got {self.max_period!r}"
            )
        if self.oversampling < 1:
            wrong.append(
                f"oversampling must be at least 1, got {self.oversampling!r}: with wider steps "
                "transits fall between two periods"
            )
        if self.durations and not min(self.durations) < 0.5 * self.min_period:
            wrong.append(
                f"the shortest of durations must be under half of min_period="
                f"{self.min_period:g}, got {self.durations!r}"
            )
        if wrong:
            raise ConfigError("box search: " + "; ".join(wrong))

    def longest(self, baseline: float) -> float:
        """Longest trial period for a baseline, both in days."""
        return 0.5 * baseline if self.max_period is None else min(self.max_period, baseline)

    def _scale(self, frequency: float) -> float:
        """Function of the frequency in which the steps are even."""
        if self.durations:
            return math.log(frequency) / min(self.durations)
        return 3.0 * math.pow(frequency, 1 / 3) / (SHORTEST * SUN_DURATION)

    def size(self, baseline: float) -> float:
        """Trial periods that a baseline in days asks for; not yet held against the ceiling."""
        span = self._scale(1 / self.min_period) - self._scale(1 / self.longest(baseline))
        return math.ceil(self.oversampling * baseline * span) + 1.0

    def lacking(self, baseline: float) -> str:
        """Why there is no grid for a baseline in days: a phrase after "needs"; "" for none."""
        if not (math.isfinite(baseline) and baseline > 0):
            return "points at different times, all are at the same one"
        if not self.longest(baseline) > self.min_period:
            return (
                f"a baseline over {self.min_period * (2 if self.max_period is None else 1):.4g} "
                f"days (min_period={self.min_period:g}), spans {baseline:.4g}"
            )
        if (size := self.size(baseline)) > self.max_size:
            return (
                f"at most max_grid={self.max_size:,} trial periods, a baseline of "
                f"{baseline:,.6g} days asks for {size:,.0f}; flag absurd times first (FlagBad), "
                "raise min_period, lower oversampling or max_period, or raise max_grid"
            )
        if self.durations and self.longest(baseline) / min(self.durations) > MAX_BINS:
            return (
                f"durations over 1/{MAX_BINS:,} of the longest period, "
                f"{self.longest(baseline):,.6g} days here, the shortest is {min(self.durations)!r}"
            )
        return ""

    def periods(self, baseline: float) -> NDArray[np.float64]:
        """Trial periods, rising, in days.

        Parameters
        ----------
        baseline : float
            Last minus first time, days.

        Raises
        ------
        DataError
            If the baseline has no grid, or one above the ceiling.
        """
        if reason := self.lacking(baseline):
            raise DataError(f"BoxRule needs {reason}")
        high, low = 1 / self.min_period, 1 / self.longest(baseline)
        even = np.linspace(self._scale(low), self._scale(high), int(self.size(baseline)))
        if self.durations:
            period = np.exp(-even * min(self.durations))
        else:
            period = (3.0 / (SHORTEST * SUN_DURATION * even)) ** 3
        return np.ascontiguousarray(period[::-1])

    def blocks(self, period: NDArray[np.float64]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Parts of the trial periods and the durations, in days, that are tried there."""
        first = 0
        while first < period.size:
            last = int(np.searchsorted(period, OCTAVE * period[first], side="right"))
            yield slice(first, last), self._durations(period[first], period[last - 1])
            first = last

    def _durations(self, low: float, high: float) -> NDArray[np.float64]:
        if self.durations:
            return np.array(sorted(d for d in set(self.durations) if d < 0.5 * low))
        short = SHORTEST * SUN_DURATION * math.cbrt(low)
        short = min(short, WIDEST * low)
        long = min(LONGEST * SUN_DURATION * math.cbrt(high), WIDEST * low)
        n = 1 + math.ceil(math.log(long / short) / math.log(RATIO))
        return np.geomspace(short, long, n)
