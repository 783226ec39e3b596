"""Probabilities that mean what they say: temperature scaling and changed class priors.

Free of torch, so that the deployed runtime uses the very same functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError

__all__ = [
    "correct_priors",
    "estimate_priors",
    "fit_temperature",
    "priors_between",
    "softmax",
    "tempered_priors",
]

TEMPERATURE_RANGE = (0.05, 20.0)


def softmax(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities of logits divided by a temperature.

    Parameters
    ----------
    logits : float array, shape (n_objects, n_classes)
        Any offset per row.
    temperature : float, default 1.0
        Above 1 less sure, below 1 surer.

    Returns
    -------
    float64 array, shape (n_objects, n_classes)
        Rows sum to 1.
    """
    z = np.asarray(logits, dtype=np.float64) / temperature
    z = z - z.max(axis=1, keepdims=True) if z.size else z
    e = np.exp(z)
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _log_loss(
    logits: NDArray[np.float64],
    code: NDArray[np.int64],
    weight: NDArray[np.float64],
    temperature: float,
) -> float:
    z = logits / temperature
    top = z.max(axis=1)
    log_sum = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
    return float(np.average(log_sum - z[np.arange(code.size), code], weights=weight))


def fit_temperature(
    logits: NDArray[np.floating[Any]],
    code: NDArray[np.integer[Any]],
    weight: NDArray[np.floating[Any]] | None = None,
) -> float:
    """Temperature of least log loss on objects that the network did not learn.

    Parameters
    ----------
    logits : float array, shape (n_objects, n_classes)
        Of validation objects.
    code : int array, shape (n_objects,)
        True classes.
    weight : float array, shape (n_objects,), optional
        Importance of each object.

    Returns
    -------
    float
        Between 0.05 and 20.

    Raises
    ------
    DataError
        If there is no object or a logit is not finite.

    References
    ----------
    .. [1] Guo et al. 2017, "On calibration of modern neural networks", section 4.2,
       arXiv:1706.04599
    """
    z = np.asarray(logits, dtype=np.float64)
    y = np.asarray(code, dtype=np.int64)
    if y.size == 0:
        raise DataError("fit_temperature needs at least one validation object, got none")
    if not np.isfinite(z).all():
        raise DataError("fit_temperature needs finite logits; leave rejected objects out")
    w = np.ones(y.size) if weight is None else np.asarray(weight, dtype=np.float64)
    low, high = np.log(TEMPERATURE_RANGE)
    from scipy.optimize import minimize_scalar  # training alone needs it

    found = minimize_scalar(
        lambda log_t: _log_loss(z, y, w, float(np.exp(log_t))), bounds=(low, high), method="bounded"
    )
    return float(np.exp(found.x))


def tempered_priors(count: NDArray[np.number[Any]], power: float) -> NDArray[np.float64]:
    """Class priors between the shares of a sample and equal ones.

    Parameters
    ----------
    count : array, shape (n_classes,)
        Objects of each class, 1 at least.
    power : float
        0 gives the shares, 1 equal priors. A network trained with class weights of this power
        learns these priors.

    Returns
    -------
    float64 array, shape (n_classes,)
        ``count ** (1 - power)``, normalised to sum 1.

    Raises
    ------
    DataError
        If a class has no object.
    """
    n = np.asarray(count, dtype=np.float64)
    if n.size == 0 or not (n > 0).all():
        raise DataError(f"tempered_priors needs objects of every class, got counts {n.tolist()}")
    priors = n ** (1 - power)
    return np.asarray(priors / priors.sum())


def correct_priors(
    probability: NDArray[np.floating[Any]],
    learned: NDArray[np.floating[Any]],
    wanted: NDArray[np.floating[Any]],
) -> NDArray[np.float64]:
    """Probabilities under other class priors than those that were learned.

    Parameters
    ----------
    probability : float array, shape (n_objects, n_classes)
        Calibrated for priors `learned`.
    learned, wanted : float array, shape (n_classes,)
        Priors, positive (a wanted one may be 0); only ratios count.

    Returns
    -------
    float64 array, shape (n_objects, n_classes)
        Rows sum to 1.

    Raises
    ------
    DataError
        If a learned prior is not positive or a wanted one negative.

    References
    ----------
    .. [1] Saerens, Latinne & Decaestecker 2002, Neural Computation 14, 21, equation 2.4,
       doi:10.1162/089976602753284446
    """
    before = np.asarray(learned, dtype=np.float64)
    after = np.asarray(wanted, dtype=np.float64)
    if not (before > 0).all() or not (after >= 0).all() or not after.sum() > 0:
        raise DataError(
            "correct_priors needs positive learned priors and wanted ones of 0 or more, got "
            f"{before.tolist()} and {after.tolist()}"
        )
    p = np.asarray(probability, dtype=np.float64) * (after / before)
    total = p.sum(axis=1, keepdims=True)
    even = after / after.sum()
    return np.asarray(np.where(total > 0, p / np.where(total > 0, total, 1.0), even))


def priors_between(
    learned: NDArray[np.floating[Any]], wanted: NDArray[np.floating[Any]], part: float
) -> NDArray[np.float64]:
    """Class priors on the way from those that were learned to others.

    Parameters
    ----------
    learned : float array, shape (n_classes,)
        Priors of the classifier, positive.
    wanted : float array, shape (n_classes,)
        Such as `estimate_priors` finds.
    part : float
        0 gives the learned priors, 1 the wanted ones, between them the normalised geometric mean
        of these weights. The priors of the sample are best for accuracy, and cost rare classes that
        were weighted up in training their recall; macro F1 is usually highest on the way.

    Returns
    -------
    float64 array, shape (n_classes,)
        Sums to 1.

    Raises
    ------
    DataError
        If `part` is not from 0 to 1 or a learned prior not positive.
    """
    before, after = np.asarray(learned, np.float64), np.asarray(wanted, np.float64)
    if not 0.0 <= part <= 1.0 or not (before > 0).all():
        raise DataError(
            f"priors_between needs a part from 0 to 1 and positive learned priors, got {part} and "
            f"{before.tolist()}"
        )
    shares = (before / before.sum()) ** (1.0 - part) * after**part
    return np.asarray(shares / shares.sum())


def estimate_priors(
    probability: NDArray[np.floating[Any]],
    learned: NDArray[np.floating[Any]],
    *,
    max_iterations: int = 1000,
    tolerance: float = 1e-6,
) -> NDArray[np.float64]:
    """Class priors of a new sample, from the probabilities of its objects alone.

    Expectation maximisation: correct the probabilities to the present priors, take their mean
    as the next priors.

    Parameters
    ----------
    probability : float array, shape (n_objects, n_classes)
        Calibrated for priors `learned`.
    learned : float array, shape (n_classes,)
        Priors of the training sample, positive.
    max_iterations : int, default 1000
        Bound on the number of steps.
    tolerance : float, default 1e-6
        Largest change of a prior at which to stop.

    Returns
    -------
    float64 array, shape (n_classes,)
        Sums to 1; the learned ones for an empty sample.

    Raises
    ------
    DataError
        If a learned prior is not positive or a probability not finite.

    Notes
    -----
    Sound where only the class shares differ between the samples, not the look of each class.

    References
    ----------
    .. [1] Saerens, Latinne & Decaestecker 2002, Neural Computation 14, 21, equation 2.9,
       doi:10.1162/089976602753284446
    """
    before = np.asarray(learned, dtype=np.float64)
    if not (before > 0).all():
        raise DataError(f"estimate_priors needs positive learned priors, got {before.tolist()}")
    before = before / before.sum()
    ratio = np.asarray(probability, dtype=np.float64) / before  # likelihoods, but for a factor
    priors: NDArray[np.float64] = before.copy()
    if len(ratio) == 0:
        return priors
    if not np.isfinite(ratio).all():
        raise DataError("estimate_priors needs finite probabilities; leave rejected objects out")
    for _ in range(max_iterations):
        evidence = ratio @ priors
        weight = np.divide(1.0, evidence, out=np.zeros_like(evidence), where=evidence > 0)
        updated = priors * (weight @ ratio)
        updated = updated / updated.sum()
        change = float(np.abs(updated - priors).max())
        priors = updated
        if change < tolerance:
            break
    return priors
