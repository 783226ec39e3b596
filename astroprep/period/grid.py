"""Even frequency grids that follow from the baseline of a curve, with a ceiling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError

__all__ = ["MAX_SIZE", "FrequencyGrid", "GridRule"]

MAX_SIZE = 2_000_000  # frequencies; a 20-year survey at 24 cycles per day asks for 0.9 million


def _spelled(count: float) -> str:
    """A count in full, or its order of magnitude where nobody would read the digits."""
    return f"{count:,.0f}" if count < 1e15 else f"{count:.2g}"


@dataclass(frozen=True)
class FrequencyGrid:
    """Frequencies ``start + step * k``, k from 0 to ``size - 1``.

    Parameters
    ----------
    start, step : float
        Cycles per day, both positive.
    size : int
        How many frequencies.

    Raises
    ------
    ConfigError
        If a number is not positive and finite.
    """

    start: float
    step: float
    size: int

    def __post_init__(self) -> None:
        finite = np.isfinite(self.start) and np.isfinite(self.step)
        if not (finite and self.start > 0 and self.step > 0 and self.size >= 1):
            raise ConfigError(
                "FrequencyGrid needs a positive start and step and at least one frequency, "
                f"got start={self.start!r}, step={self.step!r}, size={self.size!r}"
            )

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """All frequencies, float64, shape (size,), cycles per day."""
        return self.start + self.step * np.arange(self.size, dtype=np.float64)

    @property
    def stop(self) -> float:
        """Last frequency, cycles per day."""
        return self.start + self.step * (self.size - 1)


@dataclass(frozen=True)
class GridRule:
    """How a grid follows from the baseline T of a curve.

    The step is ``1 / (oversampling * T)``, because a peak is 1 / T wide. The lowest frequency is
    ``min_cycles / T``: a period that was not seen twice cannot be told from a slow drift, and at
    two cycles a survey of 2,400 days still reaches the 1,200-day long-period variables.

    Parameters
    ----------
    max_frequency : float
        Cycles per day.
    min_cycles : float
        Cycles within the baseline at the lowest frequency.
    oversampling : float
        Grid steps per peak width.
    max_size : int
        The ceiling.

    Raises
    ------
    ConfigError
        If a number is not positive, or oversampling is below 2, where peaks fall between steps.
    """

    max_frequency: float = 24.0
    min_cycles: float = 2.0
    oversampling: float = 5.0
    max_size: int = MAX_SIZE

    def __post_init__(self) -> None:
        for name in ("max_frequency", "min_cycles", "oversampling", "max_size"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be positive and finite, got {value!r}")
        if self.oversampling < 2:
            raise ConfigError(
                f"oversampling must be at least 2, got {self.oversampling!r}: with wider steps "
                "peaks fall between two frequencies"
            )

    def grids(
        self, baseline: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.object_]]:
        """Grids of many curves, and why a curve has none.

        Parameters
        ----------
        baseline : float64 array, shape (n_curves,)
            Last minus first time, days.

        Returns
        -------
        start, step : float64 array, shape (n_curves,)
            Cycles per day; 1 where there is no grid.
        size : int64 array, shape (n_curves,)
            0 where there is no grid.
        reason : object array of str, shape (n_curves,)
            A phrase that reads after "needs", ``""`` where there is a grid.
        """
        reason = np.full(baseline.size, "", dtype=object)
        possible = np.isfinite(baseline) & (baseline > 0)
        reason[~possible] = "points at different times, all are at the same one"
        step = 1.0 / (self.oversampling * np.where(possible, baseline, 1.0))
        start = self.min_cycles * self.oversampling * step
        count = np.floor((self.max_frequency - start) / step) + 1
        for i in np.flatnonzero(possible & ~(count >= 1)):
            reason[i] = (
                f"a baseline over {self.min_cycles / self.max_frequency:.4g} days "
                f"({self.min_cycles:g} cycles at {self.max_frequency:g} cycles per day), "
                f"spans {baseline[i]:.4g}"
            )
        for i in np.flatnonzero(possible & (count > self.max_size)):
            reason[i] = (
                f"a grid of at most {self.max_size:,} frequencies, a baseline of "
                f"{baseline[i]:,.6g} days asks for {_spelled(count[i])}; flag absurd times first "
                "(FlagBad), lower max_frequency or oversampling, or raise max_grid"
            )
        bad = reason != ""
        start[bad] = step[bad] = 1.0
        return start, step, np.where(bad, 0, count).astype(np.int64), reason

    def grid(self, time: NDArray[np.float64], name: str = "this curve") -> FrequencyGrid:
        """Grid of one curve.

        Parameters
        ----------
        time : float64 array, shape (n_points,)
            Days.
        name : str
            What an error calls the curve.

        Raises
        ------
        DataError
            If there is no grid, or one above the ceiling.
        """
        baseline = np.array([np.ptp(time) if time.size else 0.0])
        start, step, size, reason = self.grids(baseline)
        if reason[0]:
            raise DataError(f"FrequencyGrid needs {reason[0]}: {name}")
        return FrequencyGrid(float(start[0]), float(step[0]), int(size[0]))
