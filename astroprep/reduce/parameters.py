"""Parameters of stored models, quantised, and the values that they give back."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.reduce.harmonic_kernel import harmonic_values
from astroprep.reduce.spline_kernel import spline_values
from astroprep.reduce.walk_kernel import WALK_PARAMETERS, walk_values

__all__ = ["Kind", "Parameters", "Precision", "offsets_of", "ragged_take"]

Precision = Literal["int16", "float32"]
LARGEST = 32767  # code of the largest coefficient
NUMBERS = ("level", "step", "first", "last", "period")
RAGGED = ("codes", "floats", "knots")


class Kind(enum.IntEnum):
    """What a curve in one band is stored as."""

    RAW = 0
    HARMONIC = 1
    SPLINE = 2
    WALK = 3


def offsets_of(counts: NDArray[Any]) -> NDArray[np.int64]:
    """Offsets of a ragged array from its counts."""
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))


def ragged_take(
    values: NDArray[Any], offsets: NDArray[np.int64], index: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Rows of a ragged array, and their offsets."""
    counts = np.diff(offsets)[index]
    out = offsets_of(counts)
    where = np.arange(out[-1]) + np.repeat(offsets[index] - out[:-1], counts)
    return values[where], out


@dataclass(frozen=True, eq=False)
class Parameters:
    """Models of many series (a curve in one band), one row each.

    Parameters
    ----------
    kind : int8 array, shape (n_series,)
        `Kind`.
    level : float64 array, shape (n_series,)
        Added to the model, unit of the value.
    step : float64 array, shape (n_series,)
        Size of one code, unit of the value; 0 where the coefficients are float32.
    first, last : float64 array, shape (n_series,)
        First and last time that was fitted, days.
    period : float64 array, shape (n_series,)
        Days; NaN where there is none.
    codes : int16 array, floats : float32 array, knots : uint16 array
        Coefficients as codes; parameters of a walk and coefficients in float32; inner knots of
        splines and places of anchors. Those of all series one after the other.
    codes_offsets, floats_offsets, knots_offsets : int64 array, shape (n_series + 1,)
        Where each series has its own.
    """

    kind: NDArray[np.int8]
    level: NDArray[np.float64]
    step: NDArray[np.float64]
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    period: NDArray[np.float64]
    codes: NDArray[np.int16]
    codes_offsets: NDArray[np.int64]
    floats: NDArray[np.float32]
    floats_offsets: NDArray[np.int64]
    knots: NDArray[np.uint16]
    knots_offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.kind.size)

    def take(self, index: NDArray[np.int64]) -> Parameters:
        """Rows at `index`."""
        parts: dict[str, Any] = {name: getattr(self, name)[index] for name in ("kind", *NUMBERS)}
        for name in RAGGED:
            parts[name], parts[f"{name}_offsets"] = ragged_take(
                getattr(self, name), getattr(self, f"{name}_offsets"), index
            )
        return Parameters(**parts)

    def without(self, raw: NDArray[np.bool_]) -> Parameters:
        """The same with no parameters where `raw` is True, shape (n_series,)."""
        parts: dict[str, Any] = {"kind": np.where(raw, np.int8(Kind.RAW), self.kind)}
        for name in NUMBERS:
            parts[name] = np.where(raw, np.nan, getattr(self, name))
        for name in RAGGED:
            counts = np.diff(getattr(self, f"{name}_offsets"))
            parts[name] = getattr(self, name)[np.repeat(~raw, counts)]
            parts[f"{name}_offsets"] = offsets_of(np.where(raw, 0, counts))
        return Parameters(**parts)

    @classmethod
    def concat(cls, parts: Sequence[Parameters]) -> Parameters:
        """Rows of all parts, in order."""
        joined: dict[str, Any] = {}
        for field in fields(cls):
            columns = [getattr(part, field.name) for part in parts]
            if field.name.endswith("_offsets"):
                joined[field.name] = offsets_of(np.concatenate([np.diff(c) for c in columns]))
            else:
                joined[field.name] = np.concatenate(columns)
        return cls(**joined)

    def coefficients(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """Coefficients of all series, their offsets, and the parameters of walks.

        Returns
        -------
        coefficients : float64 array
            Unit of the value.
        offsets : int64 array, shape (n_series + 1,)
            Of the coefficients.
        walk : float64 array, shape (n_series, WALK_PARAMETERS)
            NaN for other kinds.
        """
        is_walk = self.kind == Kind.WALK
        walk = np.full((len(self), WALK_PARAMETERS), np.nan)
        start = self.floats_offsets[:-1]
        for k in range(WALK_PARAMETERS):
            walk[is_walk, k] = self.floats[start[is_walk] + k]
        n_codes = np.diff(self.codes_offsets)
        n_floats = np.diff(self.floats_offsets) - WALK_PARAMETERS * is_walk
        offsets = offsets_of(n_codes + n_floats)
        out = np.empty(offsets[-1])
        place = np.arange(self.codes.size) + np.repeat(
            offsets[:-1] - self.codes_offsets[:-1], n_codes
        )
        out[place] = self.codes * np.repeat(self.step, n_codes)
        place = np.arange(n_floats.sum()) - np.repeat(np.cumsum(n_floats) - n_floats, n_floats)
        from_floats = np.repeat(start + WALK_PARAMETERS * is_walk, n_floats) + place
        out[np.repeat(offsets[:-1] + n_codes, n_floats) + place] = self.floats[from_floats]
        return out, offsets, walk

    def values(self, time: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
        """Model of each series at its times.

        Parameters
        ----------
        time : float64 array, shape (n_points,)
            Days.
        offsets : int64 array, shape (n_series + 1,)
            Series i has the times ``offsets[i]:offsets[i + 1]``.

        Returns
        -------
        float64 array, shape (n_points,)
            Unit of the value; NaN for series kept raw, and outside the span of a spline.
        """
        out = np.full(time.size, np.nan)
        for kind in (Kind.HARMONIC, Kind.SPLINE, Kind.WALK):
            rows = np.flatnonzero(self.kind == kind)
            if not rows.size:
                continue
            part = self.take(rows)
            where, at = ragged_take(np.arange(time.size), offsets, rows)
            own, own_offsets, walk = part.coefficients()
            t = time[where]
            if kind == Kind.HARMONIC:
                model = harmonic_values(t, at, part.first, part.period, own, own_offsets)
            elif kind == Kind.SPLINE:
                model = spline_values(
                    t, at, part.first, part.last, part.knots, part.knots_offsets, own, own_offsets
                )
            else:
                model = walk_values(
                    t, at, part.first, part.last, walk, part.knots, own, own_offsets
                )
            out[where] = model + np.repeat(part.level, np.diff(at))
        return out

    def bytes(self) -> NDArray[np.int64]:
        """Bytes of the parameters of each series before any compression of the file."""
        fixed = 1 + 8 * len(NUMBERS)
        ragged = sum(
            getattr(self, name).itemsize * np.diff(getattr(self, f"{name}_offsets"))
            for name in RAGGED
        )
        return np.asarray(np.where(self.kind == Kind.RAW, 1, fixed + ragged), np.int64)


def quantised(
    kind: Kind,
    coefficients: NDArray[np.float64],
    unknowns: NDArray[np.int64],
    fine: NDArray[np.bool_],
    walk: NDArray[np.float64] | None = None,
    **columns: Any,
) -> Parameters:
    """Round the coefficients of fits to codes, or to float32.

    Parameters
    ----------
    kind : Kind
        Of the rows that have coefficients (walks: all rows); the others become `Kind.RAW`.
    coefficients : float64 array, shape (n_series, most)
        The first `unknowns` of each row count.
    unknowns : int64 array, shape (n_series,)
        Coefficients in use.
    fine : bool array, shape (n_series,)
        True for float32 instead of int16.
    walk : float64 array, shape (n_series, WALK_PARAMETERS), optional
        Further numbers of a walk.
    **columns
        ``served`` (bool), ``level``, ``first``, ``last``, ``period``, ``knots`` (padded) and
        ``n_knots``.
    """
    served = columns.pop("served")
    most = coefficients.shape[1]
    used = (np.arange(most) < unknowns[:, None]) & served[:, None]
    largest = np.where(used, np.abs(coefficients), 0.0).max(axis=1, initial=0.0)
    step = np.where(fine | ~served, 0.0, largest / LARGEST)
    safe = np.where(step > 0, step, 1.0)
    codes = np.rint(np.clip(coefficients / safe[:, None], -LARGEST, LARGEST)).astype(np.int16)
    in_codes, in_floats = used & ~fine[:, None], used & fine[:, None]
    rows: NDArray[np.float64] = coefficients
    if walk is not None:
        rows = np.hstack([walk, rows])
        ahead = np.repeat(served[:, None], WALK_PARAMETERS, axis=1)
        in_floats = np.hstack([ahead, in_floats])
    knots, n_knots = columns.pop("knots"), columns.pop("n_knots")
    in_knots = (np.arange(knots.shape[1]) < n_knots[:, None]) & served[:, None]
    with np.errstate(over="ignore"):
        floats = rows[in_floats].astype(np.float32)
    return Parameters(
        kind=np.where(served, np.int8(kind), np.int8(Kind.RAW)),
        step=step,
        codes=codes[in_codes],
        codes_offsets=offsets_of(in_codes.sum(axis=1)),
        floats=floats,
        floats_offsets=offsets_of(in_floats.sum(axis=1)),
        knots=knots[in_knots].astype(np.uint16),
        knots_offsets=offsets_of(in_knots.sum(axis=1)),
        **columns,
    )
