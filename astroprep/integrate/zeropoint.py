"""Zero points between surveys and bands: measure them, tabulate them, take them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.integrate.zeropoint_field import solve_field, solve_stars
from astroprep.integrate.zeropoint_star import star_information

__all__ = ["ZeroPointCorrection", "ZeroPoints", "measure_zero_points"]

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
        row = _codes(field, self.fields)
        column = _codes(system, self.systems)
        known = (row >= 0) & (column >= 0)
        offset = np.where(known, self.offset[row, column], np.nan)
        return value - offset, np.where(known, self.error[row, column], np.nan)


def _codes(names: Text, known: Sequence[str]) -> NDArray[np.int64]:
    """Position of each name, -1 for unknown ones."""
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
    names = point_names(batch, system)[usable.index]
    systems, code = np.unique(names.astype(str), return_inverse=True)
    if systems.size > MAX_SYSTEMS:
        raise DataError(
            f"measure_zero_points needs at most {MAX_SYSTEMS} systems, the column {system!r} "
            f"names {systems.size}"
        )
    if reference is not None and reference not in systems.tolist():
        raise DataError(
            f"measure_zero_points: no usable point is of the reference {reference!r}; "
            f"there are {', '.join(systems.tolist()) or 'none'}"
        )
    if not systems.size:
        systems, code = np.array([""]), np.zeros(0, np.int64)
    most = np.bincount(code, minlength=systems.size)
    home = int(np.argmax(most)) if reference is None else systems.tolist().index(reference)
    periods = np.full(batch.n_curves, np.nan)
    if method == "fold" and period in batch.objects:
        periods = np.asarray(batch.objects[period], np.float64)
    info, pull, _, used = star_information(
        usable.time,
        usable.value,
        usable.error,
        code.astype(np.int64),
        usable.offsets,
        periods,
        systems.size,
        float(window),
        int(harmonics),
    )
    of_star = batch.ids if per == "star" else field_names(batch, field)
    if per == "star":
        offset, error = solve_stars(info, pull, home)
        fields, scatter = of_star, np.zeros_like(offset)
        n_stars, n_points = (used > 0).astype(np.int64), used
    else:
        fields, row = np.unique(of_star.astype(str), return_inverse=True)
        solved = [solve_field(info[row == f], pull[row == f], home) for f in range(fields.size)]
        offset, error, scatter = (
            np.array([part[j] for part in solved]).reshape(-1, systems.size) for j in range(3)
        )
        n_stars, n_points = np.zeros(offset.shape, np.int64), np.zeros(offset.shape, np.int64)
        np.add.at(n_stars, row, used > 0)
        np.add.at(n_points, row, used)
    return ZeroPoints(
        tuple(str(name) for name in systems),
        tuple(str(name) for name in fields),
        str(systems[home]),
        offset,
        error,
        scatter,
        n_stars,
        n_points,
    )


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


class ZeroPointCorrection(Transformer):
    """Learn the offsets between surveys and bands of the same stars, and take them out.

    Parameters
    ----------
    system, reference, per, method, window, harmonics, period, field
        See `measure_zero_points`. With ``per="star"`` each curve is corrected by its own offsets
        and nothing is learned but the names and the reference.
    combine : bool, default False
        Make the corrected points one band, so that single-band steps take them; where each came
        from is then in ``points["system"]``.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with a curve that has usable points, none of which can be corrected.

    Attributes
    ----------
    systems_, fields_ : list of str
        Names, sorted.
    reference_ : str
        System whose offset is zero.
    offset_, error_, scatter_, n_stars_, n_points_ : arrays, shape (n_fields, n_systems)
        As in `ZeroPoints`.

    Notes
    -----
    ``value - offset``; ``points["zero_point"]`` and ``points["zero_point_err"]`` keep the offset
    and its error, which the points of a system share and which is therefore not in their
    errors. Points of a system that nothing ties to the reference keep their value, have NaN
    there, and get the flag OTHER_BAND.
    """

    needs = Needs(quantity="mag", single_band=False)

    def __init__(
        self,
        system: str = "band",
        reference: str | None = None,
        per: Per = "field",
        method: Method = "epochs",
        window: float = 0.1,
        harmonics: int = 4,
        period: str = "period",
        field: str | None = None,
        combine: bool = False,
        on_bad: OnBad = "raise",
    ) -> None:
        self.system = system
        self.reference = reference
        self.per = per
        self.method = method
        self.window = window
        self.harmonics = harmonics
        self.period = period
        self.field = field
        self.combine = combine
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = []
        if self.per not in ("field", "star"):
            wrong.append(f"per must be 'field' or 'star', got {self.per!r}")
        if self.method not in ("epochs", "fold"):
            wrong.append(f"method must be 'epochs' or 'fold', got {self.method!r}")
        if not 0 < self.window < np.inf:
            wrong.append(f"window must be positive, got {self.window!r}")
        if not (1 <= self.harmonics <= 50 and self.harmonics == int(self.harmonics)):
            wrong.append(f"harmonics must be a whole number from 1 to 50, got {self.harmonics!r}")
        if wrong:
            raise ConfigError("ZeroPointCorrection: " + "; ".join(wrong))

    def _measure(self, batch: LightCurveBatch, reference: str | None) -> ZeroPoints:
        return measure_zero_points(
            batch,
            system=self.system,
            reference=reference,
            per=self.per,
            method=self.method,
            window=self.window,
            harmonics=self.harmonics,
            period=self.period,
            field=self.field,
        )

    def _fit(self, batch: LightCurveBatch) -> None:
        learned = self._measure(batch, self.reference)
        self.systems_, self.reference_ = list(learned.systems), learned.reference
        keep = slice(None) if self.per == "field" else slice(0)
        self.fields_ = list(learned.fields[keep])
        self.offset_, self.error_ = learned.offset[keep], learned.error[keep]
        self.scatter_ = learned.scatter[keep]
        self.n_stars_, self.n_points_ = learned.n_stars[keep], learned.n_points[keep]

    @property
    def zero_points(self) -> ZeroPoints:
        """What ``fit`` learned, as a result with a table."""
        return ZeroPoints(
            tuple(self.systems_),
            tuple(self.fields_),
            self.reference_,
            np.asarray(self.offset_),
            np.asarray(self.error_),
            np.asarray(self.scatter_),
            np.asarray(self.n_stars_),
            np.asarray(self.n_points_),
        )

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
        names = point_names(batch, self.system)
        if self.per == "star":
            zero, error = self._by_star(batch, names, curve)
        else:
            field = field_names(batch, self.field)[curve]
            less, error = self.zero_points.apply(np.zeros(batch.n_points), names, field)
            zero = 0.0 - less
        known = np.isfinite(zero)
        other = np.uint32(PointFlag.OTHER_BAND)
        result = batch.with_columns(
            value=np.where(known, batch.value - zero, batch.value),
            flags=np.where(known, batch.flags, batch.flags | other),
            points={"zero_point": zero, "zero_point_err": error},
        )
        if self.combine:
            system = names.astype(str) if names.size else np.empty(0, "U1")
            result = replace(
                result.with_columns(points={"system": system}),
                band=None,
                meta=replace(batch.meta, bands=()),
            )
        lost = (batch.usable.counts() > 0) & (result.usable.counts() == 0)
        return self.refuse(
            result, lost, f"common epochs with {self.reference_!r}, directly or through others"
        )

    def _by_star(
        self, batch: LightCurveBatch, names: Text, curve: NDArray[np.int64]
    ) -> tuple[Array, Array]:
        """Offset and error of every point from its own star, by row and not by id."""
        usable = batch.usable
        zero = np.where(names.astype(str) == self.reference_, 0.0, np.nan)
        error = zero.copy()
        if (names[usable.index].astype(str) == self.reference_).any():
            own = self._measure(batch, self.reference_)
            column = _codes(names, own.systems)
            known = column >= 0
            zero = np.where(known, own.offset[curve, column], np.nan)
            error = np.where(known, own.error[curve, column], np.nan)
        has = np.zeros(batch.n_curves, bool)
        own_curve = np.repeat(np.arange(batch.n_curves), usable.counts())
        has[own_curve[names[usable.index].astype(str) == self.reference_]] = True
        return np.where(has[curve], zero, np.nan), np.where(has[curve], error, np.nan)
