"""The verbs of ``astroprep``: each parses, calls one function, prints, sets the exit code.

Exit codes: 0 done, with what was rejected listed; 1 the same under ``--strict`` when something
was rejected; 2 a mistake in usage, recipe or input, in one message.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys

import typer

from astroprep.cli import (
    answering,
    catalogues,
    deploying,
    looking,
    merging,
    night,
    training,
    treating,
)
from astroprep.errors import AstroprepError, ConfigError, DataError

__all__ = ["app", "main"]

ALLOCATIONS_A_COLLECTION = 50_000  # of containers; imports make half a million that stay

app = typer.Typer(
    name="astroprep",
    help="Raw light curves in; a trained, compressed, deployed classifier out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for verb in (
    training.run,
    training.compress,
    answering.classify,
    answering.period,
    answering.features,
    treating.clean,
    treating.detrend,
    looking.assess,
    catalogues.crossmatch,
    merging.merge,
    deploying.export,
    deploying.bench,
    night.nightly,
    night.state,
    night.few_points,
    looking.inspect,
    looking.schemas,
    looking.simulate,
    training.demo,
):
    app.command()(verb)


def main() -> None:
    """Run the command line; mistakes end in one message and exit code 2."""
    collect_less_garbage()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except (ConfigError, DataError, AstroprepError) as error:
        print(f"astroprep: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("astroprep: interrupted; `astroprep run` goes on where it stopped", file=sys.stderr)
        sys.exit(130)
    except MemoryError as error:
        print(
            f"astroprep: out of memory{f' ({error})' if str(error) else ''}; smaller batches "
            "(--memory of classify and period) or a smaller max_train in the [split] of a recipe "
            "help",
            file=sys.stderr,
        )
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


def collect_less_garbage() -> None:
    """Keep the collector from going through everything imported, again and again and at the end.

    That is a fourth of a short process: objects of modules stay anyway, and the end of the
    process gives their memory back at once.
    """
    gc.set_threshold(ALLOCATIONS_A_COLLECTION)
    atexit.register(gc.freeze)
