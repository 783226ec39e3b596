"""``astroprep assess``, ``inspect``, ``schemas`` and ``simulate``: know the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from astroprep.cli import show
from astroprep.cli.options import (
    Schema,
)
from astroprep.errors import DataError

__all__ = ["assess", "inspect", "schemas", "simulate"]


def assess(
    input_: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Survey file, or folder of light-curve FITS.")
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for quality.json, quality.html and objects.parquet.")
    ],
    bundle: Annotated[
        Path | None, typer.Option(help="Judge drift from the survey that this bundle learned from.")
    ] = None,
    longitude: Annotated[
        float | None,
        typer.Option(
            help="Degrees east of the observatory: nights run from noon to noon there. "
            "Without it a night is an integer MJD, UTC."
        ),
    ] = None,
    schema: Schema = None,
) -> None:
    """Measure the quality of a survey's data: as a whole, by night and by object.

    Example: `astroprep assess data_samples/survey.parquet --out quality/ --longitude 149`
    """
    from astroprep.pipeline.quality import assess_survey

    with show.bars() as tell:
        report = assess_survey(
            input_, out, bundle=bundle, longitude=longitude, schema=schema, progress=tell
        )
    for condition in report["conditions"]:
        show.out.print(f"{condition['name']:26} {condition['verdict']}")
        for check in condition["checks"]:
            if check["verdict"] != "good":
                show.out.print(f"  {check['verdict']:7} {check['name']}: {check['text']}")
    nights, objects = report["nights"], report["objects"]["verdicts"]["all"]
    bad = sum(verdict in ("fair", "poor") for verdict in nights["columns"]["verdict"])
    show.out.print(
        f"{nights['count']} nights, {bad} of them fair or poor; objects: "
        + ", ".join(f"{count} {verdict}" for verdict, count in objects.items() if count)
    )
    show.out.print(str(out / "quality.html"))


def inspect(
    file: Annotated[
        Path, typer.Argument(help="Bundle, or a product of merge or crossmatch in any format.")
    ],
) -> None:
    """Check a bundle, golden vectors included, and show what is inside; or how a product was made.

    Example: `astroprep inspect result/bundle.apz`

    Example: `astroprep inspect stars.fits`
    """
    from astroprep.io import format_of, read_provenance

    if format_of(file) is not None:
        try:
            record = read_provenance(file)
        except DataError as error:
            raise DataError(f"not a readable bundle, nor a product: {error}") from error
        show.out.print(json.dumps(record, indent=1))
        return
    from astroprep.deploy.bundle import read_bundle
    from astroprep.pipeline.classify import Classifier

    opened = read_bundle(file)
    Classifier(opened)
    show.out.print(show.bundle_table(opened, file))


def schemas(
    table: Annotated[
        Path | None, typer.Argument(help="Table to compare; without one, the schemas are listed.")
    ] = None,
    schema: Schema = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Print a schema drafted from the table, as TOML.")
    ] = False,
) -> None:
    """List the survey schemas, say which fits a table, or draft one.

    Example: `astroprep schemas`

    Example: `astroprep schemas lightcurves.csv`

    Example: `astroprep schemas lightcurves.csv --schema ztf`

    Example: `astroprep schemas mine.csv --draft > mine.toml`
    """
    from astroprep.integrate import describe_schema, load_schema, rank_schemas, schema_names
    from astroprep.io import read_head

    if table is None:
        for name in schema_names():
            typer.echo(f"{name:12} {load_schema(name).about}")
        return
    known = None if schema is None else load_schema(schema)
    head = read_head(table, known)
    if draft:
        found = describe_schema(head, table.stem)
        typer.echo(found.text, nl=False)
        for line in found.undecided:
            typer.echo(f"undecided: {line}", err=True)
    elif known is not None:
        typer.echo(str(known.validate(head)))
    else:
        for guess in rank_schemas(head):
            verdict = "fits" if guess.applies else "does not fit: " + "; ".join(guess.why_not)
            typer.echo(f"{guess.name:12} {len(guess.matched):2} columns, {verdict}")


def simulate(
    out: Annotated[Path, typer.Option(help="Parquet or CSV file.")],
    objects: Annotated[int, typer.Option(min=1, help="Number of stars.")] = 900,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same survey.")] = 1,
) -> None:
    """Write a survey of simulated stars with known classes and periods.

    Example: `astroprep simulate --out survey.parquet --objects 900 --seed 1`
    """
    from astroprep.io import write_survey
    from astroprep.synthetic import simulate_survey

    batch = simulate_survey(objects, seed)
    write_survey(out, batch)
    show.out.print(f"{out}: {batch.n_curves} objects, {batch.n_points} points")
