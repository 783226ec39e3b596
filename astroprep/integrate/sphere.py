"""Neighbours on the sphere: declination zones sorted by right ascension, right at the poles."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.errors import ConfigError

__all__ = ["ARCSEC", "Pairs", "separation", "unit_vectors", "within"]

ARCSEC = np.pi / 648000.0  # radians
MAX_PAIRS = 200_000_000  # 4.8 GB of pairs; beyond it the radius is a mistake
ZONES = 1 << 20
TURN = 1 << 40  # steps of right ascension in a sort key, 1.2 microarcseconds each
FEW = 32  # neighbours of an object that insertion sorts fastest
SLACK = 4e-15  # rounding of unit vectors and of a right ascension, radians


class Pairs(NamedTuple):
    """Pairs of neighbours, by left row and then by separation.

    Attributes
    ----------
    offsets : int64 array, shape (n_left + 1,)
        Pairs of left row i are ``offsets[i]:offsets[i + 1]``.
    left, right : int64 arrays, shape (n_pairs,)
        Rows.
    separation : float64 array, shape (n_pairs,)
        Arcseconds.
    """

    offsets: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    separation: NDArray[np.float64]


def unit_vectors(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors of positions.

    Parameters
    ----------
    ra, dec : float64 array, shape (n,)
        Degrees, finite.

    Returns
    -------
    float64 array, shape (n, 3)
        Towards (ra 0, dec 0), (ra 90, dec 0) and the north pole.
    """
    lon, lat = np.deg2rad(ra), np.deg2rad(dec)
    vectors = np.empty((lon.size, 3))
    # the cosine of 90 degrees is 6e-17 in floats, which turns into no direction that matters
    across = np.cos(lat)
    vectors[:, 0] = across * np.cos(lon)
    vectors[:, 1] = across * np.sin(lon)
    vectors[:, 2] = np.sin(lat)
    return vectors


def separation(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle between unit vectors, arcseconds.

    Parameters
    ----------
    a, b : float64 array, shape (..., 3)
        Unit vectors.

    Notes
    -----
    ``2 arctan2(|a - b|, |a + b|)``, accurate at every angle.
    """
    apart = np.linalg.norm(a - b, axis=-1)
    return np.asarray(2 * np.arctan2(apart, np.linalg.norm(a + b, axis=-1)) / ARCSEC)


@njit(cache=True)
def _keys(ra, dec, height):  # type: ignore[no-untyped-def]
    """Sort keys: zone of declination in the high bits, right ascension in the low ones."""
    keys = np.empty(ra.size, np.int64)
    last = math.ceil(180.0 / height) - 1.0
    for i in range(ra.size):
        zone = np.int64(min(max((dec[i] + 90.0) / height, 0.0), last))
        turn = ra[i] / 360.0
        turn -= math.floor(turn)
        keys[i] = zone * TURN + np.int64(min(turn * TURN, TURN - 1.0))
    return keys


@njit(cache=True)
def _first(keys, low, high, key):  # type: ignore[no-untyped-def]
    """Index of the first key in [low, high) that is not below `key`."""
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _reach(dec, radius):  # type: ignore[no-untyped-def]
    """Half-width in right ascension of a circle, in steps of a key; TURN where it holds a pole.

    The circle of angular radius r around declination d touches meridians at arcsin(sin r / cos d).
    """
    lat = math.radians(abs(dec))
    if lat + radius + SLACK >= 0.5 * math.pi:
        return np.int64(TURN)
    ratio = math.sin(radius) / math.cos(lat)
    if ratio >= 1.0:
        return np.int64(TURN)
    # two steps for the rounding of both keys, and the rounding of a right ascension
    return np.int64((math.asin(ratio) / (2.0 * math.pi)) * (1.0 + 1e-9) * TURN) + 4


@njit(cache=True)
def _vectors(ra, dec, order):  # type: ignore[no-untyped-def]
    """Unit vectors in an order; one pass, because new memory costs more than sines."""
    vectors = np.empty((order.size, 3))
    for k in range(order.size):
        lon, lat = math.radians(ra[order[k]]), math.radians(dec[order[k]])
        across = math.cos(lat)
        vectors[k, 0] = across * math.cos(lon)
        vectors[k, 1] = across * math.sin(lon)
        vectors[k, 2] = math.sin(lat)
    return vectors


@njit(cache=True)
def _window(keys, begin, end, base, low, high):  # type: ignore[no-untyped-def]
    """Places in one zone whose right ascension lies in [low, high], without wrapping."""
    if high < 0 or low >= TURN:
        return begin, begin
    a = _first(keys, begin, end, base + max(low, 0))
    b, top = a, base + min(high, TURN - 1)
    while b < end and keys[b] <= top:
        b += 1
    return a, b


@njit(cache=True)
def _search(  # type: ignore[no-untyped-def]
    order, left_keys, left_dec, vectors, radius, keys, starts, right_vectors, height, max_pairs
):
    """Pairs in the order of the left keys: left row, place in the right order, squared chord."""
    size = order.size + order.size // 8 + 64
    left, right = np.empty(size, np.int32), np.empty(size, np.int32)
    chord = np.empty(size)
    n, last = 0, starts.size - 2
    for k in range(order.size):
        i = order[k]
        x, y, z = vectors[k, 0], vectors[k, 1], vectors[k, 2]
        far = 2.0 * math.sin(0.5 * radius[i]) + SLACK
        limit = far * far
        degrees = math.degrees(radius[i] + SLACK)
        low_zone = np.int64(max(math.floor((left_dec[i] - degrees + 90.0) / height), 0))
        high_zone = np.int64(min(math.floor((left_dec[i] + degrees + 90.0) / height), last))
        reach = _reach(left_dec[i], radius[i])
        whole = 2 * reach + 1 >= TURN
        turn = left_keys[k] % TURN
        for zone in range(min(low_zone, last), high_zone + 1):
            begin, end = starts[zone], starts[zone + 1]
            if begin == end:
                continue
            for copy in range(-1, 2):  # the window, and its copies a turn away
                if whole:
                    a, b = begin, end if copy == 0 else begin
                else:
                    middle = turn + copy * TURN
                    a, b = _window(keys, begin, end, zone * TURN, middle - reach, middle + reach)
                for j in range(a, b):
                    dx = right_vectors[j, 0] - x
                    dy = right_vectors[j, 1] - y
                    dz = right_vectors[j, 2] - z
                    squared = dx * dx + dy * dy + dz * dz
                    if squared <= limit:
                        if n == left.size:
                            if n >= max_pairs:
                                return left[:0], right[:0], chord[:0], False
                            size = min(2 * n, max_pairs)
                            left, right = _grown(left, size), _grown(right, size)
                            chord = _grown(chord, size)
                        left[n], right[n], chord[n] = i, j, squared
                        n += 1
    return left[:n], right[:n], chord[:n], True


@njit(cache=True)
def _grown(values, size):  # type: ignore[no-untyped-def]
    larger = np.empty(size, values.dtype)
    larger[: values.size] = values
    return larger


@njit(cache=True)
def _by_row(n_left, left, right, chord, right_order):  # type: ignore[no-untyped-def]
    """Pairs by left row, nearest first, then by right row; separations in arcseconds."""
    offsets = np.zeros(n_left + 1, np.int64)
    for i in left:
        offsets[i + 1] += 1
    for i in range(n_left):
        offsets[i + 1] += offsets[i]
    place = offsets[:-1].copy()
    first, second = np.empty(left.size, np.int64), np.empty(left.size, np.int64)
    apart = np.empty(left.size)
    for k in range(left.size):
        at = place[left[k]]
        place[left[k]] += 1
        first[at], second[at] = left[k], right_order[right[k]]
        apart[at] = 2.0 * math.asin(min(0.5 * math.sqrt(chord[k]), 1.0)) / ARCSEC
    for i in range(n_left):
        _nearest_first(second[offsets[i] : offsets[i + 1]], apart[offsets[i] : offsets[i + 1]])
    return offsets, first, second, apart


@njit(cache=True)
def _nearest_first(row, apart):  # type: ignore[no-untyped-def]
    """Sort the few neighbours of one object in place; many by numpy's sort."""
    if row.size > FEW:
        order = np.argsort(row)
        order = order[np.argsort(apart[order], kind="mergesort")]
        row[:], apart[:] = row[order], apart[order]
        return
    for k in range(1, row.size):
        j, angle, at = row[k], apart[k], k
        while at and (angle < apart[at - 1] or (angle == apart[at - 1] and j < row[at - 1])):
            row[at], apart[at] = row[at - 1], apart[at - 1]
            at -= 1
        row[at], apart[at] = j, angle


def within(
    left_ra: NDArray[np.float64],
    left_dec: NDArray[np.float64],
    right_ra: NDArray[np.float64],
    right_dec: NDArray[np.float64],
    radius: float | NDArray[np.float64],
) -> Pairs:
    """All pairs of positions no further apart than a radius.

    Parameters
    ----------
    left_ra, left_dec : float64 array, shape (n_left,)
        Degrees. A position that is not finite has no neighbours.
    right_ra, right_dec : float64 array, shape (n_right,)
        The same of the other catalogue.
    radius : float or float64 array, shape (n_left,)
        Arcseconds, at most 90 degrees.

    Returns
    -------
    Pairs
        Sorted by left row, then by separation, then by right row.

    Raises
    ------
    ConfigError
        If there are more than 200 million pairs.

    Notes
    -----
    The right positions are sorted by zone of declination and by right ascension within it, as in
    [1]_; a left position looks up the window of right ascension in each zone that its
    circle touches. Both sides are walked in this order, which keeps them in cache. The zones
    are as high as makes a window hold about half an object, between 2 and 32 radii.

    References
    ----------
    .. [1] Gray et al. 2006, The Zones Algorithm for Finding Points-Near-a-Point or
       Cross-Matching Spatial Datasets, arXiv:cs/0701171
    """
    radii = np.broadcast_to(np.asarray(radius, np.float64) * ARCSEC, left_ra.shape)
    here = np.flatnonzero(np.isfinite(left_ra) & np.isfinite(left_dec) & np.isfinite(radii))
    there = np.flatnonzero(np.isfinite(right_ra) & np.isfinite(right_dec))
    n = left_ra.size
    if not here.size or not there.size:
        empty = np.empty(0, np.int64)
        return Pairs(np.zeros(n + 1, np.int64), empty, empty, np.empty(0))
    height = _zone_height(right_ra[there], right_dec[there], float(radii[here].max()))
    keys = _keys(right_ra[there], right_dec[there], height)
    order = np.argsort(keys)
    keys, there = keys[order], there[order]
    starts = np.searchsorted(keys, np.arange(math.ceil(180.0 / height) + 1) * TURN)
    left_keys = _keys(left_ra[here], left_dec[here], height)
    order = np.argsort(left_keys)
    left_keys, here = left_keys[order], here[order]
    left, right, chord, fits = _search(
        here, left_keys, left_dec, _vectors(left_ra, left_dec, here), radii,
        keys, starts, _vectors(right_ra, right_dec, there), height, MAX_PAIRS,
    )  # fmt: skip
    if not fits:
        raise ConfigError(
            f"crossmatch: more than {MAX_PAIRS:,} pairs lie within the radius "
            f"({np.max(radius):.6g} arcseconds at most); choose a smaller one"
        )
    return Pairs(*_by_row(n, left, right, chord, there))


def _zone_height(ra: NDArray[np.float64], dec: NDArray[np.float64], radius: float) -> float:
    """Height of a declination zone, degrees."""
    low, high = np.deg2rad(dec.min()), np.deg2rad(dec.max())
    width = np.deg2rad(min(float(np.ptp(ra % 360.0)), 360.0))
    area = max((np.sin(high) - np.sin(low)) * width, 1e-12)
    least = max(2.0 * radius, np.pi / ZONES)
    height = 0.25 * area / (dec.size * max(radius, 1e-12))
    return float(np.rad2deg(min(max(height, least), max(32.0 * radius, least), np.pi / 2)))
