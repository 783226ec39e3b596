"""The tables of a recipe that become settings of training, compression and teachers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from astroprep.errors import ConfigError
from astroprep.pipeline.steps import closest

__all__ = [
    "AUGMENT",
    "check_settings",
    "explain",
    "settings_classes",
    "settings_from_table",
    "without_augment",
]

AUGMENT = "augment"
"""Table within ``[training]``."""


def settings_classes() -> dict[str, type[Any]]:
    """Class of the settings in each table."""
    from astroprep.compress.chain import CompressSettings
    from astroprep.compress.distil import DistilSettings
    from astroprep.model.teachers import TeacherSettings
    from astroprep.model.train import TrainSettings

    return {
        "training": TrainSettings,
        "compression": CompressSettings,
        "teachers": TeacherSettings,
        "distillation": DistilSettings,
    }


def without_augment(table: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a table without the table in it."""
    return {key: value for key, value in table.items() if key != AUGMENT}


def settings_from_table(cls: type[Any], table: Mapping[str, Any]) -> Any:
    """Make a settings dataclass of a table, checking names and types.

    Raises
    ------
    ConfigError
        If a key is not known or a value has the wrong type or range; all at once.
    """
    checker = TypeAdapter(validated(cls, config=ConfigDict(extra="forbid"), frozen=True))
    try:
        checker.validate_python(dict(table))
    except ValidationError as wrong:
        known = [field.name for field in fields(cls)]
        raise ConfigError("; ".join(explain(error, known) for error in wrong.errors())) from None
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})


def explain(error: Any, known: list[str]) -> str:
    """One mistake that pydantic found, in our words."""
    place = [str(part) for part in error["loc"]]
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key {place[-1]!r}{closest(place[-1], known)}"
    if error["type"] == "missing":
        return f"missing key {place[-1]!r}"
    reason = str(error["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(place)} = {error['input']!r}: {reason}" if place else reason


def check_settings(tables: Mapping[str, Any], source: str) -> list[str]:
    """Every mistake in the tables of settings, with the table that it is in.

    Raises
    ------
    ConfigError
        If one of them is no table; `source` begins the message.
    """
    from astroprep.model.refold import AugmentSettings

    mistakes = []
    found = {key: (cls, tables.get(key, {})) for key, cls in settings_classes().items()}
    training = found["training"][1]
    if isinstance(training, dict) and AUGMENT in training:
        found[f"training.{AUGMENT}"] = (AugmentSettings, training[AUGMENT])
        found["training"] = (found["training"][0], without_augment(training))
        mistakes += _cannot_augment(tables)
    for key, (cls, table) in found.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{source}: {key} must be one table, begun by a line [{key}]")
        try:
            settings_from_table(cls, table)
        except (ConfigError, TypeError) as error:
            mistakes.append(f"{error} in [{key}]")
        if "seed" in table:
            mistakes.append(f"'seed' belongs at the top of the recipe, not in [{key}]")
    return mistakes


def _cannot_augment(tables: Mapping[str, Any]) -> list[str]:
    """What else in a recipe keeps its curves from being changed."""
    mistakes = []
    if tables["training"].get("processes", 1) != 1:
        mistakes.append(
            f"several processes train on curves as they are: leave out [training.{AUGMENT}] or "
            "set processes = 1 in [training]"
        )
    if any(t.get("step") == "FoldedChannels" and "bands" in t for t in tables.get("steps", [])):
        mistakes.append(
            f"[training.{AUGMENT}] folds all points together: leave it out, or 'bands' of "
            "FoldedChannels"
        )
    return mistakes
