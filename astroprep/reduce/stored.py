"""Light curves stored as models: the container, what it weighs, and its way back to curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.data import LightCurveBatch, Meta, PointFlag, Rejected
from astroprep.errors import DataError
from astroprep.reduce.parameters import Kind, Parameters, offsets_of, ragged_take

__all__ = ["KeptPoints", "StoredCurves", "point_bytes"]


@dataclass(frozen=True, eq=False)
class KeptPoints:
    """Measurements that no model stands for, exactly as they were.

    Parameters
    ----------
    time, value, error, weight : float64 array, shape (n_kept,)
        As in `LightCurveBatch`.
    flags : uint32 array, shape (n_kept,)
        Likewise.
    """

    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    flags: NDArray[np.uint32]
    weight: NDArray[np.float64]


def point_bytes(value: NDArray[np.float64], error: NDArray[np.float64]) -> int:
    """Bytes of a kept point: time, value, error and flags; float32 where that loses nothing."""
    with np.errstate(over="ignore"):
        widths = [
            4 if np.array_equal(x.astype(np.float32), x, equal_nan=True) else 8
            for x in (value, error)
        ]
    return 8 + sum(widths) + 4


@dataclass(frozen=True, eq=False)
class StoredCurves:
    """Light curves as models with residual scales and exceptions; see `compress_curves`.

    A series is a curve in one band. Its statistics describe the usable points that it had.

    Parameters
    ----------
    meta : Meta
        That of the batch.
    objects : mapping of str to array, shape (n_curves, ...)
        Columns per object of the batch.
    curve : int64 array, shape (n_series,)
        Curve of each series, ascending.
    band : int16 array, shape (n_series,), or None
        Codes into ``meta.bands``.
    parameters : Parameters
        The models.
    n_modelled : int64 array, shape (n_series,)
        Points that the model stands for.
    ticks : int64 array, shape (n_modelled.sum(),), or None
        Times of those points in `time_resolution` days, each from the one before, the first from
        ``parameters.first``; None where times were dropped.
    time_resolution : float
        Days.
    kept : KeptPoints
        Exceptions, unusable points and raw series.
    kept_offsets : int64 array, shape (n_series + 1,)
        Of the kept points.
    residual_scale : float64 array, shape (n_series,)
        1.4826 times the median absolute residual of the usable points, unit of the value, not
        below one code or 2^-23 of the level; NaN for a raw series.
    residual_in_errors : float64 array, shape (n_series,)
        The same of residuals over errors; NaN where an error is missing, or raw.
    reduced_chi2 : float64 array, shape (n_series,)
        Of the modelled points; NaN where an error is missing, no point is to spare, or raw.
    reason : object array of str, shape (n_series,)
        Why a series is kept raw; ``""`` for a model.
    rejected : Rejected
        Those of the batch; not in the file.
    """

    meta: Meta
    objects: Mapping[str, NDArray[Any]]
    curve: NDArray[np.int64]
    band: NDArray[np.int16] | None
    parameters: Parameters
    n_modelled: NDArray[np.int64]
    ticks: NDArray[np.int64] | None
    time_resolution: float
    kept: KeptPoints
    kept_offsets: NDArray[np.int64]
    residual_scale: NDArray[np.float64]
    residual_in_errors: NDArray[np.float64]
    reduced_chi2: NDArray[np.float64]
    reason: NDArray[np.object_]
    rejected: Rejected = field(default_factory=Rejected)

    def __len__(self) -> int:
        return int(self.objects["id"].size)

    def __repr__(self) -> str:
        kinds = self.kind
        named = ", ".join(f"{np.sum(kinds == k)} {k}" for k in np.unique(kinds))
        return f"StoredCurves({len(self)} curves, {named or 'no series'}, {self.bytes.sum()} bytes)"

    @property
    def kind(self) -> NDArray[np.object_]:
        """``"harmonic"``, ``"spline"``, ``"walk"`` or ``"raw"``, shape (n_series,)."""
        names = np.array([kind.name.lower() for kind in Kind], dtype=object)
        return np.asarray(names[self.parameters.kind])

    @property
    def bytes(self) -> NDArray[np.int64]:
        """Bytes of each series before compression of the file, int64, shape (n_series,).

        Parameters and statistics, four bytes a kept time (eight where a gap needs them), and the
        kept points. Columns per object are not counted, they are those of the batch.
        """
        statistics = 3 * 4 + 2 * 4  # float32 statistics, two counts
        total = self.parameters.bytes() + statistics
        if self.ticks is not None:
            total = total + self.n_modelled * (8 if self.ticks.max(initial=0) > 2**31 - 1 else 4)
        width = point_bytes(self.kept.value, self.kept.error)
        return np.asarray(total + width * np.diff(self.kept_offsets), np.int64)

    def walk(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """log10 of τ (days) and of σ (unit of the value) of each series, NaN for other models."""
        numbers = self.parameters.coefficients()[2]
        return numbers[:, 0], numbers[:, 1]

    def times(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Times of the modelled points, days, and their offsets by series.

        Kept ones to half a `time_resolution`; dropped ones are made up, even from the first to
        the last.
        """
        offsets = offsets_of(self.n_modelled)
        first = np.repeat(self.parameters.first, self.n_modelled)
        if self.ticks is None:
            place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], self.n_modelled)
            span = (self.parameters.last - self.parameters.first) / np.maximum(
                self.n_modelled - 1, 1
            )
            return first + place * np.repeat(span, self.n_modelled), offsets
        running = np.concatenate(([0], np.cumsum(self.ticks)))
        own = running[1:] - np.repeat(running[offsets[:-1]], self.n_modelled)
        return first + own * self.time_resolution, offsets

    def decode(self, times: ArrayLike | Sequence[ArrayLike] | None = None) -> LightCurveBatch:
        """Light curves from the models.

        Parameters
        ----------
        times : float64 array, or one array for each curve, optional
            Days. Where to evaluate each series; by default at the stored times, with the kept
            points among them.

        Returns
        -------
        LightCurveBatch
            Modelled points have the residual scale of their series as error, the flag
            ``PointFlag.IMPUTED``, weight 1 and ``points["modelled"]`` True; kept points are as
            they were. Points are in time order in each curve. ``objects["stored_as"]`` names the
            kind of each series, in the order of bands. With given `times` kept points are left
            out, a spline outside its span is NaN and flagged ``MISSING_VALUE``, and a curve with
            a raw series is in ``rejected``.

        Raises
        ------
        DataError
            If `times` are not numbers, or not one array for each curve.
        """
        stored = times is None
        if times is None:
            t, offsets = self.times()
        else:
            t, offsets = self._spread(times)
        series = np.repeat(np.arange(self.curve.size), np.diff(offsets))
        value = self.parameters.values(t, offsets)
        known = np.isfinite(value)
        flags = np.where(known, PointFlag.IMPUTED, PointFlag.MISSING_VALUE)
        error = np.where(known, self.residual_scale[series], np.nan)
        columns = [t, value, error, flags, np.ones(t.size), np.ones(t.size, bool)]
        if stored:
            kept = np.repeat(np.arange(self.curve.size), np.diff(self.kept_offsets))
            series = np.concatenate([series, kept])
            own = self.kept
            others: tuple[NDArray[Any], ...] = (
                own.time,
                own.value,
                own.error,
                own.flags,
                own.weight,
                np.zeros(kept.size, bool),
            )
            columns = [np.concatenate([a, b]) for a, b in zip(columns, others, strict=True)]
        batch = self._batch(series, columns)
        if stored:
            return batch
        raw = np.zeros(len(self), bool)
        raw[self.curve[self.parameters.kind == Kind.RAW]] = True
        return batch.reject(raw, "needs a model at given times, but it is kept raw", "StoredCurves")

    def _spread(self, times: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Given times for each series."""
        try:
            nested = len(times) > 0 and np.ndim(times[0]) > 0
            given = [np.asarray(x, np.float64).ravel() for x in (times if nested else [times])]
        except (TypeError, ValueError) as error:
            raise DataError(f"StoredCurves.decode needs times in days: {error}") from error
        if not nested:
            given = given * len(self)
        if len(given) != len(self):
            raise DataError(
                f"StoredCurves.decode needs one array of times for each of {len(self)} curves, "
                f"got {len(given)}"
            )
        flat = np.concatenate(given) if given else np.empty(0)
        return ragged_take(flat, offsets_of(np.array([x.size for x in given])), self.curve)

    def _batch(self, series: NDArray[np.int64], columns: list[NDArray[Any]]) -> LightCurveBatch:
        """Batch of points in any order, by curve and time."""
        curve = self.curve[series]
        order = np.lexsort((columns[0], curve))
        time, value, error, flags, weight, modelled = (column[order] for column in columns)
        kinds: list[list[str]] = [[] for _ in range(len(self))]
        for i, kind in zip(self.curve.tolist(), self.kind, strict=True):
            kinds[i].append(kind)
        stored_as = np.array([",".join(words) for words in kinds] + [""], dtype=object)[:-1]
        return LightCurveBatch(
            time=time,
            value=value,
            error=error,
            offsets=offsets_of(np.bincount(curve, minlength=len(self))),
            flags=flags,
            weight=weight,
            band=None if self.band is None else self.band[series][order],
            points={"modelled": modelled},
            objects={**self.objects, "stored_as": stored_as},
            rejected=self.rejected,
            meta=self.meta,
        )

    @classmethod
    def concat(cls, parts: Sequence[StoredCurves]) -> StoredCurves:
        """All parts in order, such as the row groups of a survey.

        Raises
        ------
        DataError
            If there is none, or they differ in metadata, columns, or how times are kept.
        """
        if not parts:
            raise DataError("StoredCurves.concat needs at least one part")
        first = parts[0]
        for other in parts[1:]:
            same = (
                other.meta == first.meta
                and set(other.objects) == set(first.objects)
                and other.time_resolution == first.time_resolution
                and (other.ticks is None) == (first.ticks is None)
                and (other.band is None) == (first.band is None)
            )
            if not same:
                raise DataError(
                    "StoredCurves.concat needs the same metadata, columns and treatment of times "
                    f"in every part; saw {first!r} and {other!r}"
                )

        def joined(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(part, name) for part in parts])

        shift = offsets_of(np.array([len(part) for part in parts]))
        return cls(
            meta=first.meta,
            objects={k: np.concatenate([p.objects[k] for p in parts]) for k in first.objects},
            curve=np.concatenate([p.curve + s for p, s in zip(parts, shift[:-1], strict=True)]),
            band=None if first.band is None else joined("band"),
            parameters=Parameters.concat([part.parameters for part in parts]),
            ticks=None if first.ticks is None else joined("ticks"),
            time_resolution=first.time_resolution,
            kept=KeptPoints(
                *(
                    np.concatenate([getattr(part.kept, f.name) for part in parts])
                    for f in fields(KeptPoints)
                )
            ),
            kept_offsets=offsets_of(np.concatenate([np.diff(p.kept_offsets) for p in parts])),
            rejected=Rejected.concat(part.rejected for part in parts),
            **{name: joined(name) for name in ("n_modelled", *STATISTICS, "reason")},
        )

    def to_parquet(self, path: str | Path) -> None:
        """Write one row a series; see `astroprep.reduce.stored_file.write_stored`."""
        from astroprep.reduce.stored_file import write_stored

        write_stored(path, self)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read what `to_parquet` wrote; see `astroprep.reduce.stored_file.read_stored`."""
        from astroprep.reduce.stored_file import read_stored

        return cls(**read_stored(path))


STATISTICS = ("residual_scale", "residual_in_errors", "reduced_chi2")
