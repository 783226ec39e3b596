"""``astroprep run``, ``compress`` and ``demo``: a labelled survey becomes a classifier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from astroprep.cli import show
from astroprep.cli.options import (
    Jobs,
    PeriodColumn,
    Schema,
    Shares,
    Strict,
    finish,
    use_threads,
)
from astroprep.cli.scaling import Cluster, Engine, EngineOption, Memory, bytes_of
from astroprep.errors import ConfigError

__all__ = ["compress", "demo", "run"]

CHECKOUT = Path(__file__).parents[2]  # holds pipelines/ and data_samples/ in a source checkout


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
    cluster: Cluster = None,
    memory: Memory = None,
    strict: Strict = False,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an earlier run.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved recipe.")] = False,
) -> None:
    """Assess, prepare, train, compress and evaluate.

    Killed at any moment and started again, it continues.

    Example: `astroprep run pipelines/demo.toml --input data_samples/survey.parquet --out result/`

    Example: `astroprep run recipe.toml --input survey.hats --engine lsdb --cluster
    tcp://scheduler:8786 --out result/`
    """
    from astroprep.pipeline.recipe import read_recipe

    read = read_recipe(recipe)
    if dry_run:
        from astroprep.pipeline.recipe import resolved

        show.out.console.print_json(json.dumps(resolved(read)))
        return
    from astroprep.pipeline.run import Resources, RunOptions
    from astroprep.pipeline.run import run as run_all

    use_threads(jobs if engine is Engine.local else None)
    ceiling = None if memory is None else bytes_of(memory)
    options = RunOptions(
        period_column=period_column,
        label_column=label_column,
        split_column=split_column,
        prior=prior,
        schema=schema,
    )
    with show.bars() as tell:
        if engine is Engine.lsdb:
            from astroprep.scale import run_recipe_on_cluster

            result = run_recipe_on_cluster(
                read, input_, out, options, cluster=cluster, n_processes=jobs or 1, memory=ceiling,
                restart=restart, progress=tell,
            )  # fmt: skip
        else:
            result = run_all(
                read, input_, out, options, resources=Resources(ceiling), restart=restart,
                progress=tell,
            )  # fmt: skip
    show.out.print(show.measures_table(result.metrics))
    for name in ("report.html", "predictions.parquet", "bundle.apz", "metrics.json"):
        show.out.print(f"{result.out / name}")
    finish(result.counts, strict)


def compress(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a TOML file.")],
    input_: Annotated[Path, typer.Option("--input", help="Survey file with labels.")],
    out: Annotated[Path, typer.Option(help="Folder of a run, which continues there.")],
    approach: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.")] = None,
    most_lost: Annotated[
        float, typer.Option(help="Recall that a class may lose before an approach is refused.")
    ] = 0.05,
    period_column: PeriodColumn = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    split_column: Annotated[str | None, typer.Option(help="Column of 'train' and 'test'.")] = None,
    prior: Annotated[str, Shares] = "train",
    schema: Schema = None,
    jobs: Jobs = None,
) -> None:
    """Compress the network of a run in several ways and compare them in one table.

    Bytes are those of files that were written and read again; energies come from a model. A run
    goes on with the options that it was begun with.

    Example: `astroprep compress pipelines/demo.toml --input data_samples/survey.parquet --out
    result/ --approach "pruned + shared"`
    """
    from astroprep.compress.budget import table_text
    from astroprep.pipeline.compare import compare
    from astroprep.pipeline.recipe import read_recipe
    from astroprep.pipeline.run import RunOptions

    use_threads(jobs)
    with show.bars() as tell:
        rows = compare(
            read_recipe(recipe),
            input_,
            out,
            RunOptions(
                period_column=period_column,
                label_column=label_column,
                split_column=split_column,
                prior=prior,
                schema=schema,
            ),
            approaches=approach,
            most_lost=most_lost,
            progress=tell,
        )
    typer.echo(table_text(rows))


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
    use_threads(jobs)
    with show.bars() as tell:
        result = run_all(read_recipe(recipe), sample, out, progress=tell)
    show.out.print(show.measures_table(result.metrics))
    show.counts_line(result.counts)
    show.out.print(f"report page:  {(result.out / 'report.html').resolve()}")
    show.out.print(f"predictions:  {(result.out / 'predictions.parquet').resolve()}")
