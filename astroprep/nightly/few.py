"""Classes of objects with few points, by features that need no period."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.features import extract_features
from astroprep.io import replaced

__all__ = ["FewPointModel"]

FORMAT, VERSION = "astroprep few-point model", 1
SCALES = ("amplitude", "standard_deviation", "maximum_slope")  # positive: their logarithm is used
SHAPES = ("skew", "percentile_skew", "eta", "intrinsic_fraction", "linear_trend", "night_fraction")
FEATURES = (*SCALES, *SHAPES)
EDGES = (3, 5, 8, 13, 21)  # points; a model for each range, as features depend on the number
CLIP = 4.0  # robust deviations from the centre of all stars
TOGETHER = 10.0  # stars of the pooled spread that each class's spread is mixed with


@dataclass(frozen=True, eq=False)
class FewPointModel:
    """Normal distributions of simple features, one set for each range of the number of points.

    Parameters
    ----------
    classes : tuple of str
        In the order of the probabilities.
    centre, spread : float64 array, shape (n_ranges, n_features)
        Median and robust deviation of all training stars, by which features are scaled.
    mean, deviation : float64 array, shape (n_ranges, n_classes, n_features)
        Of the scaled features.
    prior : float64 array, shape (n_classes,)
        Shares of the classes in training.

    Notes
    -----
    Naive Bayes: features are taken as independent given the class, which they are not, so the
    probabilities are too sure; they order objects, no more. A handful of points tells little.
    """

    classes: tuple[str, ...]
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    prior: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        batch: LightCurveBatch,
        label: Sequence[str] | NDArray[np.object_],
        classes: Sequence[str],
        *,
        repeats: int = 3,
        seed: int = 1,
    ) -> Self:
        """Learn from labelled light curves, of which random stretches of few points are taken.

        Parameters
        ----------
        batch : LightCurveBatch
            Cleaned, of one band.
        label : sequence of str
            Of each curve; those outside `classes` are left out.
        classes : sequence of str
            Those of the bundle, in its order.
        repeats : int, default 3
            Stretches of each curve and range.
        seed : int
            Of the choice.

        Raises
        ------
        DataError
            If a class has fewer than two usable stars.
        """
        classes = tuple(classes)
        code = np.array([classes.index(x) if x in classes else -1 for x in label], np.int64)
        rng = np.random.default_rng(seed)
        parts: list[Any] = []
        for low, high in pairwise(EDGES):
            drawn = [_stretches(batch, rng, low, high) for _ in range(repeats)]
            values = np.concatenate([_features(part) for part, _ in drawn])
            whose = code[np.concatenate([index for _, index in drawn])]
            count = np.bincount(whose[whose >= 0], minlength=len(classes))
            if count.min() < 2:
                raise DataError(
                    f"FewPointModel needs two stars with {high} usable points of each class, but "
                    f"{classes[int(count.argmin())]!r} has fewer"
                )
            parts.append(_normal(values[whose >= 0], whose[whose >= 0], len(classes)))
        shares = np.bincount(code[code >= 0], minlength=len(classes)).astype(float)
        centre, spread, mean, deviation = (np.array(x) for x in zip(*parts, strict=True))
        return cls(classes, centre, spread, mean, deviation, shares / shares.sum())

    def predict_proba(
        self, batch: LightCurveBatch
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Probabilities of the classes, shape (n_curves, n_classes), and where there are any.

        A curve with fewer than three usable points, or no defined feature, has none.
        """
        counts = batch.usable.counts()
        which = np.clip(np.searchsorted(EDGES, counts, side="right") - 1, 0, len(EDGES) - 2)
        values = _features(batch)
        z = np.clip((values - self.centre[which]) / self.spread[which], -CLIP, CLIP)
        d = (z[:, None, :] - self.mean[which]) / self.deviation[which]
        score = np.nansum(-0.5 * d * d - np.log(self.deviation[which]) * ~np.isnan(d), axis=2)
        score += np.log(np.maximum(self.prior, 1e-12))
        score -= score.max(axis=1, keepdims=True)
        probability = np.exp(score)
        served = (counts >= EDGES[0]) & np.isfinite(z).any(axis=1)
        return probability / probability.sum(axis=1, keepdims=True), served

    def save(self, path: str | Path) -> None:
        """Write as JSON."""
        content = {"format": FORMAT, "version": VERSION, "features": FEATURES, "edges": EDGES}
        content |= {"classes": self.classes}
        for name in ("centre", "spread", "mean", "deviation", "prior"):
            content[name] = getattr(self, name).tolist()
        with replaced(path) as part:
            part.write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path, classes: Sequence[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is damaged or another version's.
        ConfigError
            If its classes are not those of the bundle.
        """
        try:
            content = json.loads(Path(path).read_text("utf-8"))
            same = (content["format"], content["version"]) == (FORMAT, VERSION)
            same &= (tuple(content["features"]), tuple(content["edges"])) == (FEATURES, EDGES)
            names = ("centre", "spread", "mean", "deviation", "prior")
            arrays = [np.array(content[name], np.float64) for name in names]
            known = tuple(content["classes"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{path} is no few-point model ({type(error).__name__})") from None
        n, k, f = len(EDGES) - 1, len(known), len(FEATURES)
        shapes = [(n, f), (n, f), (n, k, f), (n, k, f), (k,)]
        good = all(
            a.shape == s and np.isfinite(a).all() for a, s in zip(arrays, shapes, strict=True)
        )
        if not same or not good or (arrays[1] <= 0).any() or (arrays[3] <= 0).any():
            raise DataError(f"{path} is a few-point model of another version, or damaged")
        if known != tuple(classes):
            raise ConfigError(
                f"{path} knows the classes {', '.join(known)}, the bundle {', '.join(classes)}"
            )
        return cls(known, *arrays)


def _features(batch: LightCurveBatch) -> NDArray[np.float64]:
    values = extract_features(batch, list(FEATURES))
    with np.errstate(invalid="ignore", divide="ignore"):
        values[:, : len(SCALES)] = np.log(values[:, : len(SCALES)])
    return np.where(np.isfinite(values), values, np.nan)


def _stretches(
    batch: LightCurveBatch, rng: np.random.Generator, low: int, high: int
) -> tuple[LightCurveBatch, NDArray[np.int64]]:
    """Consecutive usable points of each curve that has enough, `low` to `high` less one."""
    usable = batch.usable
    counts = usable.counts()
    enough = np.flatnonzero(counts >= high)
    size = rng.integers(low, high, enough.size)
    first = usable.offsets[enough] + rng.integers(0, counts[enough] - size + 1)
    offsets = np.concatenate(([0], np.cumsum(size)))
    where = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], size)
    part = LightCurveBatch(
        time=usable.time[where],
        value=usable.value[where],
        error=usable.error[where],
        offsets=offsets,
        meta=batch.meta,
    )
    return part, enough


def _normal(
    values: NDArray[np.float64], code: NDArray[np.int64], n_classes: int
) -> tuple[NDArray[np.float64], ...]:
    """Centre, spread, means and deviations; undefined features are left out."""
    centre = np.nanmedian(values, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(values - centre), axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    z = np.clip((values - centre) / spread, -CLIP, CLIP)
    pooled = np.nanvar(z, axis=0)
    mean, deviation = np.zeros((n_classes, z.shape[1])), np.ones((n_classes, z.shape[1]))
    for k in range(n_classes):
        mine = z[code == k]
        there = (~np.isnan(mine)).sum(axis=0)
        some = there > 0
        mean[k, some] = np.nanmean(mine[:, some], axis=0)
        within = np.zeros(z.shape[1])
        within[some] = np.nanvar(mine[:, some], axis=0)
        deviation[k] = np.sqrt((there * within + TOGETHER * pooled) / (there + TOGETHER) + 1e-6)
    return centre, spread, mean, deviation
