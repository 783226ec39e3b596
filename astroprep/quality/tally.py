"""Numbers of a survey that grow batch by batch, in memory bounded by the number of objects."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.clean import SURVEY_BITS, FlagBad, SigmaClip, SurveyFlags, flag_counts
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError
from astroprep.quality.fields import Fields
from astroprep.quality.kernels import count_flags, curve_noise, curve_steps, window_power
from astroprep.quality.nights import Nights

__all__ = ["GAP_EDGES", "POINT_EDGES", "WINDOW_FREQUENCIES", "Tally", "survey_bit_names"]

NEAR = 1 / 24  # days; what happens within an hour is mostly noise
PLAUSIBLE_MAG = (-30.0, 40.0)  # the Sun is -27; no survey reaches 40
ABSURD_ERROR = 10.0  # mag: a factor of ten thousand
ABSURD_FLUX = 1e7  # times the usual flux of the curve: 17.5 mag brighter than itself
FEWEST_IN_BAND = 5  # points that make a band usable

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
COUNTED = {  # columns per object, by the flags that they count
    "bad_times": PointFlag.BAD_TIME,
    "missing_values": PointFlag.MISSING_VALUE,
    "sentinels": PointFlag.SENTINEL,
    "outliers": PointFlag.OUTLIER,
    "duplicates": PointFlag.DUPLICATE,
    "unknown_errors": PointFlag.ESTIMATED_ERROR | PointFlag.MISSING_ERROR,
    "survey_marked": PointFlag.SURVEY,
}


class Tally:
    """Sums over the batches of one survey; a few numbers an object are kept, no light curves.

    Parameters
    ----------
    longitude : float or None, default None
        See `Nights`.
    """

    def __init__(self, longitude: float | None = None) -> None:
        self.meta: Meta | None = None
        self.n_objects = 0
        self.n_points = 0
        self.n_usable = 0
        self.n_unknown_errors = 0
        self.n_unsorted = 0
        self.n_repeated_times = 0
        self.n_absurd = 0
        self.flags: Counter[str] = Counter()
        self.survey_bits: Counter[int] = Counter()
        self.has_survey_flags = False
        self.rejected: Counter[str] = Counter()
        self.refused: list[tuple[int, str, str]] = []
        self.gaps = np.zeros(GAP_EDGES.size - 1, np.int64)
        self.labels: Counter[tuple[str, str]] = Counter()
        self.bands: dict[str, NDArray[np.int64]] = {}
        self.fields = Fields()
        self.nights = Nights(longitude, NEAR)
        self._columns: dict[str, list[NDArray[Any]]] = {}

    def add(self, batch: LightCurveBatch) -> None:
        """Take one batch into account."""
        self.meta = self.meta or batch.meta
        self.n_objects += batch.n_objects
        self.n_points += batch.n_points
        away = batch.rejected
        self.rejected.update(str(reason) for reason in away.reason)
        self.refused += zip(away.row.tolist(), away.id.tolist(), away.reason.tolist(), strict=True)
        self.fields.add(batch)
        self._add_catalogue(batch)
        flagged = FlagBad().transform(self._survey_flagged(batch))
        unknown = np.uint32(PointFlag.ESTIMATED_ERROR | PointFlag.MISSING_ERROR)
        self.n_unknown_errors += int(np.count_nonzero(flagged.flags & unknown))
        self._add_absurd(batch, flagged)
        self._add_cadence(flagged)
        self._add_bands(flagged)
        single = flagged if flagged.band is None else _one_band_each(flagged)
        clipped = SigmaClip(on_bad="reject").transform(single)
        if clipped.n_curves != single.n_curves:  # a curve that cannot be clipped stays as it is
            clipped = single
        self.flags.update(flag_counts(clipped))
        masks = np.array([int(mask) for mask in COUNTED.values()], np.uint32)
        # the bands of an object stand together, so the borders of objects are still the same
        count = count_flags(clipped.flags, batch.offsets, masks)
        self._keep(**{name: count[:, k] for k, name in enumerate(COUNTED)})
        self._add_noise(flagged, clipped)

    def column(self, name: str) -> NDArray[Any]:
        """Numbers of all objects so far, in the order of the survey."""
        parts = self._columns.get(name, [])
        if len(parts) > 1:
            self._columns[name] = parts = [np.concatenate(parts)]
        return parts[0] if parts else np.empty(0)

    # -- parts ----------------------------------------------------------------------------

    def _keep(self, **columns: NDArray[Any]) -> None:
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(values)

    def _add_catalogue(self, batch: LightCurveBatch) -> None:
        n, objects = batch.n_curves, batch.objects
        nowhere, nothing = np.full(n, np.nan), np.full(n, "", dtype=object)
        label, split = objects.get("label", nothing), objects.get("split", nothing)
        self._keep(
            row=objects["row"],
            id=batch.ids,
            ra=objects.get("ra", nowhere),
            dec=objects.get("dec", nowhere),
            label=label,
            split=split,
        )
        self.labels.update(zip(label.tolist(), split.tolist(), strict=True))

    def _survey_flagged(self, batch: LightCurveBatch) -> LightCurveBatch:
        """Batch with the survey's own verdict on its points, where its bits are known."""
        raw = batch.points.get("survey_flags")
        if raw is None or raw.dtype.kind not in "iu":
            return batch
        self.has_survey_flags = True
        values, counts = np.unique(raw, return_counts=True)
        for mask, count in zip(values.tolist(), counts.tolist(), strict=True):
            for bit in range(mask.bit_length() if mask > 0 else 0):
                if mask >> bit & 1:
                    self.survey_bits[bit] += count
        try:
            marked: LightCurveBatch = SurveyFlags(on_bad="reject").transform(batch)
        except ConfigError:  # a survey whose bits nobody wrote down: counted, not judged
            return batch
        return marked

    def _add_absurd(self, batch: LightCurveBatch, flagged: LightCurveBatch) -> None:
        """Values and errors that no telescope measures and no list of codes knows."""
        usable = flagged.usable
        value = usable.value
        if batch.meta.quantity == "mag":
            absurd = (value < PLAUSIBLE_MAG[0]) | (value > PLAUSIBLE_MAG[1])
            absurd |= usable.error > ABSURD_ERROR
        else:
            size = np.abs(value)
            usual = curve_noise(
                usable.time, size, np.full(size.size, np.nan), usable.offsets, NEAR
            )[0]
            with np.errstate(invalid="ignore", over="ignore"):
                absurd = size > ABSURD_FLUX * np.repeat(usual, usable.counts())
        self.n_absurd += int(np.count_nonzero(absurd))
        curve = np.repeat(np.arange(batch.n_curves), usable.counts())
        self._keep(absurd=np.bincount(curve[absurd], minlength=batch.n_curves).astype(np.int32))

    def _add_cadence(self, batch: LightCurveBatch) -> None:
        usable = batch.usable
        counts = usable.counts()
        self.n_usable += int(counts.sum())
        step = np.diff(usable.time)
        inside = np.ones(step.size, bool)
        borders = usable.offsets[1:-1]
        inside[borders[(borders > 0) & (borders <= step.size)] - 1] = False
        self.n_repeated_times += int(np.count_nonzero(step[inside] == 0))
        self.gaps += np.histogram(step[inside], GAP_EDGES)[0]
        order = np.diff(usable.index) < 0
        curve = np.repeat(np.arange(batch.n_curves), counts)
        unsorted = np.unique(curve[1:][order & inside])
        self.n_unsorted += unsorted.size
        is_unsorted = np.zeros(batch.n_curves, bool)
        is_unsorted[unsorted] = True
        power = window_power(
            usable.time, usable.offsets, np.array(list(WINDOW_FREQUENCIES.values()))
        )
        span, usual, gap = curve_steps(usable.time, usable.offsets)
        self._keep(
            n_points=np.diff(batch.offsets).astype(np.int32),
            n_usable=counts.astype(np.int32),
            span=span,
            step=usual.astype(np.float32),
            gap=gap.astype(np.float32),
            unsorted=is_unsorted,
            window=power.astype(np.float32),
        )

    def _add_bands(self, batch: LightCurveBatch) -> None:
        """Of each band: objects with a usable point in it, with enough of them, and points."""
        if batch.band is None:
            return
        usable, names = batch.usable, batch.meta.bands
        n_bands = max(len(names), int(batch.band.max(initial=-1)) + 1)
        curve = np.repeat(np.arange(batch.n_curves), usable.counts())
        band = np.zeros(0, np.int64) if usable.band is None else usable.band.astype(np.int64)
        known = band >= 0
        counts = np.bincount(
            curve[known] * n_bands + band[known], minlength=batch.n_curves * n_bands
        ).reshape(batch.n_curves, n_bands)
        for k in range(n_bands):
            name = names[k] if k < len(names) else f"band {k}"
            found = [np.count_nonzero(counts[:, k]), 0, counts[:, k].sum()]
            found[1] = np.count_nonzero(counts[:, k] >= FEWEST_IN_BAND)
            self.bands[name] = self.bands.get(name, np.zeros(3, np.int64)) + np.array(found)
        self._keep(n_bands=np.count_nonzero(counts, axis=1).astype(np.int16))

    def _add_noise(self, whole: LightCurveBatch, single: LightCurveBatch) -> None:
        usable = single.usable
        estimated = (single.flags[usable.index] & np.uint32(PointFlag.ESTIMATED_ERROR)) > 0
        error = np.where(estimated, np.nan, usable.error)
        median, scatter, noise, honesty = curve_noise(
            usable.time, usable.value, error, usable.offsets, NEAR
        )
        quoted = curve_noise(usable.time, error, error, usable.offsets, NEAR)[0]
        owner = single.objects.get("owner", np.arange(single.n_curves))
        self.nights.add(single, error, (median, scatter, noise), owner, whole.n_curves)
        columns = {"median": median, "scatter": scatter, "honesty": honesty, "quoted": quoted}
        if whole.band is None:
            self._keep(**columns)
            return
        # of the bands of an object, the one with most points speaks for it
        best = np.full(whole.n_curves, -1, np.int64)
        order = np.argsort(usable.counts(), kind="stable")
        best[owner[order]] = order
        known = best >= 0
        for name, column in columns.items():
            values = np.full(whole.n_curves, np.nan)
            values[known] = column[best[known]]
            self._keep(**{name: values})


def survey_bit_names(survey: str) -> dict[int, str]:
    """Names of the bits of a survey's quality column, by position; empty if not known."""
    words = survey.lower().split()
    for name, bits in SURVEY_BITS.items():
        known = name.lower().split()
        if words[: len(known)] == known:
            return {
                int(member).bit_length() - 1: label
                for label, member in bits.flag.__members__.items()
            }
    return {}


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
