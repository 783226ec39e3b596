"""More light curves of the same stars: random parts of the points that were measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError

__all__ = ["subsample"]


def _uniform(*keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1) that depend on the keys alone, so not on how stars share batches.

    The finaliser of SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2714064.2660195), once a
    key.
    """
    state = np.zeros(1, np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        for key in keys:
            state = (state ^ key) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    uniform: NDArray[np.float64] = (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform


def subsample(
    batch: LightCurveBatch, *, lowest: float = 0.5, min_points: int = 40, seed: int = 0
) -> LightCurveBatch:
    """Same stars with only part of their points, as another survey might have caught them.

    Features and folds of such copies, with the period of the whole curve, teach a network what
    of a light curve is chance.

    Parameters
    ----------
    batch : LightCurveBatch
        Not changed.
    lowest : float, default 0.5
        Each curve keeps a share of its usable points drawn evenly from here to 1.
    min_points : int, default 40
        The share is raised where fewer points than this would be expected to stay.
    seed : int, default 0
        Another one for every copy. The points of a star depend on it and on ``objects["row"]``,
        not on the batch the star is in.

    Returns
    -------
    LightCurveBatch
        The points left out have weight 0.

    Raises
    ------
    ConfigError
        If `lowest` is not above 0 and at most 1, or `min_points` or `seed` is negative.
    """
    if not 0 < lowest <= 1:
        raise ConfigError(f"lowest must be above 0 and at most 1, got {lowest!r}")
    if min_points < 0 or seed < 0:
        raise ConfigError(f"min_points and seed must be 0 or more, got {min_points!r} and {seed!r}")
    usable = batch.usable
    counts = usable.counts()
    key = np.array([seed], np.uint64)
    row = np.asarray(batch.objects["row"], dtype=np.int64).astype(np.uint64)
    drawn = lowest + (1 - lowest) * _uniform(key, row, np.zeros(1, np.uint64))
    share = np.maximum(drawn, min_points / np.maximum(counts, 1))
    position = np.arange(usable.time.size) - np.repeat(usable.offsets[:-1], counts)
    chance = _uniform(key, np.repeat(row, counts), 1 + position.astype(np.uint64))
    left_out = chance >= np.repeat(share, counts)
    weight = batch.weight.copy()
    weight[usable.index[left_out]] = 0.0
    return batch.with_columns(weight=weight)
