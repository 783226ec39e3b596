"""Positions at another epoch: straight motion through space, projected on the sky."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import DataError
from astroprep.integrate.sphere import ARCSEC

__all__ = ["Moved", "propagate"]

KM_PER_S = 4.740470463533349  # of one au per Julian year
MAS = ARCSEC / 1000.0


class Moved(NamedTuple):
    """Positions at the new epoch.

    Attributes
    ----------
    ra, dec : float64 array, shape (n,)
        ICRS, degrees; right ascension in [0, 360).
    covariance : float64 array, shape (n, 3)
        Of (ra cos dec, dec), arcsec²: variance of ra, covariance, variance of dec.
    """

    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    covariance: NDArray[np.float64]


def propagate(
    ra: ArrayLike,
    dec: ArrayLike,
    pm_ra: ArrayLike,
    pm_dec: ArrayLike,
    years: ArrayLike,
    *,
    parallax: ArrayLike = 0.0,
    radial_velocity: ArrayLike = 0.0,
    covariance: ArrayLike = (0.0, 0.0, 0.0),
    pm_covariance: ArrayLike = (0.0, 0.0, 0.0),
) -> Moved:
    """Positions and their errors some years later.

    Parameters
    ----------
    ra, dec : float array, shape (n,)
        ICRS at the old epoch, degrees.
    pm_ra, pm_dec : float array, shape (n,)
        Proper motion, milliarcseconds per Julian year; `pm_ra` includes cos(dec), as in Gaia.
    years : float array, shape (n,)
        New epoch minus old, Julian years.
    parallax : float array, shape (n,), default 0
        Milliarcseconds; with the radial velocity it gives the change of perspective. Not the
        parallactic ellipse, which barycentric positions do not have. Negative counts as 0.
    radial_velocity : float array, shape (n,), default 0
        Kilometres per second, receding positive.
    covariance : float array, shape (n, 3), default 0
        Of the position (ra cos dec, dec), arcsec²: variance, covariance, variance.
    pm_covariance : float array, shape (n, 3), default 0
        Of the proper motion, (mas per year)², in the same order; taken as independent of the
        position's.

    Returns
    -------
    Moved
        NaN where an input is.

    Raises
    ------
    DataError
        If the shapes do not fit.

    Notes
    -----
    With r the unit vector, p and q those towards east and north, μ = p μα* + q μδ and
    ζ = v ϖ / 4.740 the radial motion per year (Eqs. 1.2.15 and 1.5.24 of [1]_)::

        r(t) = (r (1 + ζ t) + μ t) / |r (1 + ζ t) + μ t|

    Errors are C + t² C_μ, turned by the angle between the old and the new direction of
    north; terms of order μ t are left out, which is 5e-5 of the error after a degree of motion.

    References
    ----------
    .. [1] ESA 1997, The Hipparcos and Tycho Catalogues, ESA SP-1200, vol. 1, section 1.5
    .. [2] Butkevich & Lindegren 2014, A&A 570, A62, doi:10.1051/0004-6361/201424483
    """
    try:
        lon, lat, east, north, time, plx, rv = np.broadcast_arrays(
            *(
                np.asarray(x, np.float64)
                for x in (ra, dec, pm_ra, pm_dec, years, parallax, radial_velocity)
            )
        )
        shape = (*lon.shape, 3)
        c = np.broadcast_to(np.asarray(covariance, np.float64), shape)
        c_pm = np.broadcast_to(np.asarray(pm_covariance, np.float64), shape)
    except ValueError as error:
        raise DataError(f"propagate needs columns of one length: {error}") from error
    r, p, q = _triad(np.deg2rad(lon), np.deg2rad(lat))
    zeta = rv * np.maximum(plx, 0.0) * MAS / KM_PER_S
    along = (1 + zeta * time)[..., None] * r
    moved = along + ((east * MAS * time)[..., None] * p + (north * MAS * time)[..., None] * q)
    moved /= np.linalg.norm(moved, axis=-1, keepdims=True)
    new_dec = np.arctan2(moved[..., 2], np.hypot(moved[..., 0], moved[..., 1]))
    new_ra = np.arctan2(moved[..., 1], moved[..., 0])
    still = (east == 0) & (north == 0) & np.isfinite(lon + lat)  # an unmoved star stays to the bit
    new_ra = np.where(still, lon % 360.0, np.rad2deg(new_ra) % 360.0)
    new_dec = np.where(still, lat, np.rad2deg(new_dec))
    spread = c + (time**2)[..., None] * c_pm * 1e-6
    _, p_new, _ = _triad(np.deg2rad(new_ra), np.deg2rad(new_dec))
    # north before and after differ by this angle, large only beside the poles
    sine, cosine = (p_new * q).sum(-1), (p_new * p).sum(-1)
    turned = turn_covariance(spread, cosine, sine)
    return Moved(np.where(new_ra == 360.0, 0.0, new_ra), new_dec, turned)


def turn_covariance(
    covariance: NDArray[np.float64], cosine: NDArray[np.float64], sine: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Covariances in axes turned by an angle (new east is cosine * east + sine * north).

    Parameters
    ----------
    covariance : float64 array, shape (..., 3)
        Variance, covariance, variance.
    cosine, sine : float64 array, shape (...)
        Of the angle; need not be normalised.
    """
    norm = np.hypot(cosine, sine)
    norm = np.where(norm > 0, norm, 1.0)
    c, s = cosine / norm, sine / norm
    a, b, d = covariance[..., 0], covariance[..., 1], covariance[..., 2]
    return np.stack(
        [
            c * c * a + 2 * c * s * b + s * s * d,
            c * s * (d - a) + (c * c - s * s) * b,
            s * s * a - 2 * c * s * b + c * c * d,
        ],
        axis=-1,
    )


def _triad(
    lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors towards the position, east and north, shape (..., 3)."""
    sl, cl, sb, cb = np.sin(lon), np.cos(lon), np.sin(lat), np.cos(lat)
    r = np.stack([cb * cl, cb * sl, sb], axis=-1)
    p = np.stack([-sl, cl, np.zeros_like(sl)], axis=-1)
    q = np.stack([-sb * cl, -sb * sl, cb], axis=-1)
    return r, p, q
