"""Kernels of the least squares behind a template fit: shapes, normal equations, covariance."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["TINY", "describe_bands", "interpolate", "inverse", "normal_equations"]

TINY = 1e-12  # of the weight, below which a template does not vary over the points


@njit(cache=True, nogil=True)
def interpolate(shape: NDArray[np.float64], phase: float) -> tuple[float, float]:
    """Value, and slope per cycle, of a periodic cubic (Catmull-Rom) through a table."""
    n = shape.size
    place = (phase - np.floor(phase)) * n
    i = int(place)
    u = place - i
    i %= n
    a, b, c, d = shape[i - 1], shape[i], shape[(i + 1) % n], shape[(i + 2) % n]
    one = 0.5 * (c - a)
    two = a - 2.5 * b + 2.0 * c - 0.5 * d
    three = 0.5 * (d - a) + 1.5 * (b - c)
    return b + u * (one + u * (two + u * three)), (one + u * (2.0 * two + 3.0 * u * three)) * n


@njit(cache=True, nogil=True)
def normal_equations(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    trust: NDArray[np.float64],
    segments: NDArray[np.int64],
    folded: NDArray[np.float64],
    linear: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Curvature and slope of chi-square in epoch and frequency, offsets and amplitudes free.

    Returns
    -------
    curvature : float64 array, shape (2, 2)
        Inverse covariance of epoch (cycles) and frequency.
    slope : float64 array, shape (2,)
        The Gauss-Newton step solves ``curvature @ step = slope``.
    cross : float64 array, shape (n_bands, 7)
        Per band: weight, mean of T, inverse of its variance, and how amplitude and offset move with
        epoch and frequency; for `describe_bands`.
    """
    curvature = np.zeros((2, 2))
    slope = np.zeros(2)
    cross = np.zeros((segments.size - 1, 7))
    for b in range(segments.size - 1):
        offset, amplitude = linear[b]
        s0 = s1 = s2 = a0 = a1 = b0 = b1 = aa = ab = bb = ra = rb = 0.0
        for j in range(segments[b], segments[b + 1]):
            w = weight[j] * trust[j]
            shape = folded[0, j]
            turn = -amplitude * folded[1, j]  # of the model with the epoch
            drift = -turn * time[j]  # and with the frequency
            rest = value[j] - offset - amplitude * shape
            s0 += w
            s1 += w * shape
            s2 += w * shape * shape
            a0 += w * turn
            a1 += w * turn * shape
            b0 += w * drift
            b1 += w * drift * shape
            aa += w * turn * turn
            ab += w * turn * drift
            bb += w * drift * drift
            ra += w * turn * rest
            rb += w * drift * rest
        variance = s2 - s1 * s1 / s0
        ca, cb = a1 - s1 * a0 / s0, b1 - s1 * b0 / s0
        free = 1.0 / variance if variance > TINY * s0 else 0.0
        curvature[0, 0] += aa - a0 * a0 / s0 - ca * ca * free
        curvature[0, 1] += ab - a0 * b0 / s0 - ca * cb * free
        curvature[1, 1] += bb - b0 * b0 / s0 - cb * cb * free
        slope[0] += ra
        slope[1] += rb
        cross[b, 0], cross[b, 1], cross[b, 2] = s0, s1 / s0, free
        cross[b, 3], cross[b, 4] = -ca * free, -cb * free  # amplitude, with epoch and frequency
        cross[b, 5] = -(a0 + s1 * cross[b, 3]) / s0  # offset
        cross[b, 6] = -(b0 + s1 * cross[b, 4]) / s0
    curvature[1, 0] = curvature[0, 1]
    return curvature, slope, cross


@njit(cache=True, nogil=True)
def inverse(matrix: NDArray[np.float64]) -> tuple[bool, NDArray[np.float64]]:
    """Inverse of a positive 2 x 2 matrix, and whether it has one."""
    a, b, d = matrix[0, 0], matrix[0, 1], matrix[1, 1]
    determinant = a * d - b * b
    result = np.full((2, 2), np.inf)
    if not (a > 0 and d > 0 and determinant > TINY * a * d):
        return False, result
    result[0, 0], result[1, 1] = d / determinant, a / determinant
    result[0, 1] = result[1, 0] = -b / determinant
    return True, result


@njit(cache=True, nogil=True)
def describe_bands(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    trust: NDArray[np.float64],
    segments: NDArray[np.int64],
    shapes: NDArray[np.float64],
    choice: NDArray[np.int64],
    frequency: float,
    epoch: float,
    linear: NDArray[np.float64],
    described: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Covariance of epoch and frequency; fills the errors of every band.

    Parameters
    ----------
    described : float64 array, shape (n_bands, 4)
        Filled: error of offset, error of amplitude, mean over the cycle, its error. Infinite where
        the points cannot tell.

    Returns
    -------
    float64 array, shape (2, 2)
        Of epoch (cycles) and frequency, the rest marginalised; infinite where not determined.
    """
    folded = np.empty((2, time.size))
    for b in range(segments.size - 1):
        for j in range(segments[b], segments[b + 1]):
            folded[0, j], folded[1, j] = interpolate(shapes[choice[b]], frequency * time[j] - epoch)
    curvature, _, cross = normal_equations(time, value, weight, trust, segments, folded, linear)
    possible, covariance = inverse(curvature)
    for b in range(segments.size - 1):
        total, middle, free = cross[b, 0], cross[b, 1], cross[b, 2]
        mean = shapes[choice[b]].mean()
        described[b, 2] = linear[b, 0] + linear[b, 1] * mean
        if not possible or free == 0.0:
            described[b, 0] = described[b, 1] = described[b, 3] = np.inf
            continue
        # offset + x * amplitude, for x = 0 (offset), the mean of the shape, and alone for x
        for x, place in ((0.0, 0), (mean, 3)):
            turn = cross[b, 5] + x * cross[b, 3]
            drift = cross[b, 6] + x * cross[b, 4]
            described[b, place] = np.sqrt(
                1.0 / total
                + (x - middle) ** 2 * free
                + turn * turn * covariance[0, 0]
                + 2 * turn * drift * covariance[0, 1]
                + drift * drift * covariance[1, 1]
            )
        turn, drift = cross[b, 3], cross[b, 4]
        described[b, 1] = np.sqrt(
            free
            + turn * turn * covariance[0, 0]
            + 2 * turn * drift * covariance[0, 1]
            + drift * drift * covariance[1, 1]
        )
    return covariance
