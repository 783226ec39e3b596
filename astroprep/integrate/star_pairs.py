"""Which light curves are compared: neighbours on the sky, and curves of one period."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.integrate.density import surface_density
from astroprep.integrate.sphere import separation, unit_vectors, within
from astroprep.integrate.star_evidence import FAIL
from astroprep.integrate.star_traits import Traits, numbers

__all__ = ["apart", "candidates", "density", "place_ratio", "positions", "union"]

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

N_SIGMA = 5.0  # of two frequencies that are compared at all
LARGEST_ERROR = 2e-3  # relative, of a frequency that is looked up; others match everything
MAX_PAIRS = 50_000_000  # 6 GB of evidence


def positions(batch: LightCurveBatch, by: str) -> tuple[Array, Array]:
    """Right ascensions and declinations, degrees; NaN where they are not known or not used."""
    nothing = np.full(batch.n_curves, np.nan)
    if by == "photometry":
        return nothing, nothing
    for name in ("ra", "dec"):
        if name not in batch.objects and by == "position":
            raise DataError(
                f"find_same_stars needs the column {name!r} per object to compare by position, "
                f"but the batch has {', '.join(sorted(batch.objects))}; or by='photometry'"
            )
    ra, dec = (numbers(batch, name) if name in batch.objects else nothing for name in ("ra", "dec"))
    outside = np.flatnonzero((np.abs(dec) > 90) | (ra < -180) | (ra > 360))
    if outside.size:
        i = int(outside[0])
        raise DataError(
            "find_same_stars needs ra from -180 to 360 and dec from -90 to 90 degrees: "
            f"{batch.ids[i]!r} (curve {i}) has ra {ra[i]:.6g}, dec {dec[i]:.6g}; {outside.size} of "
            f"{batch.n_curves} are outside. NaN means not known"
        )
    known = np.isfinite(ra) & np.isfinite(dec)
    return np.where(known, ra, np.nan), np.where(known, dec, np.nan)


def candidates(ra: Array, dec: Array, traits: Traits, radius: float, by: str) -> tuple[Rows, Rows]:
    """Pairs to compare, the lower row left, each once.

    Raises
    ------
    ConfigError
        If there are more than 50 million.
    """
    n = ra.size
    near = within(ra, dec, ra, dec, radius)
    keep = near.left < near.right
    if int(keep.sum()) > MAX_PAIRS:
        raise ConfigError(
            f"find_same_stars: {int(keep.sum()):,} pairs lie within {radius:g} arcsec, more than "
            f"{MAX_PAIRS:,}; take a smaller radius, or fewer curves at a time"
        )
    if by == "position":
        return near.left[keep], near.right[keep]
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.hypot(traits.frequency_err / traits.frequency, 1e-5)
    usable = np.flatnonzero(np.isfinite(traits.frequency) & (error <= LARGEST_ERROR))
    order = usable[np.argsort(traits.frequency[usable], kind="stable")]
    placed = np.isfinite(ra)
    one, two, fits = _of_one_period(
        np.log(traits.frequency[order]), error[order], placed[order], N_SIGMA, MAX_PAIRS
    )
    if not fits:
        raise ConfigError(
            f"find_same_stars: more than {MAX_PAIRS:,} pairs share a period; compare by position, "
            "or give periods with smaller errors"
        )
    one, two = order[one], order[two]
    low, high = np.minimum(one, two), np.maximum(one, two)
    return union(near.left[keep], near.right[keep], low, high, n)


@njit(cache=True)
def _of_one_period(log_f, error, placed, n_sigma, most):  # type: ignore[no-untyped-def]
    """Pairs whose frequencies agree within errors and that the sky does not compare already."""
    size = 4 * log_f.size + 16
    one, two = np.empty(size, np.int64), np.empty(size, np.int64)
    n = 0
    largest = error.max() if error.size else 0.0
    for i in range(log_f.size):
        reach = n_sigma * np.hypot(error[i], largest)
        for j in range(i + 1, log_f.size):
            step = log_f[j] - log_f[i]
            if step > reach:
                break
            if (placed[i] and placed[j]) or step > n_sigma * np.hypot(error[i], error[j]):
                continue
            if n == one.size:
                if n >= most:
                    return one[:0], two[:0], False
                one = np.concatenate((one, np.empty(n, np.int64)))
                two = np.concatenate((two, np.empty(n, np.int64)))
            one[n], two[n] = i, j
            n += 1
    return one[:n], two[:n], True


def union(left: Rows, right: Rows, more_left: Rows, more_right: Rows, n: int) -> tuple[Rows, Rows]:
    """Pairs of both lists, each once, in the order of their rows."""
    key = np.union1d(left * n + right, more_left * n + more_right) if n else np.empty(0, np.int64)
    return key // max(n, 1), key % max(n, 1)


def density(ra: Array, dec: Array, radius: float) -> Array:
    """Curves per square arcsecond around each, the local number within the radius if higher."""
    near = np.diff(within(ra, dec, ra, dec, radius).offsets)
    wide = surface_density(ra, dec, ra, dec, near, radius)
    local = np.maximum(near - 1, 0) / (np.pi * radius**2)
    least = 1.0 / 5.3e11  # one in the sky
    return np.asarray(np.fmax(np.fmax(wide, local), least))


def apart(ra: Array, dec: Array, left: Rows, right: Rows) -> Array:
    """Separation of each pair, arcseconds; NaN where a position is not known."""
    known = np.isfinite(ra[left]) & np.isfinite(ra[right])
    found = np.full(left.size, np.nan)
    vectors = unit_vectors(np.where(np.isfinite(ra), ra, 0.0), np.where(np.isfinite(dec), dec, 0.0))
    found[known] = separation(vectors[left[known]], vectors[right[known]])
    return found


def place_ratio(
    distance: Array, density: Array, left: Rows, right: Rows, radius: float, error: float
) -> Array:
    """Log likelihood ratio of positions; one source may be off by anything within the radius."""
    square = 2 * error**2
    expected = np.log(0.5 * (density[left] + density[right]))
    core = np.log1p(-FAIL) - distance**2 / (2 * square) - np.log(2 * np.pi * square) - expected
    wing = np.log(FAIL) - np.log(np.pi * radius**2) - expected
    known = np.isfinite(distance)
    ratio = np.full(distance.size, np.nan)
    ratio[known] = np.logaddexp(core[known], np.minimum(wing, np.log(FAIL))[known])
    return ratio
