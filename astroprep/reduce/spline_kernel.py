"""Robust cubic splines of ragged curves, with the number of knots chosen for each."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.reduce.robust_fit import BIC, information_criterion, prepare, reweigh
from astroprep.threads import for_objects

__all__ = ["KNOT_STEPS", "fit_splines", "spline_values"]

KNOT_STEPS = 65535
"""Inner knots are whole numbers of this fraction of the span, so that two bytes keep them."""

POINTS_A_PIECE = 5  # distinct times
FORGIVING, FINAL = 2, 4  # passes with Huber's weights, then with Tukey's
GROWTH = 1.35  # from one number of pieces to the next that is tried
LEAST_PIVOT = 1e-9  # of the diagonal: neighbouring splines of very unlike pieces are nearly alike


@njit(cache=True, error_model="numpy")
def _knots(x: NDArray[np.float64], pieces: int) -> NDArray[np.float64]:
    """Inner knots on whole steps, equally many distinct times apart; fewer where they coincide."""
    distinct = np.empty(x.size)
    n = 0
    for j in range(x.size):
        if n == 0 or x[j] > distinct[n - 1]:
            distinct[n] = x[j]
            n += 1
    inner = np.empty(max(pieces - 1, 0))
    count, last, since = 0, 0, 0
    for k in range(1, pieces):
        at = k * n // pieces
        knot = int(np.rint(0.5 * (distinct[at - 1] + distinct[at]) * KNOT_STEPS))
        inside = 0  # distinct times in the piece that this knot would close
        for j in range(since, n):
            if distinct[j] * KNOT_STEPS >= knot:
                break
            inside += 1
        if knot > last and knot < KNOT_STEPS and inside >= POINTS_A_PIECE - 1:
            inner[count] = knot
            count += 1
            last, since = knot, since + inside
    while count > 0 and n - since < POINTS_A_PIECE - 1:  # the last piece needs points too
        count -= 1
        edge = inner[count - 1] if count > 0 else 0.0
        since = 0
        while since < n and distinct[since] * KNOT_STEPS < edge:
            since += 1
    return inner[:count]


@njit(cache=True, error_model="numpy")
def _basis(x: float, inner: NDArray[np.float64], row: NDArray[np.float64]) -> int:
    """Four cubic B-splines that are not zero at x in 0 to 1, and the first one's number.

    Cox-de Boor; the end knots are fourfold.
    """
    at = x * KNOT_STEPS
    piece = int(np.searchsorted(inner, at, side="right"))
    left, right = np.empty(4), np.empty(4)
    row[0] = 1.0
    for d in range(1, 4):
        low, high = piece - d, piece + d - 1
        left[d] = at - (inner[low] if low >= 0 else 0.0)
        right[d] = (inner[high] if high < inner.size else float(KNOT_STEPS)) - at
        saved = 0.0
        for r in range(d):
            part = row[r] / (right[r + 1] + left[d - r])
            row[r] = saved + right[r + 1] * part
            saved = left[d - r] * part
        row[d] = saved
    return piece


@njit(cache=True, error_model="numpy")
def _factor(
    rows: NDArray[np.float64],
    piece: NDArray[np.int64],
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    lower: NDArray[np.float64],
    right: NDArray[np.float64],
) -> bool:
    """Banded Cholesky factor, ``lower[a, d]`` at row a and column a - d, and L⁻¹ right."""
    lower[:] = 0.0
    right[:] = 0.0
    for j in range(y.size):
        for p in range(4):
            wp = w[j] * rows[j, p]
            right[piece[j] + p] += wp * y[j]
            for q in range(p + 1):
                lower[piece[j] + p, p - q] += wp * rows[j, q]
    for a in range(right.size):
        diagonal = lower[a, 0]
        rest = right[a]
        for d in range(min(3, a), -1, -1):
            b = a - d
            total = lower[a, d]
            for c in range(max(0, a - 3, b - 3), b):
                total -= lower[a, a - c] * lower[b, b - c]
            if d > 0:
                lower[a, d] = total / lower[b, 0]
                rest -= lower[a, d] * right[b]
            else:
                if not total > LEAST_PIVOT * diagonal:
                    return False
                lower[a, 0] = math.sqrt(total)
        right[a] = rest / lower[a, 0]
    return True


@njit(cache=True, error_model="numpy")
def _solve(
    lower: NDArray[np.float64], right: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    for a in range(right.size - 1, -1, -1):
        total = right[a]
        for b in range(a + 1, min(a + 4, right.size)):
            total -= lower[b, b - a] * out[b]
        out[a] = total / lower[a, 0]


@njit(cache=True, error_model="numpy")
def _score(
    rows: NDArray[np.float64],
    piece: NDArray[np.int64],
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    lower: NDArray[np.float64],
    right: NDArray[np.float64],
    unknowns: int,
    criterion: int,
) -> float:
    """Criterion of a fit; residuals of points left out follow from their leverage."""
    size = right.size
    if criterion == BIC:
        rest = np.sum(w * y * y) - np.sum(right * right)
        return float(information_criterion(rest, y.size, unknowns))
    total = 0.0
    z = np.empty(size)
    for j in range(y.size):
        fitted = leverage = 0.0
        for a in range(piece[j], size):
            entry = rows[j, a - piece[j]] if a < piece[j] + 4 else 0.0
            for d in range(1, min(3, a - piece[j]) + 1):
                entry -= lower[a, d] * z[a - d]
            z[a] = entry / lower[a, 0]
            fitted += z[a] * right[a]
            leverage += z[a] * z[a]
        total += w[j] * ((y[j] - fitted) / max(1.0 - w[j] * leverage, 1e-9)) ** 2
    return total


@njit(cache=True, error_model="numpy")
def _lay(
    x: NDArray[np.float64], inner: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rows of the design, four entries each, and where they begin."""
    rows, piece = np.empty((x.size, 4)), np.empty(x.size, np.int64)
    for j in range(x.size):
        piece[j] = _basis(x[j], inner, rows[j])
    return rows, piece


@njit(cache=True, error_model="numpy")
def _subtract(
    rows: NDArray[np.float64],
    piece: NDArray[np.int64],
    y: NDArray[np.float64],
    solution: NDArray[np.float64],
    residual: NDArray[np.float64],
) -> None:
    for j in range(y.size):
        residual[j] = y[j] - np.sum(rows[j] * solution[piece[j] : piece[j] + 4])


@njit(cache=True, error_model="numpy")
def _settle(
    x: NDArray[np.float64],
    inner: NDArray[np.float64],
    y: NDArray[np.float64],
    e: NDArray[np.float64],
    passes: int,
    forgive: bool,
    residual: NDArray[np.float64],
    w: NDArray[np.float64],
    solution: NDArray[np.float64],
) -> bool:
    """Fit again and again with weights from the residuals; False where it cannot be solved."""
    rows, piece = _lay(x, inner)
    size = inner.size + 4
    lower, right = np.empty((size, 4)), np.empty(size)
    for _ in range(passes):
        reweigh(residual, e, forgive, w)
        if not _factor(rows, piece, y, w, lower, right):
            return False
        _solve(lower, right, solution[:size])
        _subtract(rows, piece, y, solution[:size], residual)
    return True


@njit(cache=True, error_model="numpy")
def _pick(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    most: int,
    criterion: int,
) -> NDArray[np.float64]:
    """Inner knots of the best spline of one to `most` pieces, under the same weights."""
    best, least = np.empty(0), np.inf
    pieces = 1
    while pieces <= most:
        inner = _knots(x, pieces)
        rows, piece = _lay(x, inner)
        lower, right = np.empty((inner.size + 4, 4)), np.empty(inner.size + 4)
        if _factor(rows, piece, y, w, lower, right):
            unknowns = 2 * inner.size + 4  # a knot is stored as well as its coefficient
            score = _score(rows, piece, y, w, lower, right, unknowns, criterion)
            if score < least:
                best, least = inner, score
        pieces = max(pieces + 1, int(GROWTH * pieces))
    return best


@njit(cache=True, error_model="numpy")
def _one_curve(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    max_pieces: int,
    criterion: int,
    knots: NDArray[np.uint16],
    out: NDArray[np.float64],
) -> tuple[int, float]:
    """Knots and coefficients from the level, in place; how many coefficients, and the level."""
    n = time.size
    y, e, level, size = prepare(value, error)
    span = time[n - 1] - time[0]
    if not span > 0:
        return 0, level
    x = (time - time[0]) / span
    most = max(min(max_pieces, n // POINTS_A_PIECE), 1)
    w, residual, solution = np.empty(n), np.zeros(n), np.empty(most + 3)
    while not _settle(x, _knots(x, most), y, e, FORGIVING, True, residual, w, solution):
        if most == 1:
            return 0, level
        most //= 2
        residual[:] = 0.0
    inner = _pick(x, y, w, most, criterion)
    if not _settle(x, inner, y, e, FINAL, False, residual, w, solution):
        return 0, level
    for k in range(inner.size):
        knots[k] = int(inner[k])
    for a in range(inner.size + 4):
        out[a] = size * solution[a]
    return inner.size + 4, level


@njit(nogil=True, cache=True, error_model="numpy")
def _fit_splines_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    max_pieces: int,
    criterion: int,
    coefficients: NDArray[np.float64],
    knots: NDArray[np.uint16],
    unknowns: NDArray[np.int64],
    level: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        if offsets[i + 1] - offsets[i] >= POINTS_A_PIECE:
            unknowns[i], level[i] = _one_curve(
                time[part],
                value[part],
                error[part],
                max_pieces,
                criterion,
                knots[i],
                coefficients[i],
            )


def fit_splines(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    max_pieces: int,
    criterion: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.uint16], NDArray[np.float64]]:
    """Robust cubic regression spline of each curve in time.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, ascending within each curve.
    value, error : float64 array, shape (n_points,)
        One unit; errors as in `astroprep.reduce.robust_fit.prepare`.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    max_pieces : int
        Polynomial pieces at most; a piece has four distinct times or more.
    criterion : int
        `BIC` or `LEAVE_ONE_OUT`.

    Returns
    -------
    coefficients : float64 array, shape (n_curves, max_pieces + 3)
        Of the B-splines, from the level, unit of the value.
    unknowns : int64 array, shape (n_curves,)
        Coefficients in use; four more than inner knots; 0 where there is no fit.
    knots : uint16 array, shape (n_curves, max_pieces)
        Inner knots in steps of ``span / KNOT_STEPS`` from the first time.
    level : float64 array, shape (n_curves,)
        Median value.

    References
    ----------
    .. [1] de Boor 1978, A Practical Guide to Splines, chapter X
    """
    n_curves = offsets.size - 1
    coefficients = np.zeros((n_curves, max_pieces + 3))
    knots = np.zeros((n_curves, max_pieces), np.uint16)
    unknowns, level = np.zeros(n_curves, np.int64), np.zeros(n_curves)
    for_objects(
        _fit_splines_range,
        n_curves,
        time,
        value,
        error,
        offsets,
        max_pieces,
        criterion,
        coefficients,
        knots,
        unknowns,
        level,
    )
    return coefficients, unknowns, knots, level


@njit(nogil=True, cache=True, error_model="numpy")
def _spline_values_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first: NDArray[np.float64],
    last: NDArray[np.float64],
    knots: NDArray[np.uint16],
    knot_offsets: NDArray[np.int64],
    coefficients: NDArray[np.float64],
    coefficient_offsets: NDArray[np.int64],
    model: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        own = coefficients[coefficient_offsets[i] : coefficient_offsets[i + 1]]
        if own.size == 0:
            continue
        inner = knots[knot_offsets[i] : knot_offsets[i + 1]].astype(np.float64)
        row = np.empty(4)
        for j in range(offsets[i], offsets[i + 1]):
            x = (time[j] - first[i]) / (last[i] - first[i])
            if not (x >= 0.0 and x <= 1.0):
                model[j] = np.nan
                continue
            piece = _basis(x, inner, row)
            model[j] = np.sum(row * own[piece : piece + 4])


def spline_values(
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first: NDArray[np.float64],
    last: NDArray[np.float64],
    knots: NDArray[np.uint16],
    knot_offsets: NDArray[np.int64],
    coefficients: NDArray[np.float64],
    coefficient_offsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Spline at the times of each curve; NaN before its first and after its last time.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days.
    offsets, knot_offsets, coefficient_offsets : int64 array, shape (n_curves + 1,)
        Of the times, inner knots and coefficients of each curve.
    first, last : float64 array, shape (n_curves,)
        Span, days.
    knots : uint16 array
        Those of all curves, one after the other, as in `fit_splines`.
    coefficients : float64 array
        Likewise.

    Returns
    -------
    float64 array, shape (n_points,)
        From the level, unit of the coefficients.
    """
    model = np.zeros(time.size)
    for_objects(
        _spline_values_range,
        offsets.size - 1,
        time,
        offsets,
        first,
        last,
        knots,
        knot_offsets,
        coefficients,
        coefficient_offsets,
        model,
    )
    return model
