"""Fixed convolutions on the circle, counted and regressed upon: a classifier without training."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from astroprep.errors import DataError

__all__ = ["CircularRocket"]

TAPS = 9  # of every kernel: three weigh 2, six weigh -1
BLOCK = 512  # curves that are convolved at a time
SAMPLE = 256  # curves that thresholds are taken from


def _kernels() -> NDArray[np.float32]:
    """All 84 kernels, shape (84, TAPS); each sums to 0, so offsets do not matter."""
    kernels = np.full((84, TAPS), -1.0, np.float32)
    for k, heavy in enumerate(combinations(range(TAPS), 3)):
        kernels[k, list(heavy)] = 2.0
    return kernels


class _Sums(NamedTuple):
    """What a weighted ridge regression needs of its objects."""

    normal: NDArray[np.float32]
    cross: NDArray[np.float32]
    middle: NDArray[np.float32]
    level: NDArray[np.float32]

    @classmethod
    def of(
        cls, x: NDArray[np.float32], target: NDArray[np.float32], root: NDArray[np.float32]
    ) -> Self:
        share = root**2 / (root**2).sum()
        middle, level = (share * x).sum(axis=0), (share * target).sum(axis=0)
        a = root * (x - middle)
        return cls(a.T @ a, a.T @ (root * (target - level)), middle, level)

    def solve(self, penalty: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        eye = np.eye(len(self.normal), dtype=np.float32)
        slope = np.linalg.solve(self.normal + np.float32(penalty) * eye, self.cross)
        return slope, self.level - self.middle @ slope


class CircularRocket:
    """Shares of the circle on which fixed convolutions exceed thresholds, then ridge regression.

    Nothing depends on the origin of phase: the convolutions are circular and the shares are
    counted over the whole circle. The auxiliaries join the regression.

    Parameters
    ----------
    dilations : tuple of int, default (1, 2, 4)
        Bins between the taps.
    n_views : int, default 2
        Channels that each kernel is convolved with, drawn for each dilation anew.
    n_thresholds : int, default 2
        For each of these, quantiles of the response to training curves.
    penalties : tuple of float, default (1, 10, 100, 1000)
        Of the ridge, in objects; the one of least squared error on curves left out is kept.
    seed : int, default 0
        Of the channels, the curves that thresholds are taken from and those left out.

    References
    ----------
    .. [1] Dempster, Schmidt & Webb 2021, "MiniRocket", arXiv:2012.08791
    """

    def __init__(
        self,
        dilations: tuple[int, ...] = (1, 2, 4),
        n_views: int = 2,
        n_thresholds: int = 2,
        penalties: tuple[float, ...] = (1.0, 10.0, 100.0, 1000.0),
        seed: int = 0,
    ) -> None:
        self.dilations = dilations
        self.n_views = n_views
        self.n_thresholds = n_thresholds
        self.penalties = penalties
        self.seed = seed

    def _responses(self, folded: NDArray[np.float32], k: int) -> torch.Tensor:
        """Of one dilation: shape (curve, kernel x view, phase)."""
        bins, dilation = folded.shape[2], self.dilations[k]
        where = np.arange(-dilation * (TAPS // 2), bins + dilation * (TAPS // 2)) % bins
        x = torch.tensor(folded[:, self.channels_[k]])[..., where]
        return torch.nn.functional.conv1d(x, self.weight_, dilation=dilation, groups=x.shape[1])

    def _shares(self, folded: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = []
        for i in range(0, max(len(folded), 1), BLOCK):
            block = []
            for k, thresholds in enumerate(self.thresholds_):
                y = self._responses(folded[i : i + BLOCK], k)
                block += [(y > level[:, None]).float().mean(dim=-1).numpy() for level in thresholds]
            parts.append(np.concatenate(block, axis=1))
        return np.concatenate(parts)

    def _inputs(
        self, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        return np.concatenate([self._shares(folded), auxiliary], axis=1, dtype=np.float32)

    def fit(
        self,
        folded: NDArray[np.float32],
        auxiliary: NDArray[np.float32],
        label: NDArray[np.int64],
        weight: NDArray[np.float64],
        n_classes: int,
    ) -> Self:
        """Take thresholds and regress.

        Parameters
        ----------
        folded : float32 array, shape (n_objects, n_channels, n_bins)
            Channels that are convolved.
        auxiliary : float32 array, shape (n_objects, n_auxiliary)
            Joined as they are.
        label : int64 array, shape (n_objects,)
            Class codes.
        weight : float64 array, shape (n_objects,)
            Of each object in the squared error.
        n_classes : int
            Number of classes.

        Raises
        ------
        DataError
            If there are fewer than ten objects.
        """
        if len(folded) < 10:
            raise DataError(f"CircularRocket needs 10 objects at least, got {len(folded)}")
        rng = np.random.default_rng(self.seed)
        order = rng.permutation(len(folded))
        n_views = min(self.n_views, folded.shape[1])
        kernels = _kernels()
        self.weight_ = torch.tensor(np.repeat(kernels, n_views, axis=0))[:, None]
        self.channels_ = [
            np.concatenate([rng.permutation(folded.shape[1])[:n_views] for _ in kernels])
            for _ in self.dilations
        ]
        levels = 0.1 + 0.8 * (np.arange(self.n_thresholds) + 0.5) / self.n_thresholds
        self.thresholds_ = []
        for k in range(len(self.dilations)):
            y = self._responses(folded[order[:SAMPLE]], k).transpose(0, 1).flatten(1)
            self.thresholds_.append(torch.tensor(np.quantile(y.numpy(), levels, axis=1)).float())
        x = self._inputs(folded, auxiliary)
        self.mean_ = x.mean(axis=0)
        self.sigma_ = np.maximum(x.std(axis=0), 1e-3)
        x = (x - self.mean_) / self.sigma_
        target = np.eye(n_classes, dtype=np.float32)[label]
        root = np.sqrt(weight / weight.mean()).astype(np.float32)[:, None]
        left = np.zeros(len(x), bool)
        left[order[: len(x) // 5]] = True
        errors = []
        kept = _Sums.of(x[~left], target[~left], root[~left])
        for penalty in self.penalties:
            slope, level = kept.solve(penalty)
            miss = root[left] * (x[left] @ slope + level - target[left])
            errors.append(float((miss**2).mean()))
        self.penalty_ = self.penalties[int(np.argmin(errors))]
        whole = _Sums.of(x, target, root)
        self.slope_, self.level_ = whole.solve(self.penalty_)
        return self

    def scores(
        self, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Regressed one-hot labels, float32, shape (n_objects, n_classes): no probabilities yet."""
        x = (self._inputs(folded, auxiliary) - self.mean_) / self.sigma_
        return np.asarray(x @ self.slope_ + self.level_, dtype=np.float32)
