"""Put the batches of several surveys into one, where their clocks and quantities agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Rejected
from astroprep.errors import DataError

__all__ = ["stack_surveys"]


def stack_surveys(batches: Sequence[LightCurveBatch]) -> LightCurveBatch:
    """Stack curves of several surveys; nothing is converted but the zero of the clock.

    Parameters
    ----------
    batches : sequence of LightCurveBatch
        Of one quantity, unit and time scale.

    Returns
    -------
    LightCurveBatch
        Columns of all, NaN or empty where a survey has none (integers beyond 2^53 become text).
        ``objects["survey"]`` names the survey, ``objects["input"]`` and ``objects["input_row"]``
        where a curve came from, and ``row`` is new. Bands are joined by their names; a survey
        without bands has one of its name. Times are counted from the reference of the first batch.

    Raises
    ------
    DataError
        If there is no batch, or quantity, unit, time scale or reference do not agree.
    """
    if not batches:
        raise DataError("stack_surveys needs at least one batch")
    first = batches[0].meta
    for k, batch in enumerate(batches[1:], 1):
        _agree(first, batch.meta, k)
    bands, codes = _bands(batches)
    points = _joined([dict(batch.points) for batch in batches], [b.n_points for b in batches])
    objects = _joined(
        [_objects(batch, k) for k, batch in enumerate(batches)], [len(b) for b in batches]
    )
    start = np.cumsum([0, *(batch.n_objects for batch in batches)])
    objects["row"] = np.concatenate(
        [batch.objects["row"] + start[k] for k, batch in enumerate(batches)]
    )
    away = [
        replace(batch.rejected, row=batch.rejected.row + start[k])
        for k, batch in enumerate(batches)
    ]

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(batch, name) for batch in batches])

    time = [
        batch.time + ((batch.meta.time_ref or 0.0) - (first.time_ref or 0.0)) for batch in batches
    ]
    return LightCurveBatch(
        time=np.concatenate(time),
        value=joined("value"),
        error=joined("error"),
        offsets=np.concatenate(
            ([0], np.cumsum(np.concatenate([np.diff(b.offsets) for b in batches])))
        ),
        flags=joined("flags"),
        weight=joined("weight"),
        band=codes,
        points=points,
        objects=objects,
        rejected=Rejected.concat(away),
        meta=replace(
            first,
            survey=", ".join(dict.fromkeys(b.meta.survey for b in batches if b.meta.survey)),
            bands=bands,
        ),
    )


def _scale(text: str) -> str:
    """Clock and scale without what was subtracted: ``"HJD UTC"`` of ``"HJD-2450000 UTC"``."""
    words = text.replace("_", " ").upper().split()
    return " ".join([words[0].partition("-")[0], *words[1:]]) if words else ""


def _agree(one: Any, two: Any, k: int) -> None:
    """Raise with all that differs between the first input and input `k`."""
    wrong = [
        f"{name} {getattr(one, name)!r} and {getattr(two, name)!r}"
        for name in ("quantity", "unit")
        if getattr(one, name) != getattr(two, name)
    ]
    if _scale(one.time_scale) != _scale(two.time_scale):
        wrong.append(f"time scale {one.time_scale!r} and {two.time_scale!r}")
    elif (one.time_ref is None) != (two.time_ref is None):
        wrong.append(f"time reference {one.time_ref!r} and {two.time_ref!r}")
    elif one.time_ref is None and one.time_scale != two.time_scale:
        # without references the texts alone may say that different days were subtracted
        wrong.append(f"time scale {one.time_scale!r} and {two.time_scale!r}, no reference")
    if wrong:
        raise DataError(
            f"surveys are merged only where they measure alike; the first ({one.survey!r}) and "
            f"input {k} ({two.survey!r}) have {'; '.join(wrong)}. Convert one with ToMagnitude, "
            "ToFlux or ToBarycentric, or state what it is with a schema"
        )


def _objects(batch: LightCurveBatch, k: int) -> dict[str, NDArray[Any]]:
    columns = dict(batch.objects)
    columns["input"] = np.full(len(batch), k, np.int64)
    columns["input_row"] = columns["row"]
    if "survey" not in columns:
        columns["survey"] = np.full(len(batch), batch.meta.survey, dtype=object)
    return columns


def _bands(
    batches: Sequence[LightCurveBatch],
) -> tuple[tuple[str, ...], NDArray[np.int16] | None]:
    """Names of all bands and the codes of all points."""
    if all(batch.band is None for batch in batches):
        return (), None
    own = [b.meta.bands if b.band is not None else (b.meta.survey or "unknown",) for b in batches]
    names = tuple(dict.fromkeys(name for bands in own for name in bands))
    codes = []
    for batch, bands in zip(batches, own, strict=True):
        table = np.array([*(names.index(name) for name in bands), -1], np.int16)
        codes.append(np.zeros(batch.n_points, np.int16) if batch.band is None else batch.band)
        codes[-1] = table[codes[-1]]
    return names, np.concatenate(codes)


EXACT = 1 << 53  # integers up to it are floats without rounding


def _rounds(columns: list[NDArray[Any]], *, whole: bool) -> bool:
    """Whether integers, such as the ids of Gaia, would be rounded in a column of floats."""
    kinds = np.result_type(*columns).kind if whole else "f"
    large = [
        c.size and (c.max() > EXACT or c.min() < -EXACT) for c in columns if c.dtype.kind in "iu"
    ]
    return kinds == "f" and any(large)


def _joined(parts: list[dict[str, NDArray[Any]]], sizes: list[int]) -> dict[str, NDArray[Any]]:
    """Columns of all parts; what one part lacks is NaN for numbers and empty for text.

    Integers that would be rounded beside the NaN of another part become text.
    """
    names = dict.fromkeys(name for part in parts for name in part)
    whole = {}
    for name in names:
        present = [part[name] for part in parts if name in part]
        number = all(column.dtype.kind in "fiub" for column in present)
        if number and _rounds(present, whole=len(present) == len(parts)):
            present = [column.astype(str).astype(object) for column in present]
            part_of = iter(present)
            parts = [{**p, name: next(part_of)} if name in p else p for p in parts]
            number = False
        if len({column.shape[1:] for column in present}) > 1:
            raise DataError(f"surveys are merged only where they agree; {name!r} differs in shape")
        blank = np.nan if number else ""
        filled = [
            part[name]
            if name in part
            else np.full((size, *present[0].shape[1:]), blank, float if number else object)
            for part, size in zip(parts, sizes, strict=True)
        ]
        whole[name] = np.concatenate(filled)
    return whole
