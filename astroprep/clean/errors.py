"""Error bars rescaled so that the constant stars of a field scatter by one sigma."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.clean.error_model import robust_scatter, solve_errors, standard_residuals
from astroprep.clean.series import Series, band_names, series_of
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError

__all__ = ["ErrorRescaler"]

MAD_SPREAD = 1.167  # standard deviation of MAD sigma * sqrt(n) / sigma, Gaussian, many points
OUTLYING = 5.0  # sigmas of the model beyond which a point has no say in it
MAX_ROUNDS = 30
SETTLED = 1e-4  # relative change of the model's errors that ends the rounds


@dataclass(frozen=True, eq=False)
class _Field:
    """Points of one band of a field."""

    series: Series
    groups: NDArray[np.int64]  # offsets of the groups that have a mean each
    free: NDArray[np.int64]  # points less means, of each star
    star: NDArray[np.int64]  # of each point
    bin: NDArray[np.int64]  # of brightness, of each star

    @property
    def at_point(self) -> NDArray[np.int64]:
        """Brightness bin of each point."""
        return self.bin[self.star]


class ErrorRescaler(Transformer):
    """Learn what error bars are worth from the constant stars of a field, and correct them.

    New errors are ``sqrt((a e)^2 + s(brightness)^2)``: a factor for what the survey
    misjudged everywhere, and a floor for what its errors do not know (flat fields, the sky).
    Both are learned for each band; the floor in bins of brightness, between which it is
    interpolated.

    Parameters
    ----------
    n_bins : int, default 8
        Bins of brightness with equally many stars; fewer where there are not enough stars.
    min_stars : int, default 20
        Constant stars that a bin needs; with fewer in a whole band nothing is learned and the
        fit is refused. The errors of 20 stars with 100 points are good to some 3 %.
    max_scatter : float, default 3.0
        A star varies when its scatter exceeds the typical one of its brightness by so many
        sigmas of that scatter.
    group : float or None, default None
        Points within so many days of the one before share a mean: 0.1 compares exposures of
        one night, so that even stars that vary from night to night tell of the errors. None
        compares all points of a curve, which sees night-to-night errors as well.
    max_factor : float, default 10.0
        Bounds ``a`` both ways and the floor to so many typical errors; more means wrong units.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves with a missing error on a usable point, or in a band that the
        field had none of.

    Attributes
    ----------
    bands_ : list of str
        Names of the bands that were learned; ``[""]`` where there are none.
    factor_ : float64 array, shape (n_bands,)
        ``a``; NaN for a band without points.
    brightness_, floor_ : float64 array, shape (n_bands, n_bins)
        Median brightness of the bins and ``s`` there, in the unit of the value; the last entry
        is repeated where a band has fewer bins.
    n_constant_, n_stars_ : int64 array, shape (n_bands,)
        Stars that served, and all with points enough.

    Notes
    -----
    In each bin of brightness the points of constant stars are grouped by their errors. The
    robust variance (MAD) of each group is set against ``a^2 <e^2> + s^2``, by least squares with
    non-negative unknowns and weights of the sampling errors; residuals are standardised with
    the model and the fit repeated until it stands. Which stars are constant is decided anew
    in each round, by their scatter relative to the median of their bin. Where errors of one
    brightness are all equal only the sum of factor and floor is determined, and that is what
    is applied.

    The brightness of a curve is the median of its usable values in the band. No point is
    flagged and no value changes.

    References
    ----------
    .. [1] Skowron et al. 2016, Acta Astron. 66, 1, arXiv:1604.01966 (factor and floor of the
       errors of OGLE-IV, from constant stars)
    .. [2] Rousseeuw & Croux 1993, JASA 88, 1273, doi:10.1080/01621459.1993.10476408
    """

    needs = Needs(errors=True, single_band=False)
    example = {"min_stars": 1}  # noqa: RUF012  (read, never written)

    def __init__(
        self,
        n_bins: int = 8,
        min_stars: int = 20,
        max_scatter: float = 3.0,
        group: float | None = None,
        max_factor: float = 10.0,
        on_bad: OnBad = "raise",
    ) -> None:
        self.n_bins = n_bins
        self.min_stars = min_stars
        self.max_scatter = max_scatter
        self.group = group
        self.max_factor = max_factor
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = [
            f"{name} must be a whole number from 1, got {value!r}"
            for name in ("n_bins", "min_stars")
            if (value := getattr(self, name)) < 1 or value != int(value)
        ]
        if not self.max_scatter > 0:
            wrong.append(f"max_scatter must be positive, got {self.max_scatter!r}")
        if self.group is not None and not self.group > 0:
            wrong.append(f"group must be positive, got {self.group!r}")
        if not self.max_factor >= 1:
            wrong.append(f"max_factor must be at least 1, got {self.max_factor!r}")
        if wrong:
            raise ConfigError("ErrorRescaler: " + "; ".join(wrong))

    def _fit(self, batch: LightCurveBatch) -> None:
        names = band_names(batch)
        series = series_of(batch)
        # the survey's errors, not those that weights have made larger: a point may be distrusted
        # for reasons that say nothing of error bars
        series = replace(series, error=batch.error[series.index])
        learned = [self._learn_band(series, code, name) for code, name in enumerate(names)]
        if all(one is None for one in learned):
            raise DataError("ErrorRescaler: the field has no curve with two points that compare")
        width = max(one[1].size for one in learned if one is not None)
        self.bands_ = list(names)
        self.factor_ = np.full(len(names), np.nan)
        self.brightness_ = np.full((len(names), width), np.nan)
        self.floor_ = np.full((len(names), width), np.nan)
        self.n_constant_ = np.zeros(len(names), np.int64)
        self.n_stars_ = np.zeros(len(names), np.int64)
        for code, one in enumerate(learned):
            if one is None:
                continue
            self.factor_[code], brightness, floor, constant, stars = one
            self.brightness_[code] = np.pad(brightness, (0, width - brightness.size), mode="edge")
            self.floor_[code] = np.pad(floor, (0, width - floor.size), mode="edge")
            self.n_constant_[code], self.n_stars_[code] = constant, stars

    def _learn_band(
        self, series: Series, code: int, name: str
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], int, int] | None:
        """Factor, brightness and floor of the bins, constant and all stars of one band."""
        one = _one_band(series, code)
        groups = _groups(one, self.group)
        free = _freedom(one, groups)
        stars = np.flatnonzero(free)
        if not stars.size:
            return None
        brightness = _medians(one)
        n_bins = int(np.clip(stars.size // self.min_stars, 1, self.n_bins))
        where = np.zeros(free.size, np.int64)
        order = stars[np.argsort(brightness[stars], kind="stable")]
        for b, part in enumerate(np.array_split(order, n_bins)):
            where[part] = b
        field = _Field(one, groups, free, np.repeat(np.arange(free.size), one.counts()), where)
        factor, floor, constant = self._settle(field, n_bins)
        if constant.sum() < self.min_stars:
            text = f" in band {name!r}" if name else ""
            raise DataError(
                f"ErrorRescaler needs at least {self.min_stars} constant stars{text}, found "
                f"{int(constant.sum())} among {stars.size}; give a larger field, or set group=0.1 "
                "to judge by exposures of one night"
            )
        centre = np.array([np.median(brightness[stars][where[stars] == b]) for b in range(n_bins)])
        return factor, centre, floor, int(constant.sum()), int(stars.size)

    def _settle(
        self, field: _Field, n_bins: int
    ) -> tuple[float, NDArray[np.float64], NDArray[np.bool_]]:
        """Rounds of: residuals with the model, constant stars, model from those."""
        one = field.series
        factor, floor = 1.0, np.zeros(n_bins)
        typical = np.median(one.error)
        model = one.error
        for _ in range(MAX_ROUNDS):
            z = standard_residuals(one.value, model, field.groups)
            constant = self._constant(robust_scatter(z, one.offsets), field, n_bins)
            use = constant[field.star] & (np.abs(z) < OUTLYING)
            if not use.any():
                break
            factor, floor = solve_errors(
                one.error[use], model[use], z[use], field.at_point[use], n_bins
            )
            factor = float(np.clip(factor, 1 / self.max_factor, self.max_factor))
            floor = np.minimum(floor, self.max_factor * typical)
            before, model = model, np.hypot(factor * one.error, floor[field.at_point])
            if np.max(np.abs(model / before - 1)) < SETTLED:
                break
        return factor, floor, constant

    def _constant(
        self, scatter: NDArray[np.float64], field: _Field, n_bins: int
    ) -> NDArray[np.bool_]:
        """Stars whose scatter is that of most stars of their brightness."""
        constant = (field.free > 0) & np.isfinite(scatter)
        for b in range(n_bins):
            here = np.flatnonzero((field.bin == b) & constant)
            for _ in range(MAX_ROUNDS):
                chosen = here[constant[here]]
                if not chosen.size:
                    break
                typical = np.median(scatter[chosen])
                spread = MAD_SPREAD / np.sqrt(field.free[here])
                limit = typical * (1 + self.max_scatter * spread)
                now = scatter[here] <= limit
                if np.array_equal(now, constant[here]):
                    break
                constant[here] = now
        return constant

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        names = band_names(batch)
        place = np.array(
            [self.bands_.index(n) if n in self.bands_ else -1 for n in names], dtype=np.int64
        )
        known = (place >= 0) & np.isfinite(self.factor_[place])
        series = series_of(batch)
        unknown = (series.counts().reshape(-1, series.n_bands) > 0) & ~known
        if unknown.any():
            learned = ", ".join(
                repr(n) for n, a in zip(self.bands_, self.factor_, strict=True) if np.isfinite(a)
            )
            batch = self.refuse(
                batch, unknown.any(axis=1), f"only bands whose errors were learned ({learned})"
            )
            series = series_of(batch)
        code = np.zeros(batch.n_points, np.int64) if batch.band is None else batch.band
        level = _medians(series).reshape(-1, series.n_bands)
        curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
        error = batch.error.copy()
        with np.errstate(invalid="ignore"):
            there = (error > 0) & np.isfinite(error) & known[code] & np.isfinite(level[curve, code])
        for c in np.flatnonzero(known):
            mine = there & (code == c)
            p = place[c]
            floor = np.interp(level[curve[mine], c], self.brightness_[p], self.floor_[p])
            error[mine] = np.hypot(self.factor_[p] * error[mine], floor)
        return batch.with_columns(error=error)


def _one_band(series: Series, code: int) -> Series:
    """Points of one band, one series a curve."""
    counts = series.counts().reshape(-1, series.n_bands)
    band = np.repeat(np.arange(series.offsets.size - 1) % series.n_bands, series.counts())
    mine = band == code
    return Series(
        time=series.time[mine],
        value=series.value[mine],
        error=series.error[mine],
        offsets=np.concatenate(([0], np.cumsum(counts[:, code]))),
        index=series.index[mine],
        n_bands=1,
        n_points=series.n_points,
    )


def _groups(series: Series, group: float | None) -> NDArray[np.int64]:
    """Offsets of the groups that share a mean: the series, or what lies close in time."""
    if group is None:
        return series.offsets
    start = np.ones(series.time.size, bool)
    start[1:] = np.diff(series.time) > group
    start[series.offsets[:-1][series.counts() > 0]] = True
    return np.append(np.flatnonzero(start), series.time.size)


def _freedom(series: Series, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Points of each series less the means of their groups."""
    sizes = np.diff(groups)
    shared = sizes > 1
    owner = np.searchsorted(series.offsets, groups[:-1][shared], side="right") - 1
    free = np.zeros(series.offsets.size - 1, np.int64)
    np.add.at(free, owner, sizes[shared] - 1)
    return free


def _medians(series: Series) -> NDArray[np.float64]:
    """Median value of each series, NaN for an empty one."""
    median = np.full(series.offsets.size - 1, np.nan)
    for k in np.flatnonzero(series.counts()):
        median[k] = np.median(series.value[series.offsets[k] : series.offsets[k + 1]])
    return median
