"""What a step costs: the share of the amplitude of a true signal that it keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.base import Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import DataError

__all__ = ["amplitude_kept", "spline_response", "window_response"]

SMALL = 0.05  # of the scatter of a curve: moves no median and no choice of a smoothness by much


def window_response(period: ArrayLike, window: float, degree: int = 0) -> NDArray[np.float64]:
    """Share of the amplitude that a moving polynomial of equal weights keeps, evenly sampled.

    Parameters
    ----------
    period : float array
        Of the signal, days.
    window : float
        Full width, days; many samples in it.
    degree : int, default 0
        0 and 1 are the moving average (and, on average over phases, a bin); 2 and 3 Savitzky
        and Golay's quadratic.

    Returns
    -------
    float64 array, like `period`
        Negative where the signal comes out upside down.

    Notes
    -----
    With ``x = pi window / period``: ``sin x / x`` for degree 0 and 1; for 2 and 3 the transform
    of the kernel ``(9 - 15 s^2) / 8`` on [-1, 1], which loses digits at small x, where the
    series ``1 - x^4 / 280`` takes over.

    References
    ----------
    .. [1] Schafer 2011, IEEE Signal Process. Mag. 28, 111, doi:10.1109/MSP.2011.941097
    """
    x = np.pi * window / np.asarray(period, dtype=np.float64)
    sinc = np.sinc(x / np.pi)
    if degree < 2:
        return np.asarray(sinc)
    small = np.abs(x) < 0.05
    y = np.where(small, 1.0, x)
    # the mean of s^2 cos(x s) over [-1, 1]
    square = np.sinc(y / np.pi) + 2 * np.cos(y) / y**2 - 2 * np.sin(y) / y**3
    return np.where(small, 1 - x**4 / 280, (9 * np.sinc(y / np.pi) - 15 * square) / 4)


def spline_response(period: ArrayLike, cutoff: float) -> NDArray[np.float64]:
    """Share of the amplitude that a smoothing spline keeps far from its ends, evenly sampled.

    Parameters
    ----------
    period : float array
        Of the signal, days.
    cutoff : float
        Period of half amplitude, days (``Smooth(method="spline", window=cutoff)``).

    Returns
    -------
    float64 array, shape of `period`
        From 0 to 1.

    References
    ----------
    .. [1] Silverman 1984, Ann. Stat. 12, 898, doi:10.1214/aos/1176346710 (the equivalent kernel)
    """
    return 1 / (1 + (cutoff / np.asarray(period, dtype=np.float64)) ** 4)


def amplitude_kept(
    step: Transformer,
    batch: LightCurveBatch,
    period: ArrayLike,
    amplitude: float | None = None,
) -> NDArray[np.float64]:
    """Share of the amplitude of a small sine that a step keeps, measured on the batch at hand.

    The sine and the cosine of each period are added to every curve, the step runs with and
    without them, and the difference is fitted with that period.

    Parameters
    ----------
    step : Transformer
        Fitted where it learns. Not changed.
    batch : LightCurveBatch
        Sampling, errors, gaps and flags count; so do the values where a step is not linear.
    period : float array, shape (n_periods,)
        Days.
    amplitude : float, optional
        Injected, in the unit of the value; by default a twentieth of the standard deviation of
        the usable points of each curve (1 where that is zero): small, so that a step that
        chooses by the data chooses the same.

    Returns
    -------
    float64 array, shape (n_curves, n_periods)
        1 where nothing is lost, 0 where all is, above 1 where it grows; NaN where fewer than
        three points of a curve can be compared, or the step refuses the curve (with
        ``on_bad="reject"``).

    Raises
    ------
    DataError
        If a period or the amplitude is not positive, or the step raises.

    Notes
    -----
    The root mean square of the gains for the two phases. A step that divides (a detrending of
    fluxes) is compared at its own level. Flagging is not seen by it: a point is changed or not.
    """
    periods = np.atleast_1d(np.asarray(period, dtype=np.float64))
    if not np.all(periods > 0) or (amplitude is not None and not amplitude > 0):
        raise DataError("amplitude_kept needs positive periods and a positive amplitude")
    usable = batch.usable
    size = np.ones(batch.n_curves)
    for i in range(batch.n_curves):
        scatter = usable.value[usable.offsets[i] : usable.offsets[i + 1]]
        spread = SMALL * scatter.std() if scatter.size else 0.0
        size[i] = amplitude or (spread if spread > 0 else 1.0)
    plain = step.transform(batch)
    kept = np.full((batch.n_curves, periods.size), np.nan)
    at_point = np.repeat(size, np.diff(batch.offsets))
    start = np.median(usable.time) if usable.time.size else 0.0
    for k, p in enumerate(periods):
        turn = 2 * np.pi * (batch.time - start) / p
        gains = []
        for wave in (np.cos, np.sin):
            with np.errstate(invalid="ignore"):
                given = batch.with_columns(value=batch.value + at_point * wave(turn))
            gains.append(_gain(plain, step.transform(given), p, start, batch))
        kept[:, k] = np.sqrt(0.5 * (gains[0] ** 2 + gains[1] ** 2)) / size
    return kept


def _gain(
    plain: LightCurveBatch, other: LightCurveBatch, period: float, start: float, batch: Any
) -> NDArray[np.float64]:
    """Amplitude of the difference of two results, one number for each curve of the input."""
    gain = np.full(batch.n_curves, np.nan)
    place = {row: i for i, row in enumerate(batch.objects["row"].tolist())}
    rows = {row: i for i, row in enumerate(other.objects["row"].tolist())}
    for i, row in enumerate(plain.objects["row"].tolist()):
        if row not in rows:
            continue
        j = rows[row]
        a = slice(plain.offsets[i], plain.offsets[i + 1])
        b = slice(other.offsets[j], other.offsets[j + 1])
        if a.stop - a.start != b.stop - b.start:
            continue
        good = np.zeros(plain.n_points, bool)
        good[plain.usable.index] = True
        both = np.zeros(other.n_points, bool)
        both[other.usable.index] = True
        use = good[a] & both[b]
        if use.sum() < 3:
            continue
        turn = 2 * np.pi * (plain.time[a][use] - start) / period
        difference = other.value[b][use] - plain.value[a][use]
        design = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        found = np.linalg.lstsq(design, difference, rcond=None)[0]
        gain[place[row]] = np.hypot(*found)
    return gain
