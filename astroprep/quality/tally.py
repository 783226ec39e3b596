"""Numbers of a survey that grow batch by batch, in memory bounded by the number of objects."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from astroprep.clean import FlagBad, SigmaClip, flag_counts
from astroprep.data import LightCurveBatch, Meta, PointFlag

__all__ = ["Tally", "curve_noise", "window_power"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
NEAR = 1 / 24  # days; what happens within an hour is mostly noise

GAP_EDGES = np.geomspace(1e-4, 1e4, 81)  # days: ten seconds to a generation
POINT_EDGES = np.concatenate(([-0.5, 0.5], np.round(np.geomspace(1, 1e5, 81)) + 0.5))
POINT_EDGES = np.unique(POINT_EDGES)
# Cycles per day at which a ground-based survey is blind or deceived; LSST and space surveys too.
WINDOW_FREQUENCIES = {
    "day": 1.0,
    "sidereal day": 1.002737909,
    "lunation": 1 / 29.530588853,
    "year": 1 / 365.2422,
}


@njit(cache=True)
def _noise(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    near: float,
) -> tuple[float, float, float]:
    if time.size == 0:
        return np.nan, np.nan, np.nan
    median = np.median(value)
    scatter = MAD_TO_SIGMA * np.median(np.abs(value - median))
    size = np.hypot(error[1:], error[:-1])
    step = np.abs(value[1:] - value[:-1]) / size
    close = np.isfinite(step) & (time[1:] - time[:-1] <= near)
    if close.sum() < 5:
        return median, scatter, np.nan
    return median, scatter, MAD_TO_SIGMA * np.median(step[close])


@njit(parallel=True, cache=True)
def curve_noise(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    near: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Level and scatter of each curve, and how honest its error bars are.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time within each curve; days and any unit. An error that is NaN is not judged.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    near : float
        Successive points closer than this, in days, tell noise from variability.

    Returns
    -------
    median, scatter, honesty : float64 array, shape (n_curves,)
        Median value; robust scatter about it; and robust scatter of near differences over
        ``hypot`` of their errors: 1 for honest errors, 2 for errors quoted at half their
        size. NaN where there are too few points; ``honesty`` too with fewer than five near
        pairs, because points further apart measure the star and not the noise.
    """
    n_curves = offsets.size - 1
    median = np.empty(n_curves)
    scatter = np.empty(n_curves)
    honesty = np.empty(n_curves)
    for i in prange(n_curves):
        first, last = offsets[i], offsets[i + 1]
        median[i], scatter[i], honesty[i] = _noise(
            time[first:last], value[first:last], error[first:last], near
        )
    return median, scatter, honesty


@njit(parallel=True, cache=True)
def window_power(
    time: NDArray[np.float64], offsets: NDArray[np.int64], frequency: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Power of each curve's sampling at some frequencies.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    frequency : float64 array, shape (n_frequencies,)
        Cycles per day.

    Returns
    -------
    float64 array, shape (n_curves, n_frequencies)
        ``|mean(exp(2 pi i f t))|^2``: 1 where all points share one phase, 1 / n_points for
        sampling without a pattern, NaN for empty curves.
    """
    power = np.full((offsets.size - 1, frequency.size), np.nan)
    for i in prange(offsets.size - 1):
        first, last = offsets[i], offsets[i + 1]
        if first == last:
            continue
        for k in range(frequency.size):
            real, imaginary = 0.0, 0.0
            for j in range(first, last):
                angle = 2 * np.pi * ((time[j] - time[first]) * frequency[k] % 1.0)
                real += np.cos(angle)
                imaginary += np.sin(angle)
            power[i, k] = (real * real + imaginary * imaginary) / (last - first) ** 2
    return power


class Tally:
    """Sums over the batches of one survey; a few numbers an object are kept, no light curves."""

    def __init__(self) -> None:
        self.meta: Meta | None = None
        self.n_objects = 0
        self.n_points = 0
        self.n_usable = 0
        self.n_unknown_errors = 0
        self.n_unsorted = 0
        self.n_repeated_times = 0
        self.flags: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.gaps = np.zeros(GAP_EDGES.size - 1, np.int64)
        self.labels: Counter[tuple[str, str]] = Counter()
        self._columns: dict[str, list[NDArray[Any]]] = {}
        self._content: dict[str, Any] = {}
        self._constant: dict[str, Any] = {}

    def add(self, batch: LightCurveBatch) -> None:
        """Take one batch into account."""
        self.meta = self.meta or batch.meta
        self.n_objects += batch.n_objects
        self.n_points += batch.n_points
        self.rejected.update(str(r) for r in batch.rejected.reason)
        self._add_columns(batch)
        flagged = FlagBad().transform(batch)
        estimated = (flagged.flags & np.uint32(PointFlag.ESTIMATED_ERROR)) > 0
        missing = (flagged.flags & np.uint32(PointFlag.MISSING_ERROR)) > 0
        self.n_unknown_errors += int(np.count_nonzero(estimated | missing))
        self._add_cadence(flagged)
        single = flagged if flagged.band is None else _one_band_each(flagged)
        clipped = SigmaClip(on_bad="reject").transform(single)
        self.flags.update(flag_counts(clipped))
        self._add_noise(flagged, clipped)

    def column(self, name: str) -> NDArray[Any]:
        """Numbers of all objects so far, in the order of the survey."""
        parts = self._columns.get(name, [])
        return np.concatenate(parts) if parts else np.empty(0)

    def redundant_columns(self) -> list[tuple[str, str]]:
        """Pairs of columns per object with the same content."""
        seen: dict[bytes, str] = {}
        pairs = []
        for name, digest in self._content.items():
            twin = seen.setdefault(digest.digest(), name)
            if twin != name:
                pairs.append((twin, name))
        return pairs

    def constant_columns(self) -> list[str]:
        """Columns per object that hold one value for all."""
        if self.n_objects < 2:
            return []
        return sorted(name for name, value in self._constant.items() if value is not _SEVERAL)

    # -- parts ----------------------------------------------------------------------------

    def _keep(self, **columns: NDArray[Any]) -> None:
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(values)

    def _add_columns(self, batch: LightCurveBatch) -> None:
        n, objects = batch.n_curves, batch.objects
        nowhere = np.full(n, np.nan)
        self._keep(id=batch.ids, ra=objects.get("ra", nowhere), dec=objects.get("dec", nowhere))
        nothing = np.full(n, "", dtype=object)
        label, split = objects.get("label", nothing), objects.get("split", nothing)
        self._keep(label=label, split=split)
        self.labels.update(zip(label.tolist(), split.tolist(), strict=True))
        for name, values in objects.items():
            if name == "row" or values.ndim != 1 or not n:
                continue
            text = values.astype(str)
            digest = self._content.setdefault(name, hashlib.sha256())
            digest.update("\0".join(text).encode())
            if name not in self._constant:
                self._constant[name] = text[0]
            if self._constant[name] is not _SEVERAL and np.any(text != self._constant[name]):
                self._constant[name] = _SEVERAL

    def _add_cadence(self, batch: LightCurveBatch) -> None:
        usable = batch.usable
        counts = usable.counts()
        self.n_usable += int(counts.sum())
        first, last = usable.offsets[:-1], usable.offsets[1:] - 1
        span = np.full(batch.n_curves, np.nan)
        has = counts > 0
        span[has] = usable.time[last[has]] - usable.time[first[has]]
        step = np.diff(usable.time)
        inside = np.ones(step.size, bool)
        borders = usable.offsets[1:-1]
        inside[borders[(borders > 0) & (borders <= step.size)] - 1] = False
        step = step[inside]
        self.n_repeated_times += int(np.count_nonzero(step == 0))
        self.gaps += np.histogram(step, GAP_EDGES)[0]
        order = np.diff(usable.index) < 0
        curve = np.repeat(np.arange(batch.n_curves), counts)
        self.n_unsorted += np.unique(curve[1:][order & inside]).size
        power = window_power(
            usable.time, usable.offsets, np.array(list(WINDOW_FREQUENCIES.values()))
        )
        self._keep(n_points=np.diff(batch.offsets), n_usable=counts, span=span, window=power)

    def _add_noise(self, whole: LightCurveBatch, single: LightCurveBatch) -> None:
        usable = single.usable
        estimated = (single.flags[usable.index] & np.uint32(PointFlag.ESTIMATED_ERROR)) > 0
        error = np.where(estimated, np.nan, usable.error)
        median, scatter, honesty = curve_noise(
            usable.time, usable.value, error, usable.offsets, NEAR
        )
        if single.n_curves == whole.n_curves and whole.band is None:
            self._keep(median=median, scatter=scatter, honesty=honesty)
            return
        # of the bands of an object, the one with most points speaks for it
        best = np.full(whole.n_curves, -1, np.int64)
        owner = single.objects["owner"]
        order = np.argsort(usable.counts(), kind="stable")
        best[owner[order]] = order
        known = best >= 0
        for name, column in (("median", median), ("scatter", scatter), ("honesty", honesty)):
            values = np.full(whole.n_curves, np.nan)
            values[known] = column[best[known]]
            self._keep(**{name: values})


_SEVERAL = object()


def _one_band_each(batch: LightCurveBatch) -> LightCurveBatch:
    """Curves cut by band; ``objects["owner"]`` is the curve that each comes from."""
    band = batch.band if batch.band is not None else np.zeros(batch.n_points, np.int16)
    curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
    order = np.lexsort((band, curve))
    key = np.stack([curve[order], band[order]])
    starts = np.flatnonzero(np.any(np.diff(key, axis=1, prepend=-2) != 0, axis=0))
    return LightCurveBatch(
        time=batch.time[order],
        value=batch.value[order],
        error=batch.error[order],
        flags=batch.flags[order],
        weight=batch.weight[order],
        band=band[order],
        offsets=np.append(starts, batch.n_points) if starts.size else np.zeros(1, np.int64),
        objects={"owner": key[0][starts]},
        meta=batch.meta,
    )
