"""Which objects a report draws: the clearest of each class and the worst mistakes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astroprep.errors import DataError

__all__ = ["choose_examples", "confidence_of"]

NEEDED = ("row", "predicted")


def probability_columns(predictions: pd.DataFrame) -> list[str]:
    """Columns ``prob_<label>``, in their order."""
    return [name for name in predictions.columns if str(name).startswith("prob_")]


def confidence_of(predictions: pd.DataFrame) -> NDArray[np.float64]:
    """Highest probability of each row.

    Parameters
    ----------
    predictions : pandas.DataFrame
        With columns ``prob_<label>``.

    Returns
    -------
    float64 array, shape (n_objects,)
        NaN where there are no probabilities.
    """
    columns = probability_columns(predictions)
    confidence = np.full(len(predictions), np.nan)
    if columns:
        p = predictions[columns].to_numpy(np.float64, na_value=np.nan)
        known = np.isfinite(p).all(axis=1)
        confidence[known] = p[known].max(axis=1)
    return confidence


def text_column(frame: pd.DataFrame, name: str) -> NDArray[np.object_]:
    """Column of a frame as str; ``""`` where it is missing."""
    if name not in frame.columns:
        return np.full(len(frame), "", dtype=object)
    return frame[name].astype(object).where(frame[name].notna(), "").astype(str).to_numpy(object)


def is_tested(predictions: pd.DataFrame) -> NDArray[np.bool_]:
    """True for test objects with a label that the network knows.

    The column ``role`` says who is tested, ``split`` where there is no such column.
    """
    known = {str(name).removeprefix("prob_") for name in probability_columns(predictions)}
    part = text_column(predictions, "role" if "role" in predictions.columns else "split")
    is_known = np.isin(text_column(predictions, "label"), sorted(known))
    return np.asarray(is_known & (part == "test"), bool)


def choose_examples(
    predictions: pd.DataFrame, per_class: int = 3, n_mistakes: int = 12
) -> pd.DataFrame:
    """Rows to draw: the most confident right ones of each class and the most confident mistakes.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Columns ``row`` (position in the input), ``predicted``, ``prob_<label>``, and where known
        ``label``, and ``role`` or ``split`` ("test" for test objects). Objects without a
        prediction are never chosen.
    per_class : int, default 3
        Right predictions of each class; of each *predicted* class where nothing is labelled.
    n_mistakes : int, default 12
        Wrong predictions in all.

    Returns
    -------
    pandas.DataFrame
        Columns ``row`` and ``role`` (``"class"`` or ``"mistake"``), of test objects where there
        are any and of all labelled ones otherwise; most confident first, classes in
        alphabetical order.

    Raises
    ------
    DataError
        If ``row`` or ``predicted`` is missing.
    """
    missing = [name for name in NEEDED if name not in predictions.columns]
    if missing:
        raise DataError(f"choose_examples needs the columns {', '.join(missing)} of predictions")
    label, predicted = text_column(predictions, "label"), text_column(predictions, "predicted")
    served = predicted != ""
    tested = is_tested(predictions)
    if not tested.any():
        names = [str(name).removeprefix("prob_") for name in probability_columns(predictions)]
        tested = np.isin(label, names)
    right = served & (tested & (label == predicted) if tested.any() else True)
    wrong = served & tested & (label != predicted)
    order = np.argsort(-np.nan_to_num(confidence_of(predictions), nan=-1.0), kind="stable")
    rows = predictions["row"].to_numpy(np.int64)
    chosen: list[tuple[int, str]] = []
    for name in sorted(set(predicted[right].tolist())):
        best = order[right[order] & (predicted[order] == name)][:per_class]
        chosen += [(int(rows[k]), "class") for k in best]
    chosen += [(int(rows[k]), "mistake") for k in order[wrong[order]][:n_mistakes]]
    return pd.DataFrame(
        {
            "row": np.array([row for row, _ in chosen], dtype=np.int64),
            "role": np.array([role for _, role in chosen], dtype=object),
        }
    )
