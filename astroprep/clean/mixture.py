"""Down-weight outliers by their probability, and leave flares, dips and eclipses their weight."""

from __future__ import annotations

import numpy as np

from astroprep.base import Needs, OnBad, Transformer
from astroprep.clean.level import level_of, periods_of
from astroprep.clean.mixture_fit import fit_mixtures
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError

__all__ = ["OutlierMixture"]

PHASE_DURATION = 0.02  # of a turn; eclipses of detached binaries last 0.05 to 0.1
CERTAIN = 1.0 - 1e-6  # no point is more surely junk, so that weights stay positive
JUNK_SPREAD = 10.0  # sigma
EVENT_SPREAD = 5.0


class OutlierMixture(Transformer):
    """TODO."""

    needs = Needs()

    def __init__(
        self,
        window: float | None = None,
        gap: float = 30.0,
        period: str | None = None,
        junk_rate: float = 0.003,
        event_rate: float = 0.005,
        duration: float = 0.25,
        junk_spread: float = JUNK_SPREAD,
        event_spread: float = EVENT_SPREAD,
        mark_events: float = 0.9,
        flag_above: float = 1.0,
        max_iterations: int = 50,
        on_bad: OnBad = "raise",
    ) -> None:
        self.window = window
        self.gap = gap
        self.period = period
        self.junk_rate = junk_rate
        self.event_rate = event_rate
        self.duration = duration
        self.junk_spread = junk_spread
        self.event_spread = event_spread
        self.mark_events = mark_events
        self.flag_above = flag_above
        self.max_iterations = max_iterations
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = [
            f"{name} must be positive, got {value!r}"
            for name in ("window", "gap", "duration", "junk_spread", "event_spread")
            if (value := getattr(self, name)) is not None and not value > 0
        ]
        wrong += [
            f"{name} must be between 0 and 0.5, got {value!r}"
            for name in ("junk_rate", "event_rate")
            if not 0 < (value := getattr(self, name)) < 0.5
        ]
        wrong += [
            f"{name} must be between 0 and 1, got {value!r}"
            for name in ("mark_events", "flag_above")
            if not 0 < (value := getattr(self, name)) <= 1
        ]
        if not self.max_iterations >= 1:
            wrong.append(f"max_iterations must be at least 1, got {self.max_iterations!r}")
        if wrong:
            raise ConfigError("OutlierMixture: " + "; ".join(wrong))

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        period = None if self.period is None else periods_of(batch, self.period, "OutlierMixture")
        usable = batch.usable
        level = level_of(usable, self.window, self.gap, period)
        outlier, event, theta, good = fit_mixtures(
            usable.time,
            usable.value - level.value,
            usable.error,
            level.blur,
            usable.offsets,
            level.order,
            level.phase,
            (self.duration, PHASE_DURATION),
            (self.junk_spread, self.event_spread),
            self._rates(),
            self.max_iterations,
        )
        outlier = np.minimum(outlier, CERTAIN)
        flags, weight = batch.flags.copy(), batch.weight.copy()
        weight[usable.index] *= 1.0 - outlier
        flags[usable.index[outlier > self.flag_above]] |= np.uint32(PointFlag.OUTLIER)
        flags[usable.index[event > self.mark_events]] |= np.uint32(PointFlag.EVENT)
        return batch.with_columns(
            flags=flags,
            weight=weight,
            points={
                "outlier_probability": usable.scatter_back(outlier, np.nan),
                "event_probability": usable.scatter_back(event, np.nan),
            },
            objects={
                "outlier_rate": theta[:, 1] + theta[:, 2],
                "event_rate": theta[:, 4] + theta[:, 5],
            },
        )

    def _rates(self) -> np.ndarray:
        junk, event = self.junk_rate, self.event_rate
        return np.array([0.5 * junk, 0.5 * junk, 1.0 - event, 0.5 * event, 0.5 * event])
