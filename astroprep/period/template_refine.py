"""Kernels that bring a template fit to its minimum, robustly."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.template_normal import TINY, interpolate, inverse, normal_equations

__all__ = ["choose_shapes", "refine"]

REWEIGHTINGS = 3  # of the points between two steps of epoch and frequency
HALVINGS = 6  # of a step that made the fit worse
LARGEST_TURN = 0.03  # cycles that one step may move any point; a steep rise takes 0.1
CONVERGED = 1e-7  # cycles


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
            folded[0, j], folded[1, j] = interpolate(shape, frequency * time[j] - epoch)
        linear[b, 0], linear[b, 1], one = _fit_band(
            value[part], folded[0, part], weight[part], trust[part], highest[b], clip
        )
        loss += one
    return loss


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
        curvature, slope, _ = normal_equations(time, value, weight, trust, segments, folded, linear)
        possible, covariance = inverse(curvature)
        if not possible:
            break
        turn = covariance[0, 0] * slope[0] + covariance[0, 1] * slope[1]
        drift = covariance[1, 0] * slope[0] + covariance[1, 1] * slope[1]
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
                shape[j], _ = interpolate(shapes[column], frequency * time[at] - epoch)
                kept[j] = trust[at]
            _, _, loss = _fit_band(value[part], shape[:n], weight[part], kept[:n], highest[b], clip)
            if loss < best:
                best = loss
                choice[b] = column
