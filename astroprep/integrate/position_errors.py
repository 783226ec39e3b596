"""Errors of positions and proper motions, however they are stated, as covariances."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError

__all__ = ["motion_covariance", "position_covariance", "shaped_numbers"]


def shaped_numbers(
    given: ArrayLike, shape: tuple[int, ...] | None, what: str, name: str
) -> NDArray[np.float64]:
    """Float64 copy of a column; masked values become NaN.

    Parameters
    ----------
    given : array-like
        Numbers.
    shape : tuple of int or None
        To which they are repeated; None takes them as they are, in one dimension.
    what, name : str
        Column and catalogue, for messages.

    Returns
    -------
    float64 array

    Raises
    ------
    DataError
        If they are no numbers or do not fit the shape.
    """
    try:
        masked: Any = np.ma.asarray(given)
        values = np.array(masked.astype(np.float64).filled(np.nan), np.float64)
        return values.ravel() if shape is None else np.array(np.broadcast_to(values, shape))
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: {what} must be a column of numbers: {error}") from error


def position_covariance(
    error: ArrayLike | None,
    ellipse: ArrayLike | None,
    covariance: ArrayLike | None,
    n: int,
    name: str,
) -> NDArray[np.float64] | None:
    """Covariance of each position, NaN where it is not known or not positive definite.

    Parameters
    ----------
    error : array-like, shape (n,) or (n, 2), optional
        Standard deviations, of both coordinates or of each.
    ellipse : array-like, shape (n, 3), optional
        Semi-axes in the unit of `error`, and the angle of the major one, degrees east of north.
    covariance : array-like, shape (n, 3), optional
        Of right ascension, between both, of declination.
    n : int
        Positions.
    name : str
        Of the catalogue, for messages.

    Returns
    -------
    float64 array, shape (n, 3), or None
        As `covariance`; None where nothing is given.

    Raises
    ------
    ConfigError
        If more than one is given.
    DataError
        As `shaped_numbers`.
    """
    given = [x for x in (error, ellipse, covariance) if x is not None]
    if len(given) > 1:
        raise ConfigError(f"{name}: give one of error, ellipse and covariance")
    if not given:
        return None
    if covariance is not None:
        c = shaped_numbers(covariance, (n, 3), "covariance", name)
    elif ellipse is not None:
        c = _of_ellipse(shaped_numbers(ellipse, (n, 3), "ellipse", name))
    else:
        assert error is not None
        wide = np.shape(error) == (n, 2)
        sigma = shaped_numbers(error, (n, 2) if wide else (n,), "error", name).reshape(
            n, -1 if n else 1
        )
        sigma = np.where(sigma > 0, sigma, np.nan)
        c = np.stack([sigma[:, 0] ** 2, np.zeros(n), sigma[:, -1] ** 2], axis=1)
    good = np.isfinite(c).all(axis=1) & (c[:, 0] > 0) & (c[:, 0] * c[:, 2] > c[:, 1] ** 2)
    c[~good] = np.nan
    return c


def _of_ellipse(ellipse: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariances of error ellipses (major, minor, position angle)."""
    major, minor = np.where(ellipse[:, :2].T > 0, ellipse[:, :2].T, np.nan) ** 2
    sine, cosine = np.sin(np.deg2rad(ellipse[:, 2])), np.cos(np.deg2rad(ellipse[:, 2]))
    return np.stack(
        [
            major * sine**2 + minor * cosine**2,
            (major - minor) * sine * cosine,
            major * cosine**2 + minor * sine**2,
        ],
        axis=1,
    )


def motion_covariance(pm_error: ArrayLike | None, n: int, name: str) -> NDArray[np.float64] | None:
    """Covariance of each proper motion; an error that is not known counts as none.

    Parameters
    ----------
    pm_error : array-like, shape (n, 2), optional
        Standard deviations in right ascension and declination.
    n, name
        As for `position_covariance`.

    Returns
    -------
    float64 array, shape (n, 3), or None

    Raises
    ------
    DataError
        As `shaped_numbers`.
    """
    if pm_error is None:
        return None
    sigma = np.nan_to_num(shaped_numbers(pm_error, (n, 2), "pm_error", name))
    return np.stack([sigma[:, 0] ** 2, np.zeros(n), sigma[:, 1] ** 2], axis=1)
