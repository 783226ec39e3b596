"""What is missing from a light curve: say which points, drop them, or keep them as a mask."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import INFORMATIVE, LightCurveBatch, PointFlag
from astroprep.errors import ConfigError

__all__ = ["DropMissing", "KeepMissing", "count_per_curve", "missing_points", "reason_bits"]

NO_VALUE = ("missing_value", "missing_error", "sentinel")
"""Reasons for which a point holds no measurement at all."""


def reason_bits(reasons: Sequence[str], who: str) -> int:
    """`PointFlag` bits of names such as ``"missing_value"``.

    Parameters
    ----------
    reasons : sequence of str
        Names of flags that exclude a point, in lower case.
    who : str
        Named in the message.

    Raises
    ------
    ConfigError
        If there is none, or one is unknown or excludes nothing; the nearest is suggested.
    """
    if isinstance(reasons, str):
        raise ConfigError(f"{who}: reasons must be a sequence of names; write ({reasons!r},)")
    known = {str(flag.name).lower(): flag for flag in PointFlag if not flag & INFORMATIVE}
    if not reasons:
        raise ConfigError(f"{who}: reasons is empty; name some of {', '.join(known)}")
    bits, wrong = 0, []
    for reason in reasons:
        if reason in known:
            bits |= int(known[reason])
            continue
        near = difflib.get_close_matches(str(reason), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(known)}"
        wrong.append(f"unknown reason {reason!r}; {hint}")
    if wrong:
        raise ConfigError(f"{who}: " + "; ".join(wrong))
    return bits


def missing_points(batch: LightCurveBatch, reasons: Sequence[str] = NO_VALUE) -> NDArray[np.bool_]:
    """Points that lack a measurement for one of the reasons.

    Parameters
    ----------
    batch : LightCurveBatch
        Its flags count, and values that are not finite even where no step has flagged them.
    reasons : sequence of str, default ("missing_value", "missing_error", "sentinel")
        Names of `PointFlag` bits in lower case. An upper limit is no missing value: it is
        counted only when ``"upper_limit"`` is among the reasons.

    Returns
    -------
    bool array, shape (n_points,)
        Whatever else is wrong with the point, a bad time included.
    """
    bits = reason_bits(reasons, "missing_points")
    missing: NDArray[np.bool_] = (batch.flags & np.uint32(bits)) != 0
    if bits & PointFlag.MISSING_VALUE:
        missing |= ~np.isfinite(batch.value)
    if not bits & PointFlag.UPPER_LIMIT:
        missing &= (batch.flags & np.uint32(PointFlag.UPPER_LIMIT)) == 0
    return missing


def count_per_curve(mask: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """True entries of a point mask in each curve, int64, shape (n_curves,)."""
    total = np.concatenate(([0], np.cumsum(mask, dtype=np.int64)))
    return np.diff(total[offsets])


class DropMissing(Transformer):
    """Remove the points that hold no measurement, and record how many.

    One of three ways to meet missing values: `Impute` fills them, `KeepMissing` leaves them
    as a mask, which every kernel of the package respects. Dropping brings no better features
    than the mask does; it makes arrays shorter, and forgets that something was looked for
    and not found. What is lost is not lost at random: faint stars and deep minima go first.

    Parameters
    ----------
    reasons : tuple of str, default ("missing_value", "missing_error", "sentinel")
        Flags for which a point goes, by the name of the `PointFlag` in lower case. A value that
        is not finite counts as ``"missing_value"``, flagged or not; an error only when flagged
        (`FlagBad` does), since a survey may give none at all.
    on_bad : {"raise", "reject"}, default "raise"
        Every curve can be served, so it makes no difference here.

    Notes
    -----
    Writes ``objects["n_dropped"]``, int64, added to what is there from before. A curve may end
    empty: `DropShort` is the step that sets objects aside. Upper limits stay, unless named.
    """

    needs = Needs(single_band=False)

    def __init__(self, reasons: tuple[str, ...] = NO_VALUE, on_bad: OnBad = "raise") -> None:
        self.reasons = reasons
        self.on_bad = on_bad

    def _check(self) -> None:
        reason_bits(self.reasons, "DropMissing")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        missing = missing_points(batch, self.reasons)
        n_dropped = count_per_curve(missing, batch.offsets)
        before = batch.objects.get("n_dropped")
        total = n_dropped if before is None else n_dropped + before
        if not missing.any():
            return batch.with_columns(objects={"n_dropped": total})
        keep = ~missing
        kept_per_curve = np.diff(batch.offsets) - n_dropped
        return replace(
            batch,
            time=batch.time[keep],
            value=batch.value[keep],
            error=batch.error[keep],
            offsets=np.concatenate(([0], np.cumsum(kept_per_curve, dtype=np.int64))),
            flags=batch.flags[keep],
            weight=batch.weight[keep],
            band=None if batch.band is None else batch.band[keep],
            points={name: column[keep] for name, column in batch.points.items()},
            objects={**batch.objects, "n_dropped": total},
        )


class KeepMissing(Transformer):
    """Keep missing values as what they are: flagged points, and a share per object.

    Features, folded channels and every other kernel read ``batch.usable``, which leaves flagged
    points out, so nothing is filled in and nothing removed. What the mask knows beyond that is
    written per object, for ``FeatureExtractor(extra=("missing_fraction",))``.

    Parameters
    ----------
    on_bad : {"raise", "reject"}, default "raise"
        Every curve can be served, so it makes no difference here.

    Notes
    -----
    Values that are not finite get `PointFlag.MISSING_VALUE` where they have no flag yet. Writes
    to ``objects``, as float64 shares of the points with a good time (0 where there are none):

    - ``missing_fraction``: points without a usable value, upper limits not counted;
    - ``nondetection_fraction``: upper limits, see `MarkUpperLimits`.

    Points of bands that were not selected and copies of other points count in neither. The
    shares depend on the survey as much as on the star: a classifier that is given them should
    meet the same survey again.
    """

    needs = Needs(single_band=False)

    def __init__(self, on_bad: OnBad = "raise") -> None:
        self.on_bad = on_bad

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        flags = batch.flags.copy()
        flags[~np.isfinite(batch.value) & (flags == 0)] |= np.uint32(PointFlag.MISSING_VALUE)
        apart = PointFlag.BAD_TIME | PointFlag.OTHER_BAND | PointFlag.DUPLICATE
        observed = np.isfinite(batch.time) & ((flags & np.uint32(apart)) == 0)
        limit = observed & ((flags & np.uint32(PointFlag.UPPER_LIMIT)) != 0)
        excluding = np.uint32(~int(INFORMATIVE) & 0xFFFFFFFF)
        unusable = ((flags & excluding) != 0) | ~np.isfinite(batch.value)
        total = np.maximum(count_per_curve(observed, batch.offsets), 1)
        shares = {
            name: count_per_curve(mask, batch.offsets) / total
            for name, mask in (
                ("missing_fraction", observed & unusable & ~limit),
                ("nondetection_fraction", limit),
            )
        }
        return batch.with_columns(flags=flags, objects=shares)
