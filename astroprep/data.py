"""`LightCurveBatch`: the one ragged container that every step takes and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.columns import fixed_columns, number_column, sized, text_column
from astroprep.errors import DataError
from astroprep.meta import Meta, Quantity
from astroprep.rejected import Rejected
from astroprep.usable import INFORMATIVE, PointFlag, Usable, usable_points

__all__ = [
    "INFORMATIVE",
    "LightCurveBatch",
    "Meta",
    "PointFlag",
    "Quantity",
    "Rejected",
    "Usable",
]


@dataclass(frozen=True, eq=False)
class LightCurveBatch:
    """Many light curves in flat columns, curve i at ``offsets[i]:offsets[i + 1]``.

    The layout is that of an Arrow list column, so a Parquet row group becomes a batch without
    a copy. The container is frozen: columns are read-only views and a step returns
    ``batch.with_columns(...)``.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days; ``meta.time_ref`` was subtracted.
    value, error : float64 array, shape (n_points,)
        The measurement that ``meta.quantity`` names and its one-sigma error (NaN where the
        survey gave none), kept as the survey gave them.
    offsets : int64 array, shape (n_curves + 1,)
        Starts at 0, never falls, ends at n_points.
    flags : uint32 array, shape (n_points,)
        `PointFlag` bits; 0 is good.
    weight : float64 array, shape (n_points,)
        Trust from 0 to 1.
    band : int16 array, shape (n_points,), or None
        Codes into ``meta.bands``.
    points : mapping of str to array, shape (n_points,)
        Further columns per point, such as ``"trend"``.
    objects : mapping of str to array, shape (n_curves, ...)
        Columns per object: ``"id"`` and ``"row"`` (position in the input) always; ``"ra"``,
        ``"dec"`` (degrees), ``"label"``, ``"period"`` and what steps add.
    rejected : Rejected
        Objects that steps refused, with the reason.
    meta : Meta
        Survey, quantity, unit, time system.

    Raises
    ------
    DataError
        If lengths disagree or the offsets are not those of a ragged array.
    """

    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    offsets: NDArray[np.int64]
    flags: NDArray[np.uint32] = None  # type: ignore[assignment]
    weight: NDArray[np.float64] = None  # type: ignore[assignment]
    band: NDArray[np.int16] | None = None
    points: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    objects: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    rejected: Rejected = field(default_factory=Rejected)
    meta: Meta = field(default_factory=Meta)

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        offsets = number_column("offsets", self.offsets, np.int64)
        time = number_column("time", self.time, np.float64)
        if offsets.size == 0 or offsets[0] != 0 or offsets[-1] != time.size:
            raise DataError(
                f"LightCurveBatch needs offsets from 0 to the number of points ({time.size}), "
                f"got {offsets[:1].tolist()} to {offsets[-1:].tolist()}"
            )
        if np.any(np.diff(offsets) < 0):
            raise DataError("LightCurveBatch needs offsets that never fall")
        n_curves = offsets.size - 1
        put("time", time)
        put("offsets", offsets)
        per_point: dict[str, tuple[Any, Any]] = {
            "value": (self.value, np.float64),
            "error": (self.error, np.float64),
            "flags": (np.zeros(time.size) if self.flags is None else self.flags, np.uint32),
            "weight": (np.ones(time.size) if self.weight is None else self.weight, np.float64),
        }
        if self.band is not None:
            per_point["band"] = (self.band, np.int16)
        for name, (column, dtype) in per_point.items():
            put(name, sized(name, number_column(name, column, dtype), time.size, "points"))
        objects = dict(self.objects)
        objects.setdefault("row", np.arange(n_curves, dtype=np.int64))
        objects["id"] = text_column(objects.get("id", objects["row"]))
        put("points", fixed_columns(self.points, time.size, "points"))
        put("objects", fixed_columns(objects, n_curves, "curves"))

    @classmethod
    def from_curves(
        cls,
        curves: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike | None]],
        *,
        ids: Sequence[str] | None = None,
        objects: Mapping[str, ArrayLike] | None = None,
        meta: Meta | None = None,
    ) -> Self:
        """Build a batch from plain arrays, one ``(time, value, error)`` a curve.

        Parameters
        ----------
        curves : sequence of tuples of three array-likes
            Time in days, value, and its error or None.
        ids : sequence of str, optional
            Names; the position otherwise.
        objects : mapping, optional
            Further columns, one entry a curve.
        meta : Meta, optional
            Quantity and time system; magnitudes by default.

        Raises
        ------
        DataError
            If the three arrays of a curve differ in length; the message names it.
        """
        parts = []
        for i, (time, value, error) in enumerate(curves):
            t = np.asarray(time, np.float64).ravel()
            v = np.asarray(value, np.float64).ravel()
            e = np.full(t.size, np.nan) if error is None else np.asarray(error, np.float64).ravel()
            if not t.size == v.size == e.size:
                name = i if ids is None else repr(ids[i])
                raise DataError(
                    f"LightCurveBatch: curve {name} has {t.size} times, {v.size} values and "
                    f"{e.size} errors; they must be equally many"
                )
            parts.append((t, v, e))
        columns = dict(objects or {})
        if ids is not None:
            columns["id"] = ids
        empty = np.empty(0)
        return cls(
            time=np.concatenate([p[0] for p in parts]) if parts else empty,
            value=np.concatenate([p[1] for p in parts]) if parts else empty,
            error=np.concatenate([p[2] for p in parts]) if parts else empty,
            offsets=np.concatenate(([0], np.cumsum([p[0].size for p in parts], dtype=np.int64))),
            objects={name: np.asarray(column) for name, column in columns.items()},
            meta=meta or Meta(),
        )

    @classmethod
    def concat(cls, batches: Sequence[LightCurveBatch]) -> LightCurveBatch:
        """One batch of all curves, in order; the rejected are carried along.

        Raises
        ------
        DataError
            If there is no batch, or their columns or metadata differ.
        """
        if not batches:
            raise DataError("LightCurveBatch.concat needs at least one batch")
        first = batches[0]
        for other in batches[1:]:
            same = (
                other.meta == first.meta
                and set(other.objects) == set(first.objects)
                and set(other.points) == set(first.points)
                and (other.band is None) == (first.band is None)
            )
            if not same:
                raise DataError(
                    "LightCurveBatch.concat needs the same columns and metadata in every batch; "
                    f"saw {sorted(first.objects)} with {first.meta} and "
                    f"{sorted(other.objects)} with {other.meta}"
                )

        def joined(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(batch, name) for batch in batches])

        sizes = np.concatenate([np.diff(batch.offsets) for batch in batches])
        return cls(
            time=joined("time"),
            value=joined("value"),
            error=joined("error"),
            offsets=np.concatenate(([0], np.cumsum(sizes))),
            flags=joined("flags"),
            weight=joined("weight"),
            band=None if first.band is None else joined("band"),
            points={k: np.concatenate([b.points[k] for b in batches]) for k in first.points},
            objects={k: np.concatenate([b.objects[k] for b in batches]) for k in first.objects},
            rejected=Rejected.concat(batch.rejected for batch in batches),
            meta=first.meta,
        )

    @property
    def n_points(self) -> int:
        """Points of all curves together."""
        return int(self.time.size)

    @property
    def n_curves(self) -> int:
        """Curves in the batch, the rejected not counted."""
        return int(self.offsets.size - 1)

    @property
    def n_objects(self) -> int:
        """Curves and rejected objects together; no step changes this number."""
        return self.n_curves + len(self.rejected)

    @property
    def ids(self) -> NDArray[np.object_]:
        """Names of the curves, shape (n_curves,)."""
        return self.objects["id"]

    @property
    def shape(self) -> tuple[int]:
        """``(n_curves,)``, so that scikit-learn's splitters can index a batch."""
        return (self.n_curves,)

    def __len__(self) -> int:
        return self.n_curves

    def __repr__(self) -> str:
        return (
            f"LightCurveBatch({self.n_curves} curves, {self.n_points} points, "
            f"{len(self.rejected)} rejected, {self.meta.quantity}, "
            f"objects: {', '.join(self.objects)})"
        )

    @cached_property
    def usable(self) -> Usable:
        """Good points, sorted by time; the input of every kernel. Computed once.

        A point without a finite time and value is never usable, flagged or not.
        """
        columns = (self.time, self.value, self.error, self.weight, self.flags)
        return usable_points(*columns, self.offsets, self.band)

    def __getitem__(self, key: Any) -> LightCurveBatch:
        """Curves by number, slice, mask or index array; slices are views.

        The rejected stay with the whole: a selection has none.
        """
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
            key = key[0]  # scikit-learn indexes arrays this way
        if isinstance(key, int | np.integer):
            if not -self.n_curves <= key < self.n_curves:
                raise IndexError(f"curve {key} of a batch with {self.n_curves}")
            key = slice(key, key + 1) if key >= 0 else slice(key, key + 1 or None)
        if isinstance(key, slice):
            start, stop, step = key.indices(self.n_curves)
            if step == 1:
                return self._slice(start, max(start, stop))
            key = np.arange(start, stop, step)
        return self.take(np.asarray(key))

    def _slice(self, start: int, stop: int) -> LightCurveBatch:
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        offsets = self.offsets[start : stop + 1] - first
        return self._picked(slice(first, last), slice(start, stop), offsets)

    def take(self, index: NDArray[Any]) -> LightCurveBatch:
        """Curves at `index` (integers) or where `index` (bool) is True, without the rejected."""
        if index.dtype == bool and index.shape != self.shape:
            raise IndexError(f"mask of shape {index.shape} for {self.n_curves} curves")
        if index.size and index.dtype.kind not in "iub":
            raise IndexError(f"curves are chosen by integers or a mask, got {index.dtype}")
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        sizes = np.diff(self.offsets)[index]
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        where = np.arange(offsets[-1]) + np.repeat(self.offsets[index] - offsets[:-1], sizes)
        return self._picked(where, index, offsets)

    def _picked(
        self,
        points: slice | NDArray[np.int64],
        curves: slice | NDArray[np.int64],
        offsets: NDArray[np.int64],
    ) -> LightCurveBatch:
        """Some points and curves, as views where both are slices."""
        return replace(
            self,
            time=self.time[points],
            value=self.value[points],
            error=self.error[points],
            offsets=offsets,
            flags=self.flags[points],
            weight=self.weight[points],
            band=None if self.band is None else self.band[points],
            points={name: column[points] for name, column in self.points.items()},
            objects={name: column[curves] for name, column in self.objects.items()},
            rejected=Rejected(),
        )

    def with_columns(
        self,
        *,
        time: NDArray[np.float64] | None = None,
        value: NDArray[np.float64] | None = None,
        error: NDArray[np.float64] | None = None,
        flags: NDArray[np.uint32] | None = None,
        weight: NDArray[np.float64] | None = None,
        points: Mapping[str, NDArray[Any]] | None = None,
        objects: Mapping[str, NDArray[Any]] | None = None,
        meta: Meta | None = None,
    ) -> LightCurveBatch:
        """Return a new batch with some columns replaced and the others shared.

        Parameters
        ----------
        time, value, error, flags, weight : array, shape (n_points,), optional
            Replace the column of that name.
        points, objects : mapping, optional
            Columns to add or to replace.
        meta : Meta, optional
            Replaces the metadata.
        """
        given: dict[str, Any] = {
            "time": time,
            "value": value,
            "error": error,
            "flags": flags,
            "weight": weight,
            "meta": meta,
        }
        changed = {name: column for name, column in given.items() if column is not None}
        same_points = not (changed.keys() - {"meta"})
        if points:
            changed["points"] = {**self.points, **points}
        if objects:
            changed["objects"] = {**self.objects, **objects}
        batch = replace(self, **changed)
        if same_points and "usable" in self.__dict__:
            batch.__dict__["usable"] = self.usable
        return batch

    def reject(
        self, mask: NDArray[np.bool_], reason: str | NDArray[np.object_], step: str
    ) -> LightCurveBatch:
        """Move curves to `rejected`.

        Parameters
        ----------
        mask : bool array, shape (n_curves,)
            True where the curve is refused.
        reason : str or object array, shape (n_curves,)
            Why, for all or for each.
        step : str
            Who refuses.
        """
        if not mask.any():
            return self
        n = int(mask.sum())
        refused = Rejected(
            row=self.objects["row"][mask],
            id=self.ids[mask],
            step=text_column([step], n),
            reason=text_column([reason], n)
            if isinstance(reason, str)
            else text_column(reason[mask]),
            **{
                name: text_column(self.objects[name][mask])
                for name in ("label", "split")
                if name in self.objects
            },
        )
        return replace(self.take(~mask), rejected=Rejected.concat([self.rejected, refused]))
