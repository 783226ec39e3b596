"""`Schema`: what a survey calls its columns, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from astroprep.data import Quantity
from astroprep.surveys.bits import SURVEY_BITS
from astroprep.units import J2000, JULIAN_YEAR, PLAUSIBLE_JD, TIME_REFERENCES, time_reference

if TYPE_CHECKING:
    from astroprep.base import OnBad
    from astroprep.data import LightCurveBatch
    from astroprep.surveys.validate import SchemaReport

__all__ = [
    "BandTable",
    "FileTable",
    "FlagTable",
    "PositionTable",
    "Schema",
    "SeriesTable",
    "SiteTable",
    "TimeColumn",
    "ValueColumn",
]

Scale = Literal["UTC", "TAI", "TT", "TDB", "TCB", "unknown"]
Reference = Literal["topocentre", "geocentre", "heliocentre", "barycentre", "unknown"]
System = Literal["AB", "Vega", "instrumental", "unknown"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def check_unit(unit: str, like: str) -> None:
    """Raise ValueError unless astropy knows `unit`, as one that can be told in `like`."""
    import astropy.units as u

    try:
        known = u.Unit(unit)
    except (ValueError, TypeError):
        raise ValueError(
            f"unit {unit!r} is none that astropy knows; write one like {like!r}"
        ) from None
    if like and not known.is_equivalent(u.Unit(like)):
        raise ValueError(f"unit {unit!r} cannot be converted to {like!r}")


class TimeColumn(_Table):
    """A column of times.

    Parameters
    ----------
    column : str
        Name in the survey's table.
    system : str
        Which zero, such as ``"MJD"``, ``"HJD-2450000"`` or ``"BTJD"``; see
        `astroprep.units.time_reference`.
    scale : {"UTC", "TAI", "TT", "TDB", "TCB", "unknown"}
        The clock.
    reference : {"topocentre", "geocentre", "heliocentre", "barycentre", "unknown"}
        Where the light arrives at that time.
    unit : str
        Unit in the table; a batch holds days.
    sentinels : list of float
        Numbers that stand for "none".
    years : list of two float
        Julian years that the survey observed in, with room. A table most of whose times fall
        outside counts from another zero, and is refused.
    """

    column: str
    system: str
    scale: Scale
    reference: Reference
    unit: str = "day"
    sentinels: tuple[float, ...] = Field(default=(), strict=False)
    years: tuple[float, float] | None = Field(default=None, strict=False)

    @model_validator(mode="after")
    def _known(self) -> Self:
        check_unit(self.unit, "day")
        if self.years is not None and not 1800 <= self.years[0] < self.years[1] <= 2200:
            raise ValueError(f"years {self.years} must be two, rising, from 1800 to 2200")
        if time_reference(self.system) is None:
            raise ValueError(
                f"time system {self.system!r} is not known; there are "
                f"{', '.join(TIME_REFERENCES)}, and each less a number, as in 'HJD-2450000'"
            )
        return self

    @property
    def julian_dates(self) -> tuple[float, float]:
        """First and last Julian date that a time of the survey can be."""
        if self.years is None:
            return PLAUSIBLE_JD
        first, last = (J2000 + JULIAN_YEAR * (year - 2000.0) for year in self.years)
        return first, last

    @property
    def time_scale(self) -> str:
        """System and clock as ``meta.time_scale`` has them, such as ``"MJD UTC"``."""
        return self.system if self.scale == "unknown" else f"{self.system} {self.scale}"


class ValueColumn(_Table):
    """A column of magnitudes or fluxes, and that of its errors.

    Parameters
    ----------
    column, error : str
        Names in the survey's table; without `error` the survey gives none.
    quantity : {"mag", "flux"}
        Which it is.
    unit : str
        Unit of the values in the table. A batch holds magnitudes in mag and fluxes in this unit.
    error_unit : str
        Unit of the errors where it is another one.
    system : {"AB", "Vega", "instrumental", "unknown"}
        Of the magnitudes, or of the zero point of the flux.
    difference : bool
        The value is what differs from a template image: zero is no star but no change.
    sentinels, error_sentinels : list of float
        Numbers that stand for "none".
    limit_prefix : str
        Text before a value that is an upper limit, such as ``">"``.
    limit_errors : list of float
        Numbers in the error column by which the survey marks an upper limit.
    """

    column: str
    quantity: Quantity
    unit: str
    error: str | None = None
    error_unit: str | None = None
    system: System = "unknown"
    difference: bool = False
    sentinels: tuple[float, ...] = Field(default=(), strict=False)
    error_sentinels: tuple[float, ...] = Field(default=(), strict=False)
    limit_prefix: str = ""
    limit_errors: tuple[float, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _units(self) -> Self:
        check_unit(self.unit, "mag" if self.quantity == "mag" else "")
        if self.error_unit is not None:
            check_unit(self.error_unit, self.unit)
        return self

    @property
    def batch_unit(self) -> str:
        """Unit that a batch has."""
        return "mag" if self.quantity == "mag" else self.unit


class PositionTable(_Table):
    """Where an object stands.

    Parameters
    ----------
    ra, dec : list of str
        Columns; the first that is there is taken.
    format : {"degrees", "hours", "sexagesimal"}
        Of the numbers or texts; with ``"hours"`` right ascension is in hours and declination in
        degrees, with ``"sexagesimal"`` they are ``hh:mm:ss`` and ``dd:mm:ss``.
    per : {"object", "point"}
        Whether all rows of an object repeat one position, or each has its own measurement; then
        the object gets their mean direction.
    pm_ra, pm_dec, pm_unit : str
        Columns of proper motion (in right ascension times cos(dec)) and their unit; a batch has
        mas/yr.
    epoch : float
        Julian year of the positions, where one is stated for all.
    """

    ra: tuple[str, ...] = Field(strict=False)
    dec: tuple[str, ...] = Field(strict=False)
    format: Literal["degrees", "hours", "sexagesimal"] = "degrees"
    per: Literal["object", "point"] = "object"
    pm_ra: str | None = None
    pm_dec: str | None = None
    pm_unit: str = "mas / yr"
    epoch: float | None = None

    @model_validator(mode="after")
    def _unit(self) -> Self:
        check_unit(self.pm_unit, "mas / yr")
        return self


class BandTable(_Table):
    """Which band a point is in.

    Parameters
    ----------
    columns : list of str
        Columns that say it; the first that is there is taken.
    names : table of str
        Canonical name, such as ``"ztf_g"``, for each value of the column. Two values may mean
        one band.
    fixed : str
        Band of all points of a survey, or of a table without the column.
    required : bool
        Whether a table must say its bands. Where it need not and does not, a batch has none.
    systems : table of str
        Magnitude system of a canonical band where it differs from the rest.
    """

    columns: tuple[str, ...] = Field(default=(), strict=False)
    names: dict[str, str] = {}
    fixed: str | None = None
    required: bool = True
    systems: dict[str, System] = {}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.columns and not self.names:
            raise ValueError("a column of bands needs names: what each of its values means")
        for name in self.systems:
            if name not in self.canonical():
                raise ValueError(f"systems: {name!r} is none of {', '.join(self.canonical())}")
        return self

    def canonical(self) -> tuple[str, ...]:
        """All canonical names, in the order of the file."""
        fixed = () if self.fixed is None else (self.fixed,)
        return tuple(dict.fromkeys((*self.names.values(), *fixed)))


class FlagTable(_Table):
    """The survey's own quality flags.

    Parameters
    ----------
    table : str
        Which bits they are, a key of `SURVEY_BITS`.
    columns : list of str
        Columns of whole numbers, the first that is there is taken.
    booleans : bool
        Instead one column of truth values a flag, called like the members of the table.
    values : table of int
        Bits for each text, where the column holds texts.
    """

    table: str
    columns: tuple[str, ...] = Field(default=(), strict=False)
    booleans: bool = False
    values: dict[str, int] = {}

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.table not in SURVEY_BITS:
            raise ValueError(
                f"flag table {self.table!r} is not known; there are {', '.join(SURVEY_BITS)}"
            )
        if bool(self.columns) == self.booleans:
            raise ValueError("flags need either columns or booleans = true")
        if any(bits < 0 for bits in self.values.values()):
            raise ValueError("values: bits are whole numbers, 0 or more")
        return self


class SiteTable(_Table):
    """Where the telescope stands, for barycentric times.

    Parameters
    ----------
    name : str
        Of the observatory.
    longitude, latitude : float
        Degrees, east and north.
    height : float
        Metres.
    """

    name: str
    longitude: float = Field(ge=-180, le=360)
    latitude: float = Field(ge=-90, le=90)
    height: float = Field(ge=-500, le=9000)


class SeriesTable(_Table):
    """One band of a table that keeps its bands side by side.

    Parameters
    ----------
    band : str
        Canonical name.
    value, error, time : str
        Columns of that band; what is not given is the same for all.
    """

    band: str
    value: str
    error: str | None = None
    time: str | None = None


class FileTable(_Table):
    """How text files are laid out, where they are no plain CSV.

    Parameters
    ----------
    delimiter : str
        ``","``, ``";"``, tabulator, or ``"space"`` for any white space.
    columns : list of str
        Names of the columns of files that have no line of names.
    comment : str
        One sign; what follows it is skipped.
    suffixes : list of str
        What files end in, beside .csv, .csv.gz and .parquet.
    """

    delimiter: Literal[",", ";", "\t", "|", "space"] = ","
    columns: tuple[str, ...] = Field(default=(), strict=False)
    comment: str = Field(default="", max_length=1)
    suffixes: tuple[str, ...] = Field(default=(), strict=False)


class Schema(_Table):
    """What a survey calls its columns, and what they mean; made by `load_schema`.

    Parameters
    ----------
    name : str
        Short name by which the schema is loaded.
    survey : str
        ``meta.survey`` of its batches; `SurveyFlags` finds the bits by it.
    about : str
        Which product of the survey.
    sources, uncertain : list of str
        Where the facts are from, and what the sources leave open.
    id : list of str
        Columns that name the light curve; the first that is there is taken.
    id_parts : list of str
        Columns that together do, where none of `id` is there; joined by dots.
    curve : {"object", "object and band"}
        Whether rows of one id are one light curve, or one for each band.
    grouping : str
        What a row, an id and a star are to each other.
    time, value : list of tables
        Alternatives (`TimeColumn`, `ValueColumn`); the first whose column is there is taken.
    position, band, flags, site, file : tables
        See `PositionTable`, `BandTable`, `FlagTable`, `SiteTable` and `FileTable`.
    series : list of tables
        Bands side by side, see `SeriesTable`.
    points, objects : table of str
        Further columns to carry along: name in the batch and name in the table.
    """

    name: str = Field(min_length=1)
    survey: str
    about: str = ""
    sources: tuple[str, ...] = Field(default=(), strict=False)
    uncertain: tuple[str, ...] = Field(default=(), strict=False)
    id: tuple[str, ...] = Field(default=(), strict=False)
    id_parts: tuple[str, ...] = Field(default=(), strict=False)
    curve: Literal["object", "object and band"] = "object"
    grouping: str = ""
    time: tuple[TimeColumn, ...] = Field(min_length=1, strict=False)
    value: tuple[ValueColumn, ...] = Field(min_length=1, strict=False)
    position: PositionTable | None = None
    band: BandTable = BandTable()
    flags: FlagTable | None = None
    site: SiteTable | None = None
    file: FileTable = FileTable()
    series: tuple[SeriesTable, ...] = Field(default=(), strict=False)
    points: dict[str, str] = {}
    objects: dict[str, str] = {}

    @model_validator(mode="after")
    def _no_column_twice(self) -> Self:
        problems = [
            f"column {column!r} is mapped to {' and to '.join(roles)}"
            for column, roles in self.roles().items()
            if len(roles) > 1
        ]
        own = {"time", "value", "error", "band", "flags", "weight", "survey_flags"}
        problems += [
            f"points: {name!r} is a column that every batch has"
            for name in sorted(own & set(self.points))
        ]
        problems += [
            f"objects: {name!r} is a column that every batch has"
            for name in sorted({"id", "row", "ra", "dec"} & set(self.objects))
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def roles(self) -> dict[str, list[str]]:
        """Every column of the schema and what it is mapped to."""
        found: dict[str, list[str]] = {}

        def put(role: str, *columns: str | None) -> None:
            for column in columns:
                if column is not None and role not in found.setdefault(column, []):
                    found[column].append(role)

        put("id", *self.id)
        put("part of the id", *self.id_parts)
        for time in self.time:
            put("time", time.column)
        for value in self.value:
            put(value.quantity, value.column)
            put(f"{value.quantity}_err", value.error)
        if self.position is not None:
            put("ra", *self.position.ra)
            put("dec", *self.position.dec)
            put("pm_ra", self.position.pm_ra)
            put("pm_dec", self.position.pm_dec)
        put("band", *self.band.columns)
        if self.flags is not None:
            put("flags", *self.flags.columns)
        for series in self.series:
            put(f"value in {series.band}", series.value)
            put(f"error in {series.band}", series.error)
            put(f"time in {series.band}", series.time)
        for name, column in {**self.points, **self.objects}.items():
            put(name, column)
        return found

    def apply(
        self,
        table: Any,
        *,
        quantity: Quantity | None = None,
        objects: Mapping[str, str] | None = None,
        on_bad: OnBad = "raise",
    ) -> LightCurveBatch:
        """Batch of light curves from a table; see `astroprep.surveys.apply_schema`."""
        from astroprep.surveys.apply import apply_schema

        return apply_schema(self, table, quantity=quantity, objects=objects, on_bad=on_bad)

    def validate(  # type: ignore[override]
        self, table: Any, *, quantity: Quantity | None = None
    ) -> SchemaReport:
        """What of a table the schema does not explain; see `astroprep.surveys.validate`."""
        from astroprep.surveys.validate import validate_table

        return validate_table(self, table, quantity=quantity)
