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

__all__ = [
    "PERIOD_STEPS",
    "all_steps",
    "closest",
    "find_step",
    "step_from_table",
    "step_to_table",
]

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
PERIOD_STEPS = ("PeriodSearch", "UseCataloguePeriod")


@cache
def all_steps() -> Mapping[str, type[Transformer]]:
    """Every step of the package by its class name, in alphabetical order; loads all of them."""
    found = {name: find_step(name) for name in sorted(_homes())}
    return {name: step for name, step in found.items() if step is not None}


@cache
def _homes() -> Mapping[str, str]:
    """Room of every public name that may be a step's, nothing of the rooms being loaded."""
    present = {module.name for module in pkgutil.iter_modules(astroprep.__path__)}
    rooms = [f"astroprep.{room}" for room in ROOMS if room in present]
    return {
        name: room
        for room in rooms
        for name in importlib.import_module(room).__all__
        if name[0].isupper()
    }


def find_step(name: str) -> type[Transformer] | None:
    """Return the step of this class name, loading its module alone; None where there is none."""
    room = _homes().get(name)
    member = None if room is None else getattr(importlib.import_module(room), name)
    is_step = inspect.isclass(member) and issubclass(member, Transformer)
    return member if is_step else None


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
    step = find_step(name)
    if step is None:
        raise ConfigError(f"unknown step {name!r}{closest(name, all_steps())}")
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
