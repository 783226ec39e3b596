"""Auxiliaries of the network: features on one robust scale, missing ones marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError

__all__ = ["AuxiliaryScale"]

IQR_TO_SIGMA = 1 / 1.349  # Gaussian sigma per unit of the interquartile range
MARK_SHARE = 0.01  # of objects that miss a feature, above which it earns a mark


@dataclass(frozen=True, eq=False)
class AuxiliaryScale:
    """Robust scale of each feature, learned once, applied everywhere.

    Parameters
    ----------
    median : float64 array, shape (n_features,)
        Of the features that were learned from; subtracted.
    sigma : float64 array, shape (n_features,)
        Interquartile range / 1.349, positive; divided by.
    marked : int64 array, shape (n_marked,)
        Features that were missing for more than 1 % of the objects: each adds an auxiliary
        that is 1 where it is missing. A rarer gap teaches nothing that its mark could carry.
    limit : float
        Clip after the inverse hyperbolic sine.

    Notes
    -----
    The auxiliary is ``clip(asinh((x - median) / sigma), -limit, limit)``: linear within a sigma
    and logarithmic beyond, so that heavy tails (chi squares, ratios) neither dominate nor
    saturate. A missing feature becomes 0, the median.
    """

    median: NDArray[np.float64]
    sigma: NDArray[np.float64]
    marked: NDArray[np.int64]
    limit: float = 5.0

    @classmethod
    def fit(cls, features: NDArray[np.floating[Any]], limit: float = 5.0) -> Self:
        """Learn the scale.

        Parameters
        ----------
        features : float array, shape (n_objects, n_features)
            Of the training objects; NaN or infinity where one is missing.
        limit : float, default 5.0
            Clip after the inverse hyperbolic sine: 5 is 74 sigmas.

        Raises
        ------
        DataError
            If there is no object or the array is not two-dimensional.
        """
        x = np.asarray(features, dtype=np.float64)
        if x.ndim != 2 or not len(x):
            raise DataError(
                f"AuxiliaryScale needs features of shape (n_objects, n_features) with one object "
                f"at least, got shape {x.shape}"
            )
        median, sigma, marked = np.zeros(x.shape[1]), np.ones(x.shape[1]), []
        for k, column in enumerate(x.T):
            good = column[np.isfinite(column)]
            if column.size - good.size > MARK_SHARE * column.size:
                marked.append(k)
            if good.size:
                low, median[k], high = np.percentile(good, [25, 50, 75])
                width = (high - low) * IQR_TO_SIGMA
                sigma[k] = next((s for s in (width, good.std()) if s > 0 and np.isfinite(s)), 1.0)
        return cls(median, sigma, np.array(marked, dtype=np.int64), float(limit))

    @property
    def n_auxiliary(self) -> int:
        """Columns that `apply` gives: the features and their marks."""
        return int(self.median.size + self.marked.size)

    def apply(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Put features on the learned scale.

        Parameters
        ----------
        features : float array, shape (n_objects, n_features)
            The same features in the same order as were learned from.

        Returns
        -------
        float32 array, shape (n_objects, n_auxiliary)
            Finite. First the features, then the marks.

        Raises
        ------
        DataError
            If the number of features is another one.
        """
        x = np.asarray(features, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != self.median.size:
            raise DataError(
                f"AuxiliaryScale learned {self.median.size} features, got an array of shape "
                f"{x.shape}; describe the curves with the same FeatureExtractor"
            )
        missing = ~np.isfinite(x)
        z = np.arcsinh((np.where(missing, self.median, x) - self.median) / self.sigma)
        scaled = np.clip(z, -self.limit, self.limit)
        return np.concatenate([scaled, missing[:, self.marked]], axis=1).astype(np.float32)
