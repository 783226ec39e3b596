"""Angles written as text: decimal degrees, or hours and degrees with minutes and seconds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import DataError

__all__ = ["angles_of_text"]

MINUS, PRIME = "\u2212", "\u2032"  # what typesetters put for - and '
PARTS = (
    r"^\s*(?P<sign>[+\-]?)\s*(?P<whole>\d{1,3})\s*[:\shd°]\s*(?P<minute>\d{1,2}(?:\.\d*)?)"
    r"(?:\s*[:\sm']\s*(?P<second>\d{1,2}(?:\.\d*)?)?\s*(?:s|\"|\'\')?)?\s*$"
)
MOST_UNREAD = 0.01  # of the texts that are not empty


def angles_of_text(text: ArrayLike, *, hours: bool, what: str) -> NDArray[np.float64]:
    """Degrees of a column of text.

    Parameters
    ----------
    text : array of str, shape (n,)
        Such as ``"12:34:56.7"``, ``"12h34m56.7s"``, ``"-00 30 10"`` or ``"188.736"``.
    hours : bool
        Sexagesimal values are hours; decimal ones are degrees in any case.
    what : str
        For messages, such as ``"gcvs.csv: column 'RA'"``.

    Returns
    -------
    float64 array, shape (n,)
        NaN where a text is empty or no angle.

    Raises
    ------
    DataError
        If more than 1 % of what is not empty cannot be read.
    """
    column = pd.Series(np.asarray(text, dtype=object)).fillna("").astype(str).str.strip()
    column = column.str.replace(MINUS, "-", regex=False).str.replace(PRIME, "'", regex=False)
    degrees = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, copy=True)
    open_ = np.isnan(degrees) & (column != "").to_numpy()
    if open_.any():
        parts = column[open_].str.extract(PARTS)
        numbers = parts[["whole", "minute", "second"]].apply(pd.to_numeric, errors="coerce")
        whole, minute = (numbers[name].to_numpy(np.float64) for name in ("whole", "minute"))
        second = numbers["second"].fillna(0.0).to_numpy(np.float64)
        sign = np.where((parts["sign"] == "-").to_numpy(), -1.0, 1.0)
        value = sign * (whole + minute / 60.0 + second / 3600.0)
        # "12 60 00" and "12 00 60" are written by some to say 13 00 00; more is no angle
        value[(minute > 60) | (second > 60)] = np.nan
        degrees[open_] = value * (15.0 if hours else 1.0)
    nothing = column.str.lower().isin(["nan", "null", "none", "--", "-"]).to_numpy()
    unread = np.isnan(degrees) & (column != "").to_numpy() & ~nothing
    if unread.sum() > MOST_UNREAD * max(int((column != "").sum()), 1):
        row = int(np.argmax(unread))
        raise DataError(
            f"{what}: {int(unread.sum())} of {column.size} texts are no angles, such as "
            f"{column.iloc[row]!r} in row {row}; write 12:34:56.7 or degrees"
        )
    return degrees
