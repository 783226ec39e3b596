"""Folded light curves as channels on a circle of bins, the input of the cyclic network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.represent.fold_kernel import ALL_CHANNELS, CHANNELS, fold_curves

__all__ = ["FoldLayout", "FoldedChannels"]

SAME_PERIOD = 1e-3  # candidates whose periods differ by less are the chosen period


@dataclass(frozen=True)
class FoldLayout:
    """What is folded how: everything but the light curves.

    Parameters
    ----------
    multiples : tuple of float
        Folds of each period.
    n_bins : int
        Bins of the longest fold.
    channels : tuple of str
        Out of `ALL_CHANNELS`.
    limit : float
        Clip of brightness and scatter, in robust sigmas.
    """

    multiples: tuple[float, ...] = (1, 2)
    n_bins: int = 64
    channels: tuple[str, ...] = CHANNELS
    limit: float = 5.0

    def fold(
        self,
        time: NDArray[np.float64],
        value: NDArray[np.float64],
        error: NDArray[np.float64],
        trust: NDArray[np.float64],
        offsets: NDArray[np.int64],
        epoch: NDArray[np.float64],
        period: NDArray[np.float64],
        sign: float,
    ) -> NDArray[np.float32]:
        """Fold curves at the multiples of one or several periods each.

        Parameters
        ----------
        time, value, error, trust, offsets, epoch, sign
            As in `fold_curves`.
        period : float64 array, shape (n_curves, n_periods)
            Days; 0 where there is none.

        Returns
        -------
        float32 array, shape (n_curves, n_periods * n_folds * n_channels, n_bins)
            Period by period, in it fold by fold; 0 where there is no period.
        """
        folds = np.asarray(self.multiples, dtype=np.float64)
        bins = np.rint(self.n_bins * folds / folds.max()).astype(np.int64)
        n, n_periods = period.shape
        size = n_periods * folds.size * len(self.channels)
        folded = np.zeros((n, size, self.n_bins), np.float32)
        fold_curves(
            time,
            value,
            error,
            trust,
            offsets,
            epoch,
            (period[:, :, None] * folds).reshape(n, n_periods * folds.size),
            np.tile(bins, n_periods),
            np.array([ALL_CHANNELS.index(name) for name in self.channels], dtype=np.int64),
            sign,
            float(self.limit),
            folded,
        )
        return folded


class _NeedsOfChoice:
    """One band unless bands are named, candidates where they are folded."""

    def __get__(self, step: FoldedChannels | None, owner: type) -> Needs:
        objects: tuple[str, ...] = ("period",)
        if step is not None and step.n_candidates > 0:
            objects = ("period", "candidate_period")
        single = step is None or step.bands is None
        return Needs(min_points=5, errors=True, objects=objects, single_band=single)


class FoldedChannels(Transformer):
    """Add ``objects["folded"]``: each curve folded at multiples of its period.

    Parameters
    ----------
    n_bins : int, default 64
        Bins of the longest fold; a multiple of the largest of `multiples`.
    multiples : tuple of float, default (1, 2)
        Folds, in periods, such as (0.5, 1, 2). Twice the period shows the unequal eclipses of a
        binary whose highest Lomb-Scargle peak is at half its period; half of it the one wave of
        a star whose period was doubled.
    limit : float, default 5.0
        Clip of the standardised brightness, in robust sigmas of the light curve.
    channels : tuple of str, default ("brightness", "scatter", "occupancy")
        Channels of each fold, out of these and "precision", "gap", "mask"; see `fold_curves`.
    n_candidates : int, default 0
        Further periods that are folded, the first of ``objects["candidate_period"]`` (see
        `PeriodSearch`) that differ from the chosen one: the network sees them side by side, and
        may side with another one than the search did.
    bands : tuple of str, optional
        Bands out of ``batch.meta.bands`` that are folded apart, each on its own scale but with one
        phase zero; channels of the first band come first. By default all points are of one band.
    on_bad : {"raise", "reject"}
        What happens to a curve that misses the needs.

    Raises
    ------
    DataError
        If the batch lacks a band that is named.

    Notes
    -----
    Missing points need no filling: a flagged point is in no channel, whatever its value, and
    the occupancy tells the network how much stands behind a bin. It counts points by their
    ``batch.weight``: two points of trust 0.5 are worth one.
    """

    needs: ClassVar[Needs] = _NeedsOfChoice()  # type: ignore[assignment]
    version = 2  # the occupancy counts trust

    def __init__(
        self,
        n_bins: int = 64,
        multiples: tuple[float, ...] = (1, 2),
        limit: float = 5.0,
        channels: Sequence[str] = CHANNELS,
        n_candidates: int = 0,
        bands: Sequence[str] | None = None,
        on_bad: OnBad = "raise",
    ) -> None:
        self.n_bins = n_bins
        self.multiples = multiples
        self.limit = limit
        self.channels = channels
        self.n_candidates = n_candidates
        self.bands = bands
        self.on_bad = on_bad

    def _check(self) -> None:
        multiples = tuple(self.multiples)
        if not multiples or any(not 0 < m < math.inf for m in multiples):
            raise ConfigError(f"multiples must be positive numbers, got {self.multiples!r}")
        parts = [max(multiples) / m for m in multiples]
        if any(abs(part - round(part)) > 1e-9 for part in parts):
            raise ConfigError(f"each of multiples must divide the largest, got {self.multiples!r}")
        least = math.lcm(*(round(part) for part in parts))
        if self.n_bins != int(self.n_bins) or self.n_bins < 8 or self.n_bins % least:
            raise ConfigError(
                f"n_bins must be a multiple of {least} (the folds in the longest of multiples), "
                f"8 at least, got {self.n_bins!r}"
            )
        if not 1 <= self.limit < math.inf:
            raise ConfigError(f"limit must be 1 or more, got {self.limit!r}")
        channels = tuple(self.channels)
        if not channels or len(set(channels)) < len(channels) or set(channels) - set(ALL_CHANNELS):
            raise ConfigError(
                f"channels must be different ones out of {', '.join(ALL_CHANNELS)}, "
                f"got {self.channels!r}"
            )
        if self.bands is not None and not list(self.bands):
            raise ConfigError("bands must name one at least, or be None")
        if self.n_candidates < 0:
            raise ConfigError(f"n_candidates must be 0 or more, got {self.n_candidates!r}")

    def layout(self) -> FoldLayout:
        """What of the settings does not depend on the light curves."""
        return FoldLayout(
            tuple(self.multiples), int(self.n_bins), tuple(self.channels), float(self.limit)
        )

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        period = np.ascontiguousarray(batch.objects["period"], dtype=np.float64)
        batch = self.refuse(batch, period <= 0, "a positive 'period'")
        periods = self.periods(batch)
        usable = batch.usable
        trust = batch.weight[usable.index]
        # needs: every curve has points
        epoch = usable.time[usable.offsets[:-1]] if batch.n_curves else np.empty(0)
        parts = []
        for code in self._codes(batch):
            points, offsets = _of_band(usable.band, usable.offsets, code)
            parts.append(
                self.layout().fold(
                    usable.time[points],
                    usable.value[points],
                    usable.error[points],
                    trust[points],
                    offsets,
                    epoch,
                    periods,
                    -1.0 if batch.meta.quantity == "mag" else 1.0,
                )
            )
        folded = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return batch.with_columns(objects={"folded": folded})

    def periods(self, batch: LightCurveBatch) -> NDArray[np.float64]:
        """Periods that are folded, days, shape (n_curves, 1 + n_candidates), 0 for none."""
        chosen = np.asarray(batch.objects["period"], dtype=np.float64)[:, None]
        if not self.n_candidates:
            return np.ascontiguousarray(chosen)
        others = np.asarray(batch.objects["candidate_period"], dtype=np.float64)
        if others.ndim == 1:
            others = others[:, None]
        other = (others > 0) & (np.abs(others / chosen - 1.0) > SAME_PERIOD)
        order = np.argsort(~other, axis=1, kind="stable")[:, : self.n_candidates]
        picked = np.take_along_axis(np.where(other, others, 0.0), order, axis=1)
        missing = self.n_candidates - picked.shape[1]
        return np.pad(np.concatenate([chosen, picked], axis=1), ((0, 0), (0, missing)))

    def _codes(self, batch: LightCurveBatch) -> list[int | None]:
        if self.bands is None:
            return [None]
        known = batch.meta.bands if batch.band is not None else ()
        lacking = [band for band in self.bands if band not in known]
        if lacking:
            there = f"there is {', '.join(known)}" if known else "its points have no band"
            raise DataError(f"FoldedChannels: no band {lacking[0]!r} in this survey; {there}")
        return [known.index(band) for band in self.bands]


def _of_band(
    band: NDArray[np.int16] | None, offsets: NDArray[np.int64], code: int | None
) -> tuple[slice | NDArray[np.intp], NDArray[np.int64]]:
    """Points of one band, and where each curve begins among them."""
    if code is None or band is None:
        return slice(None), offsets
    points = np.flatnonzero(band == code)
    return points, np.searchsorted(points, offsets).astype(np.int64)
