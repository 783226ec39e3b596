"""Classifiers of several kinds with the inputs of `FireNet`, as members of a teacher."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from astroprep.errors import ConfigError
from astroprep.model.firenet import PRESETS, build_network, firenet_spec
from astroprep.model.kept import fit_kept
from astroprep.model.rocket import CircularRocket
from astroprep.model.train import (
    TrainingArrays,
    TrainSettings,
    class_weights,
    predict_logits,
)
from astroprep.model.trunks import build_trunk

__all__ = ["MEMBERS", "Logits", "fit_member"]

Logits = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

MEMBERS = (*PRESETS, "resnet", "tcn", "features", "rocket", "trees", "forest")
"""Kinds of members: presets of `FireNet`, other trunks, fixed convolutions, boosted trees and a
random forest."""

TREES = {
    "max_iter": 100,
    "learning_rate": 0.1,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 20,
    "l2_regularization": 1.0,
    "max_features": 0.3,
    "early_stopping": False,
}
# Trees that are grown apart and averaged keep classes of a hundred objects that boosted ones lose.
FOREST = {"n_estimators": 300, "min_samples_leaf": 4}


def fit_member(
    kind: str,
    arrays: TrainingArrays,
    seen: NDArray[np.intp],
    n_classes: int,
    fit: TrainSettings,
    kept: Path | None = None,
) -> Logits:
    """Train one classifier on some of the objects.

    Parameters
    ----------
    kind : str
        Out of `MEMBERS`.
    arrays : TrainingArrays
        All objects; the validation objects steer the networks.
    seen : int array, shape (n_seen,)
        Objects that are learned from.
    n_classes : int
        Number of classes.
    fit : TrainSettings
        Of the networks; class weights and seed serve all kinds.
    kept : Path, optional
        Where a trained network is kept; see `fit_kept`.

    Returns
    -------
    callable
        Gives logits, float32, shape (n_objects, n_classes), of folded channels and auxiliaries.

    Raises
    ------
    ConfigError
        If trees are to learn from no auxiliaries.
    """
    seed = fit.seed
    label = arrays.label[seen]
    weight = class_weights(label, n_classes, fit.class_power)[label]
    if arrays.weight is not None:
        weight = weight * arrays.weight[seen]
    if kind in ("trees", "forest"):
        return _fit_trees(kind, arrays.auxiliary[seen], label, weight, n_classes, seed)
    if kind == "rocket":
        rocket = CircularRocket(seed=seed)
        rocket.fit(arrays.folded[seen], arrays.auxiliary[seen], label, weight, n_classes)
        return lambda folded, auxiliary: 10.0 * rocket.scores(folded, auxiliary)
    shape = {"n_channels": arrays.folded.shape[1], "n_auxiliary": arrays.auxiliary.shape[1]}
    if kind in PRESETS:
        spec = firenet_spec(kind, n_bins=arrays.folded.shape[2], n_classes=n_classes, **shape)
        net: Any = build_network(spec, seed)
    else:
        net = build_trunk(kind, n_classes=n_classes, seed=seed, **shape)
    used = np.concatenate([seen, np.flatnonzero(arrays.is_validation)])
    fit_kept(
        net,
        TrainingArrays(
            arrays.folded[used],
            arrays.auxiliary[used],
            arrays.label[used],
            arrays.is_validation[used],
            None if arrays.weight is None else arrays.weight[used],
        ),
        fit,
        kept,
    )
    return lambda folded, auxiliary: predict_logits(net, folded, auxiliary)


def _fit_trees(
    kind: str,
    auxiliary: NDArray[np.float32],
    label: NDArray[np.int64],
    weight: NDArray[np.float64],
    n_classes: int,
    seed: int,
) -> Logits:
    if not auxiliary.shape[1]:
        raise ConfigError(f"{kind} as members of a teacher need auxiliaries; there are none")
    least, trees = 1e-7, HistGradientBoostingClassifier(random_state=seed, **TREES)
    if kind == "forest":  # where no tree votes for a class, a third of a vote
        least, trees = 1e-3, RandomForestClassifier(random_state=seed, **FOREST)
    trees.fit(auxiliary, label, sample_weight=weight / weight.mean())

    def logits(_: NDArray[np.float32], new: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.full((len(new), n_classes), np.log(least), np.float32)
        if len(new):
            out[:, trees.classes_] = np.log(np.maximum(trees.predict_proba(new), least))
        return out

    return logits
