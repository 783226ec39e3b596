"""What a run writes of itself into its bundle, and how it is taken up again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, ValidationError

from astroprep.base import Transformer
from astroprep.data import Quantity
from astroprep.deploy.bundle import Bundle
from astroprep.errors import ConfigError, DataError
from astroprep.model.taxonomy import Taxonomy
from astroprep.pipeline.steps import PERIOD_STEPS, step_from_table, step_to_table
from astroprep.represent import AuxiliaryScale

__all__ = [
    "Note",
    "StepNote",
    "read_note",
    "restore_scale",
    "restore_steps",
    "restore_taxonomy",
    "state_of_steps",
]

BAD_CONTENT = (TypeError, ValueError, AttributeError, IndexError)  # of a scale in a made-up bundle


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class StepNote(_Part):
    """One fitted step.

    Parameters
    ----------
    table : dict
        As a recipe holds it.
    version : int
        Of the step that was trained with.
    state : dict
        What it learned.
    """

    table: dict[str, Any]
    version: int
    state: dict[str, Any]


class Note(_Part):
    """``Bundle.recipe`` of a run, checked.

    Parameters
    ----------
    name, survey : str
        Of the recipe, and of the survey that it was trained on.
    quantity : {"mag", "flux"}
        What the survey measured.
    trained_with : {"search", "column"}
        Where the periods came from.
    steps : tuple of StepNote
        In order.
    priors : tuple of float
        Class shares that the probabilities assume.
    train_shares : tuple of float
        Those of the training objects; empty in bundles that were written before there were any.
    prior : str
        Where ``priors`` came from: ``"train"``, ``"estimate"``, ``"estimate:PART"`` or ``"file"``.
    bands : tuple of str
        Of the survey that it was trained on; none where it did not say.
    """

    name: str
    survey: str
    quantity: Quantity
    trained_with: Literal["search", "column"]
    steps: tuple[StepNote, ...]
    priors: tuple[NonNegativeFloat, ...]
    train_shares: tuple[NonNegativeFloat, ...] = ()
    prior: str = "train"
    bands: tuple[str, ...] = ()


def read_note(bundle: Bundle) -> Note:
    """Check what a bundle says of the run that made it.

    Raises
    ------
    DataError
        If anything is missing or of the wrong type.
    """
    try:
        note = Note.model_validate(bundle.recipe)
    except ValidationError as wrong:
        places = sorted({".".join(map(str, error["loc"])) for error in wrong.errors()})
        raise DataError(
            f"{bundle.source}: its recipe lacks, or has damaged: {', '.join(places)}; "
            "fetch it again"
        ) from None
    n_train = len(note.train_shares) or len(bundle.classes)
    if not len(note.priors) == n_train == len(bundle.classes):
        raise DataError(
            f"{bundle.source}: its recipe has priors of {len(note.priors)} classes, the network "
            f"has {len(bundle.classes)}; fetch it again"
        )
    return note


def restore_steps(
    note: Note, source: Literal["search", "column"] | None, bundle: str = "bundle"
) -> list[Transformer]:
    """Fitted steps of a bundle, with the period taken from where it is wanted.

    Parameters
    ----------
    note : Note
        Holds tables, versions and states of the steps.
    source : {"search", "column"} or None
        Where periods come from; None as in training.
    bundle : str, default "bundle"
        Named in errors.

    Raises
    ------
    DataError
        If a step is not known to this astroprep or has another version here.
    """
    steps = []
    try:
        for entry in note.steps:
            table, state = entry.table, entry.state
            version: int | None = entry.version
            if table.get("step") in PERIOD_STEPS and source is not None:
                wanted = {"search": "PeriodSearch", "column": "UseCataloguePeriod"}[source]
                if table["step"] != wanted:
                    table = {"step": wanted, "on_bad": table.get("on_bad", "reject")}
                    version, state = None, {}
            step = step_from_table(table)
            if version is not None and step.version != version:
                raise DataError(
                    f"{bundle}: it was made with version {version} of {table['step']}, "
                    f"this astroprep has version {step.version}; train it again"
                )
            steps.append(step.load_state(state))
    except ConfigError as error:
        raise DataError(f"{bundle}: its recipe cannot be restored: {error}") from error
    return steps


def restore_taxonomy(bundle: Bundle) -> Taxonomy | None:
    """Groups of the classes, where the recipe has any.

    Raises
    ------
    DataError
        If the table is none.
    """
    recipe = bundle.recipe.get("recipe", {})
    table = recipe.get("taxonomy") if isinstance(recipe, dict) else None
    if not table:
        return None
    try:
        return Taxonomy.from_table(table).of(bundle.classes)
    except (ConfigError, *BAD_CONTENT) as error:
        raise DataError(f"{bundle.source}: its taxonomy cannot be restored: {error}") from error


def restore_scale(bundle: Bundle) -> AuxiliaryScale:
    """Scale of the auxiliaries, tried once.

    Raises
    ------
    DataError
        If it does not give the auxiliaries that the network takes.
    """
    try:
        scale = AuxiliaryScale(**bundle.auxiliary_state)
        made = scale.apply(np.zeros((1, scale.median.size))).shape[1]
    except BAD_CONTENT as error:
        raise DataError(
            f"{bundle.source}: its scale of auxiliaries cannot be restored: {error}"
        ) from error
    if made != len(bundle.feature_names):
        raise DataError(
            f"{bundle.source}: its scale makes {made} auxiliaries, the network takes "
            f"{len(bundle.feature_names)}; fetch it again"
        )
    return scale


def state_of_steps(steps: Sequence[Transformer]) -> list[dict[str, Any]]:
    """Settings, versions and fitted states of steps, as `StepNote` holds them."""
    return [
        {"table": step_to_table(step), "version": step.version, "state": step.state()}
        for step in steps
    ]
