"""What the command line shows: progress bars, counts and measures."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["answers_lines", "bars", "bundle_table", "counts_line", "measures_table", "out"]

log = logging.getLogger(__name__)

# names of files, labels and columns are the user's, and may look like markup
PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}


class Output:
    """Standard output; rich is loaded for tables alone."""

    @property
    def console(self) -> Console:
        """Where rich writes."""
        from rich.console import Console

        return Console(soft_wrap=True, **PLAIN)

    def print(self, what: str | Table) -> None:
        """Text as it is, or a table."""
        if isinstance(what, str):
            print(what, flush=True)
        else:
            self.console.print(what)


out = Output()


@contextmanager
def bars() -> Iterator[Any]:
    """Progress bars on stderr, one a stage; nothing when stderr is no terminal.

    Yields
    ------
    callable
        ``tell(stage, done, total)``, as `astroprep.pipeline.classify.Progress`.
    """
    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    tasks: dict[str, Any] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def tell(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield tell


def counts_line(counts: Any, limit: int = 20) -> None:
    """Print where every object went, and why some were rejected."""
    out.print(
        f"{counts.input} objects = {counts.result} in the result + {counts.rejected} rejected"
    )
    reasons = sorted((counts.reasons or {}).items(), key=lambda item: -item[1])
    for reason, number in reasons[:limit]:
        out.print(f"  {number:6d}  {reason}")
    if len(reasons) > limit:
        out.print(f"  ... and {len(reasons) - limit} further reasons, all in rejected_reason")


def answers_lines(said: Any) -> None:
    """Print what a file of predictions says as a whole, an `astroprep.pipeline.summary.Summary`."""
    about, n = said.about, said.n_answered
    if not n:
        return
    out.print(f"predicted, under class shares of {about['prior']!r}:")
    for name, number in said.classes.items():
        out.print(f"  {number:6d}  {name}")
    if said.set_sizes:
        mean = sum(size * number for size, number in said.set_sizes.items()) / n
        out.print(
            f"conformal_set, to hold the true class {100 * about['coverage']:g} times in 100: "
            f"{mean:.2f} classes on average; {said.set_sizes.get(1, 0)} of one class, "
            f"{said.set_sizes.get(0, 0)} of none"
        )
    if said.n_unknown is not None:
        rate = 100 * about["false_unknown_rate"]
        out.print(
            f"is_unknown: {said.n_unknown} ({100 * said.n_unknown / n:.1f} %; {rate:g} % expected "
            "of stars of the learned classes)"
        )
    if said.too_many_unknown:
        log.warning(
            "more objects are unlike the training stars than chance explains: there are classes "
            "that were not learned, or this survey differs from the training survey; see "
            "is_unknown, and `astroprep assess --bundle`"
        )


def measures_table(metrics: Mapping[str, Any]) -> Table:
    """Measures of the networks side by side."""
    from rich.table import Table

    table = Table(title="on the test objects")
    table.add_column("")
    for name in ("accuracy", "balanced", "macro F1", "ECE", "parameters", "bytes"):
        table.add_column(name, justify="right")
    for name in ("teacher", "uncompressed", "compressed"):
        one = metrics.get(name)
        if one is None:
            continue
        scores = [one.get(key) for key in ("accuracy", "balanced_accuracy", "macro_f1", "ece")]
        table.add_row(
            name,
            *["-" if score is None else f"{score:.4f}" for score in scores],
            f"{one['parameters']:,}",
            f"{one['bytes']:,}",
        )
    return table


def bundle_table(bundle: Any, path: Path) -> Table:
    """What is inside a bundle."""
    from rich.table import Table

    table = Table(title=str(path), show_header=False)
    periods = {"search": "searched", "column": "from a column of the catalogue"}
    recipe = bundle.recipe
    rows = {
        "recipe": recipe["name"],
        "trained on": f"{recipe['survey'] or 'a survey without a name'} ({recipe['quantity']})",
        "periods": periods[recipe["trained_with"]],
        "classes": ", ".join(bundle.classes),
        "class shares": ", ".join(f"{share:.3g}" for share in bundle.priors),
        "steps": ", ".join(entry["table"]["step"] for entry in recipe["steps"]),
        "features": str(len(bundle.feature_names)),
        "input": f"{bundle.network['n_channels']} channels of {bundle.network['n_bins']} bins",
        "parameters": f"{bundle.n_parameters:,}",
        "weights": f"{len(bundle.weights):,} bytes, "
        f"{4 * bundle.n_parameters / len(bundle.weights):.1f} times smaller than float32",
        "computes in": "8-bit integers" if bundle.integer is not None else "float32",
        "file": f"{path.stat().st_size:,} bytes",
        "temperature": f"{bundle.temperature:.4g}",
        **_answers(recipe),
        "made with": ", ".join(f"{name} {number}" for name, number in bundle.versions.items()),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _answers(recipe: Mapping[str, Any]) -> dict[str, str]:
    """What the bundle says beyond probabilities, in words."""
    outputs, words = recipe.get("outputs", {}), {}
    if "isotonic" in outputs:
        words["calibration"] = "temperature, then isotonic for each class"
    if "conformal" in outputs:
        n = sum(int(count.sum()) for count in outputs["conformal"]["counts"])
        words["conformal sets"] = f"{outputs['conformal']['score']} scores of {n} objects"
    if "unknown" in outputs:
        unknown = outputs["unknown"]
        words["unknown"] = (
            f"{unknown['method']} above {unknown['threshold']:.4g}, "
            f"{100 * unknown['false_unknown_rate']:.3g} % of known objects"
        )
    return words
