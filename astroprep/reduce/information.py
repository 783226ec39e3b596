"""What each feature alone tells of the class, in bits, with its bias and what chance gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.reduce.table import as_labels, as_table
from astroprep.threads import for_objects

__all__ = ["MutualInformation", "mutual_information"]

MOST_BINS = 32


@njit(cache=True)
def _next(state: Any) -> Any:
    """Splitmix64: a generator of 64 bits in one number, so that a feature has its own."""
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def _plug_in(
    bins: NDArray[np.int64], codes: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[float, float]:
    """Mutual information of the two, bits, and the bias of Miller and Madow."""
    counts[:] = 0
    n = bins.size
    for i in range(n):
        counts[bins[i], codes[i]] += 1
    rows, columns, cells = 0, 0, 0
    total = 0.0
    for a in range(counts.shape[0]):
        s = counts[a].sum()
        if s:
            rows += 1
            total -= s * np.log2(s)
    for b in range(counts.shape[1]):
        s = counts[:, b].sum()
        if s:
            columns += 1
            total -= s * np.log2(s)
    for a in range(counts.shape[0]):
        for b in range(counts.shape[1]):
            c = counts[a, b]
            if c:
                cells += 1
                total += c * np.log2(c)
    bias = (cells - rows - columns + 1) / (2 * n * np.log(2.0))
    return total / n + np.log2(n), bias


@njit(nogil=True, cache=True)
def _measure_range(
    begin: int,
    end: int,
    bins: NDArray[np.int64],
    codes: NDArray[np.int64],
    n_classes: int,
    n_shuffles: int,
    seed: int,
    raw: NDArray[np.float64],
    bias: NDArray[np.float64],
    null: NDArray[np.float64],
) -> None:
    for k in range(begin, end):
        there = bins[k] >= 0
        x, y = bins[k][there], codes[there]
        if x.size == 0:
            continue
        counts = np.zeros((x.max() + 1, n_classes), np.int64)
        raw[k], bias[k] = _plug_in(x, y, counts)
        state = np.uint64(seed) * np.uint64(0x2545F4914F6CDD1D) + np.uint64(k + 1)
        for s in range(n_shuffles):
            for i in range(y.size - 1, 0, -1):
                state = state + np.uint64(0x9E3779B97F4A7C15)
                j = np.int64(_next(state) % np.uint64(i + 1))
                y[i], y[j] = y[j], y[i]
            value, off = _plug_in(x, y, counts)
            null[k, s] = value - off


def _measure(
    bins: NDArray[np.int64],
    codes: NDArray[np.int64],
    n_classes: int,
    n_shuffles: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Plug-in information and bias of each feature, and corrected ones of shuffled labels."""
    d = bins.shape[0]
    raw, bias = np.full(d, np.nan), np.full(d, np.nan)
    null = np.full((d, n_shuffles), np.nan)
    for_objects(_measure_range, d, bins, codes, n_classes, n_shuffles, seed, raw, bias, null)
    return raw, bias, null


@dataclass(frozen=True, eq=False)
class MutualInformation:
    """Bits that each feature alone tells of the class.

    Parameters
    ----------
    names : tuple of str
        Features.
    information : float64 array, shape (n_features,)
        Bits, bias taken out; can fall a little below 0. NaN where no object has the feature.
    bias : float64 array, shape (n_features,)
        Bits that were taken out.
    chance, chance_spread : float64 array, shape (n_features,)
        Mean and standard deviation of the same estimate with shuffled labels.
    p_value : float64 array, shape (n_features,)
        Share of shuffles that reach it, counted with itself.
    entropy : float
        Of the class, bits: what there is to tell.
    n_used : int64 array, shape (n_features,)
        Objects with a label and the feature.
    """

    names: tuple[str, ...]
    information: NDArray[np.float64]
    bias: NDArray[np.float64]
    chance: NDArray[np.float64]
    chance_spread: NDArray[np.float64]
    p_value: NDArray[np.float64]
    entropy: float
    n_used: NDArray[np.int64]

    def table(self) -> pd.DataFrame:
        """One row a feature, the most informative first."""
        frame = pd.DataFrame(
            {
                "feature": self.names,
                "information": self.information,
                "share_of_entropy": self.information / self.entropy,
                "bias": self.bias,
                "chance": self.chance,
                "chance_spread": self.chance_spread,
                "p_value": self.p_value,
                "n_used": self.n_used,
            }
        )
        return frame.sort_values("information", ascending=False, kind="stable", ignore_index=True)

    def report(self, n: int = 15) -> str:
        """Text for people: the `n` most informative features."""
        frame = self.table()
        lines = [f"The class holds {self.entropy:.2f} bits; of them tell, one feature alone:"]
        lines += [
            f"  {row.information:6.3f}  {row.feature}  (bias {row.bias:.3f} taken out, "
            f"chance {row.chance:+.3f} ± {row.chance_spread:.3f})"
            for row in frame.head(n).itertuples()
        ]
        return "\n".join(lines)


def mutual_information(
    table: Any,
    labels: ArrayLike,
    *,
    n_bins: int | None = None,
    n_shuffles: int = 200,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> MutualInformation:
    """Measure what each feature alone tells of the class.

    Parameters
    ----------
    table : any table
        See `as_table`. An object counts for the features that it has.
    labels : sequence of str, shape (n_objects,)
        Classes; objects without one (empty, None, NaN) are left out.
    n_bins : int, optional
        Bins of equally many objects. Default: the cube root of the objects, at most 32.
    n_shuffles : int, default 200
        Shuffled labels that say what chance gives; ``1 / (n_shuffles + 1)`` is the least p.
    seed : int, default 0
        Of the shuffles.
    names : sequence of str, optional
        Of the columns of an array, or columns to take.

    Returns
    -------
    MutualInformation

    Raises
    ------
    ConfigError
        If `n_bins` is below 2 or there is no shuffle.
    DataError
        If labels and rows differ in number, or there are fewer than two classes.

    Notes
    -----
    ``I = sum p(bin, class) log2 [p(bin, class) / (p(bin) p(class))]`` over bins of equally many
    objects; equal values share a bin. The count of occupied cells biases it upwards by
    ``(K_xy - K_x - K_y + 1) / (2 N ln 2)`` bits [1]_, which is taken out; what is left of the bias
    with few objects a cell shows in `chance`. Bins lose what happens inside them, which biases
    it downwards: it is a lower bound of the information of the unbinned feature.
    Objects of one group (twins) are taken as independent.

    References
    ----------
    .. [1] Miller 1955, in "Information theory in psychology", ed. Quastler, 95
    .. [2] Paninski 2003, Neural Computation 15, 1191, doi:10.1162/089976603321780272
    """
    if (n_bins is not None and n_bins < 2) or n_shuffles < 1:
        raise ConfigError(
            f"mutual_information needs n_bins >= 2 and n_shuffles >= 1, got {n_bins!r} and "
            f"{n_shuffles!r}"
        )
    given = as_table(table, names)
    text = as_labels(labels, given.n_objects, "mutual_information")
    known = text != ""
    classes, codes = np.unique(text[known].astype(str), return_inverse=True)
    if classes.size < 2:
        raise DataError(
            f"mutual_information needs objects of two classes, got {classes.tolist()} in "
            f"{given.n_objects} objects"
        )
    values = given.values[known]
    bins = np.stack([_equal_bins(column, n_bins) for column in values.T])
    raw, bias, null = _measure(bins, codes.astype(np.int64), classes.size, n_shuffles, seed)
    found = raw - bias
    share = np.bincount(codes) / codes.size
    p = (1 + (null >= found[:, None]).sum(axis=1)) / (1 + n_shuffles)
    return MutualInformation(
        names=given.names,
        information=found,
        bias=bias,
        chance=null.mean(axis=1),
        chance_spread=null.std(axis=1),
        p_value=np.where(np.isnan(found), 1.0, p),
        entropy=float(-np.sum(share * np.log2(share))),
        n_used=np.isfinite(values).sum(axis=0).astype(np.int64),
    )


def _equal_bins(x: NDArray[np.float64], n_bins: int | None) -> NDArray[np.int64]:
    """Bin of each value, -1 where there is none."""
    there = np.isfinite(x)
    bins = np.full(x.size, -1, np.int64)
    n = int(there.sum())
    if n:
        count = n_bins or int(min(max(round(n ** (1 / 3)), 2), MOST_BINS))
        edges = np.quantile(x[there], np.arange(1, count) / count, method="inverted_cdf")
        bins[there] = np.searchsorted(np.unique(edges), x[there], side="left")
    return bins
