"""Whether probabilities come true: calibration errors and the data of a reliability diagram."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError

__all__ = ["Reliability", "calibration_error", "reliability", "wilson_interval"]

Bins = Literal["width", "mass"]


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence and accuracy, bin by bin; empty bins are left out.

    Parameters
    ----------
    n : int64 array, shape (n_bins,)
        Objects.
    confidence, accuracy : float64 array, shape (n_bins,)
        Mean claimed probability, and share that was right.
    low, high : float64 array, shape (n_bins,)
        Wilson's 68 % interval of the accuracy.
    """

    n: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def to_dict(self) -> dict[str, list[float]]:
        """Plain lists, for JSON."""
        return {name: column.tolist() for name, column in asdict(self).items()}


def wilson_interval(
    hits: ArrayLike, n: ArrayLike, sigma: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval of a binomial share that behaves at 0 and 1.

    Parameters
    ----------
    hits, n : array, shape (n_shares,)
        Successes and trials, ``n`` of 1 or more.
    sigma : float, default 1.0
        Half width in standard deviations; 1.96 for 95 %.

    Returns
    -------
    low, high : float64 array, shape (n_shares,)
        Within 0 and 1.

    References
    ----------
    .. [1] Wilson 1927, JASA 22, 209, doi:10.1080/01621459.1927.10502953
    """
    m = np.asarray(n, dtype=np.float64)
    share = np.asarray(hits, dtype=np.float64) / m
    z2 = sigma**2 / m
    centre = (share + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def _checked(
    confidence: ArrayLike, correct: ArrayLike, n_bins: int, bins: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    p = np.asarray(confidence, dtype=np.float64).ravel()
    right = np.asarray(correct, dtype=bool).ravel()
    if p.size != right.size:
        raise DataError(f"needs as many confidences as outcomes, got {p.size} and {right.size}")
    if n_bins < 1 or bins not in ("width", "mass"):
        raise ConfigError(f"needs n_bins of 1 or more and bins 'width' or 'mass', got {bins!r}")
    known = np.isfinite(p)
    if ((p[known] < 0) | (p[known] > 1)).any():
        raise DataError(f"a confidence lies between 0 and 1, got {p[known].min()}")
    return p[known], right[known]


def reliability(
    confidence: ArrayLike, correct: ArrayLike, *, n_bins: int = 15, bins: Bins = "width"
) -> Reliability:
    """Accuracy of predictions of like confidence.

    Parameters
    ----------
    confidence : float array, shape (n_objects,)
        Claimed probability, 0 to 1; NaN (a rejected object) is left out.
    correct : bool array, shape (n_objects,)
        Whether the claim came true.
    n_bins : int, default 15
        Number of bins.
    bins : {"width", "mass"}, default "width"
        Equally wide, open below; or of equally many objects.

    Returns
    -------
    Reliability
        Without any bin where there is no object.

    Raises
    ------
    DataError
        If the lengths differ or a confidence is not within 0 and 1.
    ConfigError
        If there is no bin or no such kind of bins.
    """
    p, right = _checked(confidence, correct, n_bins, bins)
    if bins == "width":
        index = np.clip(np.ceil(p * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    else:
        rank = np.empty(p.size, dtype=np.int64)
        rank[np.argsort(p, kind="stable")] = np.arange(p.size)
        index = rank * n_bins // max(p.size, 1)
    n = np.bincount(index, minlength=n_bins)
    filled = n > 0
    m = n[filled]
    hits = np.bincount(index, weights=right, minlength=n_bins)[filled]
    low, high = wilson_interval(hits, m)
    mean = np.bincount(index, weights=p, minlength=n_bins)[filled] / m
    return Reliability(m, mean, hits / m, low, high)


def calibration_error(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    n_bins: int = 15,
    bins: Bins = "mass",
    norm: Literal[1, 2] = 1,
    debias: bool = False,
) -> float:
    """Distance of claimed probabilities from what came true.

    Parameters
    ----------
    confidence, correct, n_bins, bins
        As in `reliability`.
    norm : {1, 2}, default 1
        Mean absolute distance of the bins, or root of the mean square.
    debias : bool, default False
        Take out what binomial noise alone adds to the square; needs ``norm=2``. Bins of one
        object are then left out.

    Returns
    -------
    float
        NaN where there is no object.

    Raises
    ------
    DataError, ConfigError
        As in `reliability`; or for `debias` with another norm.

    References
    ----------
    .. [1] Guo et al. 2017, "On calibration of modern neural networks", equation 3,
       arXiv:1706.04599
    .. [2] Kumar, Liang & Ma 2019, "Verified uncertainty calibration", definition 4.2,
       arXiv:1909.10155
    """
    if norm not in (1, 2) or (debias and norm != 2):
        raise ConfigError("calibration_error needs norm 1 or 2, and norm=2 with debias=True")
    found = reliability(confidence, correct, n_bins=n_bins, bins=bins)
    n, accuracy = found.n, found.accuracy
    gap = accuracy - found.confidence
    if debias:
        some = n > 1
        n, accuracy, gap = n[some], accuracy[some], gap[some]
    if not n.size:
        return float("nan")
    if norm == 1:
        return float(np.average(np.abs(gap), weights=n))
    square: NDArray[Any] = gap**2
    if debias:
        square = square - accuracy * (1 - accuracy) / (n - 1)
    return float(np.sqrt(max(np.average(square, weights=n), 0.0)))
