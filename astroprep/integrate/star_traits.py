"""What one light curve tells of its star, in few numbers: to be compared with another's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.clean.bands import SelectBand
from astroprep.clean.flags import FlagBad
from astroprep.data import LightCurveBatch, Rejected
from astroprep.errors import DataError
from astroprep.integrate.duplicates import MarkDuplicates
from astroprep.period import PeriodSearch
from astroprep.threads import for_objects

__all__ = ["Traits", "measure_traits", "numbers", "with_periods"]

Array = NDArray[np.float64]
HARMONICS = 3
LEAST_POINTS = 12  # for a fold of three harmonics
CLIP = 4.0  # robust sigma; survey photometry has wild points
MAD_TO_SIGMA = 1.4826
COPY_WINDOW = 5.0  # seconds between two entries of one exposure


class Traits(NamedTuple):
    """Numbers per curve, NaN where a curve has none; all shape (n_curves,).

    Attributes
    ----------
    frequency, frequency_err : float64
        Cycles per day; twice that of the period where the second harmonic is larger than the first.
    middle : float64
        Mean time, days.
    phase, phase_err : float64
        Where the fundamental is faintest (of fluxes: brightest) after `middle`, in periods.
    level : float64
        Median value.
    amplitude : float64
        log10 of the range from the 5th to the 95th percentile.
    shape, shape_err : float64
        Amplitude of the second harmonic over the quadratic sum of the first two, 0 to 1.
    n_points : int64
        Usable points of the band.
    system : int64
        Code of survey and band.
    systems : tuple of (str, str)
        Survey and band of each code.
    """

    frequency: Array
    frequency_err: Array
    middle: Array
    phase: Array
    phase_err: Array
    level: Array
    amplitude: Array
    shape: Array
    shape_err: Array
    n_points: NDArray[np.int64]
    system: NDArray[np.int64]
    systems: tuple[tuple[str, str], ...]


@njit(cache=True)
def _series(time, value, frequency, keep, coefficient):  # type: ignore[no-untyped-def]
    """Fit a harmonic series to the kept points; residuals of all."""
    size = coefficient.size
    matrix, right = np.zeros((size, size)), np.zeros(size)
    row = np.ones(size)
    for i in range(time.size):
        if keep[i]:
            angle = 2 * np.pi * ((time[i] * frequency) % 1.0)
            for h in range(1, HARMONICS + 1):
                row[2 * h - 1], row[2 * h] = np.cos(h * angle), np.sin(h * angle)
            for a in range(size):
                right[a] += row[a] * value[i]
                for b in range(size):
                    matrix[a, b] += row[a] * row[b]
    for a in range(size):
        matrix[a, a] *= 1 + 1e-9  # phases that leave a gap make it singular
        matrix[a, a] += 1e-12
    coefficient[:] = np.linalg.solve(matrix, right)
    residual = value - coefficient[0]
    for i in range(time.size):
        angle = 2 * np.pi * ((time[i] * frequency) % 1.0)
        for h in range(1, HARMONICS + 1):
            residual[i] -= coefficient[2 * h - 1] * np.cos(h * angle)
            residual[i] -= coefficient[2 * h] * np.sin(h * angle)
    return residual


@njit(cache=True)
def _clipped(time, value, frequency, coefficient):  # type: ignore[no-untyped-def]
    """Fit, clip once and fit again: which points stayed, and the residuals of all."""
    keep = np.ones(time.size, np.bool_)
    residual = _series(time, value, frequency, keep, coefficient)
    spread = MAD_TO_SIGMA * np.median(np.abs(residual - np.median(residual)))
    if spread > 0:
        keep = np.abs(residual) <= CLIP * spread
        residual = _series(time, value, frequency, keep, coefficient)
    return keep, residual


@njit(cache=True)
def _one_curve(time, value, frequency, out):  # type: ignore[no-untyped-def]
    """Fill the row of a curve: traits, and 2 where the second harmonic leads, else 1."""
    n = time.size
    if n == 0:
        return
    out[1] = np.mean(time)
    out[4] = np.median(value)
    if n < 3:
        return
    width = np.percentile(value, 95.0) - np.percentile(value, 5.0)
    if width > 0:
        out[5] = np.log10(width)
    baseline = time[-1] - time[0]
    if n < LEAST_POINTS or not (frequency > 0 and np.isfinite(frequency)) or baseline <= 0:
        return
    centred, scaled = time - out[1], value - out[4]
    coefficient = np.empty(2 * HARMONICS + 1)
    keep, residual = _clipped(centred, scaled, frequency, coefficient)
    out[8] = 1.0
    if np.hypot(coefficient[3], coefficient[4]) > np.hypot(coefficient[1], coefficient[2]):
        out[8] = 2.0
        keep, residual = _clipped(centred, scaled, 2.0 * frequency, coefficient)
    m = keep.sum()
    free = max(m - coefficient.size - 1, 1)
    sigma = np.sqrt(np.sum(residual[keep] ** 2) / free)
    first = np.hypot(coefficient[1], coefficient[2])
    if not first > 0:
        return
    out[0] = np.sqrt(6.0 / m) * sigma / (np.pi * baseline * first)
    out[2] = (np.arctan2(coefficient[2], coefficient[1]) / (2 * np.pi)) % 1.0
    out[3] = np.sqrt(2.0 / m) * sigma / first / (2 * np.pi)
    second = np.hypot(coefficient[3], coefficient[4])
    # bounded: two eclipses a period leave the first harmonic near zero
    out[6] = second / np.hypot(first, second)
    out[7] = np.sqrt(2.0 / m) * sigma / np.hypot(first, second)


@njit(nogil=True, cache=True)
def _measure_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    frequency: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        _one_curve(time[part], value[part], frequency[i], out[i])


def _measure(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    frequency: NDArray[np.float64],
) -> NDArray[np.float64]:
    out = np.full((offsets.size - 1, 9), np.nan)
    for_objects(_measure_range, offsets.size - 1, time, value, offsets, frequency, out)
    return out


def measure_traits(
    batch: LightCurveBatch, *, period: str = "period", survey: str = "survey"
) -> Traits:
    """Period, phase, brightness, amplitude and shape of every curve in its fullest band.

    Parameters
    ----------
    batch : LightCurveBatch
        Curves that may be one star, such as those of several surveys.
    period : str, default "period"
        Column in ``objects``, days; without it, or where it is not positive, a curve has no
        period and no phase. ``period_err`` beside it is used where it is the larger error.
    survey : str, default "survey"
        Column in ``objects`` that names the survey of a curve, if there is one.

    Returns
    -------
    Traits

    Notes
    -----
    Three harmonics by least squares, clipped once at four robust sigma, without the survey's
    errors, which some surveys do not give. Where the second harmonic is larger than the first, the
    curve is described at half its period: so are two eclipses a cycle, and a period that a search
    found at twice its length, and curves found at either agree. The errors of frequency and phase
    follow from the residual scatter s, the amplitude a and the baseline T [1]_::

        sigma(f) = sqrt(6 / N) s / (pi T a)        sigma(phase) = sqrt(2 / N) s / (2 pi a)

    References
    ----------
    .. [1] Montgomery & O'Donoghue 1999, Delta Scuti Star Newsletter 13, 28
    """
    main = batch if batch.band is None else SelectBand(on_bad="raise").transform(batch)
    usable = main.usable
    given = np.full(batch.n_curves, np.nan)
    if period in batch.objects:
        given = numbers(batch, period)
    with np.errstate(divide="ignore", invalid="ignore"):
        frequency = np.where(np.isfinite(given) & (given > 0), 1.0 / given, np.nan)
        found = _measure(usable.time, usable.value, usable.offsets, frequency)
        error = found[:, 0]
        if f"{period}_err" in batch.objects:
            stated = numbers(batch, f"{period}_err") * frequency**2
            error = np.fmax(error, np.where(stated >= 0, stated, np.nan) * found[:, 8])
    frequency = np.where(np.isfinite(found[:, 2]), frequency * found[:, 8], np.nan)
    system, systems = _systems(batch, usable.offsets, usable.band, survey)
    return Traits(
        frequency, error, found[:, 1], found[:, 2], found[:, 3], found[:, 4], found[:, 5],
        found[:, 6], found[:, 7], usable.counts(), system, systems,
    )  # fmt: skip


def numbers(batch: LightCurveBatch, name: str) -> Array:
    """Return a column per object as float64, shape (n_curves,).

    Raises
    ------
    DataError
        If it holds text or arrays.
    """
    column = batch.objects[name]
    try:
        found = np.asarray(column, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"comparing stars needs numbers in the column {name!r} per object: {error}; NaN means "
            "not known"
        ) from error
    if found.ndim != 1:
        raise DataError(
            f"comparing stars needs one number per object in {name!r}, it has shape {found.shape}"
        )
    return found


def _systems(
    batch: LightCurveBatch,
    offsets: NDArray[np.int64],
    band: NDArray[np.int16] | None,
    survey: str,
) -> tuple[NDArray[np.int64], tuple[tuple[str, str], ...]]:
    """Code of survey and band per curve."""
    names = np.full(batch.n_curves, batch.meta.survey, dtype=object)
    if survey in batch.objects:
        names = np.array([str(name) for name in batch.objects[survey].tolist()], dtype=object)
    bands = np.full(batch.n_curves, "", dtype=object)
    some = np.flatnonzero(np.diff(offsets) > 0)
    if band is not None and some.size:
        bands[some] = np.array([*batch.meta.bands, ""], dtype=object)[band[offsets[some]]]
    both = sorted(set(zip(names.tolist(), bands.tolist(), strict=True)))
    place = {pair: k for k, pair in enumerate(both)}
    code = [place[pair] for pair in zip(names.tolist(), bands.tolist(), strict=True)]
    return np.array(code, np.int64), tuple(both)


def with_periods(batch: LightCurveBatch, **settings: Any) -> LightCurveBatch:
    """Search the period of every curve in its fullest band; NaN where none can be sought.

    Parameters
    ----------
    batch : LightCurveBatch
        Never changed; no curve is lost.
    **settings
        Of `astroprep.period.PeriodSearch`.

    Returns
    -------
    LightCurveBatch
        With ``period`` and ``period_err`` in ``objects``, days.
    """
    main = batch if batch.band is None else SelectBand(on_bad="raise").transform(batch)
    numbered = main.with_columns(objects={"row": np.arange(batch.n_curves)})
    # copies some seconds apart (MACHO) would make the scatter zero that stands in for its errors
    once = MarkDuplicates(window=COPY_WINDOW).transform(replace(numbered, rejected=Rejected()))
    ready = FlagBad(on_bad="reject").fit_transform(once)
    found = PeriodSearch(on_bad="reject", **settings).fit_transform(ready)
    columns = {}
    for name in ("period", "period_err"):
        columns[name] = np.full(batch.n_curves, np.nan)
        columns[name][found.objects["row"]] = found.objects[name]
    return batch.with_columns(objects=columns)
