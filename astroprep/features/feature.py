"""What a feature is: its name, what it needs and what it means, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

__all__ = ["KERNEL", "Feature", "columns"]

# Sums may run in vector lanes; NaN and inf stay honest. Dividing by zero gives them, as in numpy.
KERNEL: dict[str, Any] = {
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "nsz", "contract"},
}


@dataclass(frozen=True)
class Feature:
    """One number per light curve.

    Parameters
    ----------
    name : str
        Name of the column; the light-curve package's where it has the same quantity.
    group : str
        Family to select by: ``"brightness"``, ``"distribution"``, ``"noise"``, ``"series"``,
        ``"cadence"``, ``"period"``, ``"fourier"``, ``"periodogram"`` or ``"folded"``; between
        two bands ``"bands"``.
    min_points : int
        With fewer usable points the value is NaN.
    formula : str
        One line. m is the value (magnitude or flux), δ its error, t the time, N the number of
        points, Q(p) the p-quantile, s the standard deviation, P the period, f the faintness
        (m in magnitudes, -m in flux).
    undefined : str
        When the value is NaN although there are enough points; ``""`` for never.
    reference : str
        Where it comes from.
    errors, period : bool
        Whether it needs an error on every point, or a period.
    default : bool
        Whether ``"default"`` names it. That set stays as it is, because trained networks read it.
    error : str
        Its standard error, one line; ``""`` where theory gives none. Features and errors assume
        independent points.
    """

    name: str
    group: str
    min_points: int
    formula: str
    undefined: str
    reference: str
    errors: bool = False
    period: bool = False
    default: bool = True
    error: str = ""


def columns(features: Sequence[Feature]) -> Any:
    """Column of each feature, as an enumeration that a numba kernel reads as constants.

    Parameters
    ----------
    features : sequence of Feature
        One table, in the order of the columns that its kernel writes.

    Returns
    -------
    enum class
        ``columns(...).SKEW`` is the position of the feature ``skew``.
    """
    return IntEnum("Column", [(f.name.upper(), i) for i, f in enumerate(features)])
