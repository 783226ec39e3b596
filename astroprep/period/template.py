"""Multi-band fits of RR Lyrae templates: period, epoch, and amplitude and mean of every band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.period.template_kernel import fit_rows
from astroprep.period.template_layout import PointsByBand, TemplateTable, by_band
from astroprep.period.templates import TemplateSet
from astroprep.threads import in_chunks

__all__ = ["CLIP", "MISMATCH", "TemplateFit", "check_settings", "fit_near", "fit_templates"]

# of the range of a band: simulated stars deviate from the nearest of the published templates by
# 0.025 to 0.039, nine in ten of them
MISMATCH = 0.03
CLIP = 4.0  # sigmas; 6 good points in 100,000 lie beyond


@dataclass(frozen=True, eq=False)
class TemplateFit:
    """Best template fit of every curve; its bands are rows of a ragged table.

    Errors follow from the curvature of chi-square at the minimum, all other parameters free and
    the templates taken as exact. They are infinite where the points cannot tell. Where chi2 exceeds
    dof, the star keeps to no template or to no strict clock (Blazhko), and they are too small: by
    the root of the ratio at least.

    Parameters
    ----------
    period, period_err : float64 array, shape (n_curves,)
        Days.
    epoch, epoch_err : float64 array, shape (n_curves,)
        Time of maximum light nearest to the mean time of the points, days.
    kind : object array of str, shape (n_curves,)
        Kind of pulsation of the templates.
    chi2 : float64 array, shape (n_curves,)
        With `mismatch` in the errors; a point beyond ``clip`` sigmas costs
        ``clip**2 (1 + 2 log(r / clip))`` instead of ``r**2``.
    dof : int64 array, shape (n_curves,)
        Points less parameters: two, and offset and amplitude of each band.
    candidate_chi2 : float64 array, shape (n_curves, n_candidates)
        On the grid of epochs, without outlier treatment but for points far outside the range of
        the star; infinite where there is no candidate.
    bands : int64 array, shape (n_curves + 1,)
        Rows ``bands[i]:bands[i + 1]`` of what follows belong to curve i, in order of the code.
    band : int64 array, shape (n_rows,)
        Code of the band.
    template : object array of str, shape (n_rows,)
        Name of the template.
    maximum, maximum_error : float64 array, shape (n_rows,)
        Magnitude at maximum light.
    amplitude, amplitude_error : float64 array, shape (n_rows,)
        Minimum less maximum light, mag; 0 or more.
    mean, mean_error : float64 array, shape (n_rows,)
        Magnitude averaged over the cycle.
    trust : float64 array, shape (n_points,)
        1, or for residuals beyond ``clip`` sigmas the squared ratio of the two; in order of the
        points given.
    """

    period: NDArray[np.float64]
    period_err: NDArray[np.float64]
    epoch: NDArray[np.float64]
    epoch_err: NDArray[np.float64]
    kind: NDArray[np.object_]
    chi2: NDArray[np.float64]
    dof: NDArray[np.int64]
    candidate_chi2: NDArray[np.float64]
    bands: NDArray[np.int64]
    band: NDArray[np.int64]
    template: NDArray[np.object_]
    maximum: NDArray[np.float64]
    maximum_error: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    amplitude_error: NDArray[np.float64]
    mean: NDArray[np.float64]
    mean_error: NDArray[np.float64]
    trust: NDArray[np.float64]


def fit_templates(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.integer],
    offsets: NDArray[np.int64],
    frequency: NDArray[np.float64],
    templates: TemplateSet,
    band_names: tuple[str, ...],
    *,
    mismatch: float = MISMATCH,
    clip: float | None = CLIP,
    half_width: float = 0.2,
    half_steps: int = 2,
    jobs: int | None = None,
) -> TemplateFit:
    """Fit templates to many multi-band light curves near candidate frequencies.

    Near every candidate, each kind of template is tried on a grid of frequencies and epochs: all
    bands share both, and each has its own template of the kind, offset and amplitude. The best
    pairs of candidate and kind are brought to their minimum, and the lowest one is the fit.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days, mag, mag; finite, ``error > 0``.
    band : integer array, shape (n_points,)
        Codes into `band_names`.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``; each has points at two times at least.
    frequency : float64 array, shape (n_curves, n_candidates)
        Cycles per day; 0 where there is no candidate.
    templates : TemplateSet
        See `astroprep.period.shipped_templates` and `astroprep.period.load_templates`.
    band_names : tuple of str
        Choose the templates of each band; see `TemplateSet.serving`.
    mismatch : float, default 0.03
        Share of the range of a band that real shapes deviate from templates, added to the errors
        in quadrature; 0 takes the errors as they are.
    clip : float or None, default 4
        Sigmas beyond which a point counts for less; None trusts every point.
    half_width : float, default 0.2
        How far from a candidate the grid of frequencies reaches, in units of 1 / baseline.
    half_steps : int, default 2
        Grid steps on either side of the candidate.
    jobs : int or None
        Threads; None takes numba's number of threads. The result does not depend on it.

    Returns
    -------
    TemplateFit

    Raises
    ------
    ConfigError
        If a setting makes no sense.
    DataError
        If shapes disagree, a band code has no name, or a curve has no candidate within the
        periods that the templates are tried at.

    References
    ----------
    .. [1] Sesar et al. 2010, ApJ 708, 717, doi:10.1088/0004-637X/708/1/717
    """
    check_settings(mismatch, clip, half_width, half_steps)
    _check_arrays(time, value, error, band, offsets, frequency, band_names)
    found = fit_near(
        time, value, error, band, offsets, frequency, TemplateTable.of(templates, band_names),
        mismatch, clip, half_width, half_steps, jobs,
    )  # fmt: skip
    lost = ~np.isfinite(found.chi2)
    if lost.any():
        low, high = templates.period_range[:, 0].min(), templates.period_range[:, 1].max()
        raise DataError(
            f"fit_templates needs a candidate period between {low:g} and {high:g} days: curve "
            f"{np.argmax(lost)} has none; {lost.sum()} of {lost.size} curves are like this"
        )
    return found


def fit_near(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.integer],
    offsets: NDArray[np.int64],
    frequency: NDArray[np.float64],
    table: TemplateTable,
    mismatch: float,
    clip: float | None,
    half_width: float,
    half_steps: int,
    jobs: int | None,
) -> TemplateFit:
    """`fit_templates` without its checks; chi2 is infinite where no candidate has a template."""
    n_curves = offsets.size - 1
    if n_curves == 0:
        offsets, time, value, error = np.zeros(1, np.int64), *np.empty((3, 0))
    points = by_band(time, value, error, np.asarray(band, np.int64), offsets)
    n_rows = points.band.size
    candidate, trust = np.empty(frequency.shape), np.empty(time.size)
    choice, linear = np.zeros(n_rows, np.int64), np.zeros((n_rows, 2))
    described, fitted = np.zeros((n_rows, 4)), np.empty((n_curves, 7))
    shapes = np.ascontiguousarray(table.table.T)
    window = 1.0 / np.maximum(table.templates.period_range[table.source][:, ::-1], 1e-9)
    columns = np.ascontiguousarray(table.columns[points.band])

    def work(first: int, last: int) -> None:
        rows = slice(points.curves[first], points.curves[last])
        fit_rows(
            points.time, points.value, points.error, points.segments[rows.start : rows.stop + 1],
            points.curves[first : last + 1] - rows.start, columns[rows], table.table, shapes,
            table.kind, window, frequency[first:last], mismatch,
            np.inf if clip is None else float(clip), half_width, half_steps,
            candidate[first:last], trust, choice[rows], linear[rows], described[rows],
            fitted[first:last],
        )  # fmt: skip

    in_chunks(n_curves, jobs, work)
    return _result(points, table, offsets, candidate, trust, choice, linear, described, fitted)


def _result(
    points: PointsByBand,
    table: TemplateTable,
    offsets: NDArray[np.int64],
    candidate: NDArray[np.float64],
    trust: NDArray[np.float64],
    choice: NDArray[np.int64],
    linear: NDArray[np.float64],
    described: NDArray[np.float64],
    fitted: NDArray[np.float64],
) -> TemplateFit:
    """From what the kernel gives per cycle and scale to days and magnitudes."""
    turn, chi2 = fitted[:, 1], fitted[:, 2]
    frequency = np.where(np.isfinite(chi2), fitted[:, 0], 1.0)
    delay = (turn - np.rint(turn)) / frequency  # days from the mean time to maximum light
    with np.errstate(invalid="ignore"):
        variance = fitted[:, 4] - 2 * delay * fitted[:, 5] + delay**2 * fitted[:, 6]
    variance[~np.isfinite(variance)] = np.inf
    rows = np.diff(points.curves)
    curve = np.repeat(np.arange(rows.size), rows)
    level, scale = points.level[curve], points.scale[curve]
    names = np.array(table.templates.names, dtype=object)
    kinds = np.array([*dict.fromkeys(table.templates.kinds), ""], dtype=object)
    in_order = np.empty(trust.size)
    in_order[points.order] = trust
    return TemplateFit(
        period=1.0 / frequency,
        period_err=np.sqrt(fitted[:, 6]) / frequency**2,
        epoch=points.middle + delay,
        epoch_err=np.sqrt(np.maximum(variance, 0.0)) / frequency,
        kind=kinds[fitted[:, 3].astype(np.int64)],
        chi2=chi2,
        dof=np.diff(offsets) - 2 - 2 * rows,
        candidate_chi2=candidate,
        bands=points.curves,
        band=points.band,
        template=names[table.source[choice]],
        maximum=level + scale * linear[:, 0],
        maximum_error=scale * described[:, 0],
        amplitude=scale * linear[:, 1],
        amplitude_error=scale * described[:, 1],
        mean=level + scale * described[:, 2],
        mean_error=scale * described[:, 3],
        trust=in_order,
    )


def check_settings(mismatch: float, clip: float | None, half_width: float, half_steps: int) -> None:
    """Raise `ConfigError` for settings of `fit_templates` that make no sense."""
    if not 0 <= mismatch < 1:
        raise ConfigError(f"mismatch must be a share from 0 to below 1, got {mismatch!r}")
    if clip is not None and not clip >= 1:
        raise ConfigError(f"clip must be None or 1 sigma or more, got {clip!r}")
    if not (np.isfinite(half_width) and half_width >= 0):
        raise ConfigError(f"half_width must be 0 or more, got {half_width!r}")
    if not (isinstance(half_steps, int | np.integer) and half_steps >= 0):
        raise ConfigError(f"half_steps must be a whole number from 0, got {half_steps!r}")


def _check_arrays(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.integer],
    offsets: NDArray[np.int64],
    frequency: NDArray[np.float64],
    band_names: tuple[str, ...],
) -> None:
    """Raise `DataError` for arrays that do not belong together or hold what cannot be fitted."""
    n, n_curves = time.size, offsets.size - 1
    if not n == value.size == error.size == band.size == offsets[-1]:
        raise DataError(
            f"fit_templates needs equally many times, values, errors and bands up to offsets[-1]: "
            f"got {n}, {value.size}, {error.size}, {band.size} and {offsets[-1]}"
        )
    if frequency.ndim != 2 or len(frequency) != n_curves:
        raise DataError(
            f"fit_templates needs a row of candidates for each of {n_curves} curves, "
            f"got an array of shape {frequency.shape}"
        )
    if n and not (band.min() >= 0 and band.max() < len(band_names)):
        raise DataError(
            f"fit_templates needs band codes from 0 to {len(band_names) - 1}, the positions in "
            f"{band_names}; got {band.min()} to {band.max()}"
        )
    good = np.isfinite(time) & np.isfinite(value) & np.isfinite(error) & (error > 0)
    if not good.all():
        at = int(np.argmin(good))
        raise DataError(
            "fit_templates needs finite times and values and positive errors: point "
            f"{at} has {time[at]}, {value[at]} and {error[at]}; flag such points first (FlagBad)"
        )
    for i in range(n_curves):
        part = time[offsets[i] : offsets[i + 1]]
        if part.size == 0 or np.ptp(part) == 0:
            raise DataError(
                f"fit_templates needs points at two times at least: curve {i} has {part.size} "
                "points, all at one time"
            )
