"""Transits and eclipses: the box that dims a star once a period, by astropy's compiled search.

Astropy evaluates the boxes (`boxpower`) at the trial periods of `boxgrid`; here are the choice
among peaks and the finer search around each, with the dip in the middle of the fold. What is
measured at the end is in `boxfit`.
Slow changes must be gone before: see `astroprep.detrend.MovingTrend`.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.period.boxfit import Box, measure_box
from astroprep.period.boxgrid import MAX_BOX_GRID, BoxRule
from astroprep.period.boxpower import astropy_power, box_power, scaled
from astroprep.period.points import check_numbers

__all__ = ["BoxSearch", "find_box"]

Floats = NDArray[np.float64]

FINE_BINS = 20  # phase bins per shortest duration
DOUBLED_STEP = 0.1  # cycles per baseline; the fold drifts by a tenth of a period
PEAKS = 8  # separate peaks that are refined
APART = 3.0  # shortest durations that first and last transit drift apart between separate peaks
FINE_STEPS = 15  # either side of a peak, each a tenth of a step of the grid
FINE_DURATIONS = np.geomspace(0.6, 1.7, 9)  # of the coarse duration
COLUMNS = {
    "period": "period",
    "epoch": "epoch",
    "box_duration": "duration",
    "box_depth": "depth",
    "box_depth_err": "depth_error",
    "box_snr": "snr",
    "box_noise": "noise",
    "box_odd_even": "odd_even",
    "box_secondary": "secondary",
}
"""What the step writes, and the attribute of `Box` that it is."""


def _refine(
    time: Floats, brightness: Floats, error: Floats, box: tuple[float, float, float], step: float
) -> tuple[float, tuple[float, float, float]]:
    """Power of the best box near one, and its period, epoch and duration; `step` in cycles per day.

    Astropy cuts the fold at the first time, and a box longer than the shortest duration is not
    tried across the cut. A point of no weight before the curve puts the cut opposite the dip.
    """
    period, epoch, duration = box
    frequency = 1 / period + step * np.linspace(-0.1, 0.1, 2 * FINE_STEPS + 1) * FINE_STEPS
    trial = 1 / frequency[frequency > 0.5 / period]
    cut = epoch - period * (math.ceil((epoch - time[0]) / period) + 0.5)
    durations = duration * FINE_DURATIONS
    found = astropy_power(
        np.concatenate(([cut], time)),
        np.concatenate(([0.0], brightness)),
        np.concatenate(([np.inf], error)),
        trial,
        durations[durations < 0.5 * trial.min()],
        FINE_BINS,
    )
    i = int(np.argmax(found.power))
    return float(found.power[i]), (
        float(found.period[i]),
        float(found.epoch[i]),
        float(found.duration[i]),
    )


def _transits(time: Floats, period: float, epoch: float, duration: float) -> int:
    """Boxes that have a point inside; 0 where no point is outside."""
    cycles = (time - epoch) / period
    number = np.rint(cycles)
    inside = np.abs(cycles - number) * period < 0.5 * duration
    return 0 if inside.all() else int(np.unique(number[inside]).size)


def _peaks(power: Floats, apart: int) -> list[int]:
    """Positions of the strongest separate peaks, the highest first."""
    left = power.copy()
    found: list[int] = []
    while len(found) < PEAKS and np.isfinite(left).any():
        i = int(np.argmax(left))
        found.append(i)
        left[max(i - apart, 0) : i + apart + 1] = -np.inf
    return found


def find_box(
    time: Floats,
    brightness: Floats,
    error: Floats,
    rule: BoxRule | None = None,
    *,
    min_transits: int = 2,
    odd_even: float = 5.0,
) -> Box:
    """The best repeated box of one curve.

    Parameters
    ----------
    time, brightness, error, rule
        As for `box_power`.
    min_transits : int, default 2
        Boxes with fewer observed transits are passed over.
    odd_even : float, default 5.0
        Sigma by which odd and even depths differ from where on the period is doubled.

    Returns
    -------
    Box
        The most likely of the strongest separate peaks, each refined; twice its period, from
        the deeper dip on, where its dips are unequal: a binary with two eclipses.

    Raises
    ------
    DataError
        If there is no grid or no box with enough transits, the times are not sorted, or a number
        is not finite or an error not positive.
    """
    check_numbers("find_box", time, brightness, error, np.array([0, time.size]))
    rule = rule or BoxRule()
    if reason := rule.lacking(float(np.ptp(time)) if time.size else 0.0):
        raise DataError(f"find_box needs {reason}")
    unit, curve = scaled(time, brightness, error)
    if not np.isfinite(curve).all():
        raise DataError("find_box needs values and errors of ordinary size, their ratio overflows")
    coarse = box_power(*curve, rule)
    frequency = 1 / coarse.period
    step = np.abs(np.gradient(frequency)) if frequency.size > 1 else np.array([0.0])
    highest, best = -math.inf, None
    for i in _peaks(coarse.power, math.ceil(APART * rule.oversampling)):
        near = (coarse.period[i], coarse.epoch[i], coarse.duration[i])
        power, box = _refine(*curve, near, step[i])
        if power > highest and _transits(time, *box) >= min_transits:
            highest, best = power, box
    if best is None:
        raise DataError(f"find_box needs {min_transits} or more dips seen at one period, has fewer")
    found = measure_box(*curve, *best)
    if abs(found.odd_even) > odd_even:
        start = found.epoch if found.odd_even > 0 else found.epoch + found.period
        twice = (2 * found.period, start, found.duration)
        power, doubled = _refine(*curve, twice, DOUBLED_STEP / float(np.ptp(time)))
        if np.isfinite(power) and _transits(time, *doubled) >= min_transits:
            found = measure_box(*curve, *doubled)
    return replace(found, depth=found.depth * unit, depth_error=found.depth_error * unit)


class BoxSearch(Transformer):
    """Find the transits or eclipses of every object.

    Searches the curve for a box of lower brightness that comes back with a period, refines the
    strongest peaks and doubles the period where odd and even dips differ. Detrend before. Adds
    to ``objects``, always finite:

    - ``period``: days;
    - ``epoch``: middle of the first dip that does not end before the first point, like ``time``;
    - ``box_duration``: days;
    - ``box_depth``, ``box_depth_err``: unit of the value, positive for a dip, in magnitudes too;
    - ``box_snr``: depth over its error;
    - ``box_noise``: factor by which that error exceeds the formal one, from the scatter of means
      over stretches as long as the dip;
    - ``box_odd_even``: depth of odd minus even dips at the period given, in sigma; 0 where only
      one kind was seen;
    - ``box_secondary``: depth half a period after the dip, in sigma; 0 where no point is there;
    - ``box_n_transits``, ``box_n_odd``: dips seen, and odd ones among them.

    Any curve has a best box: judge it by ``box_snr`` (7 is usual for transits, Jenkins 2002) and
    by ``box_odd_even``: one deep dip that comes once hides shallow ones, and its box has a period
    at which a second dip is hardly there. Flag it before.
    Refused, with the reason: fewer than ten usable points, constant brightness, a baseline that
    holds no trial period, a grid above ``max_grid`` (absurd times), too few dips.

    Parameters
    ----------
    min_period, max_period, durations, oversampling
        As for `BoxRule`: days, days or None for half the baseline, days, steps.
    max_grid : int, default 1,000,000
        Ceiling on the trial periods of one curve.
    min_transits : int, default 2
        Dips that must have been seen.
    odd_even : float, default 5.0
        Sigma from which unequal dips double the period.
    on_bad : {"raise", "reject"}
        What happens to a curve that is refused.

    References
    ----------
    .. [1] Kovacs, Zucker & Mazeh 2002, A&A 391, 369, doi:10.1051/0004-6361:20020802
    .. [2] Ofir 2014, A&A 561, A138, doi:10.1051/0004-6361/201220860
    .. [3] Jenkins 2002, ApJ 575, 493, doi:10.1086/341136
    """

    needs = Needs(min_points=10, errors=True)
    example: ClassVar[dict[str, Any]] = {
        "min_period": 20.0,
        "max_period": 50.0,
        "durations": (2.0, 4.0),
    }

    def __init__(
        self,
        min_period: float = 0.5,
        max_period: float | None = None,
        durations: tuple[float, ...] = (),
        oversampling: float = 2.0,
        max_grid: int = MAX_BOX_GRID,
        min_transits: int = 2,
        odd_even: float = 5.0,
        on_bad: OnBad = "raise",
    ) -> None:
        self.min_period = min_period
        self.max_period = max_period
        self.durations = durations
        self.oversampling = oversampling
        self.max_grid = max_grid
        self.min_transits = min_transits
        self.odd_even = odd_even
        self.on_bad = on_bad

    def _rule(self) -> BoxRule:
        return BoxRule(
            self.min_period,
            self.max_period,
            tuple(self.durations),
            self.oversampling,
            self.max_grid,
        )

    def _check(self) -> None:
        self._rule()
        if not (isinstance(self.min_transits, int) and self.min_transits >= 1):
            raise ConfigError(
                f"min_transits must be a whole number from 1, got {self.min_transits!r}"
            )
        if not self.odd_even > 0:
            raise ConfigError(f"odd_even must be positive, got {self.odd_even!r}")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        found: list[Box | None] = []
        reason = np.full(batch.n_curves, "", dtype=object)
        for i in range(batch.n_curves):
            box, reason[i] = self._search(batch, i)
            found.append(box)
        batch = self.refuse(batch, reason != "", reason)
        boxes = [box for box in found if box is not None]
        objects: dict[str, NDArray[np.float64] | NDArray[np.int64]] = {
            name: np.array([getattr(box, attribute) for box in boxes], np.float64)
            for name, attribute in COLUMNS.items()
        }
        for name in ("n_transits", "n_odd"):
            objects[f"box_{name}"] = np.array([getattr(box, name) for box in boxes], np.int64)
        return batch.with_columns(objects=objects)

    def _search(self, batch: LightCurveBatch, curve: int) -> tuple[Box | None, str]:
        """The box of one curve, or a phrase that says what it lacks."""
        usable = batch.usable
        part = slice(usable.offsets[curve], usable.offsets[curve + 1])
        time, error = usable.time[part], usable.error[part]
        bright = usable.value[part] * (-1.0 if batch.meta.quantity == "mag" else 1.0)
        rule = self._rule()
        if reason := rule.lacking(float(time[-1] - time[0])):
            return None, reason
        if bright.max() == bright.min():
            return None, "brightness that varies, it is constant"
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # refused below
                box = find_box(
                    time,
                    bright,
                    error,
                    rule,
                    min_transits=self.min_transits,
                    odd_even=self.odd_even,
                )
        except DataError as lack:
            return None, str(lack).split("needs ", 1)[1]
        numbers = [getattr(box, f.name) for f in fields(Box)]
        if not np.isfinite([*numbers, box.snr]).all():
            return None, "values and errors of ordinary size, the sums are not finite"
        return box, ""
