"""The verb that makes one light curve of several: ``astroprep merge``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from astroprep.cli import show
from astroprep.cli.options import Strict

__all__ = ["merge"]


class MergeBy(StrEnum):
    """What curves are compared by."""

    position = "position"
    photometry = "photometry"
    both = "both"


def merge(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="Survey files of one quantity and time scale."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="One light curve per star: .parquet, .fits, .vot, .csv or a folder .hats."
        ),
    ],
    radius: Annotated[
        float, typer.Option(help="Arcseconds within which curves are compared.")
    ] = 2.0,
    by: Annotated[
        MergeBy,
        typer.Option(
            help="Neighbours on the sky; curves of one period; or neighbours, and by period those "
            "without a position."
        ),
    ] = MergeBy.position,
    position_error: Annotated[
        float, typer.Option(help="Sigma of each coordinate, arcseconds.")
    ] = 0.3,
    period_column: Annotated[
        str | None,
        typer.Option(help="Column of periods; searched for photometry and both without it."),
    ] = None,
    survey_column: Annotated[
        str, typer.Option(help="Column that names the survey, where a file has several.")
    ] = "survey",
    schema: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Survey whose tables they are.")
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(help="Every curve that was merged, as .csv or .parquet; OUT.merges.csv."),
    ] = None,
    strict: Strict = False,
) -> None:
    """Merge the light curves that one star has under several ids or in several surveys.

    Points keep the curve and the survey that they came from; values are not changed.

    Example: `astroprep merge ogle3.parquet ogle4.parquet --radius 1.5 --out stars.parquet`

    Example: `astroprep merge ogle.vot macho.fits --out stars.hats`

    Example: `astroprep merge all.parquet --by photometry --out stars.parquet --log merges.csv`
    """
    from astroprep.integrate.merge_files import log_path, merge_files
    from astroprep.io.rejected import rejected_path

    done = merge_files(
        inputs,
        out,
        radius=radius,
        by=by.value,
        position_error=position_error,
        period_column=period_column,
        survey_column=survey_column,
        schema=schema,
        log=log,
    )
    show.out.print(
        f"{done.n_curves} light curves = {done.n_stars} stars + {done.n_merged} merged into them; "
        f"{done.n_points} points"
    )
    pairs = ", ".join(f"{count} {verdict}" for verdict, count in sorted(done.verdicts.items()))
    show.out.print(f"pairs compared: {pairs or 'none'}")
    if done.n_without_period:
        show.out.print(f"{done.n_without_period} light curves without a period")
    if done.n_blocked:
        show.out.print(f"{done.n_blocked} pairs kept apart: their stars contradict each other")
    show.out.print(str(out))
    show.out.print(str(log or log_path(out)))
    if len(done.rejected):
        show.out.print(f"{len(done.rejected)} light curves could not be read and are left out:")
        show.out.print(str(rejected_path(out)))
    if strict and len(done.rejected):
        raise typer.Exit(1)
