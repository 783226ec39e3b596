"""Take a merger of light curves back, by its log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Rejected
from astroprep.errors import DataError
from astroprep.integrate.merge import ADDED, STEP

__all__ = ["undo_merge"]


def undo_merge(
    merged: LightCurveBatch, log: pd.DataFrame, *, stars: list[int] | None = None
) -> LightCurveBatch:
    """Take mergers back: every curve again, with its own columns and points.

    Parameters
    ----------
    merged : LightCurveBatch
        With ``source`` per point, as `merge_objects` makes it.
    log : DataFrame
        What `merge_objects` gave with it.
    stars : list of int, optional
        Rows of the stars (column ``star`` of the log) to take apart; all by default.

    Returns
    -------
    LightCurveBatch
        Curves in the order of their rows. The offsets that the merger took out are put back; what
        steps behind it changed stays changed, and so do their columns. Without `stars` and such
        steps it is the batch that was merged, values to their rounding.

    Raises
    ------
    DataError
        If a star, a point or a column is not in the log, or the points of a curve are not all
        there.

    Notes
    -----
    A column per object that the log does not have, because a later step wrote it, describes the
    merged star: it is NaN (numbers, then float64) or empty (text) for the curves taken out of it.
    """
    absent = [name for name in ("star", "row", "n_points", "id") if name not in log]
    if absent:
        raise DataError(
            f"undo_merge: the log has no column {absent[0]!r}; it has {', '.join(map(str, log))}"
        )
    chosen = set(log["star"] if stars is None else stars)
    strange = sorted(chosen - set(log["star"]))
    if strange or "source" not in merged.points:
        raise DataError(
            "undo_merge needs a batch of merge_objects and stars of its log, "
            + (f"star {strange[0]} is not in it" if strange else "there is no 'source' per point")
        )
    part = log[log["star"].isin(chosen)]
    # a file counts its own rows, and keeps those of the log beside them
    star_row = np.asarray(merged.objects.get("star_row", merged.objects["row"]), np.int64)
    curve_star = np.repeat(star_row, np.diff(merged.offsets))
    undone = np.isin(curve_star, list(chosen))
    source = np.where(undone, merged.points["source"], curve_star).astype(np.int64)
    order = np.argsort(source, kind="stable")
    kept = np.flatnonzero(~np.isin(star_row, list(chosen)))
    rows = np.concatenate((star_row[kept], part["row"].to_numpy(np.int64)))
    by_row = np.argsort(rows, kind="stable")
    counts = _counted(source, rows[by_row], part)
    value, points = merged.value, dict(merged.points)
    if "merge_offset" in points:
        offset = points["merge_offset"]
        value = np.where(undone, value + offset, value)
        points["merge_offset"] = np.where(undone, 0.0, offset)
    gone = (merged.rejected.step == STEP) & np.isin(merged.rejected.row, part["row"])
    return replace(
        merged,
        time=merged.time[order],
        value=value[order],
        error=merged.error[order],
        flags=merged.flags[order],
        weight=merged.weight[order],
        band=None if merged.band is None else merged.band[order],
        offsets=np.concatenate(([0], np.cumsum(counts))),
        points={
            name: column[order]
            for name, column in points.items()
            if stars is not None or name not in ADDED
        },
        objects={
            name: _with_members(name, column[kept], part)[by_row]
            for name, column in {**merged.objects, "row": star_row}.items()
            if name not in ("n_sources", "star_row")
        },
        rejected=Rejected(
            **{name: getattr(merged.rejected, name)[~gone] for name in vars(merged.rejected)}
        ),
    )


def _counted(
    source: NDArray[np.int64], rows: NDArray[np.int64], part: pd.DataFrame
) -> NDArray[np.int64]:
    """Points of each row (sorted), which are those that the log says."""
    place = np.minimum(np.searchsorted(rows, source), max(rows.size - 1, 0))
    strange = source if not rows.size else source[rows[place] != source]
    if strange.size or np.unique(rows).size != rows.size:
        what = f"row {strange[0]} has points but is" if strange.size else "rows are repeated and"
        raise DataError(f"undo_merge: {what} not in the log; is it the log of this batch?")
    counts = np.bincount(place, minlength=rows.size)
    expected = np.searchsorted(rows, part["row"].to_numpy(np.int64))
    had = part["n_points"].to_numpy(np.int64)
    for k in np.flatnonzero(counts[expected] != had)[:1]:
        raise DataError(
            f"undo_merge: the curve of row {part['row'].iloc[k]} had {had[k]} points, "
            f"{counts[expected[k]]} are left; undo before points are dropped"
        )
    return np.asarray(counts, np.int64)


def _with_members(name: str, kept: NDArray[Any], part: pd.DataFrame) -> NDArray[Any]:
    """A column per object: of the stars that stay, then of the curves in the log."""
    number = kept.dtype.kind in "fiub"
    if name not in part:
        blank = np.nan if number else ""
        return np.concatenate(
            (kept, np.full((len(part), *kept.shape[1:]), blank, None if number else object))
        )
    own = part[name].to_numpy()
    if kept.ndim > 1:
        if any(isinstance(cell, str) for cell in own):
            raise DataError(f"undo_merge: {name!r} holds arrays; write the log as .parquet")
        own = np.array([np.asarray(cell) for cell in own]).reshape(-1, *kept.shape[1:])
    elif kept.dtype.kind in "iub" and own.dtype.kind == "f" and not np.isfinite(own).all():
        return np.concatenate((kept, own))
    return np.concatenate((kept, own.astype(kept.dtype)))
