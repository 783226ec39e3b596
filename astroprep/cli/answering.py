"""``astroprep classify``, ``period`` and ``features``: what is said of every object."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astroprep.cli import scaling, show
from astroprep.cli.options import (
    AnyInput,
    Jobs,
    PeriodColumn,
    Schema,
    Shares,
    Strict,
    finish,
    use_threads,
)
from astroprep.cli.scaling import Cluster, Engine, EngineOption, Memory

__all__ = ["classify", "features", "period"]


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

    use_threads(jobs if engine is Engine.local else None)
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
    if engine is Engine.local:
        from astroprep.pipeline.summary import summarise_predictions

        show.answers_lines(summarise_predictions(out))
    finish(counts, strict)


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

    use_threads(jobs if engine is Engine.local else None)
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
    finish(counts, strict)


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

    use_threads(jobs)
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
    finish(counts, strict)
