"""The verb that works on catalogues: ``astroprep crossmatch``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from astroprep.cli import show

__all__ = ["crossmatch"]


class MatchMethod(StrEnum):
    """What decides."""

    plain = "plain"
    bayes = "bayes"


class MatchKind(StrEnum):
    """How many partners."""

    nearest = "nearest"
    one_to_one = "one-to-one"
    all = "all"


class Assignment(StrEnum):
    """How one-to-one partners are chosen."""

    optimal = "optimal"
    greedy = "greedy"
    mutual = "mutual"


class Keep(StrEnum):
    """Objects without a partner that are kept."""

    left = "left"
    both = "both"
    matched = "matched"


class RaUnit(StrEnum):
    """Unit of right ascensions that are numbers."""

    auto = "auto"
    degree = "degree"
    hour = "hour"


Name = Annotated[str | None, typer.Option(help="Column; found by the usual names by default.")]
Errors = Annotated[
    str | None,
    typer.Option(
        help="Positional error as sigma, arcsec: a number, a column, two columns (east,north) or "
        "three (major,minor,angle)."
    ),
]
Epoch = Annotated[
    str | None,
    typer.Option(help="Julian year of the positions: a number or a column. Moves them by pmra."),
]
Motion = Annotated[str | None, typer.Option(help="Two columns, mas/yr: pmra,pmdec.")]
Unit = Annotated[RaUnit, typer.Option(help="Of right ascensions that are numbers.")]


def crossmatch(
    left: Annotated[Path, typer.Argument(help="Catalogue: Parquet, CSV, FITS, VOTable, HATS.")],
    right: Annotated[Path, typer.Argument(help="The other catalogue.")],
    out: Annotated[Path, typer.Option(help="Table of matches; the extension is its format.")],
    radius: Annotated[
        float | None,
        typer.Option(help="Arcseconds; with --method bayes six times the errors by default."),
    ] = None,
    method: Annotated[
        MatchMethod, typer.Option(help="The nearest, or the most probable given the errors.")
    ] = MatchMethod.plain,
    kind: Annotated[MatchKind, typer.Option(help="Partners of an object.")] = MatchKind.one_to_one,
    assignment: Annotated[
        Assignment, typer.Option(help="How one-to-one partners are chosen.")
    ] = Assignment.optimal,
    keep: Annotated[
        Keep, typer.Option(help="Objects without a partner that are kept.")
    ] = Keep.left,
    min_probability: Annotated[float, typer.Option(help="Of a match, for bayes.")] = 0.5,
    left_id: Name = None,
    left_ra: Name = None,
    left_dec: Name = None,
    left_errors: Errors = None,
    left_epoch: Epoch = None,
    left_motion: Motion = None,
    left_ra_unit: Unit = RaUnit.auto,
    right_id: Name = None,
    right_ra: Name = None,
    right_dec: Name = None,
    right_errors: Errors = None,
    right_epoch: Epoch = None,
    right_motion: Motion = None,
    right_ra_unit: Unit = RaUnit.auto,
) -> None:
    """Match the objects of two catalogues by position.

    Right ascensions are degrees, or hours where they are sexagesimal text. Every row of the result
    says in match_status what became of it.

    Example: `astroprep crossmatch survey.parquet gcvs.csv --radius 2 --out matches.parquet`

    Example: `astroprep crossmatch a.fits b.vot --method bayes --left-errors 0.3
    --right-errors e_ra,e_dec --out matches.csv`

    Example: `astroprep crossmatch gaia.fits old.csv --radius 3 --left-epoch 2016.0
    --right-epoch 1991.25 --out matches.fits`
    """
    from astroprep.integrate.catalogue_files import CatalogueColumns
    from astroprep.integrate.match_files import match_files

    def split(text: str | None) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",")) if text else ()

    found = match_files(
        left,
        right,
        out,
        left_columns=CatalogueColumns(
            left_id, left_ra, left_dec, split(left_errors), left_epoch, split(left_motion),
            left_ra_unit.value,
        ),
        right_columns=CatalogueColumns(
            right_id, right_ra, right_dec, split(right_errors), right_epoch, split(right_motion),
            right_ra_unit.value,
        ),
        radius=radius,
        method=method.value,
        kind=kind.value,
        assignment=assignment.value,
        keep=keep.value,
        min_probability=min_probability,
    )  # fmt: skip
    for status, count in sorted(found.counts().items(), key=lambda item: -item[1]):
        show.out.print(f"{count:9d}  {status}")
    if "completeness" in found.about:
        share = found.about["completeness"]
        show.out.print(f"share of left objects with a counterpart: {share:.4f}")
    show.out.print(str(out))
