"""Take out what the telemetry of an instrument explains, and leave what the star does."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.detrend.blas import one_blas_thread
from astroprep.detrend.jointfit import JointFit, StarModel, count_columns, fit_jointly, refusal
from astroprep.detrend.regressors import polynomial, roll, roll_size
from astroprep.detrend.removal import remove
from astroprep.detrend.roll import arclength, find_firings, roll_frequency
from astroprep.errors import ConfigError, DataError

__all__ = ["TelemetryTrend"]

Array = NDArray[np.float64]
THRUSTER = 1048576 | 524288  # "definite" and "possible" firing; Kepler Archive Manual, table 2-3


class TelemetryTrend(Transformer):
    """Regress curves on telemetry, jointly with the star's own variability.

    The model of a curve is a function of the telemetry, plus a slow spline, plus the coherent
    oscillations found, plus noise. All are fitted together and only the first is taken out, so
    that what the star does is neither removed nor mistaken for the instrument. How smooth each
    part is, and how large, is a Gaussian prior whose width the evidence of the curve itself
    chooses. Points with EVENT and outliers make no trend and are corrected by it.

    Parameters
    ----------
    columns : tuple of str, default ("pos_corr1", "pos_corr2")
        Names in ``points``; ``"time"`` stands for the times themselves.
    model : {"auto", "roll", "polynomial"}, default "auto"
        ``"roll"`` takes two columns as a position: a spline along its arc that changes with
        time (self flat-fielding), a parabola across it. ``"polynomial"`` takes powers of each
        column. ``"auto"`` is the roll for the two columns ``pos_corr1`` and ``pos_corr2``.
    degree : int, default 2
        Highest power of the polynomial: curved responses (focus, airmass squared) are usual,
        higher powers run away at the ends.
    pieces : int, default 15
        Pieces of the spline along the arc; the prior smooths them, so that more cost only time.
        Self flat-fielding took 15 bins.
    window : float, default 10.0
        Days over which the response along the arc may change, as the star drifts across the
        arc; the prior decides how much it does.
    slow : float, default 0.5
        Distance of the knots of the star's slow curve, days; longer than the roll's six hours and
        shorter than rotation. Zero fits no slow curve (few points; ground-based data).
    oscillations : int, default 12
        Sinusoids at most that are fitted along: pulsators and close binaries vary as fast as the
        roll. Zero for none.
    clip : float, default 4.0
        Robust sigmas beyond which a point makes no trend.
    firing_bits : int, default 1572864
        Bits of ``points["survey_flags"]`` that mean a thruster firing; where that column is not
        there or holds none of them, firings are found from jumps along the arc. They are marked
        SURVEY, which excludes them. Only with the roll; zero looks for none.
    method : {"auto", "subtract", "divide"}, default "auto"
        ``"auto"`` subtracts from magnitudes and divides fluxes.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves that have no finite telemetry, fewer points than coefficients, or
        a level that is not positive when it must be divided by.

    Raises
    ------
    DataError
        If the batch lacks a column.

    Notes
    -----
    ``value - trend + level`` or ``value / trend * level``, with the median of the points that
    make the trend as level. ``points["trend"]`` and ``points["trend_err"]`` have the unit of the
    value; the trend is NaN, and the point left as it is, where telemetry is not finite. Columns
    that do not change give a trend equal to the level. The depth of unmarked transits loses some
    hundredths to the fit (``benchmarks/detrend_k2.py``); marked EVENT, they keep all of it.
    Without errors all points weigh the same; the noise level is fitted in any case.

    References
    ----------
    .. [1] Vanderburg & Johnson 2014, PASP 126, 948, arXiv:1408.3853 (self flat-fielding)
    .. [2] Aigrain, Parviainen & Pope 2016, MNRAS 459, 2408, arXiv:1603.09167 (joint fit)
    .. [3] Luger et al. 2016, AJ 152, 100, arXiv:1607.00524 (Gaussian priors for regressors)
    """

    needs = Needs()
    example = {"columns": ("time",), "slow": 0.0, "oscillations": 0, "degree": 1}  # noqa: RUF012

    def __init__(
        self,
        columns: tuple[str, ...] = ("pos_corr1", "pos_corr2"),
        model: Literal["auto", "roll", "polynomial"] = "auto",
        degree: int = 2,
        pieces: int = 15,
        window: float = 10.0,
        slow: float = 0.5,
        oscillations: int = 12,
        clip: float = 4.0,
        firing_bits: int = THRUSTER,
        method: Literal["auto", "subtract", "divide"] = "auto",
        on_bad: OnBad = "raise",
    ) -> None:
        self.columns = columns
        self.model = model
        self.degree = degree
        self.pieces = pieces
        self.window = window
        self.slow = slow
        self.oscillations = oscillations
        self.clip = clip
        self.firing_bits = firing_bits
        self.method = method
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = [
            f"{name} must be positive, got {value!r}"
            for name in ("window", "clip")
            if not (value := getattr(self, name)) > 0
        ]
        if not self.slow >= 0:
            wrong.append(f"slow must be days between knots, or 0 for none, got {self.slow!r}")
        for name, least in (("degree", 1), ("pieces", 2), ("oscillations", 0), ("firing_bits", 0)):
            value = getattr(self, name)
            if not (value >= least and value == int(value)):
                wrong.append(f"{name} must be a whole number from {least}, got {value!r}")
        texts = isinstance(self.columns, str) or not all(isinstance(c, str) for c in self.columns)
        if texts or len(self.columns) == 0:
            wrong.append(f"columns must be a tuple of names, got {self.columns!r}")
        if self.model not in ("auto", "roll", "polynomial"):
            wrong.append(f"model must be 'auto', 'roll' or 'polynomial', got {self.model!r}")
        if self.model == "roll" and len(self.columns) != 2:
            wrong.append(f"the roll needs two columns, got {len(self.columns)}")
        if self.method not in ("auto", "subtract", "divide"):
            wrong.append(f"method must be 'auto', 'subtract' or 'divide', got {self.method!r}")
        if wrong:
            raise ConfigError("TelemetryTrend: " + "; ".join(wrong))

    @property
    def _rolls(self) -> bool:
        names = tuple(self.columns)
        return self.model == "roll" or (
            self.model == "auto" and names == ("pos_corr1", "pos_corr2")
        )

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        missing = [n for n in self.columns if n != "time" and n not in batch.points]
        if missing:
            raise DataError(
                f"TelemetryTrend needs the columns {', '.join(map(repr, missing))} per point, but "
                f"the batch has {', '.join(sorted(batch.points)) or 'none'}; read them with the "
                "survey (open_survey keeps the telemetry of space missions) or name others"
            )
        with one_blas_thread():
            return self._fit_all(batch)

    def _fit_all(self, batch: LightCurveBatch) -> LightCurveBatch:
        """Fit the curves one after the other."""
        batch = self._mark_firings(batch)
        divide = self.method == "divide" or (
            self.method == "auto" and batch.meta.quantity == "flux"
        )
        trend = np.full((2, batch.n_points), np.nan)
        level = np.full(batch.n_curves, np.nan)
        why = np.full(batch.n_curves, "", dtype=object)
        for i in range(batch.n_curves):
            part = slice(*batch.offsets[i : i + 2])
            level[i], why[i] = self._one(batch, i, divide, trend[:, part])
        result = batch.with_columns(points={"trend": trend[0], "trend_err": trend[1]})
        return remove(self.refuse(result, why != "", why), level[why == ""], divide)

    def _mark_firings(self, batch: LightCurveBatch) -> LightCurveBatch:
        """Flag the cadences in which the thrusters fired."""
        if not (self._rolls and self.firing_bits):
            return batch
        fired = np.zeros(batch.n_points, bool)
        if "survey_flags" in batch.points:
            survey = np.asarray(batch.points["survey_flags"], np.int64)
            fired = (survey & self.firing_bits) != 0
        for i in range(batch.n_curves):
            if not fired[slice(*batch.offsets[i : i + 2])].any():
                where = batch.usable.index[slice(*batch.usable.offsets[i : i + 2])]
                place = self._telemetry(batch, where)
                good = np.isfinite(place).all(axis=1)
                x, y = place[good].T
                along, _ = arclength(x, y, np.ones(x.size, bool))
                fired[where[good][find_firings(along)]] = True
        bit = np.uint32(PointFlag.SURVEY)
        return batch.with_columns(
            flags=np.where(fired, batch.flags | bit, batch.flags), points={"thruster": fired}
        )

    def _telemetry(self, batch: LightCurveBatch, where: Any) -> Array:
        """Telemetry at some points, shape (n_points, n_columns)."""
        return np.column_stack(
            [
                np.asarray(batch.time if name == "time" else batch.points[name], np.float64)[where]
                for name in self.columns
            ]
        )

    def _one(
        self,
        batch: LightCurveBatch,
        i: int,
        divide: bool,
        trend: Array,
    ) -> tuple[float, str]:
        """Fill the trend of one curve; its level, and why it is refused."""
        usable = batch.usable.index[slice(*batch.usable.offsets[i : i + 2])]
        first, last = batch.offsets[i : i + 2]
        if usable.size == 0:
            return np.nan, "usable points, has none"
        flags, value = batch.flags[first:last], batch.value[first:last]
        telemetry, time = self._telemetry(batch, slice(first, last)), batch.time[first:last]
        known = np.isfinite(telemetry).all(axis=1) & np.isfinite(time)
        known &= (flags & np.uint32(PointFlag.BAD_TIME)) == 0
        make = np.zeros(last - first, bool)
        make[usable - first] = True
        make &= known & ((flags & np.uint32(PointFlag.EVENT)) == 0)
        if not make.any():
            return (
                np.nan,
                f"finite telemetry ({', '.join(self.columns)}) at usable points, has none",
            )
        level = float(np.median(value[make]))
        if divide and not level > 0:
            return level, "a positive level to divide by (method='subtract' needs none)"
        order = np.flatnonzero(known)
        order = order[np.argsort(time[order], kind="stable")]
        weight = batch.weight[first:last][order]
        with np.errstate(divide="ignore"):
            error = batch.error[first:last][order] / np.sqrt(weight)
        fit = self._fit_curve(
            time[order],
            value[order],
            error,
            make[order],
            telemetry[order],
            divide,
        )
        if isinstance(fit, str):
            return level, fit
        trend[0, order] = level + fit.systematic
        trend[1, order] = fit.error
        if divide and not (trend[0, order] > 0).all():
            return level, "a positive trend to divide by (method='subtract' needs none)"
        return level, ""

    def _fit_curve(
        self,
        time: Array,
        value: Array,
        error: Array,
        make: NDArray[np.bool_],
        telemetry: Array,
        divide: bool,
    ) -> JointFit | str:
        """Fit one curve, its points sorted by time."""
        days, frequency = float(np.ptp(time[make])), 0.0
        size = self.degree * telemetry.shape[1]
        if self._rolls:
            _, size = roll_size(days, self.pieces, self.window)
        why = refusal(count_columns(size, days, self.slow), int(make.sum()))
        if why:
            return why
        if self._rolls:
            along, across = arclength(telemetry[:, 0], telemetry[:, 1], make)
            regressors = roll(along, across, time, make, self.pieces, self.window)
            if self.oscillations:
                frequency = roll_frequency(time[make], along[make])
        else:
            regressors = polynomial(telemetry, make, self.degree)
        star = StarModel(self.slow, self.oscillations, frequency, self.clip, divide)
        return fit_jointly(time, value, error, make, regressors, star)
