"""Match several catalogues at once: the most probable set of detections of each object."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.integrate.bayes import SPHERE, offset
from astroprep.integrate.catalogue import TROUBLES, Catalogue
from astroprep.integrate.crossmatch import MAX_RADIUS
from astroprep.integrate.density import surface_density
from astroprep.integrate.epochs import at_epoch, common_epoch
from astroprep.integrate.sphere import within

__all__ = ["ManyMatches", "crossmatch_many"]

MAX_SETS = 200_000  # of one object
MAX_TURNS = 200
STILL = 1e-7


@dataclass(frozen=True, eq=False)
class ManyMatches:
    """Most probable set of detections of each object of the first catalogue.

    Attributes
    ----------
    names : tuple of str
        Of the catalogues, the first one first.
    row : int64 array, shape (n, n_catalogues)
        Rows; -1 where the object has no detection in a catalogue.
    separation : float64 array, shape (n, n_catalogues)
        From the first catalogue's position, arcseconds; NaN for none.
    probability : float64 array, shape (n,)
        Of this very set among all sets, that of the object alone included.
    probability_any : float64 array, shape (n,)
        Of having a detection in at least one other catalogue.
    completeness : dict
        Share of the first catalogue's objects that each other catalogue has.
    match_status : object array of str, shape (n,)
        ``"matched in 2 of 3"``, ``"unmatched: ..."``.
    """

    names: tuple[str, ...]
    row: NDArray[np.int64]
    separation: NDArray[np.float64]
    probability: NDArray[np.float64]
    probability_any: NDArray[np.float64]
    completeness: dict[str, float]
    match_status: NDArray[np.object_]


def crossmatch_many(
    catalogues: Mapping[str, Catalogue],
    *,
    radius: float,
    prior: float | None = None,
) -> ManyMatches:
    """Match each object of the first catalogue with those of all others together.

    Parameters
    ----------
    catalogues : mapping of str to Catalogue
        Two or more, with positional errors. The first is the one whose objects are looked up.
        Those with proper motions are brought to the epoch of the first without, or of the
        second catalogue.
    radius : float
        Search radius around the first catalogue's position, arcseconds.
    prior : float, optional
        Share of objects that each other catalogue has; estimated for each by default.

    Returns
    -------
    ManyMatches
        One row for each object of the first catalogue.

    Raises
    ------
    ConfigError
        If a setting is wrong, or one object has more than 200,000 sets of candidates.
    DataError
        If a catalogue has no errors.

    Notes
    -----
    A set S takes one candidate, or none, of each other catalogue. With Gaussian errors C_i, their
    inverses Λ_i and offsets d_i, its Bayes factor is that of [1]_ (Eq. 18) with ellipses::

        B = 2^(n-1) sqrt(Π det Λ_i / det Λ) exp(-(Σ d_i' Λ_i d_i - m' Λ m) / 2)
        Λ = Σ Λ_i,  Λ m = Σ Λ_i d_i

    and its weight ``B Π_in c_k / N_k Π_out (1 - c_k)``, N_k from the local density and
    c_k, the share that catalogue k has, from the sum of probabilities, iterated. Weights over
    their sum are probabilities, as in [2]_.

    References
    ----------
    .. [1] Budavari & Szalay 2008, ApJ 679, 301, doi:10.1086/587156
    .. [2] Salvato et al. 2018, MNRAS 473, 4937, doi:10.1093/mnras/stx2651
    """
    names = tuple(catalogues)
    _check(names, catalogues, radius, prior)
    given = list(catalogues.values())
    still = next((c for c in given if not c.moves), given[1])
    epoch = next(
        (e for c in given if c is not still and (e := common_epoch(c, still)) is not None), None
    )
    sides = [at_epoch(c, epoch) for c in given]
    first, n = sides[0], len(given[0])
    usable = [c.trouble == 0 for c in sides]
    usable = [u & np.isfinite(_variance(c)) for u, c in zip(usable, sides, strict=True)]
    lon = np.where(usable[0], first.ra, np.nan)
    offsets, rows, apart, scale, inside = [], [], [], [], []
    for k in range(1, len(sides)):
        other = sides[k]
        ra = np.where(usable[k], other.ra, np.nan)
        pairs = within(lon, first.dec, ra, other.dec, radius)
        density = surface_density(lon, first.dec, ra, other.dec, np.diff(pairs.offsets), radius)
        inside.append(np.isfinite(density))
        scale.append(np.log(SPHERE * np.where(inside[-1], density, 1.0)))
        offsets.append(pairs.offsets)
        rows.append(pairs.right)
        apart.append(pairs.separation)
    if n:
        sets = np.prod([np.diff(o).astype(np.float64) + 1 for o in offsets], axis=0)
        if sets.max() > MAX_SETS:
            raise ConfigError(
                f"crossmatch_many: row {int(sets.argmax())} of {names[0]} has {sets.max():.3g} "
                f"sets of candidates, more than {MAX_SETS:,}; choose a smaller radius"
            )
    share = np.full(len(sides) - 1, 0.5 if prior is None else prior)
    shifts, precisions = _relative(sides, rows, offsets)
    packed = _packed(offsets, rows, shifts, precisions)
    own = _inverse(np.ones((n, 3)) if first.covariance is None else first.covariance)
    counts = np.array([max(int((i & usable[0]).sum()), 1) for i in inside])
    for _ in range(MAX_TURNS if prior is None else 1):
        best, top, alone, has = _weigh(own, *packed, np.stack(scale), share)
        new = np.clip(has.sum(axis=1) / counts, 0.5 / counts, 1 - 0.5 / counts)
        if prior is not None or np.abs(new - share).max() < STILL:
            break
        share = new
    return _result(names, given[0], usable[0], best, top, alone, share, packed, apart)


def _check(
    names: tuple[str, ...],
    catalogues: Mapping[str, Catalogue],
    radius: float,
    prior: float | None,
) -> None:
    """Raise for what cannot work."""
    if len(names) < 2:
        raise ConfigError(f"crossmatch_many needs two catalogues or more, got {len(names)}")
    if not 0 < radius <= MAX_RADIUS:
        raise ConfigError(
            f"crossmatch_many: radius must lie in (0, {MAX_RADIUS:,.0f}] arcseconds, got {radius!r}"
        )
    if prior is not None and not 0 < prior < 1:
        raise ConfigError(f"crossmatch_many: prior must lie in (0, 1), got {prior!r}")
    for name, catalogue in catalogues.items():
        if catalogue.covariance is None:
            raise DataError(f"crossmatch_many needs positional errors, but {name!r} has none")


def _variance(c: Catalogue) -> NDArray[np.float64]:
    assert c.covariance is not None
    return c.covariance[:, 0]


def _inverse(c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of symmetric matrices (xx, xy, yy)."""
    det = c[:, 0] * c[:, 2] - c[:, 1] ** 2
    return np.stack([c[:, 2] / det, -c[:, 1] / det, c[:, 0] / det], axis=1)


def _relative(
    sides: list[Catalogue], rows: list[NDArray[np.int64]], offsets: list[NDArray[np.int64]]
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Offset and inverse covariance of each candidate in the axes of its object."""
    first = sides[0]
    shifts, precisions = [], []
    for other, row, start in zip(sides[1:], rows, offsets, strict=True):
        assert other.covariance is not None
        left = np.repeat(np.arange(len(first)), np.diff(start))
        shift, covariance = _turned(
            left, row, first.ra, first.dec, other.ra, other.dec, other.covariance
        )
        shifts.append(shift)
        precisions.append(_inverse(covariance))
    return shifts, precisions


@njit(cache=True)
def _turned(left, right, ra1, dec1, ra2, dec2, cov2):  # type: ignore[no-untyped-def]
    shift, covariance = np.empty((left.size, 2)), np.empty((left.size, 3))
    for k in range(left.size):
        i, j = left[k], right[k]
        x, y, cosine, sine = offset(ra1[i], dec1[i], ra2[j], dec2[j])
        norm = math.hypot(cosine, sine)
        c, s = (cosine / norm, sine / norm) if norm > 0 else (1.0, 0.0)
        a, b, d = cov2[j, 0], cov2[j, 1], cov2[j, 2]
        shift[k, 0], shift[k, 1] = x, y
        covariance[k, 0] = c * c * a - 2.0 * c * s * b + s * s * d
        covariance[k, 1] = c * s * (a - d) + (c * c - s * s) * b
        covariance[k, 2] = s * s * a + 2.0 * c * s * b + c * c * d
    return shift, covariance


def _packed(
    offsets: list[NDArray[np.int64]],
    rows: list[NDArray[np.int64]],
    shifts: list[NDArray[np.float64]],
    precisions: list[NDArray[np.float64]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Candidates of all catalogues behind each other, with where each catalogue's begin."""
    begin = np.cumsum([0, *(r.size for r in rows)])[:-1]
    return (
        np.stack([o + b for o, b in zip(offsets, begin, strict=True)]),
        np.concatenate(rows),
        np.concatenate(shifts),
        np.concatenate(precisions),
    )


@njit(cache=True)
def _weigh(own, offsets, rows, shift, precision, scale, share):  # type: ignore[no-untyped-def]
    """Best set of each object, its probability, that of being alone, of each catalogue."""
    m, n = offsets.shape[0], own.shape[0]
    best = np.full((n, m), -1, np.int64)
    top, alone, has = np.ones(n), np.ones(n), np.zeros((m, n))
    unit = math.log(2.0 * 206264.80624709636**2)
    for i in range(n):
        count = 1
        for k in range(m):
            count *= offsets[k, i + 1] - offsets[k, i] + 1
        weight = np.empty(count)
        for number in range(count):
            left, log_w = number, 0.0
            xx, xy, yy = own[i, 0], own[i, 1], own[i, 2]
            vx = vy = square = 0.0
            dets = math.log(xx * yy - xy * xy)
            for k in range(m):
                size = offsets[k, i + 1] - offsets[k, i] + 1
                pick = left % size - 1
                left //= size
                if pick < 0:
                    log_w += math.log1p(-share[k])
                    continue
                j = offsets[k, i] + pick
                a, b, d = precision[j, 0], precision[j, 1], precision[j, 2]
                x, y = shift[j, 0], shift[j, 1]
                log_w += math.log(share[k]) - scale[k, i] + unit
                dets += math.log(a * d - b * b)
                xx, xy, yy = xx + a, xy + b, yy + d
                px, py = a * x + b * y, b * x + d * y
                vx, vy, square = vx + px, vy + py, square + x * px + y * py
            det = xx * yy - xy * xy
            square -= (yy * vx * vx - 2.0 * xy * vx * vy + xx * vy * vy) / det
            weight[number] = log_w + 0.5 * (dets - math.log(det)) - 0.5 * square
        weight = np.exp(weight - weight.max())
        weight /= weight.sum()
        chosen = np.argmax(weight)
        top[i], alone[i] = weight[chosen], weight[0]
        for number in range(count):
            left = number
            for k in range(m):
                size = offsets[k, i + 1] - offsets[k, i] + 1
                pick = left % size - 1
                left //= size
                if pick >= 0:
                    has[k, i] += weight[number]
                    if number == chosen:
                        best[i, k] = offsets[k, i] + pick
    return best, top, alone, has


def _result(
    names: tuple[str, ...],
    first: Catalogue,
    usable: NDArray[np.bool_],
    best: NDArray[np.int64],
    top: NDArray[np.float64],
    alone: NDArray[np.float64],
    share: NDArray[np.float64],
    packed: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    apart: list[NDArray[np.float64]],
) -> ManyMatches:
    """The table of the best sets."""
    offsets, rows = packed[0], packed[1]
    n, found = len(first), best >= 0
    distance = np.append(np.concatenate(apart), np.nan)
    row = np.append(rows, -1)
    own = np.arange(n)[:, None]
    matched = found.sum(axis=1)
    none = offsets[:, 1:] == offsets[:, :-1]
    status = np.array(
        [f"matched in {k} of {len(names) - 1}" for k in range(len(names))], dtype=object
    )[matched]
    status[matched == 0] = "unmatched: candidates are more likely chance"
    status[none.all(axis=0)] = "unmatched: nothing near"
    status[~usable] = "unmatched: no positional error"
    for code in np.unique(first.trouble[first.trouble > 0]):
        status[first.trouble == code] = f"unmatched: {TROUBLES[code]}"
    return ManyMatches(
        names=names,
        row=np.concatenate([own, row[best]], axis=1),
        separation=np.concatenate([np.zeros((n, 1)), distance[best]], axis=1),
        probability=top,
        probability_any=1.0 - alone,
        completeness=dict(zip(names[1:], share.tolist(), strict=True)),
        match_status=status,
    )
