"""Take out of ground-based curves what the stars of a field have in common."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.detrend.epochs import group_epochs, match_epochs
from astroprep.detrend.members import (
    Curves,
    correct,
    harmonic_columns,
    held_out_gain,
    known_errors,
    learn_effects,
)
from astroprep.detrend.removal import remove
from astroprep.errors import ConfigError, DataError

__all__ = ["EnsembleTrend"]

Array = NDArray[np.float64]
LEAST_POINTS = 10  # of a star that teaches: a level, an effect and something left to judge by
TEMPLATES = 30  # of TFA, at most, when not given: Kovacs et al. took hundreds for 3,000 points
POINTS_PER_TEMPLATE = 10


class EnsembleTrend(Transformer):
    """Learn the systematics that stars share at their common exposures, and take them out.

    ``fit`` learns effects at the epochs of an ensemble: SysRem's, which are the best products of
    a number per star and a number per epoch, or TFA's, which are the curves of quiet stars.
    ``transform`` fits them to each curve, with a Gaussian prior that the evidence chooses, and
    takes them out. A star never corrects itself: the ensemble is learned once for every fold of
    its stars, without them; a star that was not in the ensemble takes the effects of all.

    Parameters
    ----------
    method : {"sysrem", "tfa"}, default "sysrem"
        ``"sysrem"`` weighs by errors and takes missing points as they come; ``"tfa"`` finds what
        few stars share, at the price of more coefficients.
    components : int or None, default None
        Effects of SysRem. None adds effects while the next lowers the Bayesian information
        criterion of the stars held out, on average, and stops at `max_components`.
    max_components : int, default 5
        What `components` may reach: airmass, colour, seeing and two more.
    templates : int or None, default None
        Curves that TFA takes. None for one in ten points of the median star, 30 at most.
    tolerance : float, default 0.001
        Days in which times are of one exposure: more than the heliocentric time differs in a
        field, less than the exposures follow each other.
    min_stars : int, default 5
        Stars that an epoch must have; at others nothing is learned or corrected.
    folds : int, default 5
        Parts of the ensemble; one star each where there are fewer stars.
    period : str, default "period"
        Column of periods in ``objects``, days. Stars that have one teach with what their folded
        harmonic model leaves; where there is no such column, only quiet stars do.
    harmonics : int, default 6
        Of that model, at most; one for 12 points.
    reconstruct : bool, default True
        Fit the model of a periodic star together with the effects, so that its amplitude is kept.
    quiet : float, default 3.0
        Stars that scatter, in their errors, so many times more than the median star do not teach.
    removal : {"auto", "subtract", "divide"}, default "auto"
        ``"auto"`` subtracts from magnitudes and divides fluxes.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves that share too few epochs with the ensemble, or have a level that
        is not positive when it must be divided by.

    Attributes
    ----------
    epochs_ : float64 array, shape (n_epochs,)
        Days.
    effects_, variances_ : float64 array, shape (n_folds + 1, n_effects, n_epochs)
        Effects of rms one without each fold, then of all stars; NaN where they are not known.
    covered_ : float64 array, shape (n_folds + 1, n_epochs)
        Finite at epochs where effects are known.
    ids_ : list of str
        Stars of the ensemble.
    folds_ : int64 array, shape (n_stars,)
        Fold of each.
    n_components_ : int
        Effects in use.

    Raises
    ------
    DataError
        If fewer than two stars share epochs: one star is no ensemble.

    Notes
    -----
    ``value - trend + level`` or ``value / trend * level`` with the median of the curve as level.
    ``points["trend"]`` and ``points["trend_err"]`` have the unit of the value; the trend is NaN,
    and the point left as it is, at epochs that are not known. For new nights fit on the curves
    that have them. Points with EVENT make no trend and are corrected by it. Stars are known
    by ``id``: give both measurements of a star one id, or they correct each other.

    References
    ----------
    .. [1] Tamuz, Mazeh & Zucker 2005, MNRAS 356, 1466, doi:10.1111/j.1365-2966.2004.08585.x
    .. [2] Kovacs, Bakos & Noyes 2005, MNRAS 356, 557, arXiv:astro-ph/0411724
    """

    needs = Needs()
    example = {"tolerance": 40.0, "min_stars": 1}  # noqa: RUF012

    def __init__(
        self,
        method: Literal["sysrem", "tfa"] = "sysrem",
        components: int | None = None,
        max_components: int = 5,
        templates: int | None = None,
        tolerance: float = 0.001,
        min_stars: int = 5,
        folds: int = 5,
        period: str = "period",
        harmonics: int = 6,
        reconstruct: bool = True,
        quiet: float = 3.0,
        removal: Literal["auto", "subtract", "divide"] = "auto",
        on_bad: OnBad = "raise",
    ) -> None:
        self.method = method
        self.components = components
        self.max_components = max_components
        self.templates = templates
        self.tolerance = tolerance
        self.min_stars = min_stars
        self.folds = folds
        self.period = period
        self.harmonics = harmonics
        self.reconstruct = reconstruct
        self.quiet = quiet
        self.removal = removal
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = [
            f"{name} must be positive, got {value!r}"
            for name in ("tolerance", "quiet")
            if not (value := getattr(self, name)) > 0
        ]
        least = {"components": 0, "templates": 1, "max_components": 1, "min_stars": 1}
        for name, low in (least | {"folds": 2, "harmonics": 1}).items():
            value = getattr(self, name)
            if value is not None and not (value >= low and value == int(value)):
                wrong.append(f"{name} must be a whole number from {low}, got {value!r}")
        if self.method not in ("sysrem", "tfa"):
            wrong.append(f"method must be 'sysrem' or 'tfa', got {self.method!r}")
        if self.removal not in ("auto", "subtract", "divide"):
            wrong.append(f"removal must be 'auto', 'subtract' or 'divide', got {self.removal!r}")
        if wrong:
            raise ConfigError("EnsembleTrend: " + "; ".join(wrong))

    def _fit(self, batch: LightCurveBatch) -> None:
        usable = batch.usable
        event = (batch.flags[usable.index] & np.uint32(PointFlag.EVENT)) > 0
        self.epochs_ = group_epochs(usable.time[~event], self.tolerance)
        curves, stars = self._curves(batch)
        n_stars = stars.size
        if n_stars < 2:
            raise DataError(
                f"EnsembleTrend needs at least 2 stars that share epochs within {self.tolerance} "
                f"d and have {LEAST_POINTS} points, got {n_stars} of {batch.n_curves}; widen "
                "tolerance, lower min_stars, or give it the stars of a field"
            )
        ids = [str(batch.ids[i]) for i in stars]
        order = np.argsort(np.array(ids), kind="stable")
        n_folds = min(self.folds, n_stars)
        folds = np.empty(n_stars, np.int64)
        folds[order] = np.arange(n_stars) % n_folds
        size = self._size(curves)
        learned = [
            learn_effects(
                curves.take(np.flatnonzero(folds != fold)),
                self.method,
                size,
                self.harmonics,
                self.quiet,
                self.min_stars,
            )
            for fold in range(n_folds + 1)
        ]
        least = min(effect.shape[0] for effect, _ in learned)
        effects = np.stack([effect[:least] for effect, _ in learned])
        if self.method == "sysrem" and self.components is None:
            least = self._stop(curves, effects, folds)
        # an epoch without effects may still have been seen, by none of the components in use
        self.covered_ = (
            effects[:, 0] if effects.shape[1] else np.zeros((effects.shape[0], self.epochs_.size))
        )
        self.effects_ = effects[:, :least]
        self.variances_ = np.stack([variance[:least] for _, variance in learned])
        self.ids_, self.folds_, self.n_components_ = ids, folds, least

    def _size(self, curves: Curves) -> int:
        """Effects to learn."""
        if self.method == "sysrem":
            return self.max_components if self.components is None else self.components
        if self.templates is not None:
            return self.templates
        middle = float(np.median(np.diff(curves.offsets)))
        return max(1, min(TEMPLATES, int(middle / POINTS_PER_TEMPLATE)))

    def _stop(self, curves: Curves, effects: Array, folds: NDArray[np.int64]) -> int:
        """Number of effects that pay, judged by stars that did not make them."""
        gain = np.concatenate(
            [
                held_out_gain(curves.take(np.flatnonzero(folds == f)), effects[f], self.harmonics)
                for f in range(effects.shape[0] - 1)
            ]
        )
        judged = np.isfinite(gain).all(axis=1)
        if not judged.any():
            return 0
        pays = gain[judged].mean(axis=0) > 0
        return int(np.argmin(pays)) if not pays.all() else int(pays.size)

    def _curves(self, batch: LightCurveBatch) -> tuple[Curves, NDArray[np.int64]]:
        """Points that may teach, and the curves they are of."""
        usable, divide = batch.usable, self._divides(batch)
        epoch = match_epochs(usable.time, self.epochs_, self.tolerance)
        epoch[(batch.flags[usable.index] & np.uint32(PointFlag.EVENT)) > 0] = -1
        curve = np.repeat(np.arange(batch.n_curves), usable.counts())
        crowd = np.bincount(epoch[epoch >= 0], minlength=max(self.epochs_.size, 1))
        taught = (epoch >= 0) & (crowd[epoch] >= max(self.min_stars, 2))
        enough = np.bincount(curve[taught], minlength=batch.n_curves) >= LEAST_POINTS
        level = self._levels(batch)
        enough &= (level > 0) | (not divide)
        stars = np.flatnonzero(enough)
        keep = taught & enough[curve]
        unit = level[curve[keep]] if divide else 1.0
        value, error = (usable.value[keep] - level[curve[keep]]) / unit, usable.error[keep] / unit
        sizes = np.bincount(curve[keep], minlength=batch.n_curves)[stars]
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        for i in range(stars.size):
            part = slice(*offsets[i : i + 2])
            error[part] = known_errors(value[part], error[part])
        periods = self._periods(batch)[stars]
        n_epochs = self.epochs_.size
        curves = Curves(usable.time[keep], value, error, epoch[keep], offsets, periods, n_epochs)
        return curves, stars

    def _divides(self, batch: LightCurveBatch) -> bool:
        return self.removal == "divide" or (
            self.removal == "auto" and batch.meta.quantity == "flux"
        )

    def _periods(self, batch: LightCurveBatch) -> Array:
        """Period of each curve, NaN where it has none."""
        if self.period not in batch.objects:
            return np.full(batch.n_curves, np.nan)
        period = np.asarray(batch.objects[self.period], np.float64)
        return np.where(np.isfinite(period) & (period > 0), period, np.nan)

    @staticmethod
    def _levels(batch: LightCurveBatch) -> Array:
        """Median of each curve outside its events, NaN where it has no usable point."""
        usable = batch.usable
        calm = (batch.flags[usable.index] & np.uint32(PointFlag.EVENT)) == 0
        level = np.full(batch.n_curves, np.nan)
        for i in np.flatnonzero(usable.counts()):
            part = slice(*usable.offsets[i : i + 2])
            value = usable.value[part]
            level[i] = np.median(value[calm[part]] if calm[part].any() else value)
        return level

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        divide, level, period = self._divides(batch), self._levels(batch), self._periods(batch)
        fold_of = dict(zip(self.ids_, np.asarray(self.folds_).tolist(), strict=True))
        trend = np.full((2, batch.n_points), np.nan)
        why = np.full(batch.n_curves, "", dtype=object)
        for i in range(batch.n_curves):
            part = slice(*batch.offsets[i : i + 2])
            if not np.isfinite(level[i]):
                why[i] = "usable points, has none"
            elif divide and not level[i] > 0:
                why[i] = "a positive level to divide by (removal='subtract' needs none)"
            else:
                fold = fold_of.get(str(batch.ids[i]), -1)
                unit = level[i] if divide else 1.0
                why[i] = self._one(batch, i, fold, level[i], unit, period[i], trend[:, part])
                if divide and not why[i] and not (np.nan_to_num(trend[0, part], nan=1.0) > 0).all():
                    why[i] = "a positive trend to divide by (removal='subtract' needs none)"
        result = batch.with_columns(points={"trend": trend[0], "trend_err": trend[1]})
        return remove(self.refuse(result, why != "", why), level[why == ""], divide)

    def _one(
        self,
        batch: LightCurveBatch,
        i: int,
        fold: int,
        level: float,
        unit: float,
        period: float,
        trend: Array,
    ) -> str:
        """Fill the trend of one curve; returns why it is refused, if it is."""
        first, last = batch.offsets[i : i + 2]
        time, flags = batch.time[first:last], batch.flags[first:last]
        epoch = match_epochs(time, np.asarray(self.epochs_), self.tolerance)
        effects = np.asarray(self.effects_)[fold][:, epoch].T
        known = (epoch >= 0) & ((flags & np.uint32(PointFlag.BAD_TIME)) == 0)
        known &= np.isfinite(np.asarray(self.covered_)[fold][epoch])
        make = np.zeros(last - first, bool)
        make[batch.usable.index[slice(*batch.usable.offsets[i : i + 2])] - first] = True
        make &= known & ((flags & np.uint32(PointFlag.EVENT)) == 0)
        if not make.any():
            return "points at epochs shared with the ensemble, has none"
        order = np.flatnonzero(known)
        order = order[np.argsort(time[order], kind="stable")]
        make = make[order]
        with np.errstate(divide="ignore"):
            error = batch.error[first:last][order] / np.sqrt(batch.weight[first:last][order])
        value = np.where(make, (batch.value[first:last][order] - level) / unit, 0.0)
        error[make] = known_errors(value[make], error[make] / unit)
        own = harmonic_columns(time[order], period, self.harmonics, int(make.sum()))
        if not self.reconstruct:
            own = own[:, :0]
        variances = np.asarray(self.variances_)[fold][:, epoch].T[order]
        fit = correct(time[order], value, error, make, effects[order], variances, own)
        if isinstance(fit, str):
            return fit
        trend[0, order] = level + unit * fit.systematic
        trend[1, order] = unit * fit.error
        return ""
