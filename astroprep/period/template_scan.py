"""Kernels that prepare a light curve for templates and try them on a grid of epochs."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["prepare_segment", "scan_epochs"]

_REORDER = {"reassoc", "contract", "nsz"}  # lets LLVM use vector registers; no NaN tricks
NOISE_RANGE = 3.29  # sigmas between the 5th and 95th percentile of a Gaussian
MAX_AMPLITUDE = 2.0  # observed ranges; more means that all points lie on one flat piece of a shape
TINY = 1e-12  # of the weighted variance, below which the template does not vary over the points


@njit(cache=True)
def _percentile(ordered: NDArray[np.float64], share: float) -> float:
    place = share * (ordered.size - 1)
    low = int(place)
    high = min(low + 1, ordered.size - 1)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


@njit(cache=True, nogil=True)
def prepare_segment(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    mismatch: float,
    clip: float,
    weight: NDArray[np.float64],
    trust: NDArray[np.float64],
) -> tuple[float, float, float]:
    """Weights of one band of one star, before anything is known of its period.

    Parameters
    ----------
    value, error : float64 array, shape (n_points,)
        One unit.
    mismatch : float
        Share of the range that real shapes deviate from templates; added to the errors in
        quadrature.
    clip : float
        Sigmas beyond which a point counts for less; infinite to trust all.
    weight, trust : float64 array, shape (n_points,)
        Filled: inverse variance, and a first guess of the trust in each point from 0 to 1.

    Returns
    -------
    level, spread, highest : float
        Median, range between the 5th and 95th percentile without the noise, largest amplitude
        allowed.
    """
    ordered = np.sort(value)
    level = _percentile(ordered, 0.5)
    reach = _percentile(ordered, 0.95) - _percentile(ordered, 0.05)
    noise = np.median(error)
    spread = np.sqrt(max(reach * reach - (NOISE_RANGE * noise) ** 2, 0.0))
    for j in range(value.size):
        variance = error[j] ** 2 + (mismatch * spread) ** 2
        weight[j] = 1.0 / variance
        # a pulsation stays within one central range of its median; what is far outside is no
        # part of it, whatever the period
        excess = (abs(value[j] - level) - reach) / np.sqrt(variance)
        trust[j] = 1.0 if excess <= 0 else 1.0 / (1.0 + (excess / clip) ** 2)
    return level, spread, MAX_AMPLITUDE * reach + 2 * NOISE_RANGE * noise


@njit(cache=True, nogil=True, fastmath=_REORDER)
def _template_sums(
    row: NDArray[np.int64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    shift: int,
    table: NDArray[np.float64],
    low: int,
    high: int,
    sums: NDArray[np.float64],
) -> None:
    """Fill ``sum w T``, ``sum w T T`` and ``sum w v T`` of every template of a band."""
    n_phases = table.shape[0]
    sums[:, : high - low] = 0.0
    first, second, third = sums[0], sums[1], sums[2]
    for j in range(row.size):
        at = row[j] - shift
        at += n_phases if at < 0 else 0
        w, wv = weight[j], weighted[j]
        line = table[at, low:high]
        for k in range(high - low):
            t = line[k]
            first[k] += w * t
            second[k] += w * t * t
            third[k] += wv * t


@njit(cache=True, nogil=True)
def scan_epochs(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    segments: NDArray[np.int64],
    columns: NDArray[np.int64],
    highest: NDArray[np.float64],
    table: NDArray[np.float64],
    kind: NDArray[np.int64],
    window: NDArray[np.float64],
    frequency: float,
    row: NDArray[np.int64],
    weighted: NDArray[np.float64],
    sums: NDArray[np.float64],
    gain: NDArray[np.float64],
) -> None:
    """How much chi-square each kind of template explains at each epoch, for one frequency.

    Every band takes the template of the kind that explains most in it, at the epoch shared by
    all bands; a template has a free offset and an amplitude from 0 to a limit.

    Parameters
    ----------
    time, value, weight : float64 array, shape (n_points,)
        Days, any unit, inverse variance; of one star, band after band.
    segments : int64 array, shape (n_bands + 1,)
        Band b is ``segments[b]:segments[b + 1]``.
    columns : int64 array, shape (n_bands, 2)
        Columns of `table` that serve the band: first, and one past the last.
    highest : float64 array, shape (n_bands,)
        Largest amplitude allowed.
    table : float64 array, shape (n_phases, n_columns)
        Templates.
    kind : int64 array, shape (n_columns,)
        Code of the kind of each template.
    window : float64 array, shape (n_columns, 2)
        Frequencies that each is tried at, cycles per day.
    frequency : float
        Cycles per day.
    row, weighted, sums
        Work space: n_points, n_points, (3, n_columns).
    gain : float64 array, shape (n_kinds, n_epochs)
        Filled; -1 where no template of the kind may have this frequency. Epoch s puts maximum
        light at phase ``s / n_epochs``; n_epochs divides n_phases.
    """
    n_phases = table.shape[0]
    n_kinds, n_epochs = gain.shape
    for j in range(time.size):
        cycles = frequency * time[j]
        row[j] = int((cycles - np.floor(cycles)) * n_phases + 0.5) % n_phases
        weighted[j] = weight[j] * value[j]
    gain[:] = 0.0
    best = np.empty(n_kinds)
    for b in range(segments.size - 1):
        part = slice(segments[b], segments[b + 1])
        total = weight[part].sum()
        total_value = weighted[part].sum()
        low, high = columns[b]
        for s in range(n_epochs):
            shift = s * (n_phases // n_epochs)
            _template_sums(row[part], weight[part], weighted[part], shift, table, low, high, sums)
            best[:] = -1.0
            for k in range(high - low):
                column = low + k
                if window[column, 0] <= frequency <= window[column, 1]:
                    mean = sums[0, k] / total
                    variance = sums[1, k] - mean * sums[0, k]
                    common = sums[2, k] - mean * total_value
                    explained = 0.0
                    if common > 0 and variance > TINY * total:
                        amplitude = min(common / variance, highest[b])
                        explained = amplitude * (2 * common - amplitude * variance)
                    best[kind[column]] = max(best[kind[column]], explained)
            for m in range(n_kinds):
                gain[m, s] = gain[m, s] + best[m] if best[m] >= 0 and gain[m, s] >= 0 else -1.0
