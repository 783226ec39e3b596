"""One light curve per star out of the curves that several surveys have of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError

__all__ = ["merge_curves"]


def merge_curves(
    batch: LightCurveBatch, groups: ArrayLike, *, survey: str | None = "survey"
) -> LightCurveBatch:
    """Put the curves of a group into one; every point keeps where it came from.

    Parameters
    ----------
    batch : LightCurveBatch
        All curves on one time system.
    groups : int or str array, shape (n_curves,)
        Equal for curves of one star, such as the result of `twins`.
    survey : str or None, default "survey"
        Column in ``objects`` that names the survey of a curve, if there is one.

    Returns
    -------
    LightCurveBatch
        One curve per group, in the order of their first curves, with the columns of that first
        curve per object and ``n_sources``. Points are in the order of their curves. Added per
        point: ``source`` (``row`` of the curve in the input), ``source_id``, and ``survey``
        where there is such a column. Bands stay. Points twice in two curves stay twice.

    Raises
    ------
    DataError
        If there are not as many groups as curves, or a group is not known (NaN, None or empty).
    """
    group = np.asarray(groups).ravel()
    if group.size != batch.n_curves:
        raise DataError(
            f"merge_curves needs a group for each of {batch.n_curves} curves, got {group.size}"
        )
    unknown = np.flatnonzero([one is None or one != one or one == "" for one in group.tolist()])
    if unknown.size:
        i = int(unknown[0])
        raise DataError(
            f"merge_curves needs a group for each curve: that of {batch.ids[i]!r} (curve {i}) is "
            f"{group[i]!r}, {unknown.size} of {group.size} are not known. A curve that stands "
            "alone has a group of its own"
        )
    _, first, code = np.unique(group.astype(str), return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(first.size)
    of_curve = rank[code]
    order = np.argsort(of_curve, kind="stable")
    sizes = np.diff(batch.offsets)[order]
    merged = batch.take(order)
    total = np.bincount(of_curve[order], weights=sizes, minlength=first.size).astype(np.int64)
    heads = np.sort(first)
    points = dict(merged.points) | {
        "source": np.repeat(merged.objects["row"], sizes),
        "source_id": _repeated(merged.ids, sizes),
    }
    if survey is not None and survey in batch.objects:
        points["survey"] = _repeated(merged.objects[survey], sizes)
    objects = {name: column[heads] for name, column in batch.objects.items()}
    objects["n_sources"] = np.bincount(of_curve, minlength=first.size)
    return replace(
        merged,
        offsets=np.concatenate(([0], np.cumsum(total))),
        points=points,
        objects=objects,
        rejected=batch.rejected,
    )


def _repeated(names: NDArray[np.object_], sizes: NDArray[np.int64]) -> NDArray[np.str_]:
    """Text per point, of fixed width so that it can be sliced and written without objects."""
    text = np.asarray(names).astype(str) if len(names) else np.empty(0, "U1")
    return np.repeat(text, sizes)
