"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from astroprep.cli import show
from astroprep.errors import ConfigError

__all__ = [
    "AnyInput",
    "Jobs",
    "PeriodColumn",
    "Schema",
    "Shares",
    "Strict",
    "finish",
    "use_threads",
]

Shares = typer.Option(
    metavar="train|estimate[:PART]|FILE",
    help="Class shares to assume: of the training objects, estimated from the input (best for "
    "accuracy; estimate:0.3 goes three tenths of the way from the learned ones and keeps more of "
    "the rare classes), or a JSON, TOML or CSV file of class and share.",
)
AnyInput = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="Survey file, or light-curve FITS of Kepler, K2 or TESS: a file, folder or pattern.",
    ),
]
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


def use_threads(jobs: int | None) -> None:
    """Set the threads of the kernels."""
    if jobs is not None:
        import numba

        try:
            numba.set_num_threads(jobs)
        except ValueError as error:
            raise ConfigError(f"--jobs {jobs}: {error}") from None


def finish(counts: Any, strict: bool) -> None:
    """Print the accounts; exit with 1 where strictness asks for it."""
    show.counts_line(counts)
    if strict and counts.rejected:
        raise typer.Exit(1)
