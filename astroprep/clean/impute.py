"""`Impute`: fill missing points by regression, with an error that says how sure that is."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.clean.cadence import absent_cadences, insert_points
from astroprep.clean.gaussian_process import gaussian_process_at
from astroprep.clean.harmonic_series import harmonic_at
from astroprep.clean.local_line import local_linear_at
from astroprep.clean.missing import count_per_curve, missing_points, reason_bits
from astroprep.clean.neighbours import beside, bridged
from astroprep.data import INFORMATIVE, LightCurveBatch, PointFlag
from astroprep.errors import ConfigError

__all__ = ["Impute"]

Points = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]
Predicted = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

METHODS = ("linear", "harmonic", "gp")
REASONS = ("missing_value", "missing_error", "sentinel", "survey")
NO_MODEL = np.uint32(PointFlag.EVENT | PointFlag.IMPUTED)


class _NeedsOfMethod:
    """Only the harmonic method asks for a period."""

    def __get__(self, step: Impute | None, owner: type) -> Needs:
        period = step is not None and step.method == "harmonic"
        return Needs(objects=("period",) if period else ())


class Impute(Transformer):
    """Fill points that lack a measurement with a regression on those that have one.

    The imputed point stays in use, flagged ``IMPUTED``. Its error is the standard deviation of a
    measurement about the model, and its weight is such that it never counts for more than the
    measurements that made it, where the survey quotes larger errors than that. It still adds
    nothing that was not known before: trees and networks learn as well from the mask
    (`KeepMissing`), and what is missing for a reason, faint stars and deep minima, is filled as
    if it were missing at random. Impute for methods that take no gaps.

    Parameters
    ----------
    method : {"linear", "harmonic", "gp"}, default "linear"
        ``"linear"``: error-weighted line through the window around the point, for dense
        sampling, whatever the star does. ``"harmonic"``: Fourier series at
        ``objects["period"]``, for sparse sampling of periodic stars. ``"gp"``: Gaussian process
        with a Matérn-3/2 kernel (extra ``gp``), for stars of irregular change.
    where : {"flagged", "cadence"}, default "flagged"
        Fill the points that are there but lack a measurement, or also put points in for the
        cadences that are absent (numbers left out in ``points["cadence"]``, or holes in an even
        sampling).
    reasons : tuple of str, default ("missing_value", "missing_error", "sentinel", "survey")
        Flags for which a point is filled, by the name of the `PointFlag` in lower case; a point
        with another excluding flag is not. Outliers are not among them by default, since an
        outlier may be a rare event; nor are upper limits, which are fainter than any line
        through the detections.
    window : float, default 0.5
        Largest full width in days of the line's window: some twenty points of a long Kepler
        cadence, shorter than most variation there. Each curve takes it or a half, a quarter and
        so on of it, by points left out in turn. Ground photometry has too few points in it, and
        is left alone: take the harmonic method there.
    max_gap : float or None, default None
        Longest gap in days that ``"linear"`` and ``"gp"`` bridge, and in which cadences are
        put; None for half the window.
    n_harmonics : int, default 4
        Of the series; fewer where a curve has fewer than three points a coefficient. Four
        follow a Cepheid or an RR Lyrae star, not a narrow eclipse.
    max_phase_gap : float, default 0.1
        Longest gap in cycles that ``"harmonic"`` bridges: a series of four harmonics is free to
        swing in a longer one.
    min_points : int, default 2
        Usable points in the window (``"linear"``) or in the curve; the methods ask for more where
        these cannot tell an error.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves of several bands, without a finite period (``"harmonic"``), or
        without even sampling (``"cadence"``).

    Notes
    -----
    What is beyond the limits is left missing: no extrapolation past the first or the last
    point, no bridge over a longer gap, no line through too few points, nothing where no error is
    to be had (a constant curve without errors). Nothing is filled where the nearest point on
    either side is an ``EVENT``, or the point itself is one, and no event and no earlier imputed
    point enters a model. Points with a bad time are never filled.

    An imputed point has a new value and a new error: the flags that excluded the old ones move to
    ``points["replaced_flags"]`` (uint32, 0 elsewhere), the rest stay. ``objects["n_imputed"]``
    and ``objects["n_left_missing"]`` (int64) count. See `local_linear_at` and `harmonic_at` for
    the error; where no survey error is known, the residuals alone give it.
    """

    needs: ClassVar[Needs] = _NeedsOfMethod()  # type: ignore[assignment]

    def __init__(
        self,
        method: Literal["linear", "harmonic", "gp"] = "linear",
        where: Literal["flagged", "cadence"] = "flagged",
        reasons: tuple[str, ...] = REASONS,
        window: float = 0.5,
        max_gap: float | None = None,
        n_harmonics: int = 4,
        max_phase_gap: float = 0.1,
        min_points: int = 2,
        on_bad: OnBad = "raise",
    ) -> None:
        self.method = method
        self.where = where
        self.reasons = reasons
        self.window = window
        self.max_gap = max_gap
        self.n_harmonics = n_harmonics
        self.max_phase_gap = max_phase_gap
        self.min_points = min_points
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = [
            f"{name} must be positive and finite, got {value!r}"
            for name in ("window", "max_gap", "max_phase_gap")
            if (value := getattr(self, name)) is not None and not 0 < value < np.inf
        ]
        wrong += [
            f"{name} must be a whole number, {least} or more, got {value!r}"
            for name, least in (("n_harmonics", 1), ("min_points", 2))
            if (value := getattr(self, name)) != int(value) or value < least
        ]
        if self.method not in METHODS:
            wrong.append(f"method must be 'linear', 'harmonic' or 'gp', got {self.method!r}")
        if self.where not in ("flagged", "cadence"):
            wrong.append(f"where must be 'flagged' or 'cadence', got {self.where!r}")
        if wrong:
            raise ConfigError("Impute: " + "; ".join(wrong))
        reason_bits(self.reasons, "Impute")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        absent = None
        if self.where == "cadence":
            absent = absent_cadences(batch, self._gap())
            reason = "evenly spaced times, or their numbers in points['cadence']"
            if absent.uneven.any():
                batch = self.refuse(batch, absent.uneven, reason)
                absent = absent_cadences(batch, self._gap())
        wanted = self._wanted(batch)
        flagged = np.flatnonzero(wanted)
        curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))[flagged]
        time = batch.time[flagged]
        if absent is not None:
            curve = np.concatenate((curve, absent.curve))
            time = np.concatenate((time, absent.time))
        at, sigma, quoted = self._predict(batch, curve, time)
        with np.errstate(divide="ignore"):  # an unknown error of the survey is 0
            weight = np.fmin(1.0, (sigma / quoted) ** 2)
        result = self._fill(batch, flagged, at, sigma, weight)
        filled = np.isfinite(at)
        left = count_per_curve(missing_points(result, self.reasons), result.offsets)
        left += np.bincount(curve[flagged.size :][~filled[flagged.size :]], minlength=left.size)
        n_imputed = np.bincount(curve[filled], minlength=left.size)
        if absent is not None:
            behind = slice(flagged.size, None)
            result = insert_points(result, absent, at[behind], sigma[behind], weight[behind])
        return result.with_columns(objects={"n_imputed": n_imputed, "n_left_missing": left})

    def _gap(self) -> float:
        return 0.5 * self.window if self.max_gap is None else self.max_gap

    def _wanted(self, batch: LightCurveBatch) -> NDArray[np.bool_]:
        """Points that lack a measurement for a reason that counts, and for no other."""
        bits = reason_bits(self.reasons, "Impute") | int(INFORMATIVE & ~PointFlag.EVENT)
        other = (batch.flags & np.uint32(~bits & 0xFFFFFFFF)) != 0
        wanted: NDArray[np.bool_] = missing_points(batch, self.reasons) & ~other
        return wanted & np.isfinite(batch.time)

    def _fill(
        self,
        batch: LightCurveBatch,
        where: NDArray[np.int64],
        at: NDArray[np.float64],
        sigma: NDArray[np.float64],
        trust: NDArray[np.float64],
    ) -> LightCurveBatch:
        """Replace the measurement at `where` by the model, if that has a value there."""
        has = np.flatnonzero(np.isfinite(at[: where.size]))
        where = where[has]
        value, error, flags = batch.value.copy(), batch.error.copy(), batch.flags.copy()
        weight = batch.weight.copy()
        replaced = np.array(
            batch.points.get("replaced_flags", np.zeros(batch.n_points)), dtype=np.uint32
        )
        excluding = flags[where] & np.uint32(~int(INFORMATIVE) & 0xFFFFFFFF)
        replaced[where] |= excluding
        value[where], error[where], weight[where] = at[has], sigma[has], trust[has]
        flags[where] = (flags[where] & ~excluding) | np.uint32(PointFlag.IMPUTED)
        return batch.with_columns(
            value=value,
            error=error,
            flags=flags,
            weight=weight,
            points={"replaced_flags": replaced},
        )

    def _predict(
        self, batch: LightCurveBatch, curve: NDArray[np.int64], time: NDArray[np.float64]
    ) -> Predicted:
        """Model, its error and that of the survey at `time` of `curve`; NaN beyond the limits."""
        order = np.argsort(curve, kind="stable")
        target = time[order]
        ends = np.concatenate(([0], np.cumsum(np.bincount(curve, minlength=batch.n_curves))))
        usable = batch.usable
        flags = batch.flags[usable.index]
        keep = (flags & NO_MODEL) == 0
        offsets = np.concatenate(([0], np.cumsum(count_per_curve(keep, usable.offsets))))
        points = usable.time[keep], usable.value[keep], usable.error[keep], offsets
        if self.method == "linear":
            at, sigma, quoted = local_linear_at(
                *points, target, ends, self.window, self._gap(), int(self.min_points)
            )
        elif self.method == "harmonic":
            period = np.ascontiguousarray(batch.objects["period"], dtype=np.float64)
            at, sigma, quoted = harmonic_at(
                *points,
                target,
                ends,
                period,
                int(self.n_harmonics),
                float(self.max_phase_gap),
                int(self.min_points),
            )
        else:
            at, sigma, quoted = self._process(points, target, ends)
        event = (flags & np.uint32(PointFlag.EVENT)) != 0
        near = beside(usable.time, event, usable.offsets, target, ends, self._gap())
        at[near] = np.nan
        back = np.empty(order.size, np.int64)
        back[order] = np.arange(order.size)
        return at[back], sigma[back], quoted[back]

    def _process(
        self, points: Points, target: NDArray[np.float64], ends: NDArray[np.int64]
    ) -> Predicted:
        """Gaussian process, curve by curve."""
        time, value, error, offsets = points
        at, sigma, quoted = (np.full(target.size, np.nan) for _ in range(3))
        inside = bridged(time, offsets, target, ends, self._gap())
        for i in np.flatnonzero(np.diff(ends)):
            own = slice(offsets[i], offsets[i + 1])
            chosen = ends[i] + np.flatnonzero(inside[ends[i] : ends[i + 1]])
            if chosen.size and own.stop - own.start >= self.min_points:
                at[chosen], sigma[chosen], quoted[chosen] = gaussian_process_at(
                    time[own], value[own], error[own], target[chosen]
                )
        return at, sigma, quoted
