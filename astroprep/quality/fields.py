"""Columns per object that say nothing, say it twice, or give the label away."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from astroprep.data import LightCurveBatch

__all__ = ["Fields", "rank_correlation"]

OWN = ("row", "id", "ra", "dec", "label", "split")
MOST_ROWS = 8192  # sampled for correlations, whose error is 0.01 then
ALIKE = 0.99  # rank correlation of columns that hold one thing
LEAST_ROWS = 30  # in common, before two columns are compared
LEAST_OF_CLASS = 20  # objects of a class, before the presence of a column says something of it


def rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's rank correlation of the rows where both are finite.

    Parameters
    ----------
    a, b : float64 array, shape (n_rows,)
        Any unit.

    Returns
    -------
    float
        NaN where fewer than 30 rows are known in both, or one of them is constant.
    """
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < LEAST_ROWS:
        return float("nan")
    x, y = rankdata(a[known]), rankdata(b[known])
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / size) if size > 0 else float("nan")


class Fields:
    """Content of the columns per object, by digest, by a sample of rows and by class.

    The sample takes every k-th object; when it is full every second of it goes and k doubles,
    so it depends on the order of the survey and not on how it was cut into batches.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self.stride = 1
        self._digest: dict[str, Any] = {}
        self._constant: dict[str, Any] = {}
        self._sample: dict[str, list[float]] = {}
        self._present: Counter[tuple[str, str]] = Counter()
        self._classes: Counter[str] = Counter()

    def add(self, batch: LightCurveBatch) -> None:
        """Take the objects of a batch into account."""
        n = batch.n_curves
        if not n:
            return
        first = -self.n_rows % self.stride
        label = batch.objects.get("label")
        self._classes.update([] if label is None else label.tolist())
        for name, values in batch.objects.items():
            if name == "row" or values.ndim != 1:
                continue
            text = values.astype(str)
            self._digest.setdefault(name, hashlib.sha256()).update("\0".join(text).encode() + b"\0")
            if name not in self._constant:
                self._constant[name] = text[0]
            if self._constant[name] is not _SEVERAL and np.any(text != self._constant[name]):
                self._constant[name] = _SEVERAL
            if name in OWN:
                continue
            numeric = values.dtype.kind in "biuf"
            if numeric:
                self._sample.setdefault(name, []).extend(
                    values[first :: self.stride].astype(np.float64).tolist()
                )
            if label is not None:
                there = np.isfinite(values.astype(np.float64)) if numeric else text != ""
                self._present.update((name, one) for one in label[there].tolist())
        self.n_rows += n
        while self.n_rows > MOST_ROWS * self.stride:
            self.stride *= 2
            self._sample = {name: rows[::2] for name, rows in self._sample.items()}

    def redundant(self) -> list[tuple[str, str]]:
        """Pairs of columns with the same content."""
        seen: dict[bytes, str] = {}
        pairs = []
        for name, digest in self._digest.items():
            twin = seen.setdefault(digest.digest(), name)
            if twin != name and not self._is_constant(name):
                pairs.append((twin, name))
        return pairs

    def constant(self) -> list[str]:
        """Columns that hold one value for all, in surveys of two objects or more."""
        return sorted(filter(self._is_constant, self._constant)) if self.n_rows > 1 else []

    def correlated(self) -> list[tuple[str, str, float]]:
        """Pairs of numeric columns with a rank correlation of 0.99 or more, either sign."""
        columns = {
            name: np.array(rows)
            for name, rows in self._sample.items()
            if not self._is_constant(name)
        }
        same = set(self.redundant())
        pairs = []
        for i, a in enumerate(columns):
            for b in list(columns)[i + 1 :]:
                if (a, b) in same or columns[a].size != columns[b].size:
                    continue
                r = rank_correlation(columns[a], columns[b])
                if abs(r) >= ALIKE:
                    pairs.append((a, b, r))
        return pairs

    def telling(self) -> list[tuple[str, list[str]]]:
        """Columns whose presence gives the label away, and the classes that have it.

        Returns
        -------
        list of (str, list of str)
            Columns that nearly all objects (95 %) of some classes have and nearly none (5 %)
            of every other class; classes of fewer than 20 objects are not asked.
        """
        asked = {c: n for c, n in self._classes.items() if c and n >= LEAST_OF_CLASS}
        found = []
        for name in dict.fromkeys(name for name, _ in self._present):
            share = {c: self._present[name, c] / n for c, n in asked.items()}
            have = sorted(c for c, part in share.items() if part >= 0.95)
            lack = [c for c, part in share.items() if part <= 0.05]
            if have and lack and len(have) + len(lack) == len(asked):
                found.append((name, have))
        return found

    def _is_constant(self, name: str) -> bool:
        return self._constant.get(name) is not _SEVERAL and self.n_rows > 1


_SEVERAL = object()
