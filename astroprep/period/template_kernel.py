"""Kernel of a template fit: from the candidates of one star to its best template."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.template_normal import describe_bands
from astroprep.period.template_refine import choose_shapes, refine
from astroprep.period.template_scan import prepare_segment, scan_epochs

__all__ = ["fit_rows"]

N_EPOCHS = 32  # tried per cycle; divides the phases of the table
REFINED = 8  # pairs of candidate and kind, best after the scan, that are brought to their minimum
ROUNDS = 4  # of choosing templates at a refined epoch and refining it with them
STEPS = 12  # of Gauss-Newton, at most; five are usual


@njit(cache=True, nogil=True)
def _prepare(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    segments: NDArray[np.int64],
    mismatch: float,
    clip: float,
    bands: NDArray[np.float64],
    points: NDArray[np.float64],
) -> float:
    """Weights of one star; returns the chi-square of a constant in every band.

    Fills rows of `bands`: level, largest amplitude; and of `points`: value less level, inverse
    variance, first guess of the trust, product of the two.
    """
    total = 0.0
    for b in range(segments.size - 1):
        part = slice(segments[b], segments[b + 1])
        centred, weight, guess = points[0, part], points[1, part], points[2, part]
        bands[0, b], _, bands[1, b] = prepare_segment(
            value[part], error[part], mismatch, clip, weight, guess
        )
        centred[:] = value[part] - bands[0, b]
        trusted = weight * guess
        points[3, part] = trusted
        mean = (trusted * centred).sum() / trusted.sum()
        total += (trusted * (centred - mean) ** 2).sum()
    return total


@njit(cache=True, nogil=True)
def _scan(
    time: NDArray[np.float64],
    points: NDArray[np.float64],
    segments: NDArray[np.int64],
    columns: NDArray[np.int64],
    highest: NDArray[np.float64],
    table: NDArray[np.float64],
    kind: NDArray[np.int64],
    window: NDArray[np.float64],
    frequency: NDArray[np.float64],
    half_width: float,
    half_steps: int,
) -> NDArray[np.float64]:
    """Best place near every candidate for every kind.

    Returns
    -------
    float64 array, shape (n_candidates * n_kinds, 4)
        Chi-square explained (-1 where no template may be tried), frequency, epoch in cycles, kind.
    """
    n, n_kinds = time.size, kind.max() + 1
    gain = np.empty((n_kinds, N_EPOCHS))
    row, weighted, sums = np.empty(n, np.int64), np.empty(n), np.empty((3, table.shape[1]))
    starts = np.zeros((frequency.size * n_kinds, 4))
    starts[:, 0] = -1.0
    step = half_width / max(half_steps, 1) / (time.max() - time.min())
    for c in range(frequency.size):
        if not frequency[c] > 0:
            continue
        for d in range(-half_steps, half_steps + 1):
            at = frequency[c] + d * step
            scan_epochs(
                time, points[0], points[3], segments, columns, highest, table, kind, window, at,
                row, weighted, sums, gain,
            )  # fmt: skip
            for k in range(n_kinds):
                start = starts[c * n_kinds + k]
                s = np.argmax(gain[k])
                if gain[k, s] > start[0]:
                    start[0], start[1], start[2], start[3] = gain[k, s], at, s / N_EPOCHS, k
    return starts


@njit(cache=True, nogil=True)
def _settle(
    time: NDArray[np.float64],
    points: NDArray[np.float64],
    segments: NDArray[np.int64],
    columns: NDArray[np.int64],
    highest: NDArray[np.float64],
    shapes: NDArray[np.float64],
    allowed: NDArray[np.bool_],
    start: NDArray[np.float64],
    clip: float,
    trust: NDArray[np.float64],
    choice: NDArray[np.int64],
    linear: NDArray[np.float64],
) -> tuple[float, float, float]:
    """Templates, epoch and frequency in turn until the templates stay the same."""
    frequency, epoch, loss = start[1], start[2], np.inf
    trust[:] = points[2]
    previous = np.full(choice.size, -1, np.int64)
    for _ in range(ROUNDS):
        choose_shapes(
            time, points[0], points[1], trust, segments, highest, shapes, columns, allowed,
            frequency, epoch, clip, choice,
        )  # fmt: skip
        if (choice == previous).all():
            break
        previous[:] = choice
        frequency, epoch, loss = refine(
            time, points[0], points[1], trust, segments, highest, shapes, choice,
            frequency, epoch, clip, STEPS, linear,
        )  # fmt: skip
    return frequency, epoch, loss


@njit(cache=True, nogil=True)
def _fit_curve(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    segments: NDArray[np.int64],
    columns: NDArray[np.int64],
    table: NDArray[np.float64],
    shapes: NDArray[np.float64],
    kind: NDArray[np.int64],
    window: NDArray[np.float64],
    frequency: NDArray[np.float64],
    mismatch: float,
    clip: float,
    half_width: float,
    half_steps: int,
    candidate: NDArray[np.float64],
    trust: NDArray[np.float64],
    choice: NDArray[np.int64],
    linear: NDArray[np.float64],
    described: NDArray[np.float64],
    fitted: NDArray[np.float64],
) -> None:
    """Best fit of one curve over its candidates; see `fit_rows`."""
    n_bands = segments.size - 1
    bands, points = np.empty((2, n_bands)), np.empty((4, time.size))
    total = _prepare(value, error, segments, mismatch, clip, bands, points)
    starts = _scan(
        time, points, segments, columns, bands[1], table, kind, window, frequency, half_width,
        half_steps,
    )  # fmt: skip
    n_kinds = starts.shape[0] // max(frequency.size, 1)
    for c in range(frequency.size):
        explained = starts[c * n_kinds : (c + 1) * n_kinds, 0].max()
        candidate[c] = total - explained if explained >= 0 else np.inf
    fitted[0], fitted[1], fitted[2], fitted[3] = 0.0, 0.0, np.inf, -1.0
    fitted[4:] = np.inf
    refined, chosen, trusted = (
        np.empty((n_bands, 2)),
        np.empty(n_bands, np.int64),
        np.empty(time.size),
    )
    for place in np.argsort(-starts[:, 0], kind="mergesort")[:REFINED]:
        start = starts[place]
        if start[0] < 0:
            break
        allowed = (kind == int(start[3])) & (window[:, 0] <= start[1]) & (start[1] <= window[:, 1])
        f, epoch, loss = _settle(
            time, points, segments, columns, bands[1], shapes, allowed, start, clip, trusted,
            chosen, refined,
        )  # fmt: skip
        if loss < fitted[2] and f > 0:
            fitted[0], fitted[1], fitted[2], fitted[3] = f, epoch, loss, start[3]
            trust[:], choice[:], linear[:] = trusted, chosen, refined
    if fitted[3] < 0:
        return
    covariance = describe_bands(
        time, points[0], points[1], trust, segments, shapes, choice, fitted[0], fitted[1], linear,
        described,
    )  # fmt: skip
    fitted[4], fitted[5], fitted[6] = covariance[0, 0], covariance[0, 1], covariance[1, 1]
    linear[:, 0] += bands[0]
    described[:, 2] += bands[0]


@njit(cache=True, nogil=True)
def fit_rows(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    segments: NDArray[np.int64],
    curves: NDArray[np.int64],
    columns: NDArray[np.int64],
    table: NDArray[np.float64],
    shapes: NDArray[np.float64],
    kind: NDArray[np.int64],
    window: NDArray[np.float64],
    frequency: NDArray[np.float64],
    mismatch: float,
    clip: float,
    half_width: float,
    half_steps: int,
    candidate: NDArray[np.float64],
    trust: NDArray[np.float64],
    choice: NDArray[np.int64],
    linear: NDArray[np.float64],
    described: NDArray[np.float64],
    fitted: NDArray[np.float64],
) -> None:
    """Fit curve after curve.

    Parameters
    ----------
    time, value, error, segments, curves
        See `astroprep.period.template_layout.PointsByBand`; `segments` of these curves.
    columns : int64 array, shape (n_rows, 2)
        Columns of `table` that serve each row.
    table, shapes : float64 array, shape (n_phases, n_columns) and its transpose
        Templates, laid out for the scan and for the refinement.
    kind, window
        See `astroprep.period.template_scan.scan_epochs`.
    frequency : float64 array, shape (n_curves, n_candidates)
        Cycles per day, 0 where there is none.
    mismatch, clip, half_width, half_steps
        See `astroprep.period.fit_templates`; `clip` is infinite to trust all points.
    candidate : float64 array, shape (n_curves, n_candidates)
        Filled: chi-square after the scan.
    trust : float64 array, shape (n_points,)
        Filled, at the points of these curves.
    choice, linear, described
        Filled, by row: column of the template; offset and amplitude; see
        `astroprep.period.template_normal.describe_bands`.
    fitted : float64 array, shape (n_curves, 7)
        Filled: frequency, epoch (cycles), chi-square (infinite where there is no fit), kind,
        variance of epoch, covariance, variance of frequency.
    """
    for i in range(curves.size - 1):
        first, last = curves[i], curves[i + 1]
        bounds = segments[first : last + 1]
        part = slice(bounds[0], bounds[-1])
        _fit_curve(
            time[part], value[part], error[part], bounds - bounds[0], columns[first:last],
            table, shapes, kind, window, frequency[i], mismatch, clip, half_width, half_steps,
            candidate[i], trust[part], choice[first:last], linear[first:last],
            described[first:last], fitted[i],
        )  # fmt: skip
