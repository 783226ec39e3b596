"""Class shares of a new survey: estimated with their uncertainty, or read from a file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.model.calibrate import correct_priors, estimate_priors, priors_between
from astroprep.model.mapping_file import read_mapping

__all__ = ["PriorEstimate", "check_shares", "estimate_part", "estimate_shares", "read_shares"]

MIN_PER_CLASS = 10  # objects of the new survey for every class that is to be told apart
MAX_CONDITION = 1e4  # of the matrix that is inverted; beyond it shares trade places freely
SUM_TOLERANCE = 1e-3  # shares written with three digits


@dataclass(frozen=True, eq=False)
class PriorEstimate:
    """Class shares of a sample, with how far they may be off.

    Parameters
    ----------
    shares : float64 array, shape (n_classes,)
        Sum to 1.
    standard_error : float64 array, shape (n_classes,)
        From the size of the sample and of the validation objects; not from a change in the
        look of a class, which would break the method's assumption.
    n_objects : int
        Objects that the shares were estimated from.
    """

    shares: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    n_objects: int

    def partly(self, learned: NDArray[np.floating[Any]], part: float) -> PriorEstimate:
        """Shares on the way from the learned priors to the estimated ones.

        Parameters
        ----------
        learned : float array, shape (n_classes,)
            Priors of the classifier, positive.
        part : float
            See `priors_between`.

        Returns
        -------
        PriorEstimate
            Its errors are those of the estimate carried over to first order, class by class.
        """
        shares = priors_between(learned, self.shares, part)
        there = self.shares > 0
        slope = np.divide(part * shares, self.shares, out=np.full(shares.size, part), where=there)
        return PriorEstimate(shares, slope * self.standard_error, self.n_objects)


def estimate_part(prior: str | None) -> float | None:
    """How far ``"estimate"`` or ``"estimate:PART"`` goes; None for any other word.

    Parameters
    ----------
    prior : str or None
        As given to ``--prior``.

    Raises
    ------
    ConfigError
        If the part is not a number above 0 and up to 1.
    """
    word, colon, text = (prior or "").partition(":")
    if word != "estimate":
        return None
    try:
        part = float(text) if colon else 1.0
    except ValueError:
        part = 0.0
    if not 0.0 < part <= 1.0:
        raise ConfigError(
            f"--prior {prior}: the part after the colon is how far to go from the learned to the "
            "estimated shares, above 0 and up to 1, such as estimate:0.3"
        )
    return part


def estimate_shares(
    probability: NDArray[np.floating[Any]],
    learned: NDArray[np.floating[Any]],
    *,
    validation: NDArray[np.floating[Any]] | None = None,
    code: NDArray[np.integer[Any]] | None = None,
) -> PriorEstimate:
    """Class shares of unlabelled objects by expectation maximisation, with standard errors.

    Parameters
    ----------
    probability : float array, shape (n_objects, n_classes)
        Of the new objects, calibrated for priors `learned`; rows of NaN (rejected objects) are
        left out.
    learned : float array, shape (n_classes,)
        Priors of the classifier, positive.
    validation : float array, shape (n_validation, n_classes), optional
        Probabilities of labelled objects that the network did not learn, for the part of the
        uncertainty that comes from their number.
    code : int array, shape (n_validation,), optional
        Their classes.

    Returns
    -------
    PriorEstimate
        Shares and standard errors.

    Raises
    ------
    DataError
        If there are fewer than ten objects a class, if a probability is negative or a row does
        not sum to 1, or if the shares of some classes cannot be told apart (the mixing matrix
        is singular).

    Notes
    -----
    The shares solve ``pi = F(pi)``, with ``F`` the mean of the probabilities ``r`` corrected to
    ``pi`` [1]_. Linearised, an error ``e`` of ``F`` moves them by ``H^-1 e`` with
    ``H = I - dF / dpi``; ``e`` has the covariance of ``r`` over `n_objects`, and, since the look
    of each class is known from ``n_k`` validation objects, that of ``r`` within the class over
    ``n_k``, times ``pi_k**2`` (the sandwich of an M-estimator). The matrix of the mean ``r`` of
    each true class is the soft confusion matrix of [2]_. Shares at 0 are a one-sided bound, for
    which the standard error is only a scale.

    References
    ----------
    .. [1] Saerens, Latinne & Decaestecker 2002, Neural Computation 14, 21, equation 2.9,
       doi:10.1162/089976602753284446
    .. [2] Lipton, Wang & Smola 2018, "Detecting and correcting for label shift with black box
       predictors", section 4, arXiv:1802.03916
    """
    p = np.asarray(probability, dtype=np.float64)
    before = np.asarray(learned, dtype=np.float64)
    if p.ndim != 2 or before.shape != p.shape[1:]:
        raise DataError(
            f"estimate_shares needs a column for each of {before.size} priors, got {p.shape}"
        )
    p = p[np.isfinite(p).all(axis=1)]
    needed = MIN_PER_CLASS * before.size
    if len(p) < needed:
        raise DataError(
            f"class shares cannot be estimated from {len(p)} objects, {needed} are needed for "
            f"{before.size} classes; state them in a file instead"
        )
    if (p < 0).any() or np.abs(p.sum(axis=1) - 1).max() > 1e-6:
        raise DataError("estimate_shares needs probabilities of 0 or more whose rows sum to 1")
    shares = estimate_priors(p, before)
    r = correct_priors(p, before, shares)
    noise = np.cov(r.T) / len(r)
    if validation is not None and code is not None:
        noise = noise + _transfer(correct_priors(validation, before, shares), code, shares)
    inverse = _inverse(r, shares)
    error = np.sqrt(np.diag(inverse @ noise @ inverse.T))
    return PriorEstimate(shares, error, len(r))


def _inverse(r: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of ``I - dF / dpi`` at the solution."""
    pi = np.maximum(shares, 1e-12)
    mean_product = r.T @ r / len(r)
    jacobian = np.diag(r.mean(axis=0) / pi) - mean_product / pi
    present = shares > 1.0 / len(r)  # a class without an object has no row to be told apart by
    h = np.eye(pi.size) - np.where(present, jacobian, 0.0)
    condition = np.linalg.cond(h)
    if not condition < MAX_CONDITION:
        raise DataError(
            "class shares cannot be estimated: the classifier does not tell some classes apart "
            f"(condition {condition:.2g} of the mixing matrix); state the shares in a file instead"
        )
    return np.asarray(np.linalg.inv(h))


def _transfer(
    r: NDArray[np.float64], code: NDArray[np.integer[Any]], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Covariance of F because the look of each class is known from few objects."""
    total = np.zeros((shares.size, shares.size))
    for k in range(shares.size):
        mine = r[code == k]
        if len(mine) > 1:
            total += shares[k] ** 2 * np.cov(mine.T) / len(mine)
    return total


def read_shares(path: str | Path, classes: Sequence[str]) -> NDArray[np.float64]:
    """Class shares from a file.

    Parameters
    ----------
    path : str or Path
        ``.json`` or ``.toml``: a table of class to share; ``.csv``: two columns, the class and
        its share, with or without a line of names.
    classes : sequence of str
        Classes of the network; each needs a share, 0 included.

    Returns
    -------
    float64 array, shape (n_classes,)
        In the order of `classes`; sums to 1.

    Raises
    ------
    ConfigError
        If the file cannot be read, or its classes or shares are not as they should be; all
        mistakes at once.
    """
    table = read_mapping(Path(path), "a table of class shares", "class to share", _from_csv)
    return check_shares(table, classes, str(path))


def _from_csv(text: str) -> dict[str, float]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if any(row)]
    if not rows or any(len(row) != 2 for row in rows):
        raise ValueError("each line needs a class and its share")
    try:
        float(rows[0][1])
    except ValueError:
        rows = rows[1:]
    names = [name for name, _ in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands there twice")
    return {name: float(share) for name, share in rows}


def check_shares(table: Mapping[str, Any], classes: Sequence[str], who: str) -> NDArray[np.float64]:
    """Shares in the order of the classes.

    Parameters
    ----------
    table : mapping of str to number
        Share of each class.
    classes : sequence of str
        Classes of the network.
    who : str
        Begins the message.

    Raises
    ------
    ConfigError
        If a class is missing or unknown, a share is no number of 0 or more, or they do not sum
        to 1 within 0.001; all mistakes at once.
    """
    mistakes = []
    missing = [name for name in classes if name not in table]
    unknown = sorted(str(name) for name in table if name not in set(classes))
    if missing:
        mistakes.append(f"no share of {', '.join(map(str, missing))}")
    if unknown:
        mistakes.append(
            f"unknown class {', '.join(unknown)}; known: {', '.join(map(str, classes))}"
        )
    bad = [
        f"{name} = {share!r}"
        for name, share in table.items()
        if isinstance(share, bool)
        or not isinstance(share, int | float)
        or not np.isfinite(share)
        or share < 0
    ]
    if bad:
        mistakes.append(f"a share is a number of 0 or more, not {', '.join(bad)}")
    elif abs(sum(table.values()) - 1) > SUM_TOLERANCE:
        mistakes.append(f"the shares sum to {sum(table.values()):.6g}, not to 1")
    if mistakes:
        raise ConfigError(f"{who}: " + "; ".join(mistakes))
    shares = np.array([float(table[name]) for name in classes])
    return np.asarray(shares / shares.sum())
