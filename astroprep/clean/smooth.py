"""Smooth light curves by regression: local polynomials or smoothing splines."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.clean.local_polynomial import local_polynomial
from astroprep.clean.polynomial_windows import MAX_DEGREE
from astroprep.clean.series import Series, series_of
from astroprep.clean.spline import smoothing_spline
from astroprep.clean.spline_curve import BY_CUTOFF, BY_DOF, BY_GCV
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError

__all__ = ["Smooth"]

DEFAULT_WINDOW = 1.0  # days: an eighth of a slow rotation, 49 long cadences of Kepler


class Smooth(Transformer):
    """Replace each value by a smooth curve through its neighbours; the number of points stays.

    Parameters
    ----------
    method : {"polynomial", "spline"}, default "polynomial"
        A polynomial fitted in a window around each point (Savitzky and Golay's filter and
        LOESS, for irregular times and unequal errors), or a natural cubic smoothing spline.
    window : float or None, default None
        Days. Of a polynomial the full width of the window, one day by default; of a spline the
        period of which half the amplitude is kept, by default found by generalised
        cross-validation for each curve and band.
    degree : int, default 2
        Of the polynomial, 0 to 3; even ones bend as far at the middle of the window as the next
        odd one.
    kernel : {"uniform", "tricube"}, default "uniform"
        Weights in the window of a polynomial. Equal ones keep most for the noise taken away and
        cost the same for any window; ``"tricube"`` (LOESS) leaves no ripple beyond the cut-off.
    robust : int, default 0
        Repeats of a polynomial in which points far from it lose weight (bisquare; 3 is usual).
        An eclipse narrower than half a window is then an outlier: flag it as ``EVENT`` first.
    dof : float or None, default None
        Degrees of freedom of the spline of each curve and band, instead of a window: at least 2.
    gap : float or None, default None
        Longest step in time inside a piece, days; pieces do not see each other. None for half
        the window of a polynomial, and for none in a spline, which crosses gaps straight.
    on_bad : {"raise", "reject"}, default "raise"
        Every curve can be served, so it makes no difference here.

    Notes
    -----
    Bands are smoothed apart. Only usable points are changed, and those flagged as ``EVENT``
    neither enter the fit nor move. The new error is that of the smooth (of a spline Wahba's
    posterior one, which allows for bias); neighbours share it, they are no longer independent.
    Where a series has a missing error all its points count alike and the errors come from the
    residuals; with as many parameters as points the errors stay what they were.

    ``objects["smooth_dof"]`` is the number of parameters spent, ``objects["smooth_chi2"]`` the
    reduced chi squared of what was taken away (NaN where nothing is left to judge by): well
    above 1 a signal was smoothed away or the errors are too small. ``method="spline"`` adds
    ``objects["smooth_cutoff"]``, the period of half amplitude in days, one number a curve, or
    one a curve and band where there are bands (NaN for fewer than three different times).

    Sampled evenly, a quadratic in a window w keeps 0.99 of the amplitude of period 2.4 w, 0.90 of
    1.3 w and half of 0.78 w (`astroprep.clean.window_response`); a spline keeps
    ``1 / (1 + (cutoff / P)^4)``: 0.99 of 3.2 cut-offs, 0.90 of 1.7.
    `astroprep.clean.amplitude_kept` measures it on the curves at hand.

    References
    ----------
    .. [1] Savitzky & Golay 1964, Anal. Chem. 36, 1627, doi:10.1021/ac60214a047
    .. [2] Cleveland 1979, JASA 74, 829, doi:10.1080/01621459.1979.10481038
    .. [3] Reinsch 1967, Numer. Math. 10, 177, doi:10.1007/BF02162161
    """

    needs = Needs(single_band=False)

    def __init__(
        self,
        method: Literal["polynomial", "spline"] = "polynomial",
        window: float | None = None,
        degree: int = 2,
        kernel: Literal["uniform", "tricube"] = "uniform",
        robust: int = 0,
        dof: float | None = None,
        gap: float | None = None,
        on_bad: OnBad = "raise",
    ) -> None:
        self.method = method
        self.window = window
        self.degree = degree
        self.kernel = kernel
        self.robust = robust
        self.dof = dof
        self.gap = gap
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = [
            f"{name} must be positive and finite, got {value!r}"
            for name in ("window", "gap")
            if (value := getattr(self, name)) is not None and not 0 < value < np.inf
        ]
        if self.method not in ("polynomial", "spline"):
            wrong.append(f"method must be 'polynomial' or 'spline', got {self.method!r}")
        if self.degree not in range(MAX_DEGREE + 1):
            wrong.append(f"degree must be 0 to {MAX_DEGREE}, got {self.degree!r}")
        if self.kernel not in ("uniform", "tricube"):
            wrong.append(f"kernel must be 'uniform' or 'tricube', got {self.kernel!r}")
        if not 0 <= self.robust <= 20:
            wrong.append(f"robust must be 0 to 20, got {self.robust!r}")
        if self.dof is not None:
            if self.method != "spline" or self.window is not None:
                wrong.append("dof goes with method='spline' and without a window")
            if not self.dof >= 2:
                wrong.append(f"dof must be at least 2, got {self.dof!r}")
        if wrong:
            raise ConfigError("Smooth: " + "; ".join(wrong))

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        series = series_of(batch, without=PointFlag.EVENT)
        weight, unit, known = _weights(series)
        fit, variance, leverage, cutoff = self._smooth(series, weight)
        square = weight * (series.value - fit) ** 2
        where = np.repeat(np.arange(series.offsets.size - 1), series.counts())
        n_series = series.offsets.size - 1
        rss = np.bincount(where, square, minlength=n_series)
        dof = np.bincount(where, leverage, minlength=n_series).astype(np.float64)
        free = series.counts() - dof
        if self.method == "polynomial":  # no projection: a point's residual also holds the noise
            # of the others, in all 1 - 2 h + w var(fit) of a variance
            free += np.bincount(where, weight * variance - leverage, minlength=n_series)
        noise = np.full(n_series, np.nan)  # variance of a point of weight 1
        judged = free > 1e-6 * np.maximum(series.counts(), 1)
        noise[judged] = rss[judged] / free[judged]
        scale = np.where(known, unit**2, noise)[where]
        new_error = np.sqrt(scale * variance) * np.sqrt(batch.weight[series.index])
        value, error = batch.value.copy(), batch.error.copy()
        value[series.index] = fit
        has = np.isfinite(new_error) & (new_error > 0)
        error[series.index[has]] = new_error[has]
        chi2: NDArray[np.float64] = np.where(
            known & judged, rss / np.where(known, unit, 1.0) ** 2, 0.0
        )
        freedom = np.where(known & judged, free, 0.0)
        objects = {
            "smooth_dof": _per_curve(dof, series),
            "smooth_chi2": _ratio(_per_curve(chi2, series), _per_curve(freedom, series)),
        }
        if self.method == "spline":
            shape = (-1, series.n_bands) if series.n_bands > 1 else (-1,)
            objects["smooth_cutoff"] = cutoff.reshape(shape)
        return batch.with_columns(value=value, error=error, objects=objects)

    def _smooth(
        self, series: Series, weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], ...]:
        """Fit, variance, leverage at the points, cut-off of each series."""
        t, v, w, offsets = series.time, series.value, weight, series.offsets
        if self.method == "spline":
            gap = np.inf if self.gap is None else float(self.gap)
            rule, parameter = BY_GCV, 0.0
            if self.dof is not None:
                rule, parameter = BY_DOF, float(self.dof)
            elif self.window is not None:
                rule, parameter = BY_CUTOFF, float(self.window)
            fit, variance, leverage, cutoff, _ = smoothing_spline(
                t, v, w, offsets, gap, rule, parameter
            )
            return fit, variance, leverage, cutoff
        window = DEFAULT_WINDOW if self.window is None else float(self.window)
        gap = 0.5 * window if self.gap is None else float(self.gap)
        fit, variance, leverage = local_polynomial(
            t, v, w, offsets, window, gap, self.degree, self.kernel == "tricube", self.robust
        )
        return fit, variance, leverage, np.empty(0)


def _weights(
    series: Series,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Weights of the points relative to a mean error, that error, and whether it is known."""
    n_series = series.offsets.size - 1
    where = np.repeat(np.arange(n_series), series.counts())
    good = np.isfinite(series.error) & (series.error > 0)
    known = np.bincount(where[~good], minlength=n_series) == 0
    error = np.where(known[where], series.error, 1.0)
    unit = np.bincount(where, error, minlength=n_series) / np.maximum(series.counts(), 1)
    unit[series.counts() == 0] = 1.0
    return (unit[where] / error) ** 2, unit, known


def _per_curve(per_series: NDArray[np.float64], series: Series) -> NDArray[np.float64]:
    """Sum over the bands of each curve."""
    return np.asarray(per_series.reshape(-1, series.n_bands).sum(axis=1))


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quotient, NaN where nothing is below."""
    result = np.full(above.size, np.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result
