"""What each night did to all stars at once: zero point, noise, errors, share of bad points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.data import INFORMATIVE, LightCurveBatch, PointFlag
from astroprep.errors import ConfigError
from astroprep.quality.kernels import MAD_TO_SIGMA
from astroprep.quality.nightly import binned_quantiles, judge_nights, night_rule

__all__ = ["Nights"]

MJD_ZERO = 2400000.5  # Julian date of MJD 0
MAX_NIGHTS = 60_000  # 164 years; 1.9 kB a night. Later ones are counted, not judged.
FLOOR = 0.01  # mag, or share of the flux: no ground-based night is known better from one star
LEAST_POINTS = 10  # a curve with fewer has no level to compare a night with

# Zero points: 128 bins even in asinh(shift / 0.005), 0.0005 wide at zero, to 2 mag either way.
SHIFT_BINS, SHIFT_SCALE, SHIFT_END = 128, 0.005, 2.0
# Ratios: 60 bins even in the logarithm from 0.005 to 100, a sixth each.
RATIO_BINS, RATIO_LOW, RATIO_HIGH = 60, 0.005, 100.0
REASONS = (
    ("missing_value", PointFlag.MISSING_VALUE | PointFlag.SENTINEL),
    ("duplicate", PointFlag.DUPLICATE),
    ("outlier", PointFlag.OUTLIER | PointFlag.NOISE),
    ("survey", PointFlag.SURVEY),
)
SHIFT_EDGES = SHIFT_SCALE * np.sinh(
    np.linspace(-1.0, 1.0, SHIFT_BINS + 1) * np.arcsinh(SHIFT_END / SHIFT_SCALE)
)
RATIO_EDGES = np.geomspace(RATIO_LOW, RATIO_HIGH, RATIO_BINS + 1)


@njit(cache=True)
def _shift_bin(shift: float) -> int:
    place = np.arcsinh(shift / SHIFT_SCALE) / np.arcsinh(SHIFT_END / SHIFT_SCALE)
    return int(min(max((place + 1.0) * 0.5 * SHIFT_BINS, 0.0), SHIFT_BINS - 1.0))


@njit(cache=True)
def _ratio_bin(ratio: float) -> int:
    if not ratio > RATIO_LOW:
        return 0
    place = np.log(ratio / RATIO_LOW) / np.log(RATIO_HIGH / RATIO_LOW)
    return int(min(place * RATIO_BINS, RATIO_BINS - 1.0))


@njit(cache=True)
def _add_pairs(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    noise: float,
    near: float,
    noise_bins: NDArray[np.int32],
    honesty_bins: NDArray[np.int32],
) -> None:
    """Differences of near points of one curve in one night."""
    for j in range(1, time.size):
        if time[j] - time[j - 1] > near:
            continue
        step = abs(value[j] - value[j - 1])
        if noise > 0:
            noise_bins[_ratio_bin(step / (noise * np.sqrt(2.0)))] += 1
        quoted = np.hypot(error[j], error[j - 1])
        if quoted > 0:
            honesty_bins[_ratio_bin(step / quoted)] += 1


@njit(cache=True)
def add_curves(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    row: NDArray[np.int64],
    offsets: NDArray[np.int64],
    owner: NDArray[np.int64],
    about: tuple[NDArray[np.float64], ...],
    relative: bool,
    near: float,
    tally: tuple[Any, ...],
) -> None:
    """Add single-band curves to the sums of their nights.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time within each curve; an unknown error is NaN.
    row : int64 array, shape (n_points,)
        Row of the night of each point in the arrays of `tally`; negative to leave out.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    owner : int64 array, shape (n_curves,)
        Object of each curve; the curves of an object stand together.
    about : tuple of three float64 arrays, shape (n_curves,)
        Level, scatter and noise of each curve.
    relative : bool
        Whether shifts are shares of the level (flux) instead of differences (magnitudes).
    near : float
        Points closer than this, in days, make a pair.
    tally : tuple of arrays
        Of each night: weights of the shifts by bin, sums of weights and of their squares,
        counts of noise and honesty by bin, objects, and the last object seen.
    """
    level, scatter, noise = about
    shift_bins, weights, noise_bins, honesty_bins, objects, seen = tally
    for i in range(offsets.size - 1):
        first, last = offsets[i], offsets[i + 1]
        scale = level[i] if relative else 1.0
        judged = last - first >= LEAST_POINTS and scale > 0
        start = first
        while start < last:
            stop = start + 1
            while stop < last and row[stop] == row[start]:
                stop += 1
            night = row[start]
            if night >= 0:
                if seen[night] != owner[i]:
                    seen[night] = owner[i]
                    objects[night] += 1
                _add_pairs(
                    time[start:stop],
                    value[start:stop],
                    error[start:stop],
                    noise[i],
                    near,
                    noise_bins[night],
                    honesty_bins[night],
                )
                if judged:
                    shift = (np.median(value[start:stop]) - level[i]) / scale
                    weight = 1.0 / ((scatter[i] / scale) ** 2 + FLOOR**2)
                    shift_bins[night, _shift_bin(shift)] += weight
                    weights[night, 0] += weight
                    weights[night, 1] += weight * weight
            start = stop


@njit(cache=True)
def add_points(
    flags: NDArray[np.uint32],
    row: NDArray[np.int64],
    bad: np.uint32,
    masks: NDArray[np.uint32],
    count: NDArray[np.int64],
) -> None:
    """Count all points, the excluded ones, and those of each mask, by night."""
    for j in range(row.size):
        night = row[j]
        if night < 0:
            continue
        count[night, 0] += 1
        if flags[j] & bad:
            count[night, 1] += 1
            for k in range(masks.size):
                count[night, 2 + k] += (flags[j] & masks[k]) != 0


class Nights:
    """Sums by night over the batches of a survey, about two kilobytes a night.

    Parameters
    ----------
    longitude : float or None, default None
        Of the observatory, degrees east. With it a night runs from local mean noon to the
        next and bears the MJD of its evening there; without it, it is the integer MJD.
    near : float
        Points closer than this, in days, make a pair that tells the noise.

    Raises
    ------
    ConfigError
        If the longitude is not between -180 and 360 degrees.
    """

    def __init__(self, longitude: float | None, near: float) -> None:
        if longitude is not None and not -180.0 <= longitude <= 360.0:
            raise ConfigError(
                f"longitude must lie between -180 and 360 degrees east, got {longitude!r}"
            )
        self.longitude = longitude
        self.near = near
        self.number = np.empty(0, np.int64)
        self.n_left_out = 0
        self.hours = np.zeros(24, np.int64)
        self._order = np.empty(0, np.int64)  # rows by night
        self._objects_before = 0
        self._shift = np.zeros((0, SHIFT_BINS))
        self._weights = np.zeros((0, 2))
        self._noise = np.zeros((0, RATIO_BINS), np.int32)
        self._honesty = np.zeros((0, RATIO_BINS), np.int32)
        self._objects = np.zeros(0, np.int64)
        self._seen = np.zeros(0, np.int64)
        self._count = np.zeros((0, 2 + len(REASONS)), np.int64)

    def add(
        self,
        single: LightCurveBatch,
        error: NDArray[np.float64],
        about: tuple[NDArray[np.float64], ...],
        owner: NDArray[np.int64],
        n_objects: int,
    ) -> None:
        """Take single-band curves into account.

        Parameters
        ----------
        single : LightCurveBatch
            Flagged.
        error : float64 array, shape (n_usable,)
            Of the usable points, NaN where the survey gave none.
        about : tuple of three float64 arrays, shape (n_curves,)
            Level, scatter and noise of each curve.
        owner : int64 array, shape (n_curves,)
            Object of each curve within the batch.
        n_objects : int
            Objects of the batch.
        """
        zero = 0.0 if single.meta.time_ref is None else single.meta.time_ref - MJD_ZERO
        known = np.isfinite(single.time)
        known &= (single.flags & np.uint32(PointFlag.BAD_TIME)) == 0
        mjd = np.where(known, single.time, 0.0) + zero
        hour = np.floor((mjd % 1.0) * 24).astype(np.int64) % 24
        self.hours += np.bincount(hour[known], minlength=24)
        if self.longitude is not None:
            mjd = mjd + self.longitude / 360.0 - 0.5
        row = self._rows(np.floor(mjd).astype(np.int64), known)
        bad = np.uint32(~int(INFORMATIVE) & 0xFFFFFFFF)
        masks = np.array([int(mask) for _, mask in REASONS], np.uint32)
        add_points(single.flags, row, bad, masks, self._count)
        usable = single.usable
        add_curves(
            usable.time,
            usable.value,
            error,
            row[usable.index],
            usable.offsets,
            owner + self._objects_before,
            about,
            single.meta.quantity == "flux",
            self.near,
            (self._shift, self._weights, self._noise, self._honesty, self._objects, self._seen),
        )
        self._objects_before += n_objects

    def _rows(self, night: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Row of the night of each point, -1 for none; new nights get rows."""
        row = np.full(night.size, -1, np.int64)
        if not known.any():
            return row
        low, high = int(night[known].min()), int(night[known].max())
        there = np.bincount(night[known] - low, minlength=high - low + 1) > 0
        new = np.setdiff1d(np.flatnonzero(there) + low, self.number)
        room = MAX_NIGHTS - self.number.size
        self._grow(new[:room])
        place = np.full(high - low + 1, -1, np.int64)
        inside = (self.number >= low) & (self.number <= high)
        place[self.number[inside] - low] = np.flatnonzero(inside)
        row[known] = place[night[known] - low]
        self.n_left_out += int(np.count_nonzero(row[known] < 0))
        return row

    def _grow(self, new: NDArray[np.int64]) -> None:
        if not new.size:
            return
        self.number = np.append(self.number, new)
        for name in ("_shift", "_weights", "_noise", "_honesty", "_objects", "_seen", "_count"):
            old = getattr(self, name)
            fresh = np.full((new.size, *old.shape[1:]), -1 if name == "_seen" else 0, old.dtype)
            setattr(self, name, np.concatenate([old, fresh]))

    def table(self) -> dict[str, NDArray[Any]]:
        """One row a night, in order.

        Returns
        -------
        dict of str to array, shape (n_nights,)
            ``night``; ``points``, ``objects`` (with a usable point), ``flagged`` (share of the
            points that are excluded) and its parts by reason; ``shift`` of the zero point
            against the median of each curve (magnitudes, or share of the flux) with
            ``shift_error`` and ``stars``, the effective number of stars in it; ``noise``, the
            scatter of near points over the usual one of their curves; ``honesty``, the same
            over the quoted errors; ``pairs`` of near points.
        """
        order = np.argsort(self.number)
        count, weights = self._count[order], self._weights[order]
        with np.errstate(invalid="ignore", divide="ignore"):
            stars = np.where(weights[:, 1] > 0, weights[:, 0] ** 2 / weights[:, 1], 0.0)
            share = count / count[:, :1]
        low, middle, high = binned_quantiles(
            self._shift[order], SHIFT_EDGES, np.array([0.15866, 0.5, 0.84134])
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            # standard error of a median, sqrt(pi / 2) sigma / sqrt(n)
            uncertain = np.sqrt(np.pi / 2) * (high - low) / 2 / np.sqrt(stars)
        half = np.array([0.5])
        return {
            "night": self.number[order],
            "points": count[:, 0],
            "objects": self._objects[order],
            "flagged": share[:, 1],
            **{name: share[:, 2 + k] for k, (name, _) in enumerate(REASONS)},
            "shift": middle,
            "shift_error": uncertain,
            "stars": stars,
            "noise": MAD_TO_SIGMA * binned_quantiles(self._noise[order], RATIO_EDGES, half)[0],
            "honesty": MAD_TO_SIGMA * binned_quantiles(self._honesty[order], RATIO_EDGES, half)[0],
            "pairs": self._noise[order].sum(axis=1),
        }

    def to_dict(self) -> dict[str, Any]:
        """Rule, table and verdicts, see `judge_nights`."""
        table = self.table()
        return {
            **night_rule(self.longitude, self.hours),
            "left_out": self.n_left_out,
            **judge_nights(table),
        }
