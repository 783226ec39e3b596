"""What the steps with cotrending vectors share: which vectors serve a curve, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Transformer
from astroprep.data import LightCurveBatch
from astroprep.detrend.cbv_apply import SPARE_POINTS, apply_vectors
from astroprep.detrend.cbv_vectors import ANY, SAME_TIME, CotrendingVectors, explain_time_system
from astroprep.errors import DataError

__all__ = ["VectorStep"]

CLOCK_CHECKS = 100  # points of a curve whose time is held against the vectors


class VectorStep(Transformer):
    """What the steps share that hold vectors as learned state; not a step by itself.

    Attributes
    ----------
    set_offsets_ : int64 array, shape (n_sets + 1,)
        Rows of set i in the flat columns are ``set_offsets_[i]:set_offsets_[i + 1]``.
    set_cadence_, set_time_, set_vectors_ : arrays, shape (n_rows, ...)
        Of all sets; cadence -1 and time NaN where a set has none, NaN rows at gaps, columns
        beyond ``set_size_`` zero.
    set_noise_ : float64 array, shape (n_sets, n_vectors)
        White noise of the vectors.
    set_size_, set_segment_, set_channel_ : int64 arrays, shape (n_sets,)
        Vectors of each set; segment and channel that it serves, -1 for any.
    set_time_ref_ : float64 array, shape (n_sets,)
        Julian date that was subtracted, NaN where not known.
    """

    bin_width: float
    shortest: float
    protect: float
    bridge: float
    min_overlap: float

    def _check_fit(self) -> list[str]:
        """What is wrong with the settings that the steps share."""
        wrong = [
            f"{name} must be positive, got {value!r}"
            for name in ("bin_width", "shortest")
            if not (value := getattr(self, name)) > 0
        ]
        if not (self.protect == 0 or self.protect > self.shortest):
            wrong.append(
                f"protect must be 0 (no stellar variation) or longer than shortest "
                f"({self.shortest!r} days), got {self.protect!r}"
            )
        if not self.bridge >= 1:
            wrong.append(f"bridge must be at least 1 step, got {self.bridge!r}")
        if not 0 < self.min_overlap <= 1:
            wrong.append(f"min_overlap must be in (0, 1], got {self.min_overlap!r}")
        return wrong

    def _hold(self, sets: Sequence[CotrendingVectors]) -> None:
        widest = max(one.n_vectors for one in sets)
        padded = [np.zeros((one.n_cadences, widest)) for one in sets]
        for one, rows in zip(sets, padded, strict=True):
            rows[:, : one.n_vectors] = one.vectors
            rows[~one.is_known] = np.nan
        nothing = [np.full(one.n_cadences, np.nan) for one in sets]
        self.set_vectors_ = np.concatenate(padded)
        self.set_cadence_ = np.concatenate(
            [np.full(one.n_cadences, -1) if one.cadence is None else one.cadence for one in sets]
        ).astype(np.int64)
        self.set_time_ = np.concatenate(
            [gap if one.time is None else one.time for one, gap in zip(sets, nothing, strict=True)]
        )
        sizes = [one.n_cadences for one in sets]
        self.set_offsets_ = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        self.set_noise_ = np.zeros((len(sets), widest))
        for i, one in enumerate(sets):
            self.set_noise_[i, : one.n_vectors] = one.noise
        self.set_size_ = np.array([one.n_vectors for one in sets], np.int64)
        self.set_segment_ = np.array([one.segment for one in sets], np.int64)
        self.set_channel_ = np.array([one.channel for one in sets], np.int64)
        self.set_time_ref_ = np.array(
            [np.nan if one.time_ref is None else one.time_ref for one in sets]
        )

    def vector_sets(self) -> list[CotrendingVectors]:
        """Return the vectors that the step holds, one entry a segment and channel."""
        sets = []
        for i, (a, b) in enumerate(zip(self.set_offsets_, self.set_offsets_[1:], strict=False)):
            cadence, time = self.set_cadence_[a:b], self.set_time_[a:b]
            reference = float(self.set_time_ref_[i])
            sets.append(
                CotrendingVectors(
                    vectors=self.set_vectors_[a:b, : int(self.set_size_[i])],
                    cadence=cadence if cadence.size and cadence[0] >= 0 else None,
                    time=time if np.isfinite(time).any() else None,
                    time_ref=None if np.isnan(reference) else reference,
                    segment=int(self.set_segment_[i]),
                    channel=int(self.set_channel_[i]),
                )
            )
        return sets

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        sets = self.vector_sets()
        rows, why = self._rows(batch, sets)
        if (why != "").any():
            batch = self.refuse(batch, why != "", why)
            rows, _ = self._rows(batch, sets)
        return apply_vectors(
            batch,
            rows,
            self.set_noise_[self._matches(batch)],
            bin_width=self.bin_width,
            shortest=self.shortest,
            protect=self.protect,
        )

    def _matches(self, batch: LightCurveBatch) -> NDArray[np.int64]:
        """Which set serves each curve; -1 for none, the first where several do."""
        serves = np.ones((self.set_size_.size, batch.n_curves), bool)
        for name, wanted in (("segment", self.set_segment_), ("channel", self.set_channel_)):
            if name in batch.objects:
                here = np.asarray(batch.objects[name])
                serves &= (wanted[:, None] == ANY) | (wanted[:, None] == here[None, :])
        return np.where(serves.any(axis=0), serves.argmax(axis=0), -1)

    def _rows(
        self, batch: LightCurveBatch, sets: Sequence[CotrendingVectors]
    ) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
        """Vectors at every point, and why a curve cannot be served."""
        which = self._matches(batch)
        rows = np.full((batch.n_points, int(self.set_size_.max())), np.nan)
        of_point = np.repeat(which, np.diff(batch.offsets))
        for i, one in enumerate(sets):
            here = np.flatnonzero(of_point == i)
            if here.size:
                found = _aligned(batch, here, one, self.bridge)
                rows[here, : one.n_vectors] = found
                rows[here, one.n_vectors :] = np.where(np.isfinite(found[:, :1]), 0.0, np.nan)
        why = np.full(batch.n_curves, "", dtype=object)
        usable = batch.usable
        covered = np.isfinite(rows[usable.index, 0])
        running = np.concatenate(([0], np.cumsum(covered)))
        counts, total = np.diff(running[usable.offsets]), usable.counts()
        for i in range(batch.n_curves):
            if which[i] < 0:
                why[i] = self._no_set(batch, i)
            elif counts[i] < self.min_overlap * total[i]:
                why[i] = _no_overlap(batch, i, sets[which[i]], int(counts[i]), int(total[i]))
            elif counts[i] < sets[which[i]].n_vectors + SPARE_POINTS:
                least = sets[which[i]].n_vectors + SPARE_POINTS
                why[i] = f"at least {least} usable points with vectors, has {counts[i]}"
            else:
                why[i] = _other_clock(batch, i, sets[which[i]])
        return rows, why

    def _no_set(self, batch: LightCurveBatch, i: int) -> str:
        seen = " and ".join(
            f"{name} {batch.objects[name][i]}"
            for name in ("segment", "channel")
            if name in batch.objects
        )
        there = ", ".join(
            f"({s}, {c})" for s, c in zip(self.set_segment_, self.set_channel_, strict=True)
        )
        return f"vectors of its {seen}; there are, as (segment, channel), {there} (-1: any)"


def _shift(batch: LightCurveBatch, one: CotrendingVectors) -> float:
    """Days to add to the curve's times to reach the system of the vectors; 0 where unknown."""
    if batch.meta.time_ref is None or one.time_ref is None:
        return 0.0
    return batch.meta.time_ref - one.time_ref


def _by_cadence(batch: LightCurveBatch, one: CotrendingVectors) -> bool:
    return one.cadence is not None and "cadence" in batch.points


def _aligned(
    batch: LightCurveBatch, here: NDArray[np.intp], one: CotrendingVectors, bridge: float
) -> NDArray[np.float64]:
    if _by_cadence(batch, one):
        return one.at_cadence(batch.points["cadence"][here], bridge)
    if one.time is None:
        raise DataError(
            f"{one.name} have cadence numbers and no times, but the batch has no "
            "points['cadence']; read it with astroprep.io.open_survey, or give the vectors times"
        )
    return one.at_time(batch.time[here] + _shift(batch, one), bridge)


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (np.nan, np.nan)


def _no_overlap(
    batch: LightCurveBatch, i: int, one: CotrendingVectors, count: int, total: int
) -> str:
    part = slice(int(batch.offsets[i]), int(batch.offsets[i + 1]))
    seen = f"only {count} of {total} usable points are covered"
    if _by_cadence(batch, one) and one.cadence is not None:
        a, b = _ends(batch.points["cadence"][part].astype(float))
        c, d = _ends(one.cadence[one.is_known].astype(float))
        return (
            f"vectors at its cadences: it has {a:.0f} to {b:.0f}, the {one.name} "
            f"{c:.0f} to {d:.0f}; {seen}"
        )
    assert one.time is not None
    curve, known = _ends(batch.time[part] + _shift(batch, one)), _ends(one.time[one.is_known])
    unknown = batch.meta.time_ref is None or one.time_ref is None
    hint = explain_time_system(curve, known) if unknown and count == 0 else ""
    return (
        f"vectors at its times: it has {curve[0]:.2f} to {curve[1]:.2f}, the {one.name} "
        f"{known[0]:.2f} to {known[1]:.2f}; {seen}{hint}"
    )


def _other_clock(batch: LightCurveBatch, i: int, one: CotrendingVectors) -> str:
    """Why equal cadence numbers are not the same moment, or ``""``."""
    if not _by_cadence(batch, one) or one.time is None or one.cadence is None:
        return ""
    size = int(batch.offsets[i + 1] - batch.offsets[i])
    sparse = max(size // CLOCK_CHECKS, 1)  # a clock is wrong everywhere or nowhere
    part = slice(int(batch.offsets[i]), int(batch.offsets[i + 1]), sparse)
    cadence = batch.points["cadence"][part]
    at = np.clip(np.searchsorted(one.cadence, cadence), 0, one.n_cadences - 1)
    apart = one.time[at] - batch.time[part] - _shift(batch, one)
    apart = apart[(one.cadence[at] == cadence) & np.isfinite(apart)]
    if apart.size == 0 or abs(np.median(apart)) < SAME_TIME:
        return ""
    days = float(np.median(apart))
    stated = batch.meta.time_ref is not None and one.time_ref is not None
    if not stated and explain_time_system((0, 0), (0, 0), days):
        return ""  # the cadence numbers agree and only a reference is not stated
    return (
        f"vectors of the same clock: equal cadence numbers are {days:.2f} days apart from "
        f"the {one.name}; another survey or segment, or a wrong time reference"
    )
