"""Zero points between surveys and bands: measure them and tabulate them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.integrate.zeropoint_field import solve_field, solve_stars
from astroprep.integrate.zeropoint_star import star_information

__all__ = [
    "Array",
    "Method",
    "Per",
    "Text",
    "ZeroPoints",
    "codes",
    "field_names",
    "measure_zero_points",
    "point_names",
]

Array = NDArray[np.float64]
Text = NDArray[np.object_]
Per = Literal["field", "star"]
Method = Literal["epochs", "fold"]
MAX_SYSTEMS = 64  # a matrix of that size per star; more are a column of something else


@dataclass(frozen=True, eq=False)
class ZeroPoints:
    """Offsets of systems (a survey's band) against a reference.

    Parameters
    ----------
    systems, fields : tuple of str
        Names. With offsets per star, a field is a star's id.
    reference : str
        System whose offset is zero.
    offset, error, scatter : float64 array, shape (n_fields, n_systems)
        Magnitude in the system less the magnitude in the reference, its one-sigma error, and
        what it differs by from star to star, mag. NaN where nothing ties the two together.
    n_stars, n_points : int64 array, shape (n_fields, n_systems)
        Stars and points that were compared.
    """

    systems: tuple[str, ...]
    fields: tuple[str, ...]
    reference: str
    offset: Array
    error: Array
    scatter: Array
    n_stars: NDArray[np.int64]
    n_points: NDArray[np.int64]

    def table(self) -> pd.DataFrame:
        """One row for every field and system that was compared or is the reference."""
        shape = self.offset.shape
        field, system = (index.ravel() for index in np.indices(shape))
        columns = {
            "field": np.array(self.fields, dtype=object)[field],
            "system": np.array(self.systems, dtype=object)[system],
            "reference": np.full(field.size, self.reference, dtype=object),
        } | {
            name: getattr(self, name).ravel()
            for name in ("offset", "error", "scatter", "n_stars", "n_points")
        }
        rows = pd.DataFrame(columns)
        known = (rows["n_points"] > 0) | (rows["system"] == self.reference)
        return rows[known].reset_index(drop=True)

    def apply(self, value: Array, system: Text, field: Text) -> tuple[Array, Array]:
        """Values on the system of the reference.

        Parameters
        ----------
        value : float64 array, shape (n_points,)
            Magnitudes.
        system, field : object array of str, shape (n_points,)
            Names; unknown ones give NaN.

        Returns
        -------
        value, error : float64 array, shape (n_points,)
            ``value - offset`` and the error of the offset, which the points of a system share.
        """
        row = codes(field, self.fields)
        column = codes(system, self.systems)
        known = (row >= 0) & (column >= 0)
        offset = np.where(known, self.offset[row, column], np.nan)
        return value - offset, np.where(known, self.error[row, column], np.nan)


def codes(names: Text, known: Sequence[str]) -> NDArray[np.int64]:
    """Position of each name among the known ones.

    Parameters
    ----------
    names : object array of str, shape (n_names,)
    known : sequence of str

    Returns
    -------
    int64 array, shape (n_names,)
        -1 for unknown ones.
    """
    place = {name: i for i, name in enumerate(known)}
    unique, inverse = np.unique(names.astype(str), return_inverse=True)
    return np.array([place.get(str(name), -1) for name in unique], np.int64)[inverse]


def measure_zero_points(
    batch: LightCurveBatch,
    *,
    system: str = "band",
    reference: str | None = None,
    per: Per = "field",
    method: Method = "epochs",
    window: float = 0.1,
    harmonics: int = 4,
    period: str = "period",
    field: str | None = None,
) -> ZeroPoints:
    """Offsets between the systems of a batch in which a curve holds all systems of a star.

    Parameters
    ----------
    batch : LightCurveBatch
        Magnitudes; curves of several surveys, as `merge_curves` makes them.
    system : str, default "band"
        Column per point that names the system: the band, or one of ``points``.
    reference : str, optional
        The system with the most points, when not given.
    per : {"field", "star"}, default "field"
        One set of offsets for the stars of a field together, or one for each star.
    method : {"epochs", "fold"}, default "epochs"
        Compare points of the same visit, or curves folded with ``objects[period]`` (stars
        without a period by visits).
    window : float, default 0.1
        Longest visit, days. A star's variation within it goes into the uncertainty.
    harmonics : int, default 4
        Of the folded curve, at most; one for ten points.
    period : str, default "period"
        Column in ``objects``, days; read for ``"fold"`` only.
    field : str, optional
        Column in ``objects`` that names the field of a star; all are one field when not given.

    Returns
    -------
    ZeroPoints
        Sorted by name.

    Raises
    ------
    DataError
        If the batch holds fluxes, a column is missing, or no point is of the reference.

    Notes
    -----
    See `star_information` and `solve_field`, which is a joint solution over the whole graph of
    comparisons: surveys without common epochs are tied through a third. Errors missing from a
    survey (MACHO) are estimated. Surveys of one band may be joined without colour terms only as
    far as ``scatter`` says; the fold compares mean levels, and a difference of amplitude or
    shape between bands goes into the uncertainty.
    """
    if batch.meta.quantity != "mag":
        raise DataError("measure_zero_points needs mag, but this batch holds flux; ToMagnitude")
    usable = batch.usable
    systems, code, home = _systems(batch, system, reference)
    periods = np.full(batch.n_curves, np.nan)
    if method == "fold" and period in batch.objects:
        periods = np.asarray(batch.objects[period], np.float64)
    info, pull, _, used = star_information(
        usable.time,
        usable.value,
        usable.error,
        code,
        usable.offsets,
        periods,
        len(systems),
        float(window),
        int(harmonics),
    )
    if per == "star":
        offset, error = solve_stars(info, pull, home)
        n_stars = (used > 0).astype(np.int64)
        solved = (offset, error, np.zeros_like(offset), n_stars, used)
        fields = batch.ids
    else:
        fields, row = np.unique(field_names(batch, field).astype(str), return_inverse=True)
        solved = _solve_fields(info, pull, used, row, fields.size, home)
    return ZeroPoints(systems, tuple(str(name) for name in fields), systems[home], *solved)


def _systems(
    batch: LightCurveBatch, system: str, reference: str | None
) -> tuple[tuple[str, ...], NDArray[np.int64], int]:
    """Systems of the usable points by name, the code of each point, and which is the reference."""
    names = point_names(batch, system)[batch.usable.index]
    found, code = np.unique(names.astype(str), return_inverse=True)
    systems = tuple(found.tolist())
    if len(systems) > MAX_SYSTEMS:
        raise DataError(
            f"measure_zero_points needs at most {MAX_SYSTEMS} systems, the column {system!r} "
            f"names {len(systems)}"
        )
    if reference is not None and reference not in systems:
        raise DataError(
            f"measure_zero_points: no usable point is of the reference {reference!r}; "
            f"there are {', '.join(systems) or 'none'}"
        )
    systems = systems or ("",)
    most = np.bincount(code, minlength=len(systems))
    home = int(np.argmax(most)) if reference is None else systems.index(reference)
    return systems, code.astype(np.int64), home


def _solve_fields(
    info: Array,
    pull: Array,
    used: NDArray[np.int64],
    row: NDArray[np.int64],
    n_fields: int,
    home: int,
) -> tuple[Array, Array, Array, NDArray[np.int64], NDArray[np.int64]]:
    """Offset, error, scatter, stars and points by field and system; `row` is a star's field."""
    parts = [solve_field(info[row == f], pull[row == f], home) for f in range(n_fields)]
    n_systems = used.shape[1]
    offset, error, scatter = (
        np.array([part[j] for part in parts]).reshape(-1, n_systems) for j in range(3)
    )
    n_stars, n_points = np.zeros(offset.shape, np.int64), np.zeros(offset.shape, np.int64)
    np.add.at(n_stars, row, used > 0)
    np.add.at(n_points, row, used)
    return offset, error, scatter, n_stars, n_points


def point_names(batch: LightCurveBatch, system: str) -> Text:
    """Name of the system of every point.

    Raises
    ------
    DataError
        If there is no such column.
    """
    if system == "band":
        if batch.band is None:
            return np.full(batch.n_points, "", dtype=object)
        bands = np.array([*batch.meta.bands, ""], dtype=object)
        return np.asarray(bands[batch.band])
    if system not in batch.points:
        raise DataError(
            f"zero points need the column {system!r} per point, but the batch has "
            f"{', '.join(sorted(batch.points)) or 'none'}"
        )
    return np.array([str(name) for name in batch.points[system].tolist()], dtype=object)


def field_names(batch: LightCurveBatch, field: str | None) -> Text:
    """Name of the field of every curve.

    Raises
    ------
    DataError
        If there is no such column.
    """
    if field is None:
        return np.full(batch.n_curves, "", dtype=object)
    if field not in batch.objects:
        raise DataError(
            f"zero points need the column {field!r} per object, but the batch has "
            f"{', '.join(sorted(batch.objects))}"
        )
    return np.array([str(name) for name in batch.objects[field].tolist()], dtype=object)
