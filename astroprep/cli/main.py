"""The verbs of ``astroprep``: each parses, calls one function, prints, sets the exit code.

Exit codes: 0 done, with what was rejected listed; 1 the same under ``--strict`` when something
was rejected; 2 a mistake in usage, recipe or input, in one message.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from astroprep.cli import catalogues, deploying, merging, night, scaling, show
from astroprep.cli.scaling import Cluster, Engine, EngineOption, Memory
from astroprep.errors import AstroprepError, ConfigError, DataError

__all__ = ["app", "main"]

app = typer.Typer(
    name="astroprep",
    help="Raw light curves in; a trained, compressed, deployed classifier out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

CHECKOUT = Path(__file__).parents[2]  # holds pipelines/ and data_samples/ in a source checkout


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


Shares = typer.Option(
    metavar="train|estimate|FILE",
    help="Class shares to assume: of the training objects, estimated from the input, or a JSON, "
    "TOML or CSV file of class and share.",
)
Input = Annotated[Path, typer.Argument(help="Survey file: nested Parquet, or long CSV.")]
AnyInput = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="Survey file, or light-curve FITS of Kepler, K2 or TESS: a file, folder or pattern.",
    ),
]
Steps = Annotated[
    Path | None, typer.Option(help="Take the steps of this recipe instead; a TOML file.")
]
Curves = Annotated[Path, typer.Option(help="Parquet file of light curves.")]
PeriodColumn = Annotated[
    str | None,
    typer.Option(help="Take periods from this column; without it they are searched."),
]
Schema = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="Survey whose table it is, such as ztf, or a TOML file; see `astroprep schemas`.",
    ),
]
Jobs = Annotated[int | None, typer.Option(min=1, help="Threads; all processors by default.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if an object was rejected.")]


def _use_threads(jobs: int | None) -> None:
    """Set the threads of the kernels."""
    if jobs is not None:
        import numba

        try:
            numba.set_num_threads(jobs)
        except ValueError as error:
            raise ConfigError(f"--jobs {jobs}: {error}") from None


def _finish(counts: Any, strict: bool) -> None:
    show.counts_line(counts)
    if strict and counts.rejected:
        raise typer.Exit(1)


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a TOML file.")],
    input_: Annotated[Path, typer.Option("--input", help="Survey file with labels.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    period_column: PeriodColumn = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    split_column: Annotated[str | None, typer.Option(help="Column of 'train' and 'test'.")] = None,
    prior: Annotated[str, Shares] = "train",
    schema: Schema = None,
    jobs: Jobs = None,
    engine: EngineOption = Engine.local,
    strict: Strict = False,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an earlier run.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved recipe.")] = False,
) -> None:
    """Assess, prepare, train, compress and evaluate.

    Killed at any moment and started again, it continues.

    Example: `astroprep run pipelines/demo.toml --input data_samples/survey.parquet --out result/`
    """
    if engine is Engine.lsdb:
        raise ConfigError(
            "run trains one network, which a cluster of partitions cannot: run it on a labelled "
            "sample on one machine, then `astroprep classify result/bundle.apz CATALOGUE --engine "
            "lsdb --cluster ADDRESS --out answers.hats`"
        )
    from astroprep.pipeline.recipe import read_recipe

    read = read_recipe(recipe)
    if dry_run:
        from astroprep.pipeline.recipe import resolved

        show.out.print_json(json.dumps(resolved(read)))
        return
    from astroprep.pipeline.run import RunOptions
    from astroprep.pipeline.run import run as run_all

    _use_threads(jobs)
    options = RunOptions(
        period_column=period_column,
        label_column=label_column,
        split_column=split_column,
        prior=prior,
        schema=schema,
    )
    with show.bars() as tell:
        result = run_all(read, input_, out, options, restart=restart, progress=tell)
    show.out.print(show.measures_table(result.metrics))
    for name in ("report.html", "predictions.parquet", "bundle.apz", "metrics.json"):
        show.out.print(f"{result.out / name}")
    _finish(result.counts, strict)


@app.command()
def compress(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a TOML file.")],
    input_: Annotated[Path, typer.Option("--input", help="Survey file with labels.")],
    out: Annotated[Path, typer.Option(help="Folder of a run, which continues there.")],
    approach: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.")] = None,
    most_lost: Annotated[
        float, typer.Option(help="Recall that a class may lose before an approach is refused.")
    ] = 0.05,
    period_column: PeriodColumn = None,
    jobs: Jobs = None,
) -> None:
    """Compress the network of a run in several ways and compare them in one table.

    Bytes are those of files that were written and read again; energies come from a model.

    Example: `astroprep compress pipelines/demo.toml --input data_samples/survey.parquet --out
    result/ --approach "pruned + shared"`
    """
    from astroprep.compress.budget import table_text
    from astroprep.pipeline.compare import compare
    from astroprep.pipeline.recipe import read_recipe
    from astroprep.pipeline.run import RunOptions

    _use_threads(jobs)
    with show.bars() as tell:
        rows = compare(
            read_recipe(recipe),
            input_,
            out,
            RunOptions(period_column=period_column),
            approaches=approach,
            most_lost=most_lost,
            progress=tell,
        )
    typer.echo(table_text(rows))


@app.command()
def classify(
    bundle: Annotated[Path, typer.Argument(help="Bundle that `astroprep run` wrote.")],
    input_: Annotated[Path, typer.Argument(metavar="INPUT", help="Survey file.")],
    out: Annotated[
        Path, typer.Option(help="Parquet file of predictions; with --engine lsdb a folder.")
    ],
    period_column: PeriodColumn = None,
    search_periods: Annotated[
        bool,
        typer.Option(
            "--search-periods", help="Search, though the bundle learned from a column of periods."
        ),
    ] = False,
    prior: Annotated[str | None, Shares] = None,
    coverage: Annotated[
        float, typer.Option(help="Probability that conformal_set holds the true class.")
    ] = 0.9,
    schema: Schema = None,
    jobs: Jobs = None,
    engine: EngineOption = Engine.local,
    cluster: Cluster = None,
    memory: Memory = None,
    strict: Strict = False,
) -> None:
    """Classify the objects of a survey with a bundle; torch is not needed.

    Without --prior the class shares that the bundle states are assumed.

    Example: `astroprep classify result/bundle.apz data_samples/survey.parquet --out new.parquet`

    Example: `astroprep classify result/bundle.apz survey.hats --engine lsdb --jobs 2 --out
    answers.hats`
    """
    from astroprep.io import ColumnNames
    from astroprep.pipeline.classify import classify as classify_all

    _use_threads(jobs if engine is Engine.local else None)
    with show.bars() as tell:
        if engine is Engine.lsdb:
            from astroprep.scale import ClassifyWork

            work = ClassifyWork(bundle.absolute(), period_column, search_periods, prior, coverage)
            counts = scaling.on_cluster(
                work, input_, out, cluster=cluster, jobs=jobs, schema=schema, memory=memory,
                progress=tell,
            )  # fmt: skip
        else:
            counts = classify_all(
                bundle,
                input_,
                out,
                period_column=period_column,
                search_periods=search_periods,
                schema=schema,
                prior=prior,
                coverage=coverage,
                batch_objects=scaling.batch_objects(
                    memory, input_, ColumnNames(period=period_column, schema=schema)
                ),
                progress=tell,
            )
    show.out.print(str(out))
    _finish(counts, strict)


@app.command()
def period(
    input_: Annotated[Path, typer.Argument(metavar="INPUT", help="Survey file.")],
    out: Annotated[
        Path, typer.Option(help="Parquet file of periods; with --engine lsdb a folder.")
    ],
    max_frequency: Annotated[float, typer.Option(help="Cycles per day.")] = 24.0,
    bands: Annotated[
        list[str] | None,
        typer.Option(help="Band that takes part; several are searched together. All by default."),
    ] = None,
    known_period: Annotated[
        str | None,
        typer.Option(help="Column of known periods: verified, and searched only where they fail."),
    ] = None,
    schema: Schema = None,
    jobs: Jobs = None,
    engine: EngineOption = Engine.local,
    cluster: Cluster = None,
    memory: Memory = None,
    strict: Strict = False,
) -> None:
    """Search the period of every object, or verify known ones.

    Example: `astroprep period data_samples/survey.parquet --out periods.parquet`

    Example: `astroprep period survey.parquet --bands g --bands r --out periods.parquet`

    Example: `astroprep period new.parquet --known-period period --out checked.parquet`
    """
    from astroprep.io import ColumnNames
    from astroprep.pipeline.periods import search_periods

    _use_threads(jobs if engine is Engine.local else None)
    with show.bars() as tell:
        if engine is Engine.lsdb:
            from astroprep.scale import PeriodWork

            work = PeriodWork(max_frequency, tuple(bands or ()), known_period)
            counts = scaling.on_cluster(
                work, input_, out, cluster=cluster, jobs=jobs, schema=schema, memory=memory,
                progress=tell,
            )  # fmt: skip
        else:
            counts = search_periods(
                input_,
                out,
                max_frequency=max_frequency,
                bands=bands or (),
                known_period=known_period,
                schema=schema,
                batch_objects=scaling.batch_objects(
                    memory, input_, ColumnNames(period=known_period or None, schema=schema)
                ),
                progress=tell,
            )
    show.out.print(str(out))
    _finish(counts, strict)


@app.command()
def features(
    input_: AnyInput,
    out: Annotated[Path, typer.Option(help="Parquet file of features.")],
    period_column: Annotated[
        str | None, typer.Option(help="Column of periods, for the features of the fold.")
    ] = None,
    features: Annotated[
        list[str] | None, typer.Option(help="Name of a feature; may be given several times.")
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option(help="Group of features, such as fourier; may be given several times."),
    ] = None,
    bands: Annotated[
        list[str] | None,
        typer.Option(help="Band that takes part, blue to red; a column for each. All by default."),
    ] = None,
    errors: Annotated[
        bool, typer.Option("--errors", help="Add standard errors where theory gives them.")
    ] = False,
    schema: Schema = None,
    jobs: Jobs = None,
    strict: Strict = False,
) -> None:
    """Describe every object by numbers.

    Example: `astroprep features data_samples/survey.parquet --period-column period --out f.parquet`

    Example: `astroprep features s.parquet --bands g --bands r --features colour --out f.parquet`
    """
    from astroprep.pipeline.features import describe_survey

    _use_threads(jobs)
    with show.bars() as tell:
        counts = describe_survey(
            input_,
            out,
            features=features or (),
            groups=groups or (),
            bands=bands or (),
            period_column=period_column,
            errors=errors,
            schema=schema,
            progress=tell,
        )
    show.out.print(str(out))
    _finish(counts, strict)


@app.command()
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


@app.command()
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
    from astroprep.pipeline.treat import rejected_path, treat_survey

    _use_threads(jobs)
    with show.bars() as tell:
        counts = treat_survey(steps, source, out, names=names, flux=flux, progress=tell)
    show.out.print(str(out))
    if counts.rejected:
        show.out.print(str(rejected_path(out)))
    _finish(counts, strict)


@app.command()
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


app.command()(catalogues.crossmatch)
app.command()(merging.merge)
app.command()(deploying.export)
app.command()(deploying.bench)
app.command()(night.nightly)
app.command()(night.state)
app.command()(night.few_points)


@app.command()
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
        show.out.print(json.dumps(record, indent=1), markup=False)
        return
    from astroprep.deploy.bundle import read_bundle
    from astroprep.pipeline.classify import Classifier

    opened = read_bundle(file)
    Classifier(opened)
    show.out.print(show.bundle_table(opened, file))


@app.command()
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


@app.command()
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


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo_result"),
    jobs: Jobs = None,
) -> None:
    """Run `pipelines/demo.toml` on `data_samples/`, from a source checkout.

    Example: `astroprep demo --out demo_result`
    """
    from astroprep.pipeline.recipe import read_recipe
    from astroprep.pipeline.run import run as run_all

    recipe = CHECKOUT / "pipelines" / "demo.toml"
    sample = CHECKOUT / "data_samples" / "survey.parquet"
    if not recipe.exists() or not sample.exists():
        raise ConfigError(
            "the demo needs a source checkout; elsewhere: astroprep simulate --out survey.parquet, "
            "then astroprep run RECIPE --input survey.parquet --out result/"
        )
    _use_threads(jobs)
    with show.bars() as tell:
        result = run_all(read_recipe(recipe), sample, out, progress=tell)
    show.out.print(show.measures_table(result.metrics))
    show.counts_line(result.counts)
    show.out.print(f"report page:  {(result.out / 'report.html').resolve()}")
    show.out.print(f"predictions:  {(result.out / 'predictions.parquet').resolve()}")


def main() -> None:
    """Run the command line; mistakes end in one message and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except (ConfigError, DataError, AstroprepError) as error:
        print(f"astroprep: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("astroprep: interrupted; `astroprep run` goes on where it stopped", file=sys.stderr)
        sys.exit(130)
    except MemoryError:
        print("astroprep: out of memory; a smaller max_train in [split] helps", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        logging.getLogger(__name__).debug("", exc_info=True)
        print(
            f"astroprep: internal error, please report it with the command: "
            f"{type(error).__name__}: {error}",
            file=sys.stderr,
        )
        sys.exit(2)
