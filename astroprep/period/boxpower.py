"""The box periodogram of one curve, by astropy's compiled search."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from astroprep.period.boxgrid import BoxRule
from astroprep.period.points import check_numbers

__all__ = ["COARSE_BINS", "BoxPower", "astropy_power", "box_power", "scaled"]

Floats = NDArray[np.float64]

COARSE_BINS = 5  # phase bins per shortest duration


@dataclass(frozen=True)
class BoxPower:
    """Best box at each trial period.

    Parameters
    ----------
    period : float64 array, shape (n_periods,)
        Days, rising.
    power : float64 array, shape (n_periods,)
        Gain of log likelihood over a constant, as astropy's objective ``"likelihood"``;
        ``-inf`` where no box is fainter than the rest.
    duration, epoch : float64 array, shape (n_periods,)
        Days; middle of the box. NaN where there is none.
    """

    period: Floats
    power: Floats
    duration: Floats
    epoch: Floats


def astropy_power(
    time: Floats, brightness: Floats, error: Floats, period: Floats, duration: Floats, bins: int
) -> BoxPower:
    """Best box at each period by astropy's compiled search; `bins` to the shortest duration."""
    from astropy.timeseries import BoxLeastSquares

    found = BoxLeastSquares(time, brightness, dy=error).power(
        period, duration, objective="likelihood", method="fast", oversample=bins
    )
    power = np.asarray(found.power, np.float64)
    empty = np.isneginf(power)  # astropy leaves the other columns as the memory was
    return BoxPower(
        period,
        power,
        np.where(empty, np.nan, found.duration),
        np.where(empty, np.nan, found.transit_time),
    )


def scaled(
    time: Floats, brightness: Floats, error: Floats
) -> tuple[float, tuple[Floats, Floats, Floats]]:
    """Median error, and the curve in units of it: astropy passes over weights below 2e-16."""
    unit = float(np.median(error))
    return unit, (time, (brightness - np.median(brightness)) / unit, error / unit)


def box_power(
    time: Floats, brightness: Floats, error: Floats, rule: BoxRule | None = None
) -> BoxPower:
    """Box periodogram of one curve.

    Parameters
    ----------
    time, brightness, error : float64 array, shape (n_points,)
        Days, sorted; any unit in which large is bright (minus the magnitude, say);
        ``error > 0``. Finite.
    rule : BoxRule, optional
        Periods and durations; the default one otherwise.

    Returns
    -------
    BoxPower
        What `astropy.timeseries.BoxLeastSquares.power` gives for each octave of periods.

    Raises
    ------
    DataError
        If the baseline has no grid, or one above the ceiling, the times are not sorted, or a
        number is not finite or an error not positive.

    References
    ----------
    .. [1] Kovacs, Zucker & Mazeh 2002, A&A 391, 369, doi:10.1051/0004-6361:20020802
    """
    check_numbers("box_power", time, brightness, error, np.array([0, time.size]))
    rule = rule or BoxRule()
    period = rule.periods(float(np.ptp(time)) if time.size else 0.0)
    _, curve = scaled(time, brightness, error)
    parts = [
        astropy_power(*curve, period[block], duration, COARSE_BINS)
        for block, duration in rule.blocks(period)
    ]
    return BoxPower(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(BoxPower))
    )
