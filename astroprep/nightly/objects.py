"""Tables of objects: what is known of each, and what was ever said of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astroprep.nightly.rows import mixed
from astroprep.period.periodsearch import AUXILIARIES

__all__ = ["CLASSIFICATIONS", "OBJECTS", "fingerprints"]

OBJECTS = pa.schema(
    [
        ("object_id", pa.string()),
        ("pixels", pa.list_(pa.int32())),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        ("n_points", pa.int64()),
        ("fingerprint", pa.int64()),
        ("band", pa.string()),
        ("period", pa.float64()),
        ("period_err", pa.float64()),
        ("period_origin", pa.string()),
        ("searched_points", pa.int64()),
        *[(name, pa.float64()) for name in AUXILIARIES],
        ("class", pa.string()),
        ("probability", pa.float64()),
        ("method", pa.string()),
        ("run", pa.int64()),
    ]
)
"""Columns of an object; the row of the latest run counts.

``pixels`` are those its observations lie in; ``n_points`` counts observations that were not
withdrawn; ``fingerprint`` tells whether they are the same; ``period_origin`` is ``searched``,
``confirmed`` or ``drifted`` and ``searched_points`` says how many points the last search saw;
``period_sine`` to ``period_second_ratio`` are what it told of the periodogram.
"""

CLASSIFICATIONS = pa.schema(
    [
        ("object_id", pa.string()),
        ("night", pa.string()),
        ("class", pa.string()),
        ("probability", pa.float64()),
        ("probabilities", pa.list_(pa.float64())),
        ("classes", pa.string()),
        ("method", pa.string()),
        ("band", pa.string()),
        ("n_points", pa.int64()),
        ("period", pa.float64()),
        ("period_origin", pa.string()),
        ("previous_class", pa.string()),
        ("changed", pa.bool_()),
        ("unknown", pa.bool_()),
        ("rejected_reason", pa.string()),
        ("bundle", pa.string()),
        ("code", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
        ("run", pa.int64()),
    ]
)
"""Columns of a classification; rows are only ever added.

``probabilities`` are in the order of ``classes``; ``method`` is ``network``, ``features`` (few
points) or empty for a rejected object, which has ``rejected_reason`` instead of a class;
``changed`` says that ``previous_class`` was another, ``unknown`` that no class is probable;
``bundle`` is the SHA-256 of the classifier and ``code`` the version of astroprep.
"""


def fingerprints(
    start: NDArray[np.int64],
    source_id: NDArray[np.int64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    flags: NDArray[np.int32],
) -> NDArray[np.int64]:
    """A number for each object that changes with any of its observations, not with their order.

    Parameters
    ----------
    start : int64 array, shape (n_objects,)
        First row of each object, ascending; none is without rows.
    source_id, value, error, flags : array, shape (n_rows,)
        Of the observations.

    Returns
    -------
    int64 array, shape (n_objects,)
    """
    word = mixed(source_id.view(np.uint64))
    for column in (value, error, flags.astype(np.float64)):
        plain = np.where(np.isnan(column), np.nan, column + 0.0)  # one NaN, no negative zero
        word = mixed(word ^ plain.view(np.uint64))
    if not start.size:
        return np.empty(0, np.int64)
    return np.add.reduceat(word, start).view(np.int64)
