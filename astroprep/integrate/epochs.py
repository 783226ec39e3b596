"""Two catalogues at one epoch: before they are matched, and pair by pair where needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.integrate.catalogue import Catalogue
from astroprep.integrate.proper_motion import propagate
from astroprep.integrate.sphere import separation, unit_vectors

__all__ = ["at_epoch", "common_epoch", "pair_separation", "reach_of_motion"]


def common_epoch(left: Catalogue, right: Catalogue) -> float | None:
    """Julian year at which both are compared; None where nothing moves.

    The median epoch of what cannot be moved: of the catalogue without proper motions or, where
    both have them, of the right one.

    Raises
    ------
    DataError
        If one has proper motions and the other no epoch.
    """
    if not (left.moves or right.moves):
        return None
    still = right if left.moves else left
    if still.epoch is None or not np.isfinite(still.epoch).any():
        if not len(still):
            return None
        moving = left if left.moves else right
        raise DataError(
            f"{moving.name} has proper motions, but {still.name} has no epoch to bring them to; "
            f"give its epoch, Julian years such as 2000.0"
        )
    return float(np.nanmedian(np.where(np.isfinite(still.epoch), still.epoch, np.nan)))


def at_epoch(catalogue: Catalogue, epoch: float | NDArray[np.float64] | None) -> Catalogue:
    """The catalogue with positions and errors at another epoch.

    Parameters
    ----------
    catalogue : Catalogue
        Rows without a proper motion stay as they are.
    epoch : float or float64 array, shape (n,)
        Julian years; None changes nothing.
    """
    if epoch is None or catalogue.pm_ra is None or catalogue.pm_dec is None:
        return catalogue
    years = np.where(np.isfinite(catalogue.epoch), epoch - catalogue.epoch, 0.0)  # type: ignore[operator, arg-type]
    zero = (0.0, 0.0, 0.0)
    moved = propagate(
        catalogue.ra,
        catalogue.dec,
        catalogue.pm_ra,
        catalogue.pm_dec,
        years,
        parallax=catalogue.parallax,
        radial_velocity=catalogue.radial_velocity,
        covariance=zero if catalogue.covariance is None else catalogue.covariance,
        pm_covariance=zero if catalogue.pm_covariance is None else catalogue.pm_covariance,
    )
    covariance = None if catalogue.covariance is None else moved.covariance
    return replace(catalogue, ra=moved.ra, dec=moved.dec, covariance=covariance)


def reach_of_motion(
    moving: Catalogue, other: Catalogue, epoch: float | None
) -> NDArray[np.float64]:
    """How far each object may be, in the other catalogue's epochs, from where it is at `epoch`.

    Returns
    -------
    float64 array, shape (n,)
        Arcseconds; 0 where the other catalogue moves too or has one epoch.
    """
    still = np.zeros(len(moving))
    if epoch is None or moving.pm_ra is None or moving.pm_dec is None:
        return still
    if other.moves or other.epoch is None or not len(other):
        return still
    apart = np.abs(other.epoch[np.isfinite(other.epoch)] - epoch)
    years = float(apart.max()) if apart.size else 0.0
    # one per cent and a fraction of it again for perspective
    return 1.01 * np.hypot(moving.pm_ra, moving.pm_dec) * years / 1000.0


def pair_separation(
    left: Catalogue, right: Catalogue, i: NDArray[np.int64], j: NDArray[np.int64], epoch: float
) -> tuple[NDArray[np.float64], Catalogue, Catalogue]:
    """Separation of each pair at the epoch of the member that has no proper motion.

    Parameters
    ----------
    left, right : Catalogue
        As given, at their own epochs.
    i, j : int64 array, shape (n_pairs,)
        Rows.
    epoch : float
        Where both move, or the epoch of the one that does not is unknown.

    Returns
    -------
    tuple
        Arcseconds, and a catalogue of the left and of the right members, one row a pair.
    """
    a, b = _rows(left, i), _rows(right, j)
    when = np.full(i.size, epoch)
    for still, moving in ((b, a), (a, b)):
        if not still.moves and moving.moves and still.epoch is not None:
            when = np.where(np.isfinite(still.epoch), still.epoch, when)
    a, b = at_epoch(a, when), at_epoch(b, when)
    return separation(unit_vectors(a.ra, a.dec), unit_vectors(b.ra, b.dec)), a, b


def _rows(catalogue: Catalogue, rows: NDArray[np.int64]) -> Catalogue:
    """Some rows of a catalogue, repeated as asked."""
    names = (
        "ra", "dec", "covariance", "epoch", "pm_ra", "pm_dec", "pm_covariance",
        "parallax", "radial_velocity",
    )  # fmt: skip
    columns = {name: getattr(catalogue, name) for name in names}
    part: dict[str, Any] = {name: None if c is None else c[rows] for name, c in columns.items()}
    return replace(catalogue, **part)
