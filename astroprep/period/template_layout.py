"""Templates and light curves laid out for the kernels of a template fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.period.templates import N_PHASES, TemplateSet, resample

__all__ = ["PointsByBand", "TemplateTable", "by_band"]


@dataclass(frozen=True, eq=False)
class TemplateTable:
    """Templates laid out for the kernels: the columns that serve a band stand side by side.

    Parameters
    ----------
    templates : TemplateSet
        Where they come from.
    source : int64 array, shape (n_columns,)
        Template of each column.
    columns : int64 array, shape (n_bands, 2)
        First column that serves a band, and one past the last.
    table : float64 array, shape (n_phases, n_columns)
        The shapes.
    kind : int64 array, shape (n_columns,)
        Position among the kinds of the set, in the order in which they come.
    """

    templates: TemplateSet
    source: NDArray[np.int64]
    columns: NDArray[np.int64]
    table: NDArray[np.float64]
    kind: NDArray[np.int64]

    @classmethod
    def of(cls, templates: TemplateSet, bands: tuple[str, ...]) -> TemplateTable:
        """Table for the bands of a survey."""
        served = [templates.serving(band) for band in bands]
        groups: dict[tuple[int, ...], int] = {}
        source: list[int] = []
        for index in served:
            if tuple(index) not in groups:
                groups[tuple(index)] = len(source)
                source += index.tolist()
        ends = [(groups[tuple(x)], groups[tuple(x)] + x.size) for x in served]
        kinds = list(dict.fromkeys(templates.kinds))
        shape = resample(templates.shape, N_PHASES, N_PHASES // 2)
        return cls(
            templates=templates,
            source=np.array(source, np.int64),
            columns=np.array(ends, np.int64).reshape(-1, 2),
            table=np.ascontiguousarray(shape[source].T),
            kind=np.array([kinds.index(templates.kinds[i]) for i in source], np.int64),
        )


@dataclass(frozen=True, eq=False)
class PointsByBand:
    """Points of all curves, band after band within each curve, and scaled to be of order one.

    Parameters
    ----------
    order : integer array, shape (n_points,)
        Position of each point in the columns that were given.
    time, value, error : float64 array, shape (n_points,)
        Days from `middle`; the measurement less `level`, and its error, over `scale`.
    middle, level, scale : float64 array, shape (n_curves,)
        Mean time, first value, and largest difference from it.
    segments : int64 array, shape (n_rows + 1,)
        One band of one curve is ``segments[k]:segments[k + 1]``.
    curves : int64 array, shape (n_curves + 1,)
        Rows ``curves[i]:curves[i + 1]`` belong to curve i.
    band : int64 array, shape (n_rows,)
        Code of the band of each row.
    """

    order: NDArray[np.intp]
    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    middle: NDArray[np.float64]
    level: NDArray[np.float64]
    scale: NDArray[np.float64]
    segments: NDArray[np.int64]
    curves: NDArray[np.int64]
    band: NDArray[np.int64]


def by_band(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> PointsByBand:
    """Sort the points of each curve by band; times keep their order. No curve is empty."""
    sizes = np.diff(offsets)
    curve = np.repeat(np.arange(sizes.size), sizes)
    order = np.lexsort((band, curve))
    code = band[order]
    begins = np.ones(order.size, bool)
    begins[1:] = (code[1:] != code[:-1]) | (curve[1:] != curve[:-1])
    starts = np.flatnonzero(begins)
    first = offsets[:-1]
    middle = np.add.reduceat(time - time[first][curve], first) / sizes + time[first]
    level = value[first]
    scale = np.maximum.reduceat(np.abs(value - level[curve]), first)
    scale = np.where(scale > 0, scale, 1.0)
    return PointsByBand(
        order=order,
        time=(time - middle[curve])[order],
        value=((value - level[curve]) / scale[curve])[order],
        error=(error / scale[curve])[order],
        middle=middle,
        level=level,
        scale=scale,
        segments=np.append(starts, order.size).astype(np.int64),
        curves=np.searchsorted(curve[starts], np.arange(sizes.size + 1)).astype(np.int64),
        band=code[starts].astype(np.int64),
    )
