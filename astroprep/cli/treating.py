"""``astroprep clean`` and ``detrend``: better light curves out of light curves."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from astroprep.cli import show
from astroprep.cli.options import (
    AnyInput,
    Jobs,
    Schema,
    Strict,
    finish,
    use_threads,
)

__all__ = ["clean", "detrend"]

Steps = Annotated[
    Path | None, typer.Option(help="Take the steps of this recipe instead; a TOML file.")
]
Curves = Annotated[Path, typer.Option(help="Parquet file of light curves.")]


class Outliers(StrEnum):
    """What becomes of outliers."""

    mixture = "mixture"
    clip = "clip"
    none = "none"


class Missing(StrEnum):
    """What becomes of missing points."""

    keep = "keep"
    drop = "drop"
    linear = "linear"
    harmonic = "harmonic"
    gp = "gp"


class Method(StrEnum):
    """How a trend is found."""

    events = "events"
    biweight = "biweight"
    median = "median"
    mean = "mean"
    cbv = "cbv"
    telemetry = "telemetry"
    ensemble = "ensemble"


class Flux(StrEnum):
    """Which flux of space photometry."""

    pdcsap = "pdcsap"
    sap = "sap"


def clean(
    input_: AnyInput,
    out: Curves,
    outliers: Annotated[
        Outliers, typer.Option(help="Weigh them down and keep events, flag them, or neither.")
    ] = Outliers.mixture,
    missing: Annotated[
        Missing, typer.Option(help="Keep flagged, drop, or fill by regression.")
    ] = Missing.keep,
    recipe: Steps = None,
    flux: Annotated[Flux, typer.Option(help="Of space photometry.")] = Flux.pdcsap,
    period_column: Annotated[
        str | None, typer.Option(help="Column of known periods: outliers are judged in phase too.")
    ] = None,
    schema: Schema = None,
    jobs: Jobs = None,
    strict: Strict = False,
) -> None:
    """Flag bad points, weigh outliers down, keep or fill what is missing.

    Objects that cannot be cleaned are listed beside the result, in FILE.rejected.csv.

    Example: `astroprep clean data_samples/survey.parquet --out cleaned.parquet`

    Example: `astroprep clean tess/ --missing linear --out cleaned.parquet`
    """
    from astroprep.pipeline.chains import cleaning_steps

    _alone(recipe, outliers=outliers != Outliers.mixture, missing=missing != Missing.keep)
    chosen = _steps_of(recipe) or cleaning_steps(
        outliers.value, missing.value, known_period=period_column is not None
    )
    _treat(chosen, input_, out, flux.value, _names(period_column, schema), jobs, strict)


def detrend(
    input_: AnyInput,
    out: Curves,
    method: Annotated[
        Method,
        typer.Option(
            help="A spline bridged under events; a moving average; basis vectors; telescope "
            "pointing; what a field shares."
        ),
    ] = Method.events,
    window: Annotated[float | None, typer.Option(help="Width of the moving average, days.")] = None,
    vectors: Annotated[
        list[str] | None, typer.Option(help="File of cotrending basis vectors, for cbv.")
    ] = None,
    keep_events: Annotated[
        bool,
        typer.Option(
            "--keep-events/--all-points", help="Make no trend of flares, dips and eclipses."
        ),
    ] = True,
    recipe: Steps = None,
    flux: Annotated[
        Flux | None,
        typer.Option(help="Of space photometry; sap for cbv and telemetry, else pdcsap."),
    ] = None,
    schema: Schema = None,
    jobs: Jobs = None,
    strict: Strict = False,
) -> None:
    """Take slow changes out of light curves and leave events in.

    The trend and its uncertainty are kept beside each point. Objects that cannot be detrended
    are listed beside the result, in FILE.rejected.csv.

    Example: `astroprep detrend tess/ --out flat.parquet`

    Example: `astroprep detrend survey.parquet --method median --window 200 --out flat.parquet`

    Example: `astroprep detrend k2/ --method telemetry --out corrected.parquet`

    Example: `astroprep detrend q5/ --method cbv --vectors q05_cbv.fits --out corrected.parquet`
    """
    from astroprep.pipeline.chains import detrending_steps

    _alone(
        recipe,
        method=method != Method.events,
        window=window is not None,
        vectors=bool(vectors),
        all_points=not keep_events,
    )
    chosen = _steps_of(recipe) or detrending_steps(
        method.value, window=window, vectors=vectors or (), keep_events=keep_events
    )
    raw = method in (Method.cbv, Method.telemetry)
    which = flux or (Flux.sap if raw else Flux.pdcsap)
    _treat(chosen, input_, out, which.value, _names(None, schema), jobs, strict)


def _alone(recipe: Path | None, **given: bool) -> None:
    """Refuse choices that the steps of a recipe would silently leave without effect."""
    extra = [f"--{name.replace('_', '-')}" for name, is_given in given.items() if is_given]
    if recipe is not None and extra:
        from astroprep.errors import ConfigError

        raise ConfigError(
            f"--recipe brings its own steps, so {', '.join(extra)} would do nothing; "
            "set it in the recipe or leave --recipe out"
        )


def _steps_of(recipe: Path | None) -> list[Any] | None:
    """Steps of a recipe file, if one is given."""
    if recipe is None:
        return None
    from astroprep.pipeline.recipe import read_recipe

    return read_recipe(recipe).make_steps()


def _names(period_column: str | None, schema: str | None) -> Any:
    """Columns that the command line names."""
    from astroprep.io import ColumnNames

    return ColumnNames(period=period_column, schema=schema)


def _treat(
    steps: list[Any],
    source: str,
    out: Path,
    flux: Any,
    names: Any,
    jobs: int | None,
    strict: bool,
) -> None:
    """Send a survey through steps and say where it went."""
    from astroprep.io.rejected import rejected_path
    from astroprep.pipeline.treat import treat_survey

    use_threads(jobs)
    with show.bars() as tell:
        counts = treat_survey(steps, source, out, names=names, flux=flux, progress=tell)
    show.out.print(str(out))
    if counts.rejected:
        show.out.print(str(rejected_path(out)))
    finish(counts, strict)
