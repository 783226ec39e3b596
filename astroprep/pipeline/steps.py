"""Steps by name: from a table of a recipe to an object and back."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

import astroprep
from astroprep.base import Transformer
from astroprep.errors import ConfigError

__all__ = ["all_steps", "closest", "step_from_table", "step_to_table"]

# Rooms that prepare data. The rooms behind them (model, compress) load torch and hold no steps.
ROOMS = (
    "clean",
    "detrend",
    "features",
    "integrate",
    "period",
    "quality",
    "reduce",
    "represent",
)


@cache
def all_steps() -> Mapping[str, type[Transformer]]:
    """Every step of the package by its class name, in alphabetical order."""
    present = {module.name for module in pkgutil.iter_modules(astroprep.__path__)}
    found: dict[str, type[Transformer]] = {}
    for room in ROOMS:
        if room in present:
            members = vars(importlib.import_module(f"astroprep.{room}")).items()
            found |= {
                name: member
                for name, member in members
                if inspect.isclass(member) and issubclass(member, Transformer)
            }
    return dict(sorted(found.items()))


def closest(word: str, known: Any) -> str:
    """``"; did you mean 'window'?"`` for the nearest known word, or the words there are."""
    names = [str(name) for name in known]
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"


def step_from_table(table: Mapping[str, Any], *, on_bad: str | None = None) -> Transformer:
    """Make a step of a table of a recipe.

    Parameters
    ----------
    table : mapping
        ``step``, the class name, and its settings.
    on_bad : {"raise", "reject"}, optional
        Used where the table does not say.

    Raises
    ------
    ConfigError
        If the step or a setting is not known, or a value is wrong; all mistakes of the table
        in one message.
    """
    settings = dict(table)
    name = settings.pop("step", None)
    if not isinstance(name, str):
        raise ConfigError("a step needs its name: step = 'FlagBad'" + closest("", all_steps()))
    if name not in all_steps():
        raise ConfigError(f"unknown step {name!r}{closest(name, all_steps())}")
    step = all_steps()[name]
    known = list(inspect.signature(step).parameters)
    wrong = [f"unknown key {key!r}{closest(key, known)}" for key in settings if key not in known]
    if wrong:
        raise ConfigError("; ".join(wrong))
    if on_bad is not None:
        settings.setdefault("on_bad", on_bad)
    made = step(**settings)
    made.check()
    return made


def step_to_table(step: Transformer) -> dict[str, Any]:
    """Name and settings of a step as a recipe holds them; None is left out, as in TOML."""
    settings = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in step.get_params(deep=False).items()
        if value is not None
    }
    return {"step": type(step).__name__, **settings}
