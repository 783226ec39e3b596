"""Tell non-detections from measurements, and keep what they say: the star was fainter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.clean.missing import count_per_curve
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError, DataError

__all__ = ["MarkUpperLimits", "limits_from_noise"]

MAG_PER_SNR = 2.5 / np.log(10)  # error of a magnitude times the signal-to-noise ratio, 1.0857


def limits_from_noise(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    quantity: str,
    snr: float,
    limit_snr: float,
    two_sided: bool,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which measurements are below a signal-to-noise ratio, and the limits that they set.

    Parameters
    ----------
    value, error : float64 array, shape (n_points,)
        Magnitudes or fluxes with one-sigma errors.
    quantity : {"mag", "flux"}
        What they are.
    snr : float
        A smaller signal-to-noise ratio is no detection.
    limit_snr : float
        Sigmas of the limit.
    two_sided : bool
        A flux this far below zero is a detection too.

    Returns
    -------
    below : bool array, shape (n_points,)
        False where value or error say nothing (not finite, error not positive).
    limit : float64 array, shape (n_points,)
        Flux or magnitude of ``limit_snr`` sigmas; NaN where there is no error to tell.

    Notes
    -----
    For a magnitude m with error e the ratio is ``1.0857 / e`` and the limit
    ``m - 2.5 log10(limit_snr e / 1.0857)``: the flux of the limit in magnitudes.
    """
    known = np.isfinite(value) & np.isfinite(error) & (error > 0)
    limit = np.full(value.size, np.nan)
    below = np.zeros(value.size, bool)
    v, e = value[known], error[known]
    with np.errstate(over="ignore"):
        if quantity == "mag":
            ratio = MAG_PER_SNR / e
            limit[known] = v - 2.5 * np.log10(limit_snr / ratio)
        else:
            ratio = (np.abs(v) if two_sided else v) / e
            limit[known] = limit_snr * e
    below[known] = ratio < snr
    return below, limit


class MarkUpperLimits(Transformer):
    """Flag non-detections as ``UPPER_LIMIT`` and keep their limits in ``points["upper_limit"]``.

    A flagged point is never used as a measurement. That something was looked for and not found
    is kept for those who want it: the limit per point, and the share per object.

    Parameters
    ----------
    snr : float or None, default 3.0
        Measurements with a smaller signal-to-noise ratio are non-detections; 3 is what forced
        photometry of ZTF reports as a detection [1]_. None to go by the columns alone.
    limit_snr : float, default 5.0
        Sigmas of the limit that such a point sets, as in [1]_: a source at the limit would have
        been found with high probability, one at ``snr`` only every second time.
    limit_column : str or None, default None
        Name in ``batch.points`` of limits that the survey states, in the unit of the value (such
        as ``"diffmaglim"``). A point with a finite limit and no value (not finite, or flagged as
        missing or sentinel) is a non-detection; of others the limit is not used.
    is_limit_column : str or None, default None
        Name in ``batch.points`` of a mask that is true (not 0) where the value itself is a limit.
    two_sided : bool, default False
        For difference fluxes, where a star that faded is a negative detection; otherwise a
        negative flux is none.
    on_bad : {"raise", "reject"}, default "raise"
        Every curve can be served, so it makes no difference here.

    Raises
    ------
    DataError
        If a column is not there or holds no numbers.

    Notes
    -----
    Put it before `FlagBad` estimates errors: an error that is ours makes no non-detection, so
    points flagged ``ESTIMATED_ERROR`` are not held against ``snr``. Points without a positive
    error are left as they are, and so are points that are already out of use for another reason
    than a missing value. ``objects["nondetection_fraction"]`` is the share of upper limits among
    limits and usable points, 0 where there are neither.

    References
    ----------
    .. [1] Masci et al. 2023, arXiv:2305.16279 (section on upper limits)
    """

    needs = Needs(single_band=False)

    def __init__(
        self,
        snr: float | None = 3.0,
        limit_snr: float = 5.0,
        limit_column: str | None = None,
        is_limit_column: str | None = None,
        two_sided: bool = False,
        on_bad: OnBad = "raise",
    ) -> None:
        self.snr = snr
        self.limit_snr = limit_snr
        self.limit_column = limit_column
        self.is_limit_column = is_limit_column
        self.two_sided = two_sided
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = []
        if self.snr is not None and not 0 < self.snr < np.inf:
            wrong.append(f"snr must be positive or None, got {self.snr!r}")
        if not 0 < self.limit_snr < np.inf:
            wrong.append(f"limit_snr must be positive, got {self.limit_snr!r}")
        if self.snr is None and self.limit_column is None and self.is_limit_column is None:
            wrong.append("nothing to go by: give snr, limit_column or is_limit_column")
        if wrong:
            raise ConfigError("MarkUpperLimits: " + "; ".join(wrong))

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        limit = np.array(batch.points.get("upper_limit", np.full(batch.n_points, np.nan)), float)
        none = PointFlag.MISSING_VALUE | PointFlag.SENTINEL | PointFlag.MISSING_ERROR
        unvalued = ~np.isfinite(batch.value) | ((batch.flags & np.uint32(none)) != 0)
        marked = np.zeros(batch.n_points, bool)
        if self.snr is not None:
            below, noise_limit = limits_from_noise(
                batch.value,
                batch.error,
                batch.meta.quantity,
                self.snr,
                self.limit_snr,
                self.two_sided,
            )
            below &= (batch.flags & np.uint32(~int(PointFlag.EVENT) & 0xFFFFFFFF)) == 0
            limit[below] = noise_limit[below]
            marked |= below
        if self.is_limit_column is not None:
            is_limit = np.nan_to_num(self._column(batch, self.is_limit_column)) != 0
            is_limit &= np.isfinite(batch.value)
            limit[is_limit] = batch.value[is_limit]
            marked |= is_limit
        if self.limit_column is not None:
            stated = self._column(batch, self.limit_column)
            empty = unvalued & np.isfinite(stated)
            limit[empty] = stated[empty]
            marked |= empty
        flags = batch.flags.copy()
        flags[marked] |= np.uint32(PointFlag.UPPER_LIMIT)
        batch = batch.with_columns(flags=flags, points={"upper_limit": limit})
        n_limits = count_per_curve((flags & np.uint32(PointFlag.UPPER_LIMIT)) != 0, batch.offsets)
        share = n_limits / np.maximum(n_limits + batch.usable.counts(), 1)
        return batch.with_columns(objects={"nondetection_fraction": share})

    def _column(self, batch: LightCurveBatch, name: str) -> NDArray[np.float64]:
        if name not in batch.points:
            there = ", ".join(sorted(batch.points)) or "none"
            raise DataError(f"MarkUpperLimits: no column {name!r} per point; the batch has {there}")
        column = batch.points[name]
        if column.ndim != 1 or column.dtype.kind not in "biuf":
            raise DataError(
                f"MarkUpperLimits needs numbers in {name!r}, got dtype {column.dtype} and "
                f"shape {column.shape}"
            )
        return column.astype(np.float64)
