"""A run at work: its inputs, its folder, and what the stages share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa

from astroprep.base import Transformer
from astroprep.compress.chain import CompressSettings
from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.io import ColumnNames, Survey, open_survey
from astroprep.model.refold import AugmentSettings
from astroprep.model.train import TrainSettings
from astroprep.pipeline.account import Counts, Progress
from astroprep.pipeline.classify import BATCH_OBJECTS
from astroprep.pipeline.prepare import Prepared, prepare
from astroprep.pipeline.recipe import Recipe
from astroprep.pipeline.resume import RunFolder
from astroprep.pipeline.settings_tables import settings_from_table
from astroprep.pipeline.sizing import objects_within

__all__ = ["Job", "Preparer", "Resources", "RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """What a run is told beside its recipe.

    Parameters
    ----------
    period_column : str or None
        Take periods from this column instead of searching them.
    label_column, split_column : str or None
        Where labels and the split are; None finds ``label`` and ``split`` if they are there.
    prior : str
        Class shares that probabilities and decisions assume: ``"train"``, those of the training
        objects, ``"estimate"``, those that expectation maximisation finds in the whole input,
        ``"estimate:0.3"``, three tenths of the way to them from the learned ones, or a file of
        them, see `astroprep.model.priors.read_shares`.
    schema : str or None
        Survey whose table the input is, by name or as a TOML file; see `astroprep.surveys`.
    """

    period_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    prior: str = "train"
    schema: str | None = None

    def names(self) -> ColumnNames:
        """Columns to read."""
        return ColumnNames(
            label=self.label_column,
            split=self.split_column,
            period=self.period_column,
            schema=self.schema,
        )


SAMPLE = 8  # objects that are prepared to know names and shapes

Preparer = Callable[["Job", int], Iterable[Prepared]]
"""Gives what the fitted steps of a run make of its input, from a row on, in any batches."""


@dataclass(frozen=True)
class Resources:
    """What a run may take of the machine; it changes no result.

    Parameters
    ----------
    memory : int or None
        Bytes that the process may hold; None for what the sizes as ever need.
    preparer : callable or None
        Who prepares the light curves, see `Preparer`; None for this process.
    """

    memory: int | None = None
    preparer: Preparer | None = None


@dataclass(frozen=True)
class Job:
    """One run: its inputs, its folder, and what several stages need.

    Parameters
    ----------
    recipe : Recipe
        With the period step that the options ask for.
    source : Path
        Survey file.
    folder : RunFolder
        Where results go.
    options : RunOptions
        Columns, period source and priors.
    progress : callable
        Told stage, done and total.
    resources : Resources
        What the work may take; results do not depend on it.
    """

    recipe: Recipe
    source: Path
    folder: RunFolder
    options: RunOptions
    progress: Progress
    resources: Resources

    @cached_property
    def steps(self) -> list[Transformer]:
        """Steps of the recipe; those that learn are fitted in the stage ``prepare``."""
        return self.recipe.make_steps()

    @cached_property
    def training(self) -> TrainSettings:
        """How the network is trained."""
        return self.recipe.train_settings()

    @cached_property
    def augment(self) -> AugmentSettings | None:
        """How training curves are changed from epoch to epoch; None where they are not."""
        return self.recipe.augment_settings()

    @cached_property
    def compression(self) -> CompressSettings:
        """How the network is compressed."""
        settings: CompressSettings = settings_from_table(CompressSettings, self.recipe.compression)
        return settings

    @cached_property
    def batch_objects(self) -> int:
        """Light curves that are in memory at a time."""
        if self.resources.memory is None:
            return BATCH_OBJECTS
        return objects_within(self.resources.memory, self.source, self.options.names())

    def open(self) -> Survey:
        """Open the survey; rows that cannot be read end among the rejected."""
        return open_survey(self.source, self.options.names(), on_bad="reject")

    def batches(self) -> Iterator[LightCurveBatch]:
        """Raw batches of the survey, in order."""
        with self.open() as survey:
            yield from survey.iter_batches(self.batch_objects)

    def prepared(self, first_row: int) -> Iterator[Prepared]:
        """What the fitted steps make of the input from a row on, in batches of any size."""
        if self.resources.preparer is not None:
            yield from self.resources.preparer(self, first_row)
            return
        with self.open() as survey:
            for batch in survey.iter_batches(self.batch_objects, first_row=first_row):
                yield prepare(batch, self.steps)

    def sample(self) -> Prepared:
        """What the fitted steps make of the first objects: names and shapes of all."""
        with self.open() as survey:
            return prepare(next(iter(survey.iter_batches(SAMPLE))), self.steps)

    def part_paths(self) -> list[Path]:
        """Files of prepared batches, in order."""
        return sorted(self.folder.work.glob("part-*.arrow"))

    def points_path(self, part: Path) -> Path:
        """File of the points of the training curves of a prepared batch, see `pipeline.points`."""
        return part.with_name(f"{part.stem}.points.npz")

    def parts(self) -> Iterator[Prepared]:
        """Prepared batches, in order, one in memory at a time."""
        for path in self.part_paths():
            yield Prepared.load(path)

    def catalogue(self) -> pd.DataFrame:
        """Row, id, label, split and position of every object of the input."""
        path = self.folder.work / "catalogue.parquet"
        try:
            return pd.read_parquet(path)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} is damaged; pass --restart to begin anew") from error

    def counts(self) -> Counts:
        """Where every object went; after the stage ``evaluate``."""
        return Counts(**self.folder.get_json("counts.json"))
