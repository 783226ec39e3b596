"""Kernels that bring a template fit to its minimum, robustly, and give its covariance."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["choose_shapes", "describe_bands", "refine"]

REWEIGHTINGS = 3  # of the points between two steps of epoch and frequency
HALVINGS = 6  # of a step that made the fit worse
LARGEST_TURN = 0.03  # cycles that one step may move any point; a steep rise takes 0.1
CONVERGED = 1e-7  # cycles
TINY = 1e-12  # of the weight, below which a template does not vary over the points


@njit(cache=True, nogil=True)
def _interpolate(shape: NDArray[np.float64], phase: float) -> tuple[float, float]:
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
def _fit_band(
    value: NDArray[np.float64],
    shape: NDArray[np.float64],
    weight: NDArray[np.float64],
    trust: NDArray[np.float64],
    highest: float,
    clip: float,
) -> tuple[float, float, float]:
    """Offset, amplitude and robust chi-square of one template in one band.

    A residual of r sigmas costs ``r**2``, and ``clip**2 (1 + 2 log(r / clip))`` beyond `clip`;
    reweighting by ``(clip / r)**2`` descends to the minimum. `trust` is where it begins, and ends
    as the last of these weights.
    """
    offset, amplitude, loss = 0.0, 0.0, 0.0
    for _ in range(REWEIGHTINGS if clip < np.inf else 1):
        s0 = s1 = s2 = v0 = v1 = 0.0
        for j in range(value.size):
            w = weight[j] * trust[j]
            s0 += w
            s1 += w * shape[j]
            s2 += w * shape[j] * shape[j]
            v0 += w * value[j]
            v1 += w * value[j] * shape[j]
        variance = s2 - s1 * s1 / s0
        common = v1 - s1 * v0 / s0
        amplitude = min(max(common / variance, 0.0), highest) if variance > TINY * s0 else 0.0
        offset = (v0 - amplitude * s1) / s0
        loss = 0.0
        for j in range(value.size):
            square = weight[j] * (value[j] - offset - amplitude * shape[j]) ** 2
            if square <= clip * clip:
                trust[j] = 1.0
                loss += square
            else:
                trust[j] = clip * clip / square
                loss += clip * clip * (1.0 + np.log(square / (clip * clip)))
    return offset, amplitude, loss


@njit(cache=True, nogil=True)
def _evaluate(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    trust: NDArray[np.float64],
    segments: NDArray[np.int64],
    highest: NDArray[np.float64],
    shapes: NDArray[np.float64],
    choice: NDArray[np.int64],
    frequency: float,
    epoch: float,
    clip: float,
    folded: NDArray[np.float64],
    linear: NDArray[np.float64],
) -> float:
    """Robust chi-square of all bands at one frequency and epoch; fills `folded` and `linear`."""
    loss = 0.0
    for b in range(segments.size - 1):
        part = slice(segments[b], segments[b + 1])
        shape = shapes[choice[b]]
        for j in range(segments[b], segments[b + 1]):
            folded[0, j], folded[1, j] = _interpolate(shape, frequency * time[j] - epoch)
        linear[b, 0], linear[b, 1], one = _fit_band(
            value[part], folded[0, part], weight[part], trust[part], highest[b], clip
        )
        loss += one
    return loss


@njit(cache=True, nogil=True)
def _normal_equations(
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
def _inverse(matrix: NDArray[np.float64]) -> tuple[bool, NDArray[np.float64]]:
    """Inverse of a positive 2 x 2 matrix, and whether it has one."""
    a, b, d = matrix[0, 0], matrix[0, 1], matrix[1, 1]
    determinant = a * d - b * b
    inverse = np.full((2, 2), np.inf)
    if not (a > 0 and d > 0 and determinant > TINY * a * d):
        return False, inverse
    inverse[0, 0], inverse[1, 1] = d / determinant, a / determinant
    inverse[0, 1] = inverse[1, 0] = -b / determinant
    return True, inverse


@njit(cache=True, nogil=True)
def refine(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    trust: NDArray[np.float64],
    segments: NDArray[np.int64],
    highest: NDArray[np.float64],
    shapes: NDArray[np.float64],
    choice: NDArray[np.int64],
    frequency: float,
    epoch: float,
    clip: float,
    steps: int,
    linear: NDArray[np.float64],
) -> tuple[float, float, float]:
    """Frequency and epoch at the minimum of the robust chi-square, templates as given.

    Gauss-Newton steps in epoch and frequency with the offsets and amplitudes projected out, each
    halved until it helps.

    Parameters
    ----------
    time, value, weight : float64 array, shape (n_points,)
        Days from near the middle, any unit, inverse variance; band after band.
    trust : float64 array, shape (n_points,)
        First guess from 0 to 1; ends as the trust at the minimum.
    segments, highest
        As for `astroprep.period.template_scan.scan_epochs`.
    shapes : float64 array, shape (n_columns, n_phases)
        Templates.
    choice : int64 array, shape (n_bands,)
        Row of `shapes` that each band takes.
    frequency, epoch : float
        Start: cycles per day, cycles at time 0.
    clip : float
        Sigmas beyond which a point counts for less.
    steps : int
        At most.
    linear : float64 array, shape (n_bands, 2)
        Filled: offset and amplitude.

    Returns
    -------
    frequency, epoch, loss : float
    """
    folded = np.empty((2, time.size))
    reach = max(np.abs(time).max(), 1e-300)
    loss = _evaluate(
        time, value, weight, trust, segments, highest, shapes, choice, frequency, epoch, clip,
        folded, linear,
    )  # fmt: skip
    for _ in range(steps):
        curvature, slope, _ = _normal_equations(
            time, value, weight, trust, segments, folded, linear
        )
        possible, inverse = _inverse(curvature)
        if not possible:
            break
        turn = inverse[0, 0] * slope[0] + inverse[0, 1] * slope[1]
        drift = inverse[1, 0] * slope[0] + inverse[1, 1] * slope[1]
        size = max(abs(turn), abs(drift) * reach)
        scale = min(1.0, LARGEST_TURN / max(size, 1e-300))
        better = False
        for _ in range(HALVINGS):
            tried = _evaluate(
                time, value, weight, trust, segments, highest, shapes, choice,
                frequency + scale * drift, epoch + scale * turn, clip, folded, linear,
            )  # fmt: skip
            if tried < loss:
                better = True
                break
            scale *= 0.5
        if not better:
            break
        frequency += scale * drift
        epoch += scale * turn
        loss = tried
        if scale * size < CONVERGED:
            break
    loss = _evaluate(
        time, value, weight, trust, segments, highest, shapes, choice, frequency, epoch, clip,
        folded, linear,
    )  # fmt: skip
    return frequency, epoch, loss


@njit(cache=True, nogil=True)
def choose_shapes(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    trust: NDArray[np.float64],
    segments: NDArray[np.int64],
    highest: NDArray[np.float64],
    shapes: NDArray[np.float64],
    columns: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    frequency: float,
    epoch: float,
    clip: float,
    choice: NDArray[np.int64],
) -> None:
    """Fill `choice` with the template that fits each band best, among the allowed ones."""
    longest = 0
    for b in range(segments.size - 1):
        longest = max(longest, segments[b + 1] - segments[b])
    shape = np.empty(longest)
    kept = np.empty(longest)
    for b in range(segments.size - 1):
        part = slice(segments[b], segments[b + 1])
        n = segments[b + 1] - segments[b]
        best = np.inf
        for column in range(columns[b, 0], columns[b, 1]):
            if not allowed[column]:
                continue
            for j in range(n):
                at = segments[b] + j
                shape[j], _ = _interpolate(shapes[column], frequency * time[at] - epoch)
                kept[j] = trust[at]
            _, _, loss = _fit_band(value[part], shape[:n], weight[part], kept[:n], highest[b], clip)
            if loss < best:
                best = loss
                choice[b] = column


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
            folded[0, j], folded[1, j] = _interpolate(
                shapes[choice[b]], frequency * time[j] - epoch
            )
    curvature, _, cross = _normal_equations(time, value, weight, trust, segments, folded, linear)
    possible, covariance = _inverse(curvature)
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
