"""How far a network can be pruned, with and without retraining, and which objects pay for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from astroprep.compress.chain import CompressSettings, compress_network, recalibrated
from astroprep.compress.prune import Scope, apply_masks, magnitude_masks, prunable_layers
from astroprep.errors import DataError
from astroprep.model.firenet import FireNet
from astroprep.model.train import TrainingArrays, TrainSettings, predict_logits

__all__ = ["ClassChanges", "class_changes", "pruned_once", "sparsity_sweep"]


def pruned_once(
    net: FireNet,
    arrays: TrainingArrays,
    sparsity: float,
    *,
    scope: Scope = "balanced",
    floor: float = 0.02,
    recalibrate: bool = True,
) -> FireNet:
    """Copy of a network pruned in one shot, without retraining.

    Parameters
    ----------
    net : FireNet
        Trained, batch norms not folded; it is not changed.
    arrays : TrainingArrays
        For the statistics of batch norms.
    sparsity, scope, floor
        See `magnitude_masks`.
    recalibrate : bool, default True
        Take the statistics of batch norms anew.
    """
    small = FireNet(net.spec)
    small.load_state_dict(net.state_dict())
    layers = prunable_layers(small)
    apply_masks(small, magnitude_masks(small, layers, sparsity, scope=scope, floor=floor))
    if recalibrate:
        recalibrated(small, arrays, 0)
    return small.eval()


def sparsity_sweep(
    net: FireNet,
    arrays: TrainingArrays,
    sparsities: Sequence[float],
    score: Callable[[NDArray[np.float32]], float],
    *,
    retrain: tuple[CompressSettings, TrainSettings] | None = None,
) -> dict[str, list[float]]:
    """Score of the validation objects against sparsity, by way of pruning.

    Parameters
    ----------
    net : FireNet
        Trained; it is not changed.
    arrays : TrainingArrays
        What it was trained on; its validation part is scored.
    sparsities : sequence of float
        Shares of zeros.
    score : callable
        Given the logits of the validation objects.
    retrain : (CompressSettings, TrainSettings), optional
        Prune step by step and retrain as well, which takes a training for every sparsity.

    Returns
    -------
    dict of str to list of float
        ``"one shot"`` (statistics of batch norms as they were), ``"recalibrated"`` and, where
        asked for, ``"retrained"``: a score for each sparsity.

    References
    ----------
    .. [1] Han et al. 2015, figure 5, arXiv:1506.02626
    """
    check = arrays.is_validation
    if not check.any():
        raise DataError("sparsity_sweep needs validation objects to score")

    def scored(one: FireNet) -> float:
        return score(predict_logits(one, arrays.folded[check], arrays.auxiliary[check]))

    curves: dict[str, list[float]] = {"one shot": [], "recalibrated": []}
    for sparsity in sparsities:
        for name, again in (("one shot", False), ("recalibrated", True)):
            curves[name].append(scored(pruned_once(net, arrays, sparsity, recalibrate=again)))
        if retrain is not None:
            settings, fit = retrain
            wanted = replace(settings, sparsity=sparsity, n_values=0)
            made = compress_network(net, arrays, wanted, fit)
            curves.setdefault("retrained", []).append(scored(made.net))
    return curves


@dataclass(frozen=True, eq=False)
class ClassChanges:
    """Objects of which a smaller network says something else.

    Parameters
    ----------
    index : int64 array, shape (n_changed,)
        Which objects.
    before, after : int64 array, shape (n_changed,)
        Class codes that the two networks give.
    margin : float64 array, shape (n_changed,)
        Lead of the first choice over the second before, in probability: small where the first
        network was not sure itself.
    repaired, broken : int
        How many became right, and wrong.
    """

    index: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    margin: NDArray[np.float64]
    repaired: int
    broken: int


def class_changes(
    before: NDArray[np.floating], after: NDArray[np.floating], label: NDArray[np.integer]
) -> ClassChanges:
    """Compare two networks object by object.

    Parameters
    ----------
    before, after : float array, shape (n_objects, n_classes)
        Logits.
    label : integer array, shape (n_objects,)
        True class codes.

    Raises
    ------
    DataError
        If the arrays disagree in shape.
    """
    if before.shape != after.shape or len(label) != len(before):
        raise DataError(
            f"class_changes needs logits of equal shape and as many labels, got {before.shape}, "
            f"{after.shape} and {len(label)}"
        )
    first, second = before.argmax(axis=1), after.argmax(axis=1)
    index = np.flatnonzero(first != second)
    shares = torch.softmax(torch.from_numpy(before[index].astype(np.float64)), dim=1).numpy()
    ordered = np.sort(shares, axis=1)
    return ClassChanges(
        index=index,
        before=first[index],
        after=second[index],
        margin=ordered[:, -1] - ordered[:, -2],
        repaired=int(np.sum(second[index] == label[index])),
        broken=int(np.sum(first[index] == label[index])),
    )
