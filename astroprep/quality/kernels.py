"""Numbers of each curve that a quality report needs: noise, sampling, counts of flags."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.threads import for_objects

__all__ = ["MAD_TO_SIGMA", "count_flags", "curve_noise", "curve_steps", "window_power"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
ENOUGH_PAIRS = 5  # fewer pairs of near points say nothing about the noise


@njit(cache=True)
def _noise(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    near: float,
) -> tuple[float, float, float, float]:
    if time.size == 0:
        return np.nan, np.nan, np.nan, np.nan
    median = np.median(value)
    scatter = MAD_TO_SIGMA * np.median(np.abs(value - median))
    step = np.abs(value[1:] - value[:-1])
    close = time[1:] - time[:-1] <= near
    noise = np.nan
    if close.sum() >= ENOUGH_PAIRS:
        noise = MAD_TO_SIGMA * np.median(step[close]) / np.sqrt(2.0)
    step = step / np.hypot(error[1:], error[:-1])
    close &= np.isfinite(step)
    if close.sum() < ENOUGH_PAIRS:
        return median, scatter, noise, np.nan
    return median, scatter, noise, MAD_TO_SIGMA * np.median(step[close])


@njit(nogil=True, cache=True)
def _curve_noise_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    near: float,
    median: NDArray[np.float64],
    scatter: NDArray[np.float64],
    noise: NDArray[np.float64],
    honesty: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        median[i], scatter[i], noise[i], honesty[i] = _noise(
            time[first:last], value[first:last], error[first:last], near
        )


def curve_noise(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    near: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Level and scatter of each curve, its noise, and how honest its error bars are.

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
    median, scatter, noise, honesty : float64 array, shape (n_curves,)
        Median value; robust scatter about it; robust scatter of near differences over the root
        of two; and the same over ``hypot`` of their errors: 1 for honest errors, 2 for errors
        quoted at half their size. NaN where there are too few points; ``noise`` and
        ``honesty`` too with fewer than five near pairs, because points further apart measure
        the star and not the noise.
    """
    n_curves = offsets.size - 1
    median = np.empty(n_curves)
    scatter = np.empty(n_curves)
    noise = np.empty(n_curves)
    honesty = np.empty(n_curves)
    for_objects(
        _curve_noise_range,
        n_curves,
        time,
        value,
        error,
        offsets,
        near,
        median,
        scatter,
        noise,
        honesty,
    )
    return median, scatter, noise, honesty


@njit(nogil=True, cache=True)
def _curve_steps_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    baseline: NDArray[np.float64],
    step: NDArray[np.float64],
    gap: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        if last == first:
            continue
        baseline[i] = time[last - 1] - time[first]
        if last - first > 1:
            steps = time[first + 1 : last] - time[first : last - 1]
            step[i], gap[i] = np.median(steps), steps.max()


def curve_steps(
    time: NDArray[np.float64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How each curve is sampled: baseline, usual step and longest gap.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, sorted within each curve.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    baseline, step, gap : float64 array, shape (n_curves,)
        Days from the first point to the last, median and largest time to the next point. One
        point has a baseline of 0 and no step; a curve without points has NaN everywhere.
    """
    n_curves = offsets.size - 1
    baseline = np.full(n_curves, np.nan)
    step = np.full(n_curves, np.nan)
    gap = np.full(n_curves, np.nan)
    for_objects(_curve_steps_range, n_curves, time, offsets, baseline, step, gap)
    return baseline, step, gap


@njit(nogil=True, cache=True)
def _count_flags_range(
    begin: int,
    end: int,
    flags: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    masks: NDArray[np.uint32],
    count: NDArray[np.int32],
) -> None:
    for i in range(begin, end):
        for j in range(offsets[i], offsets[i + 1]):
            if flags[j] != 0:
                for k in range(masks.size):
                    count[i, k] += (flags[j] & masks[k]) != 0


def count_flags(
    flags: NDArray[np.uint32], offsets: NDArray[np.int64], masks: NDArray[np.uint32]
) -> NDArray[np.int32]:
    """Points of each curve that carry a flag of each mask.

    Parameters
    ----------
    flags : uint32 array, shape (n_points,)
        Bits.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    masks : uint32 array, shape (n_masks,)
        A point counts for a mask where it has any of its bits.

    Returns
    -------
    int32 array, shape (n_curves, n_masks)
    """
    count = np.zeros((offsets.size - 1, masks.size), np.int32)
    for_objects(_count_flags_range, offsets.size - 1, flags, offsets, masks, count)
    return count


@njit(nogil=True, cache=True)
def _window_power_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    frequency: NDArray[np.float64],
    power: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
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
    for_objects(_window_power_range, offsets.size - 1, time, offsets, frequency, power)
    return power
