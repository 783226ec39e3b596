"""What is done to each batch of a partition: classify it, or search its periods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from astroprep.data import LightCurveBatch, Meta, Rejected
from astroprep.errors import ConfigError
from astroprep.io import ColumnNames, source_sha256
from astroprep.model.outputs import COVERAGE
from astroprep.model.priors import estimate_part
from astroprep.pipeline.classify import open_classifier, said_of, stated_shares
from astroprep.pipeline.periods import SCHEMA, PeriodChain

__all__ = ["ClassifyWork", "PeriodWork", "Step", "Work"]

Step = Callable[[LightCurveBatch], tuple[pa.Table, Rejected]]
"""Rows of all objects of a batch in their order, and those that were rejected."""


class Work(Protocol):
    """A task that needs nothing but its settings and one partition."""

    verb: str

    def __hash__(self) -> int:
        """Of the settings: a worker opens each work once."""

    @property
    def names(self) -> ColumnNames:
        """Columns to read."""

    def settings(self) -> dict[str, Any]:
        """What results depend on, plain enough for JSON."""

    def begin(self, meta: Meta) -> tuple[pa.Schema, Step]:
        """Open what the work needs; give the columns of the result and the work itself."""


@dataclass(frozen=True)
class ClassifyWork:
    """What `astroprep.pipeline.classify.classify` does, with the same parameters.

    Parameters
    ----------
    bundle : Path
        On a disk that every worker sees.
    period_column, search_periods, prior, coverage
        See `astroprep.pipeline.classify.classify`; shares cannot be estimated here, because no
        worker sees the whole input.
    """

    bundle: Path
    period_column: str | None = None
    search_periods: bool = False
    prior: str | None = None
    coverage: float = COVERAGE
    verb = "classify"

    @property
    def names(self) -> ColumnNames:
        """Columns to read."""
        return ColumnNames(period=self.period_column)

    def settings(self) -> dict[str, Any]:
        """Parameters, and checksums instead of names of files."""
        files = {"bundle": source_sha256(self.bundle)}
        if self.prior not in (None, "train") and estimate_part(self.prior) is None:
            files["prior"] = source_sha256(str(self.prior))
        return {"verb": self.verb, **asdict(self), **files}

    def begin(self, meta: Meta) -> tuple[pa.Schema, Step]:
        """Open the bundle.

        Raises
        ------
        ConfigError
            If class shares are to be estimated, or see `open_classifier`.
        DataError
            If the bundle or the shares are damaged.
        """
        if estimate_part(self.prior) is not None:
            raise ConfigError(
                f"--prior {self.prior} needs the whole input at once; estimate the shares with "
                "`astroprep classify` on a sample, and give them as a file"
            )
        classifier = open_classifier(
            self.bundle, self.period_column, search_periods=self.search_periods
        )
        answers = classifier.answers(
            stated_shares(self.prior, classifier), prior=self.prior, coverage=self.coverage
        )

        def step(batch: LightCurveBatch) -> tuple[pa.Table, Rejected]:
            prepared = classifier.prepare(batch)
            return answers.table(classifier.facts(prepared, said_of(batch))), prepared.rejected

        return answers.schema, step


@dataclass(frozen=True)
class PeriodWork:
    """What `astroprep.pipeline.periods.search_periods` does, with the same parameters.

    Parameters
    ----------
    max_frequency, bands, known_period
        See `astroprep.pipeline.periods.search_periods`.
    """

    max_frequency: float = 24.0
    bands: tuple[str, ...] = ()
    known_period: str | None = None
    verb = "period"

    @property
    def names(self) -> ColumnNames:
        """Columns to read."""
        return ColumnNames(period=self.known_period)

    def settings(self) -> dict[str, Any]:
        """Parameters."""
        return {"verb": self.verb, **asdict(self)}

    def begin(self, meta: Meta) -> tuple[pa.Schema, Step]:
        """Make the steps.

        Raises
        ------
        ConfigError
            If the settings make no sense for this survey.
        """
        if self.known_period is not None and not self.known_period.strip():
            raise ConfigError("--known-period needs the name of a column, got an empty one")
        bands = tuple(dict.fromkeys(self.bands))
        chain = PeriodChain(meta, bands, self.max_frequency, self.known_period is not None)
        return SCHEMA, chain.table
