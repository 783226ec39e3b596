"""`CotrendingVectors`: what all stars of a detector do together, by cadence and by time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.units import TIME_REFERENCES

__all__ = ["ANY", "CotrendingVectors", "explain_time_system"]

ANY = -1
"""Segment or channel of vectors that serve any."""

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
SAME_TIME = 1.0  # days; the light travel time across Earth's orbit is 0.006
REFERENCES = {name: TIME_REFERENCES[name] for name in ("JD", "MJD", "BKJD", "BTJD")}


@dataclass(frozen=True, eq=False)
class CotrendingVectors:
    """Basis vectors of the systematics of one detector channel in one segment.

    Parameters
    ----------
    vectors : float64 array, shape (n_cadences, n_vectors)
        Relative brightness, any scale. NaN rows are gaps.
    cadence : int64 array, shape (n_cadences,), or None
        Cadence numbers, rising.
    time : float64 array, shape (n_cadences,), or None
        Days since `time_ref`; NaN where unknown. At least one of `cadence` and `time`.
    time_ref : float or None
        Julian date that was subtracted from the times; None when not known.
    survey : str
        ``"Kepler"``, ``"K2"``, ``"TESS"`` or another name.
    segment, channel : int
        Quarter, campaign or sector, and channel (of TESS four times the camera, counted from
        zero, plus the CCD); -1 where the vectors serve any.
    scale : str
        ``"single"``, ``"band-1"`` ... or ``"spike"``, as TESS has them.
    power : float64 array, shape (n_vectors,), or None
        Singular values of the ensemble, where it was ours.

    Raises
    ------
    DataError
        If lengths disagree, the cadences do not rise, or a vector is NaN at all cadences.
    """

    vectors: NDArray[np.float64]
    cadence: NDArray[np.int64] | None = None
    time: NDArray[np.float64] | None = None
    time_ref: float | None = None
    survey: str = ""
    segment: int = ANY
    channel: int = ANY
    scale: str = "single"
    power: NDArray[np.float64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        vectors = np.array(self.vectors, np.float64, ndmin=2)
        if vectors.shape[1] == 0:
            raise DataError(f"{self.name} need at least one vector")
        if self.cadence is None and self.time is None:
            raise DataError(f"{self.name} need cadence numbers or times to be aligned by")
        vectors[~np.isfinite(vectors).all(axis=1)] = np.nan
        kept: dict[str, Any] = {"vectors": vectors}
        for key, kind in (("cadence", np.int64), ("time", np.float64)):
            column = getattr(self, key)
            if column is not None:
                column = np.array(column, kind)
                if column.shape != vectors.shape[:1]:
                    raise DataError(
                        f"{self.name}: {key} has shape {column.shape}, "
                        f"but there are {vectors.shape[0]} rows of vectors"
                    )
                kept[key] = column
        if not np.isfinite(vectors).any():
            raise DataError(
                f"{self.name}: every one of the {vectors.shape[0]} cadences is NaN or a gap; "
                "take vectors of another channel or read the file again"
            )
        if self.cadence is not None and np.any(np.diff(kept["cadence"]) <= 0):
            raise DataError(f"{self.name}: cadence numbers must rise; sort them, once each")
        if self.cadence is None:
            known = np.isfinite(kept["time"])
            if np.any(np.diff(kept["time"][known]) <= 0):
                raise DataError(f"{self.name}: times must rise; sort them, once each")
        for key, array in kept.items():
            array.flags.writeable = False
            object.__setattr__(self, key, array)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # nothing in it can change

    @property
    def name(self) -> str:
        """For messages: survey, segment and channel."""
        words = ["cotrending vectors"]
        words += [f"of {self.survey}"] if self.survey else []
        words += [f"segment {self.segment}"] if self.segment != ANY else []
        words += [f"channel {self.channel}"] if self.channel != ANY else []
        return " ".join(words)

    @property
    def n_vectors(self) -> int:
        """How many vectors there are."""
        return int(self.vectors.shape[1])

    @property
    def n_cadences(self) -> int:
        """How many cadences there are, the gaps among them."""
        return int(self.vectors.shape[0])

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """True at cadences that are no gap, shape (n_cadences,)."""
        return np.isfinite(self.vectors[:, 0])

    @property
    def noise(self) -> NDArray[np.float64]:
        """White noise of each vector, from neighbouring cadences, shape (n_vectors,)."""
        steps = np.diff(self.vectors, axis=0)
        steps = steps[np.isfinite(steps[:, 0])]
        if steps.shape[0] == 0:
            return np.zeros(self.n_vectors)
        return np.asarray(MAD_TO_SIGMA * np.median(np.abs(steps), axis=0) / np.sqrt(2))

    def first(self, n_vectors: int) -> CotrendingVectors:
        """Return the first so many vectors.

        Raises
        ------
        ConfigError
            If there are fewer.
        """
        if not 1 <= n_vectors <= self.n_vectors:
            raise ConfigError(
                f"{self.name}: {n_vectors} vectors wanted, there are {self.n_vectors}"
            )
        power = None if self.power is None else self.power[:n_vectors]
        return replace(self, vectors=self.vectors[:, :n_vectors], power=power)

    def at_cadence(self, cadence: NDArray[np.int64], bridge: float = 3.0) -> NDArray[np.float64]:
        """Rows at cadence numbers, shape (n, n_vectors); NaN where the vectors are not known.

        Parameters
        ----------
        cadence : int64 array, shape (n,)
            In any order.
        bridge : float
            Gaps of at most so many cadences are crossed by a straight line.
        """
        if self.cadence is None:
            raise DataError(f"{self.name} have no cadence numbers")
        ok = self.is_known
        return _between_rows(
            cadence.astype(np.float64), self.cadence[ok].astype(float), self.vectors[ok], bridge
        )

    def at_time(self, time: NDArray[np.float64], bridge: float = 3.0) -> NDArray[np.float64]:
        """Rows at times in the system of the vectors, interpolated; NaN where not known.

        Parameters
        ----------
        time : float64 array, shape (n,)
            Days since the vectors' own `time_ref`, in any order.
        bridge : float
            Gaps of at most so many median steps are crossed by a straight line; as far as half
            a step beyond the ends the last row holds.
        """
        if self.time is None:
            raise DataError(f"{self.name} have no times")
        ok = self.is_known & np.isfinite(self.time)
        known = self.time[ok]
        step = float(np.median(np.diff(known))) if known.size > 1 else 1.0
        return _between_rows(time / step, known / step, self.vectors[ok], bridge)


@njit(cache=True)
def _between_rows(
    x: NDArray[np.float64],
    known: NDArray[np.float64],
    rows: NDArray[np.float64],
    bridge: float,
) -> NDArray[np.float64]:
    """Linear interpolation of rows, in units where neighbours are one apart."""
    result = np.full((x.size, rows.shape[1]), np.nan)
    for i in range(x.size):
        if known.size == 0 or not np.isfinite(x[i]):
            continue
        high = np.searchsorted(known, x[i])
        if high < known.size and known[high] == x[i]:
            result[i] = rows[high]
        elif high == 0 or high == known.size:
            end = min(high, known.size - 1)
            if abs(known[end] - x[i]) <= 0.5:
                result[i] = rows[end]
        elif known[high] - known[high - 1] <= bridge:
            part = (x[i] - known[high - 1]) / (known[high] - known[high - 1])
            result[i] = (1 - part) * rows[high - 1] + part * rows[high]
    return result


def explain_time_system(
    curve: tuple[float, float], vectors: tuple[float, float], difference: float | None = None
) -> str:
    """Name the two time systems that would make the ranges meet, or ``""``.

    Parameters
    ----------
    curve, vectors : (float, float)
        First and last time of each, days.
    difference : float, optional
        Of the times of equal cadences, where these are known.
    """
    for one, start in REFERENCES.items():
        for other, begin in REFERENCES.items():
            shift = start - begin  # curve time + shift = vector time
            near = (
                abs(shift - difference) < SAME_TIME
                if difference is not None
                else curve[0] + shift <= vectors[1] and curve[1] + shift >= vectors[0]
            )
            if one != other and near:
                return (
                    f"; the two would meet if the curve's times were {one} and the vectors' "
                    f"{other}: state the reference of both"
                )
    return ""
