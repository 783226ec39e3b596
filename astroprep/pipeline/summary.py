"""A file of predictions in a dozen numbers: classes, sets, unknown objects, what was assumed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from astroprep.arrow_arrays import numpy_numbers
from astroprep.errors import DataError
from astroprep.pipeline.predictions import SETS_JOINED_BY

__all__ = ["Summary", "summarise_predictions"]

SIGMAS = 4.0  # of the binomial beyond the stated rate: where chance stops being an explanation


@dataclass(frozen=True)
class Summary:
    """What a file of predictions says as a whole.

    Parameters
    ----------
    classes : dict of str to int
        Objects predicted to be of each class, the most frequent first.
    set_sizes : dict of int to int
        Conformal sets of each number of classes; empty where the bundle has none.
    n_unknown : int or None
        Objects called unknown; None where the bundle has no such score.
    about : dict
        What the answers assume, see `astroprep.pipeline.predictions.Answers.about`.
    """

    classes: dict[str, int]
    set_sizes: dict[int, int]
    n_unknown: int | None
    about: dict[str, Any]

    @property
    def n_answered(self) -> int:
        """Objects that were not rejected."""
        return sum(self.classes.values())

    @property
    def too_many_unknown(self) -> bool:
        """Whether more are called unknown than objects of the learned classes would be.

        Four standard deviations of the binomial above the rate that the bundle states.
        """
        rate = self.about.get("false_unknown_rate")
        if self.n_unknown is None or rate is None:
            return False
        spread = math.sqrt(self.n_answered * rate * (1 - rate))
        return bool(self.n_unknown > self.n_answered * rate + SIGMAS * spread)


def summarise_predictions(path: str | Path) -> Summary:
    """Count what a file of predictions says, one row group in memory at a time.

    Parameters
    ----------
    path : path
        Written by `astroprep.pipeline.predictions.PredictionWriter`.

    Returns
    -------
    Summary

    Raises
    ------
    DataError
        If it is no such file.
    """
    try:
        file = pq.ParquetFile(path)
        about = json.loads((file.schema_arrow.metadata or {})[b"astroprep_answers"])
        there = set(file.schema_arrow.names)
        wanted = [n for n in ("predicted", "conformal_set", "is_unknown") if n in there]
        classes: dict[str, int] = dict.fromkeys(about["shares"], 0)
        sizes = np.zeros(len(classes) + 1, np.int64)
        unknown = 0
        for k in range(file.num_row_groups):
            table = file.read_row_group(k, columns=wanted)
            for one in pc.value_counts(table["predicted"].drop_null()).to_pylist():
                classes[one["values"]] += one["counts"]
            if "conformal_set" in wanted:
                sizes += np.bincount(_sizes(table["conformal_set"]), minlength=sizes.size)
            if "is_unknown" in wanted:
                unknown += pc.sum(table["is_unknown"]).as_py() or 0
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise DataError(f"{path} is no file of predictions: {error}") from error
    return Summary(
        classes={k: classes[k] for k in sorted(classes, key=lambda k: -classes[k])},
        set_sizes={k: int(n) for k, n in enumerate(sizes) if n},
        n_unknown=unknown if "is_unknown" in wanted else None,
        about=about,
    )


def _sizes(sets: pa.ChunkedArray) -> Any:
    """Number of classes in each set, those of rejected objects left out."""
    sets = sets.drop_null()
    joints = numpy_numbers(pc.count_substring(sets, SETS_JOINED_BY))
    return np.where(numpy_numbers(pc.binary_length(sets)) == 0, 0, joints + 1)
