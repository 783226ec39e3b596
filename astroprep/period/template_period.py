"""The step that finds RR Lyrae periods with templates, and the candidates it starts from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError
from astroprep.period.candidates import DROWNED, drowned
from astroprep.period.grid import FrequencyGrid, GridRule
from astroprep.period.lombscargle import power_ragged
from astroprep.period.peaks import strongest_peaks
from astroprep.period.points import check_points
from astroprep.period.template import CLIP, MISMATCH, TemplateFit, check_settings, fit_near
from astroprep.period.template_files import by_name, check_name
from astroprep.period.template_layout import TemplateTable, by_band
from astroprep.period.template_scan import prepare_segment
from astroprep.threads import in_chunks

__all__ = ["TemplatePeriod", "sine_candidates"]

SINE_MISMATCH = 0.12  # range: what an RR Lyrae deviates from a sine, root mean square
OVERSAMPLING = 5.0
# Candidates times points of a curve. The fewer points, the deeper the true peak is buried, and the
# less a fit costs: of simulated stars with 14 nights in five bands, 40 candidates hold the period
# of 76 %, and the 171 of this rule that of 94 %; with 56 nights 40 hold all.
TRIED = 12_000
FEWEST, MOST = 40, 320  # candidates
LEAST = 4  # points of a band, below which a sine fits it whatever the frequency


def sine_candidates(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.integer],
    offsets: NDArray[np.int64],
    *,
    min_period: float = 0.2,
    max_period: float = 1.2,
    n_candidates: int | None = None,
    jobs: int | None = None,
) -> NDArray[np.float64]:
    """Frequencies at which one sine per band explains most of all bands together.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days, any unit, its unit; sorted by time within a curve, finite, ``error > 0``.
    band : integer array, shape (n_points,)
        Codes.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``; each has points at two times at least.
    min_period, max_period : float
        Days.
    n_candidates : int or None
        Separate peaks wanted; None takes 12,000 over the number of points, 40 to 320.
    jobs : int or None
        Threads; None takes numba's number of threads. The result does not depend on it.

    Returns
    -------
    float64 array, shape (n_curves, n_candidates)
        Cycles per day by falling power, 0 where there are fewer peaks or no band has four points
        at two times.

    Raises
    ------
    DataError
        If a curve has fewer than two points, all at one time, is not sorted, or has a number that
        is not finite or an error that is not positive.

    Notes
    -----
    The sum over bands of the chi-square that a sine with its own mean, amplitude and phase
    explains: the model with no base term of VanderPlas & Ivezic 2015. Errors are widened by
    what an RR Lyrae deviates from a sine, and points far outside the range of a band count for
    less.

    References
    ----------
    .. [1] VanderPlas & Ivezic 2015, ApJ 812, 18, doi:10.1088/0004-637X/812/1/18
    """
    if offsets.size < 2:
        return np.zeros((0, n_candidates or FEWEST))
    check_points("sine_candidates", time, value, error, offsets)
    if n_candidates is None:
        wanted = np.clip(TRIED // np.diff(offsets), FEWEST, MOST)
    else:
        wanted = np.full(offsets.size - 1, n_candidates)
    found = np.zeros((wanted.size, wanted.max()))
    points = by_band(time, value, error, np.asarray(band, np.int64), offsets)

    def work(first: int, last: int) -> None:
        for i in range(first, last):
            rows = points.segments[points.curves[i] : points.curves[i + 1] + 1]
            part = slice(rows[0], rows[-1])
            found[i, : wanted[i]] = _candidates_of_one(
                points.time[part],
                points.value[part],
                points.error[part],
                rows - rows[0],
                (min_period, max_period),
                int(wanted[i]),
            )

    in_chunks(offsets.size - 1, jobs, work)
    return found


def _candidates_of_one(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    segments: NDArray[np.int64],
    periods: tuple[float, float],
    n_candidates: int,
) -> NDArray[np.float64]:
    """Candidates of one curve, whose points are given band after band."""
    step = 1.0 / (OVERSAMPLING * np.ptp(time))
    lowest, highest = 1.0 / periods[1], 1.0 / periods[0]
    grid = FrequencyGrid(lowest, step, int((highest - lowest) / step) + 1)
    total = np.zeros(grid.size)
    for first, last in pairwise(segments.tolist()):
        part = slice(first, last)
        if last - first < LEAST or np.ptp(time[part]) == 0:
            continue
        weight, trust = np.empty((2, last - first))
        prepare_segment(value[part], error[part], SINE_MISMATCH, CLIP, weight, trust)
        weight *= trust
        mean = (weight * value[part]).sum() / weight.sum()
        share = power_ragged(
            time[part],
            value[part],
            weight**-0.5,
            np.array([0, last - first], np.int64),
            grid,
            jobs=1,
        )[0]
        total += share * float((weight * (value[part] - mean) ** 2).sum())
    frequency = np.zeros(n_candidates)
    if not total.max() > 0:
        return frequency
    share = (total / total.max()).astype(np.float32)
    place = strongest_peaks(share, 0, n_candidates, OVERSAMPLING, 0.0)
    # the summit of a parabola through three samples lies within a hundredth of the peak's width
    inner = np.clip(place, 1, max(grid.size - 2, 1))
    left, here, right = (total[np.minimum(inner + k, grid.size - 1)] for k in (-1, 0, 1))
    bend = left - 2 * here + right
    summit = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1.0), 0.0)
    at = inner + np.clip(summit, -1.0, 1.0)
    frequency[: place.size] = np.clip(grid.start + grid.step * at, lowest, highest)
    return frequency


class TemplatePeriod(Transformer):
    """Find the period of RR Lyrae stars by fitting templates to all bands at once.

    The strongest peaks of a multi-band periodogram are the candidates of
    `astroprep.period.fit_templates`. Points of a batch without bands are of one band. Adds to
    ``objects``:

    - ``period``, ``period_err``: days;
    - ``epoch``, ``epoch_err``: time of maximum light nearest to the mean time, days;
    - ``template_kind``: ``"ab"`` or ``"c"``, as the templates say;
    - ``template_chi2``, ``template_dof``: of the fit, with `mismatch` in the errors and outliers
      bounded by `clip`;
    - ``template_band``: band with the best measured amplitude, and its ``template_name``,
      ``template_amplitude``, ``template_amplitude_err``, ``template_mean`` and
      ``template_mean_err``, mag.

    Refused, with the reason: no more usable points than the fit has parameters (two, and two a
    band) or fewer than eight, a baseline below two of the longest periods, absurd times, constant
    brightness, no candidate within the periods of the templates, and fits that leave period or
    amplitude undetermined.

    Parameters
    ----------
    templates : str, default "shipped"
        ``"shipped"``, a folder for `astroprep.period.load_templates`, or a JSON file of
        `astroprep.period.write_templates`.
    min_period, max_period : float, default 0.2 and 1.2
        Days.
    n_candidates : int or None, default None
        Peaks of the periodogram that are tried; None takes 12,000 over the number of usable
        points, 40 to 320.
    mismatch : float, default 0.03
        Share of the range of a band that real shapes deviate from templates.
    clip : float or None, default 4
        Sigmas beyond which a point counts for less; None trusts every point.
    jobs : int or None, default None
        Threads; None takes numba's number of threads. The result does not depend on it.

    References
    ----------
    .. [1] Sesar et al. 2010, ApJ 708, 717, doi:10.1088/0004-637X/708/1/717
    """

    needs = Needs(min_points=8, errors=True, quantity="mag", single_band=False)

    def __init__(
        self,
        templates: str = "shipped",
        min_period: float = 0.2,
        max_period: float = 1.2,
        n_candidates: int | None = None,
        mismatch: float = MISMATCH,
        clip: float | None = CLIP,
        jobs: int | None = None,
        on_bad: OnBad = "raise",
    ) -> None:
        self.templates = templates
        self.min_period = min_period
        self.max_period = max_period
        self.n_candidates = n_candidates
        self.mismatch = mismatch
        self.clip = clip
        self.jobs = jobs
        self.on_bad = on_bad

    def _check(self) -> None:
        check_name(self.templates)
        if not 0 < self.min_period < self.max_period < np.inf:
            raise ConfigError(
                "min_period must be positive and below max_period, got "
                f"{self.min_period!r} and {self.max_period!r}"
            )
        wanted = self.n_candidates
        if wanted is not None and not (isinstance(wanted, int) and 1 <= wanted <= 1000):
            raise ConfigError(f"n_candidates must be None or 1 to 1000, got {wanted!r}")
        if self.jobs is not None and not (isinstance(self.jobs, int) and self.jobs >= 1):
            raise ConfigError(f"jobs must be None or a whole number from 1, got {self.jobs!r}")
        check_settings(self.mismatch, self.clip, 0.0, 0)

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        batch = self._suitable(batch)
        band_names = batch.meta.bands if batch.usable.band is not None else ("",)
        found = self._fitted(batch, band_names)
        best = _best_row(found)
        reason = np.full(batch.n_curves, "", dtype=object)
        reason[~(np.isfinite(found.period_err) & np.isfinite(found.amplitude_error[best]))] = (
            "enough phases to determine period and amplitude"
        )
        reason[~np.isfinite(found.chi2)] = "a candidate within the periods of the templates"
        names = np.array(band_names, dtype=object)
        columns = {
            "period": found.period,
            "period_err": found.period_err,
            "epoch": found.epoch,
            "epoch_err": found.epoch_err,
            "template_kind": found.kind,
            "template_chi2": found.chi2,
            "template_dof": found.dof,
            "template_band": names[found.band[best]],
            "template_name": found.template[best],
            "template_amplitude": found.amplitude[best],
            "template_amplitude_err": found.amplitude_error[best],
            "template_mean": found.mean[best],
            "template_mean_err": found.mean_error[best],
        }
        return self.refuse(batch.with_columns(objects=columns), reason != "", reason)

    def _suitable(self, batch: LightCurveBatch) -> LightCurveBatch:
        """Refuse the curves that leave nothing to fit, with the reason."""
        usable = batch.usable
        baseline = usable.time[usable.offsets[1:] - 1] - usable.time[usable.offsets[:-1]]
        reason = GridRule(1.0 / self.min_period, 1.0, OVERSAMPLING).grids(baseline)[3]
        band = np.zeros(usable.time.size, np.int64) if usable.band is None else usable.band
        reason[(reason == "") & drowned(usable.value, usable.error, usable.offsets)] = DROWNED
        for i in np.flatnonzero(reason == ""):
            part = slice(usable.offsets[i], usable.offsets[i + 1])
            n, codes = int(usable.counts()[i]), np.unique(band[part])
            if baseline[i] < 2 * self.max_period:
                reason[i] = (
                    f"a baseline of two longest periods, {2 * self.max_period:g} days, "
                    f"spans {baseline[i]:.4g}"
                )
            elif n <= 2 + 2 * codes.size:
                reason[i] = (
                    f"more than {2 + 2 * codes.size} usable points in {codes.size} bands, has {n}"
                )
            elif usable.band is not None and not 0 <= codes[0] <= codes[-1] < len(batch.meta.bands):
                reason[i] = "a band that meta.bands names for every usable point"
            elif not any(np.ptp(usable.value[part][band[part] == code]) > 0 for code in codes):
                reason[i] = "brightness that varies, it is constant in every band"
        return self.refuse(batch, reason != "", reason)

    def _fitted(self, batch: LightCurveBatch, band_names: tuple[str, ...]) -> TemplateFit:
        usable = batch.usable
        band = np.zeros(usable.time.size, np.int64) if usable.band is None else usable.band
        points = (usable.time, usable.value, usable.error, band, usable.offsets)
        frequency = sine_candidates(
            *points,
            min_period=self.min_period,
            max_period=self.max_period,
            n_candidates=self.n_candidates,
            jobs=self.jobs,
        )
        table = TemplateTable.of(by_name(self.templates), band_names)
        return fit_near(*points, frequency, table, self.mismatch, self.clip, 0.2, 2, self.jobs)


def _best_row(found: TemplateFit) -> NDArray[np.int64]:
    """Row of every curve with the smallest error of the amplitude; the first of equals."""
    best = [
        low + int(np.argmin(found.amplitude_error[low:high]))
        for low, high in pairwise(found.bands.tolist())
    ]
    return np.array(best, np.int64)
