"""Light curves as another night might have caught them, folded anew for every epoch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.model.redraw import draw_points, redraw_periodic
from astroprep.represent import FoldedChannels, FoldLayout

__all__ = ["AugmentSettings", "Refold"]


@dataclass(frozen=True)
class AugmentSettings:
    """How light curves are changed from epoch to epoch.

    Parameters
    ----------
    share : float, default 0.75
        Probability that a curve is changed at all.
    subsample : float, default 0.5
        A changed curve keeps a share of its points drawn evenly from here to 1.
    window : float, default 0.25
        Probability that the points kept are consecutive (a shorter survey) and not scattered
        (a sparser one).
    min_points : int, default 40
        No curve is cut below this many points.
    noise : float, default 0.3
        Gaussian noise is added, its sigma a share of each point's error drawn evenly from 0 to
        this; the errors grow with it.
    bootstrap : float, default 0
        Probability that the points are drawn with replacement.
    process : float, default 0
        Probability that a curve of a class with fewer than `minority` objects becomes a draw from
        the posterior of a periodic Gaussian process at its period, with fresh noise.
    minority : int, default 300
        See `process`.
    seed : int, default 0
        Of all that is drawn.

    Raises
    ------
    ConfigError
        If a value is out of its range; all mistakes are named at once.
    """

    share: float = 0.75
    subsample: float = 0.5
    window: float = 0.25
    min_points: int = 40
    noise: float = 0.3
    bootstrap: float = 0.0
    process: float = 0.0
    minority: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        rules = {
            "share": 0 <= self.share <= 1,
            "subsample": 0 < self.subsample <= 1,
            "window": 0 <= self.window <= 1,
            "min_points": self.min_points >= 2,
            "noise": 0 <= self.noise <= 10,
            "bootstrap": 0 <= self.bootstrap <= 1,
            "process": 0 <= self.process <= 1,
            "minority": self.minority >= 0,
            "seed": isinstance(self.seed, int) and self.seed >= 0,
        }
        wrong = [f"{name} = {getattr(self, name)!r}" for name, good in rules.items() if not good]
        if wrong:
            raise ConfigError(f"augmentation settings out of range: {', '.join(wrong)}")


@dataclass(frozen=True, eq=False)
class Refold:
    """Folds of changed light curves, from flat arrays that stay in memory.

    Parameters
    ----------
    time, value, error, trust : float64 array, shape (n_points,)
        Usable points of all objects; days, magnitude or flux, ``error > 0``.
    offsets : int64 array, shape (n_objects + 1,)
        Object i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_objects, n_periods)
        Days; 0 where there is none.
    label : int64 array, shape (n_objects,)
        Class codes, by which minorities are known.
    sign : float
        -1 for magnitudes, +1 for flux.
    layout : FoldLayout
        What is folded how.
    settings : AugmentSettings
        How curves are changed.

    Notes
    -----
    28 bytes a point stay in memory. What an object becomes depends on the seed, the epoch and its
    row alone, so that an interrupted training goes on exactly as it would have.
    """

    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    trust: NDArray[np.float64]
    offsets: NDArray[np.int64]
    period: NDArray[np.float64]
    label: NDArray[np.int64]
    sign: float
    layout: FoldLayout
    settings: AugmentSettings

    @classmethod
    def of_batch(
        cls,
        batch: LightCurveBatch,
        label: NDArray[np.int64],
        step: FoldedChannels,
        settings: AugmentSettings,
    ) -> Refold:
        """Take the points of a batch that `step` has folded or could fold.

        Raises
        ------
        DataError
            If the batch has no periods, no curves, or the step folds bands apart.
        """
        if "period" not in batch.objects or not batch.n_curves:
            raise DataError("augmentation needs curves with the column 'period'")
        if step.bands is not None:
            raise DataError("augmentation folds all points together; bands apart are not served")
        usable = batch.usable
        return cls(
            usable.time,
            usable.value,
            usable.error,
            batch.weight[usable.index],
            usable.offsets,
            step.periods(batch),
            label,
            -1.0 if batch.meta.quantity == "mag" else 1.0,
            step.layout(),
            settings,
        )

    def __call__(self, rows: NDArray[np.intp], epoch: int) -> NDArray[np.float32]:
        """Folded channels of some objects in one epoch.

        Parameters
        ----------
        rows : int array, shape (n_rows,)
            Objects.
        epoch : int
            From 0.

        Returns
        -------
        float32 array, shape (n_rows, n_channels, n_bins)
            As `FoldLayout.fold` gives.
        """
        s = self.settings
        counts = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        start = np.repeat(self.offsets[rows] - offsets[:-1], counts)
        points = np.arange(offsets[-1]) + start
        value, period = self.value[points], self.period[rows]
        key = np.array([s.seed, epoch], np.int64)
        if s.process:
            rare = np.bincount(self.label) < s.minority
            redraw_periodic(
                self.time[points], value, self.error[points], offsets, period[:, 0],
                rare[self.label[rows]], rows, key, s.process,
            )  # fmt: skip
        chance = np.array([s.share, s.subsample, s.window, s.noise, s.bootstrap])
        index, drawn, noise, ends = draw_points(
            value, self.error[points], offsets, rows, key, chance, s.min_points
        )
        kept = points[index]
        first = self.time[np.minimum(self.offsets[rows], self.time.size - 1)]
        return self.layout.fold(
            self.time[kept], drawn, noise, self.trust[kept], ends, first, period, self.sign
        )

    def plain(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Folded channels of objects as they are, as `FoldedChannels` makes them."""
        return replace(self, settings=AugmentSettings(share=0.0))(rows, 0)

    def fingerprint(self) -> str:
        """Name of settings and light curves."""
        text = json.dumps([asdict(self.settings), asdict(self.layout), self.sign])
        digest = hashlib.sha256(text.encode())
        for column in (self.time, self.value, self.error, self.trust, self.offsets, self.period):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()
