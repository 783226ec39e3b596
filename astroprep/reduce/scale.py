"""Put features on one scale and back, so that none counts for more through its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.reduce.table import FeatureTable

__all__ = ["SCALES", "ColumnScale", "Scale"]

Scale = Literal["asinh", "standard", "none"]
SCALES: tuple[Scale, ...] = ("asinh", "standard", "none")
IQR_TO_SIGMA = 1 / 1.349  # Gaussian sigma per unit of the interquartile range
SAME = 1e-12  # relative spread below which a column is constant but for rounding
HUGE = 1e300  # widths; beyond it a float64 overflows


@dataclass(frozen=True, eq=False)
class ColumnScale:
    """Scale of each column, learned once, applied everywhere.

    Parameters
    ----------
    kind : {"asinh", "standard", "none"}
        What is done before the mean is taken out: see Notes.
    median, width : float64 array, shape (n_features,)
        Of the inverse hyperbolic sine, in the unit of the feature; 0 and 1 without it.
    mean, spread : float64 array, shape (n_features,)
        Of the result; the spread is 1 for ``"none"``.
    varies : bool array, shape (n_features,)
        False for a column that is constant or has fewer than two finite values.

    Notes
    -----
    ``z = (y - mean) / spread`` with ``y = x``, or ``y = asinh((x - median) / width)`` and the
    width the interquartile range over 1.349: linear within a sigma, logarithmic beyond, so that
    one chi square of 10⁵ does not turn the first component towards itself.
    """

    kind: Scale
    median: NDArray[np.float64]
    width: NDArray[np.float64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    varies: NDArray[np.bool_]

    @classmethod
    def fit(cls, table: FeatureTable, kind: Scale) -> Self:
        """Learn the scale of each column from its finite values.

        Raises
        ------
        ConfigError
            If there is no such scale.
        DataError
            If the spread of a column overflows.
        """
        if kind not in SCALES:
            raise ConfigError(f"scale must be one of {', '.join(SCALES)}, got {kind!r}")
        d = table.n_features
        median, width = np.zeros(d), np.ones(d)
        mean, spread = np.zeros(d), np.ones(d)
        varies = np.zeros(d, dtype=bool)
        for k, column in enumerate(table.values.T):
            x = column[np.isfinite(column)]
            if x.size < 2 or _same(x):
                median[k] = mean[k] = x.mean() if x.size else 0.0
                continue
            varies[k] = True
            if kind == "asinh":
                median[k], width[k] = np.median(x), _width(x)
                x = _bend(x, median[k], width[k])
            with np.errstate(over="ignore", invalid="ignore"):
                mean[k], spread[k] = x.mean(), x.std()
            if not (np.isfinite(mean[k]) and np.isfinite(spread[k])):
                raise DataError(
                    f"feature {table.names[k]!r} reaches {np.abs(x).max():.3g}, whose square "
                    "overflows; use scale='asinh'"
                )
        if kind == "asinh":
            mean[~varies] = 0.0
        elif kind == "none":
            spread[:] = 1.0
        return cls(kind, median, width, mean, spread, varies)

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scaled values, NaN where one is missing and in columns that do not vary."""
        y = _bend(values, self.median, self.width) if self.kind == "asinh" else values
        return np.where(self.varies, (y - self.mean) / self.spread, np.nan)

    def invert(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values in their own units again; a column that does not vary is its constant."""
        y = np.where(self.varies, scaled * self.spread + self.mean, self.mean)
        if self.kind != "asinh":
            return y
        return np.asarray(self.median + self.width * np.where(self.varies, np.sinh(y), 0.0))


def _same(x: NDArray[np.float64]) -> bool:
    """Constant but for rounding."""
    low, high = x.min(), x.max()
    return bool(high / 2 - low / 2 <= SAME * max(abs(low), abs(high)))


def _width(x: NDArray[np.float64]) -> float:
    """Sigma of the middle half, or of all where half the values are equal."""
    low, high = np.percentile(x, [25, 75])
    width = float(high - low) * IQR_TO_SIGMA
    if width > SAME * max(abs(low), abs(high)):
        return width
    size = np.abs(x - np.median(x)).max()
    return float(size * np.sqrt(np.mean(((x - np.median(x)) / size) ** 2)))


def _bend(
    x: NDArray[np.float64], median: NDArray[np.float64] | float, width: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return np.asarray(np.arcsinh(np.clip((x - median) / width, -HUGE, HUGE)))
