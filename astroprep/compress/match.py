"""The operating point of a compressed network: how often it says each class."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.share import to_grid
from astroprep.compress.stored import CompressedNetwork, store_tensors
from astroprep.compress.tensors import GridTensor, Tensor, dense, is_half
from astroprep.errors import DataError
from astroprep.model.calibrate import softmax
from astroprep.model.firenet import FireNet
from astroprep.model.train import TrainingArrays, predict_logits

__all__ = ["class_offsets", "match_classes"]

log = logging.getLogger(__name__)

_BIAS = "head.bias"
_UNTRAINED = 2.0  # times the loss of what was made of it: no trained network is that much worse


def class_offsets(
    logits: NDArray[np.floating],
    wanted: NDArray[np.floating],
    *,
    max_iterations: int = 1000,
    tolerance: float = 1e-5,
) -> NDArray[np.float64]:
    """What to add to the logits of each class so that it gets a given share of the probability.

    Parameters
    ----------
    logits : float array, shape (n_objects, n_classes)
        To move.
    wanted : float array, shape (n_classes,)
        Mean probability of each class over the objects afterwards, positive; sums to 1.
    max_iterations : int, default 1000
        Bound on the number of steps.
    tolerance : float, default 1e-5
        Largest relative error of a share at which to stop.

    Returns
    -------
    float64 array, shape (n_classes,)
        Of mean zero.

    Raises
    ------
    DataError
        No objects, a logit that is not finite, or a wanted share that is not positive.

    Notes
    -----
    The offsets maximise a concave function, so they are unique up to a constant. Each step moves
    a class by the logarithm of wanted over present share: iterative scaling [1]_, which approaches
    the maximum from anywhere.

    References
    ----------
    .. [1] Darroch & Ratcliff 1972, Ann. Math. Statist. 43, 1470, doi:10.1214/aoms/1177692379
    """
    x, share = np.asarray(logits, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    if x.ndim != 2 or not x.size or share.shape != x.shape[1:]:
        raise DataError(
            "class_offsets needs logits of at least one object and a share for each class, got "
            f"shapes {x.shape} and {share.shape}"
        )
    if not np.isfinite(x).all() or not (np.isfinite(share) & (share > 0)).all():
        raise DataError("class_offsets needs finite logits and positive shares of all classes")
    share = share / share.sum()
    offset = np.zeros(share.size)
    for _ in range(max_iterations):
        present = np.maximum(softmax(x + offset).mean(axis=0), np.finfo(np.float64).tiny)
        step = np.log(share / present)
        if np.abs(step).max() <= tolerance:
            break
        offset += step
    return np.asarray(offset - offset.mean())


def match_classes(
    made: CompressedNetwork, net: FireNet, arrays: TrainingArrays
) -> CompressedNetwork:
    """Let a compressed network give each class as much probability as the one it was made from.

    Training behind the passes moves the operating point of classes of few objects: after long
    training they get less of the probability than before and lose recall even where all mean
    scores stay, after short training they get more. The biases of the last layer bring it back.

    Parameters
    ----------
    made : CompressedNetwork
        In whatever form its last bias is stored, it is stored again in the same.
    net : FireNet
        What it was made from.
    arrays : TrainingArrays
        What that was trained on. Objects of the validation part are not looked at.

    Returns
    -------
    CompressedNetwork
        Of other last biases alone; the same where `net` knows the training objects much worse, as
        one that was narrowed and not yet trained again: it has no operating point to keep. The
        same too where the form of the bias is so coarse that the moved one fits worse.

    Raises
    ------
    DataError
        No training objects, or a logit of theirs that is not finite.
    """
    train = ~arrays.is_validation
    if not train.any():
        raise DataError("match_classes needs training objects, and all are validation objects")
    inputs, label = (arrays.folded[train], arrays.auxiliary[train]), arrays.label[train]
    logits = predict_logits(made.net, *inputs)
    whole = softmax(predict_logits(net, *inputs))
    if _loss(whole, label) > _UNTRAINED * _loss(softmax(logits), label):
        log.warning(
            "classes are not matched to the network that was compressed: it knows the training "
            "objects much worse than what was made of it; train it in its present shape first"
        )
        return made
    wanted = np.maximum(whole.mean(axis=0), np.finfo(np.float32).tiny)
    bias = _moved(made.tensors[_BIAS], class_offsets(logits, wanted))
    change = dense(bias) - dense(made.tensors[_BIAS])
    if _gap(logits + change, wanted) > _gap(logits, wanted):
        return made
    moved = store_tensors(made.net, made.tensors | {_BIAS: bias}, made.histories)
    return replace(moved, ranges=made.ranges)


def _gap(logits: NDArray[np.floating], wanted: NDArray[np.floating]) -> float:
    """Divergence of the shares of the probability from those wanted, in nats (Kullback-Leibler)."""
    share = np.maximum(softmax(logits).mean(axis=0), np.finfo(np.float32).tiny)
    return float(wanted @ np.log(wanted / share))


def _loss(probability: NDArray[np.float64], label: NDArray[np.integer]) -> float:
    own = probability[np.arange(label.size), label]
    return float(-np.log(np.maximum(own, np.finfo(np.float32).tiny)).mean())


def _moved(bias: Tensor, offset: NDArray[np.float64]) -> Tensor:
    before = dense(bias)
    array = (before + offset).astype(np.float32)
    if isinstance(bias, GridTensor):
        return GridTensor(*to_grid(array, bias.bits), bias.bits)
    return array.astype(np.float16).astype(np.float32) if is_half(before) else array
