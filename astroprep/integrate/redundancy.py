"""Find the same star under several rows, so that it never stands on both sides of a split."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from astroprep.errors import ConfigError, DataError

__all__ = ["twins"]


def twins(
    ra: ArrayLike,
    dec: ArrayLike,
    *,
    radius: float = 6.0,
    ids: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Group of each object: those close on the sky, or of one id, share a number.

    Closeness is passed on: if A is near B and B near C, the three are one group.

    Parameters
    ----------
    ra, dec : float array, shape (n_objects,)
        ICRS, degrees. An object without a finite position is grouped by its id only.
    radius : float, default 6.0
        Largest separation of twins, arcseconds; 0 joins exactly equal positions only.
    ids : array of str, shape (n_objects,), optional
        Equal ids are one group; the empty id is none.

    Returns
    -------
    int64 array, shape (n_objects,)
        The lowest row of the group, so an object without twins has its own row.

    Raises
    ------
    ConfigError
        If the radius is negative or beyond a degree.
    DataError
        If lengths differ or a declination lies outside -90 to 90 degrees.

    Notes
    -----
    Neighbours are found by the chord ``2 sin(separation / 2)`` between unit vectors, which
    is right across right ascension 0 and at the poles.
    """
    if not 0 <= radius <= 3600:
        raise ConfigError(f"twins: radius must lie in [0, 3600] arcseconds, got {radius!r}")
    lon = np.deg2rad(np.asarray(ra, np.float64).ravel())
    lat = np.deg2rad(np.asarray(dec, np.float64).ravel())
    if lon.size != lat.size:
        raise DataError(f"twins needs as many ra as dec, got {lon.size} and {lat.size}")
    n = lon.size
    placed = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat))
    outside = placed[np.abs(lat[placed]) > np.pi / 2]
    if outside.size:
        raise DataError(
            f"twins needs declinations from -90 to 90 degrees, row {outside[0]} has "
            f"{np.rad2deg(lat[outside[0]]):.6g}; {outside.size} of {n} are outside"
        )
    links = [_close_pairs(lon[placed], lat[placed], radius, placed)]
    if ids is not None:
        links.append(_equal_pairs(np.asarray(ids, dtype=object).ravel(), n))
    pairs = np.concatenate(links, axis=0)
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, group = connected_components(graph, directed=False)
    lowest = np.full(n, n, np.int64)
    np.minimum.at(lowest, group, np.arange(n))
    return np.asarray(lowest[group], dtype=np.int64)


def _close_pairs(
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    radius: float,
    rows: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Rows of objects within the radius, shape (n_pairs, 2)."""
    if rows.size == 0:
        return np.empty((0, 2), np.int64)
    vectors = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    # rounding of unit vectors is 1e-16, of right ascension 360 against 0 some 1e-15
    chord = 2 * np.sin(np.deg2rad(radius / 3600) / 2) + 1e-14
    pairs = cKDTree(vectors).query_pairs(chord, output_type="ndarray")
    return np.asarray(rows[pairs.reshape(-1, 2)], dtype=np.int64)


def _equal_pairs(ids: NDArray[np.object_], n: int) -> NDArray[np.int64]:
    """Rows of neighbours in the order of ids that have the same id, shape (n_pairs, 2)."""
    if ids.size != n:
        raise DataError(f"twins needs as many ids as positions, got {ids.size} and {n}")
    named = np.flatnonzero(ids != "")
    if named.size < 2:
        return np.empty((0, 2), np.int64)
    _, code = np.unique(ids[named].astype(str), return_inverse=True)
    order = np.argsort(code, kind="stable")
    same = code[order][1:] == code[order][:-1]
    return np.stack([named[order][:-1][same], named[order][1:][same]], axis=1).astype(np.int64)
