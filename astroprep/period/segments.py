"""Observed minus computed: by how much each season runs late against one shape at one period.

The Fourier series fitted to the whole curve is the template. In a segment of time the value is

    value = level + template(phase - shift) = level + template(phase) - shift * slope(phase),

linear in the level and, for small shifts, in the shift; repeated around the last shift this is
Gauss-Newton. With N(t) = f t + c t**2 cycles done at time t after the middle, event E happens at
t = P E + q E**2 with q = -c P**3 to first order in c, so that the O-C is a parabola: q days per
cycle squared, and P dP/dt = 2 q, hence

    dP/dt = 2 q / P = -2 c P**2   (days per day).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["LEAST", "MOST", "cut", "parabola", "shifts"]

LEAST = 6  # points of a segment; two unknowns each, and enough left to average
MOST = 12  # segments
WANTED = 15  # points of a segment where there are many, before the number is capped at MOST
GAP = 0.04  # of the baseline: a pause this long, about two months in five years, ends a season
LARGE = 0.02  # cycles; shifts above this are linearised again
PASSES = 5
STRIDE = 0.12  # cycles, largest change of a shift per pass: a quarter of a sine's rise
VAGUE = 0.2  # cycles; a segment whose shift is less certain than this says nothing


@njit(cache=True)
def cut(time: NDArray[np.float64], bounds: NDArray[np.int64]) -> int:
    """Cut a sorted curve into seasons, and long seasons by number of points.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, sorted.
    bounds : int64 array, shape (MOST + 1,)
        Filled: segment s is ``bounds[s]:bounds[s + 1]``.

    Returns
    -------
    int
        How many segments, 1 to `MOST`; equal times are never parted.
    """
    n = time.size
    quota = max(LEAST, WANTED if n <= WANTED * MOST else -(-n // MOST))
    pause = GAP * (time[n - 1] - time[0])
    count = 0
    begin = 0
    bounds[0] = 0
    for j in range(1, n):
        size = j - begin
        apart = time[j] - time[j - 1]
        full = size >= quota and apart > 0
        if size >= LEAST and n - j >= LEAST and (full or apart > pause) and count < MOST - 1:
            count += 1
            bounds[count] = j
            begin = j
    bounds[count + 1] = n
    return count + 1


@njit(cache=True)
def _season(
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    cosine: NDArray[np.float64],
    sine: NDArray[np.float64],
    coefficient: NDArray[np.float64],
    n_harmonics: int,
    late: float,
) -> tuple[float, float]:
    """Change of the shift of one segment, cycles, and its variance per unit of noise."""
    tc = np.cos(2 * np.pi * late)
    ts = np.sin(2 * np.pi * late)
    sw = 0.0
    sg = 0.0
    sgg = 0.0
    se = 0.0
    sge = 0.0
    for j in range(weight.size):
        c = cosine[j] * tc + sine[j] * ts
        s = sine[j] * tc - cosine[j] * ts
        ck = c
        sk = s
        model = 0.0
        slope = 0.0
        for k in range(n_harmonics):
            a = coefficient[2 * k]
            b = coefficient[2 * k + 1]
            model += a * ck + b * sk
            slope += (k + 1) * (b * ck - a * sk)
            ck, sk = ck * c - sk * s, sk * c + ck * s
        g = -2 * np.pi * slope
        w = weight[j]
        e = weighted[j] - w * model
        sw += w
        sg += w * g
        sgg += w * g * g
        se += e
        sge += g * e
    determinant = sw * sgg - sg * sg
    if not determinant > 1e-9 * sw * sgg:  # all points on one slope: level and shift are one
        return 0.0, np.inf
    return (sw * sge - sg * se) / determinant, sw / determinant


@njit(cache=True)
def shifts(
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    work: NDArray[np.float64],
    coefficient: NDArray[np.float64],
    n_harmonics: int,
    noise: float,
    bounds: NDArray[np.int64],
    n_segments: int,
    late: NDArray[np.float64],
    error: NDArray[np.float64],
) -> None:
    """By how many cycles each segment is late, and one standard deviation of that.

    Parameters
    ----------
    weight, weighted : float64 array, shape (n_points,)
        From `astroprep.period.exact.standardise`.
    work, coefficient
        As `harmonic_fit` leaves them at the period of the template.
    noise : float
        Unexplained share of the variance over the degrees of freedom.
    bounds, n_segments
        From `cut`.
    late, error : float64 array, shape (MOST,)
        Filled, cycles; infinite error where the segment says nothing.
    """
    for s in range(n_segments):
        part = slice(bounds[s], bounds[s + 1])
        late[s] = 0.0
        error[s] = np.inf
        for _ in range(PASSES):
            change, variance = _season(
                weight[part],
                weighted[part],
                work[0, part],
                work[1, part],
                coefficient,
                n_harmonics,
                late[s],
            )
            late[s] += min(max(change, -STRIDE), STRIDE)
            error[s] = np.sqrt(variance * noise)
            if abs(change) < LARGE:
                break
        if not error[s] < VAGUE:
            error[s] = np.inf


@njit(cache=True)
def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a small positive matrix, by Gauss-Jordan; a call of LAPACK costs more than the rest."""
    n = matrix.shape[0]
    left = matrix.copy()
    right = np.eye(n)
    for k in range(n):
        pivot = left[k, k] * (1 + 1e-12)
        for j in range(n):
            left[k, j] /= pivot
            right[k, j] /= pivot
        for i in range(n):
            if i != k:
                factor = left[i, k]
                for j in range(n):
                    left[i, j] -= factor * left[k, j]
                    right[i, j] -= factor * right[k, j]
    return right


@njit(cache=True)
def parabola(
    time: NDArray[np.float64],
    late: NDArray[np.float64],
    error: NDArray[np.float64],
    degree: int,
    out: NDArray[np.float64],
) -> tuple[float, int, float]:
    """Weighted polynomial through shifts, degree 0 to 2; infinite errors have no weight.

    Returns
    -------
    chi_square : float
    freedom : int
        Certain segments less the coefficients; negative where there are too few.
    variance : float
        Of the highest coefficient, for errors as given. `out` holds the coefficients.
    """
    n = degree + 1
    normal = np.zeros((n, n))
    right = np.zeros(n)
    used = 0
    for s in range(time.size):
        w = 1.0 / error[s] ** 2
        used += w > 0
        p = 1.0
        for i in range(n):
            right[i] += w * p * late[s]
            q = p
            for j in range(n):
                normal[i, j] += w * q
                q *= time[s]
            p *= time[s]
    out[:] = 0.0
    if used < n:
        return 0.0, used - n, np.inf
    inverse = _inverse(normal)
    for i in range(n):
        for j in range(n):
            out[i] += inverse[i, j] * right[j]
    chi = 0.0
    for s in range(time.size):
        model = 0.0
        for i in range(n - 1, -1, -1):
            model = model * time[s] + out[i]
        chi += ((late[s] - model) / error[s]) ** 2
    return chi, used - n, inverse[n - 1, n - 1]
