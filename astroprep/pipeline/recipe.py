"""A recipe: one TOML file that says how raw light curves become a deployed classifier."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from astroprep.base import Transformer
from astroprep.errors import ConfigError
from astroprep.model.taxonomy import Taxonomy
from astroprep.pipeline.settings_tables import (
    AUGMENT,
    check_settings,
    explain,
    settings_classes,
    settings_from_table,
    without_augment,
)
from astroprep.pipeline.steps import PERIOD_STEPS, closest, step_from_table, step_to_table

if TYPE_CHECKING:
    from astroprep.model.refold import AugmentSettings
    from astroprep.model.train import TrainSettings

__all__ = [
    "DeploymentTable",
    "Recipe",
    "SplitTable",
    "read_recipe",
    "resolved",
]

OPTIONAL = ("teachers", "distillation")  # tables that mean nothing where both are empty


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SplitTable(_Table):
    """How objects are divided, where the input does not say.

    Parameters
    ----------
    test : float
        Share of the labelled objects that only measure; used without a split column.
    validation : float
        Share of the training objects that steer training and calibration. A tenth holds a
        dozen stars even of the classes with a hundred.
    twin_radius : float
        Objects closer than this, in arcseconds, count as one star and stay on one side. The
        known pairs of the Catalina survey lie 3 to 6 arcseconds apart.
    max_train : int
        Ceiling on the objects that are learned from, which bounds the memory: 100,000 fill
        about half a GiB. A larger survey is sampled, class by class.
    """

    test: float = Field(default=0.3, gt=0, lt=1)
    validation: float = Field(default=0.15, gt=0, lt=1)
    twin_radius: float = Field(default=6.0, ge=0)
    max_train: int = Field(default=100_000, ge=10)


class NetworkTable(_Table):
    """Which network is trained.

    Parameters
    ----------
    preset : str
        One of ``astroprep.model.firenet.PRESETS``.
    n_periods : int
        Periods that the light curves are folded at: 1 + ``n_candidates`` of FoldedChannels.
    auxiliary_width, head_width : int, optional
        Other widths than those of the preset, see `astroprep.model.firenet.firenet_spec`.
    """

    preset: str = "small"
    n_periods: int = Field(default=1, ge=1)
    auxiliary_width: int | None = Field(default=None, ge=1)
    head_width: int | None = Field(default=None, ge=0)


class DeploymentTable(_Table):
    """What the bundle computes in.

    Parameters
    ----------
    engine : {"float", "integer"}
        Floats on ONNX Runtime, or 8-bit integers on a kernel that gives the same bits on every
        machine and is exported to C.
    calibration : {"mse", "percentile", "minmax"}
        How the ranges of the integers are found, on training curves; see
        `astroprep.compress.quantize.calibrate_ranges`.
    """

    engine: Literal["float", "integer"] = "float"
    calibration: Literal["mse", "percentile", "minmax"] = "mse"


class Recipe(_Table):
    """Everything that a run does, resolved and checked.

    Parameters
    ----------
    name : str
        Short name, stored in the bundle.
    about : str
        What the recipe is for.
    seed : int
        Of every random choice.
    on_bad : {"reject", "raise"}
        What steps do with a curve that they cannot serve, where they do not say themselves.
    steps : list of tables
        ``step`` (class name) and its settings, in order.
    split, network, training, compression, deployment : tables
        See `SplitTable`, `NetworkTable`, `astroprep.model.train.TrainSettings`,
        `astroprep.compress.chain.CompressSettings` and `DeploymentTable`. With a table
        ``[training.augment]``, which may be empty, the training curves are changed and folded
        anew for every epoch, see `astroprep.model.refold.AugmentSettings`; compression trains on
        curves as they are.
    teachers, distillation : tables
        See `astroprep.model.teachers.TeacherSettings` and
        `astroprep.compress.distil.DistilSettings`. Where either has a key, the network is taught
        by teachers; otherwise by labels alone.
    taxonomy : nested tables
        Groups of the classes, see `astroprep.model.taxonomy.Taxonomy`; may be left out.
    false_unknown_rate : float
        Share of objects of known classes that may be called unknown.
    """

    name: str
    about: str = ""
    seed: int = Field(default=1, ge=0, lt=2**63)  # what torch takes
    on_bad: Literal["reject", "raise"] = "reject"
    steps: tuple[dict[str, Any], ...] = Field(min_length=1, strict=False)
    split: SplitTable = SplitTable()
    network: NetworkTable = NetworkTable()
    training: dict[str, Any] = {}
    compression: dict[str, Any] = {}
    taxonomy: dict[str, Any] = {}
    false_unknown_rate: float = Field(default=0.02, gt=0, lt=1)
    deployment: DeploymentTable = DeploymentTable()
    teachers: dict[str, Any] = {}
    distillation: dict[str, Any] = {}

    def make_steps(self) -> list[Transformer]:
        """Fresh steps in order, with the recipe's ``on_bad`` where they have none of their own."""
        return [step_from_table(table, on_bad=self.on_bad) for table in self.steps]

    def with_period_from(self, source: Literal["search", "column"]) -> Self:
        """Recipe with its period step exchanged.

        Parameters
        ----------
        source : {"search", "column"}
            ``"column"`` takes the catalogue's period and searches none.

        Raises
        ------
        ConfigError
            If the recipe has no period step.
        """
        wanted = {"search": "PeriodSearch", "column": "UseCataloguePeriod"}[source]
        if self.period_source() == source:
            return self
        kept = ("on_bad",)  # the settings of a search mean nothing to the other step
        steps = tuple(
            {"step": wanted, **{key: table[key] for key in kept if key in table}}
            if table["step"] in PERIOD_STEPS
            else table
            for table in self.steps
        )
        return self.model_copy(update={"steps": steps})

    def period_source(self) -> Literal["search", "column"]:
        """Where the periods come from.

        Raises
        ------
        ConfigError
            If the recipe has no period step.
        """
        for table in self.steps:
            if table["step"] in PERIOD_STEPS:
                return "search" if table["step"] == "PeriodSearch" else "column"
        raise ConfigError(f"recipe {self.name!r} has no period step ({' or '.join(PERIOD_STEPS)})")

    def is_distilled(self) -> bool:
        """Whether the network learns from teachers."""
        return bool(self.teachers or self.distillation)

    def train_settings(self) -> TrainSettings:
        """How the network is trained."""
        from astroprep.model.train import TrainSettings

        table = {**without_augment(self.training), "seed": self.seed}
        made: TrainSettings = settings_from_table(TrainSettings, table)
        return made

    def augment_settings(self) -> AugmentSettings | None:
        """How training curves are changed from epoch to epoch; None where they are not."""
        from astroprep.model.refold import AugmentSettings

        if AUGMENT not in self.training:
            return None
        table = {**self.training[AUGMENT], "seed": self.seed}
        made: AugmentSettings = settings_from_table(AugmentSettings, table)
        return made

    def to_dict(self) -> dict[str, Any]:
        """Plain tables, for JSON."""
        return self.model_dump(mode="json")


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe and check all of it.

    Parameters
    ----------
    path : str or Path
        A TOML file.

    Raises
    ------
    ConfigError
        If the file cannot be read or anything in it is wrong; every mistake is named, with the
        table that it is in.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the recipe: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    return recipe_from_tables(tables, source=str(path))


def recipe_from_tables(tables: Mapping[str, Any], *, source: str) -> Recipe:
    """Check the tables of a recipe; `source` begins each message.

    Raises
    ------
    ConfigError
        If anything is wrong; every mistake is named.
    """
    mistakes: list[str] = []
    steps = tables.get("steps", [])
    if not isinstance(steps, list) or not all(isinstance(table, dict) for table in steps):
        raise ConfigError(f"{source}: steps must be tables, each begun by a line [[steps]]")
    for i, table in enumerate(steps):
        try:
            step_from_table(table)
        except ConfigError as error:
            mistakes.append(f"{error} in [[steps]] {i + 1} ({table.get('step', '?')})")
    mistakes += check_settings(tables, source)
    recipe = None
    try:
        recipe = Recipe.model_validate(dict(tables))
        _check_preset(recipe.network.preset)
    except ValidationError as wrong:
        for found in wrong.errors():
            table = ".".join(str(part) for part in found["loc"][:-1])
            known = {
                "": Recipe.model_fields,
                "split": SplitTable.model_fields,
                "network": NetworkTable.model_fields,
                "deployment": DeploymentTable.model_fields,
            }
            where = f" in [{table}]" if table else ""
            mistakes.append(explain(found, list(known.get(table, ()))) + where)
    except ConfigError as error:
        mistakes.append(f"{error} in [network]")
    if (
        recipe is not None
        and recipe.compression.get("quantization_aware")
        and recipe.deployment.engine != "integer"
    ):
        mistakes.append(
            "quantization_aware in [compression] trains for 8-bit integers and needs "
            'engine = "integer" in [deployment]'
        )
    try:
        Taxonomy.from_table(tables.get("taxonomy", {}))
    except (ConfigError, AttributeError) as error:
        mistakes.append(f"{error} in [taxonomy]")
    if mistakes or recipe is None:
        raise ConfigError(f"{source}: " + "\n  ".join(mistakes))
    return recipe


def resolved(recipe: Recipe) -> dict[str, Any]:
    """Everything that a run of this recipe would use, defaults filled in."""
    full = recipe.to_dict()
    full["steps"] = [step_to_table(step) for step in recipe.make_steps()]
    for key, cls in settings_classes().items():
        if key in OPTIONAL and not recipe.is_distilled():
            continue
        full[key] = asdict(settings_from_table(cls, without_augment(getattr(recipe, key))))
    full["training"]["seed"] = recipe.seed
    augment = recipe.augment_settings()
    if augment is not None:
        full["training"][AUGMENT] = asdict(augment)
    return full


def _check_preset(preset: str) -> None:
    from astroprep.model.firenet import PRESETS

    if preset not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}{closest(preset, PRESETS)}")
