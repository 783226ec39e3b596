"""Compute the vectors of a batch and correct light curves by them, in one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad
from astroprep.data import LightCurveBatch
from astroprep.detrend.cbv_apply import SPARE_POINTS
from astroprep.detrend.cbv_compute import (
    LEAST_ENTROPY,
    LEAST_SNR,
    MAX_VARIABILITY,
    QUIET_SHARE,
    compute_vectors,
    one_number,
)
from astroprep.detrend.cbv_step import VectorStep
from astroprep.detrend.cbv_vectors import CotrendingVectors
from astroprep.errors import ConfigError, DataError

__all__ = ["CotrendingFit"]


class CotrendingFit(VectorStep):
    """Compute cotrending vectors from the fitted batch, a set for each channel, and use them.

    Parameters
    ----------
    n_vectors : int, default 8
        At most so many a set, see `compute_vectors`.
    time_bin : float or None, default None
        Days, for stars that share no cadences; None for cadence numbers, or the median step.
    max_variability, quiet_share, least_entropy, least_snr : float
        Which stars and vectors are good enough, see `compute_vectors`.
    protect, shortest, bin_width, bridge, min_overlap : float
        How curves are corrected, see `CotrendingCorrection`, which this step is from then on.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves that no vectors match or overlap.

    Raises
    ------
    DataError
        From ``fit``, where a segment and channel has too few quiet stars for the vectors.

    References
    ----------
    .. [1] Smith et al. 2012, PASP 124, 1000, arXiv:1203.1383
    """

    needs = Needs(min_points=1 + SPARE_POINTS)
    # any three stars: loose limits, and bins that stars of different nights share
    example: ClassVar[dict[str, Any]] = {
        "n_vectors": 1,
        "time_bin": 40.0,
        "max_variability": 100.0,
        "quiet_share": 1.0,
    }

    def __init__(
        self,
        n_vectors: int = 8,
        time_bin: float | None = None,
        max_variability: float = MAX_VARIABILITY,
        quiet_share: float = QUIET_SHARE,
        least_entropy: float = LEAST_ENTROPY,
        least_snr: float = LEAST_SNR,
        protect: float = 20.0,
        shortest: float = 1.0,
        bin_width: float = 0.25,
        bridge: float = 3.0,
        min_overlap: float = 0.5,
        on_bad: OnBad = "raise",
    ) -> None:
        self.n_vectors = n_vectors
        self.time_bin = time_bin
        self.max_variability = max_variability
        self.quiet_share = quiet_share
        self.least_entropy = least_entropy
        self.least_snr = least_snr
        self.protect = protect
        self.shortest = shortest
        self.bin_width = bin_width
        self.bridge = bridge
        self.min_overlap = min_overlap
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = self._check_fit()
        if not self.n_vectors >= 1:
            wrong.append(f"n_vectors must be at least 1, got {self.n_vectors!r}")
        if self.time_bin is not None and not self.time_bin > 0:
            wrong.append(f"time_bin must be positive, got {self.time_bin!r}")
        if not self.max_variability > 0:
            wrong.append(f"max_variability must be positive, got {self.max_variability!r}")
        if not 0 < self.quiet_share <= 1:
            wrong.append(f"quiet_share must be in (0, 1], got {self.quiet_share!r}")
        if wrong:
            raise ConfigError("CotrendingFit: " + "; ".join(wrong))

    def _fit(self, batch: LightCurveBatch) -> None:
        self._hold([self._of(batch.take(group)) for group in _groups(batch)])

    def _of(self, batch: LightCurveBatch) -> CotrendingVectors:
        try:
            found = compute_vectors(
                batch,
                self.n_vectors,
                bin_width=self.time_bin,
                max_variability=self.max_variability,
                quiet_share=self.quiet_share,
                least_entropy=self.least_entropy,
                least_snr=self.least_snr,
            )
        except DataError as error:
            words = [f"{n} {one_number(batch, n)}" for n in _group_columns(batch)]
            raise DataError("CotrendingFit: " + ", ".join([*words, str(error)])) from error
        return found.vectors


def _group_columns(batch: LightCurveBatch) -> Sequence[str]:
    return [name for name in ("segment", "channel") if name in batch.objects]


def _groups(batch: LightCurveBatch) -> list[NDArray[np.intp]]:
    """Curves of each segment and channel."""
    names = _group_columns(batch)
    if not names or batch.n_curves == 0:
        return [np.arange(batch.n_curves)]
    key = np.column_stack([np.asarray(batch.objects[name]) for name in names])
    _, member = np.unique(key, axis=0, return_inverse=True)
    return [np.flatnonzero(member == i) for i in range(int(member.max()) + 1)]
