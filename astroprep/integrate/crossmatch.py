"""Match two catalogues by position: by a radius or by probability, one partner, each or all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.integrate.assign import Assignment, assign
from astroprep.integrate.bayes import (
    SPHERE,
    completeness,
    pair_log_bayes,
    probabilities,
)
from astroprep.integrate.catalogue import Catalogue, as_catalogue, trouble_code
from astroprep.integrate.density import surface_density
from astroprep.integrate.epochs import at_epoch, common_epoch, pair_separation, reach_of_motion
from astroprep.integrate.matches import Keep, Matches, tabulate
from astroprep.integrate.sphere import Pairs, within

__all__ = ["Kind", "Method", "crossmatch"]

Method = Literal["plain", "bayes"]
Kind = Literal["nearest", "one-to-one", "all"]
MAX_RADIUS = 36_000.0  # arcseconds
SIGMAS = 6.0  # of the joint error, searched by default; one true match in 7e7 is further off


def crossmatch(
    left: Catalogue | tuple[Any, Any],
    right: Catalogue | tuple[Any, Any],
    *,
    radius: float | None = None,
    method: Method = "plain",
    kind: Kind = "nearest",
    assignment: Assignment = "optimal",
    keep: Keep = "left",
    prior: float | None = None,
    density: float | None = None,
    min_probability: float = 0.5,
) -> Matches:
    """Match each object of a catalogue with those of another.

    Parameters
    ----------
    left, right : Catalogue or tuple (ra, dec)
        ICRS. With proper motions (see `Catalogue.of`) positions are compared at the epoch of
        the catalogue that has none, object by object where its epochs differ, or of the
        right one where both move.
    radius : float, optional
        Arcseconds, at most 36,000. A pair at exactly this separation is inside. By default,
        with ``method="bayes"`` only, six times the joint error of an object and the
        least certain one of the right catalogue.
    method : {"plain", "bayes"}, default "plain"
        The nearest within the radius, or the most probable: positional errors of both
        catalogues and the density of the right one decide.
    kind : {"nearest", "one-to-one", "all"}, default "nearest"
        The best partner of each left object, which another may have too; at most one partner for
        either; or every candidate.
    assignment : {"optimal", "greedy", "mutual"}, default "optimal"
        How one-to-one partners are found, see `astroprep.integrate.assign.assign`: the largest sum
        of ``radius² - separation²``, or of logarithmic odds.
    keep : {"left", "both", "matched"}, default "left"
        Rows without a partner that are kept.
    prior : float, optional
        Share of left objects that have a counterpart, for ``"bayes"``; estimated by default.
    density : float, optional
        Objects of the right catalogue per square arcsecond, for ``"bayes"``; estimated
        around each left object by default.
    min_probability : float, default 0.5
        Of a match against having no counterpart, ``P / (P + P_none)``, for ``"bayes"``. Of
        candidates that share the probability between them, the best is a match all the same.

    Returns
    -------
    Matches
        By left row, then the best first; lonely objects of the right catalogue at the end.

    Raises
    ------
    ConfigError
        If a setting is wrong or missing.
    DataError
        If ``"bayes"`` has no errors, or proper motions have no epoch.

    Notes
    -----
    ``"bayes"`` is [1]_ with the error ellipses of both sides, the local density of the right
    catalogue and a self-consistent prior; candidates of one left object exclude each
    other. See `astroprep.integrate.bayes.probabilities` for the equation. It takes errors at their
    word: if they are too small, true pairs are missed.

    References
    ----------
    .. [1] Budavari & Szalay 2008, ApJ 679, 301, doi:10.1086/587156

    Examples
    --------
    >>> found = crossmatch(([10.0], [0.0]), ([10.0, 10.0001], [0.0, 0.0001]), radius=2.0)
    >>> found.match_status[0], int(found.right_row[0])
    ('ambiguous (2 candidates)', 0)
    """
    rule = _Rule(radius, method, kind, assignment, keep, prior, density, min_probability)
    rule.check()
    one, two = as_catalogue(left, "left catalogue"), as_catalogue(right, "right catalogue")
    if method == "bayes":
        one, two = _with_errors(one), _with_errors(two)
    pairs, log_bayes = _candidates(one, two, rule)
    score, chance, share = _scores(one, two, pairs, log_bayes, rule)
    chosen = _choose(pairs, score, len(one), len(two), rule)
    about: dict[str, Any] = {key: value for key, value in vars(rule).items() if value is not None}
    if share is not None:
        about["completeness"] = share
    return tabulate(one, two, pairs, chosen, score, log_bayes, chance, keep, about)


@dataclass(frozen=True)
class _Rule:
    """Settings of a cross-match."""

    radius: float | None
    method: Method
    kind: Kind
    assignment: Assignment
    keep: Keep
    prior: float | None
    density: float | None
    min_probability: float

    def check(self) -> None:
        """Raise for a wrong setting."""
        for name, known in (
            ("method", Method), ("kind", Kind), ("assignment", Assignment), ("keep", Keep),
        ):  # fmt: skip
            if getattr(self, name) not in get_args(known):
                raise ConfigError(
                    f"crossmatch: {name} must be one of {', '.join(map(repr, get_args(known)))}, "
                    f"got {getattr(self, name)!r}"
                )
        if self.radius is None and self.method == "plain":
            raise ConfigError("crossmatch: method='plain' needs a radius in arcseconds")
        for name in ("radius", "prior", "density", "min_probability"):
            given = getattr(self, name)
            if given is not None and (
                isinstance(given, bool) or not isinstance(given, int | float | np.number)
            ):
                raise ConfigError(f"crossmatch: {name} must be a number, got {given!r}")
        if self.radius is not None and not 0 <= self.radius <= MAX_RADIUS:
            raise ConfigError(
                f"crossmatch: radius must lie in [0, {MAX_RADIUS:,.0f}] arcseconds, "
                f"got {self.radius!r}"
            )
        if self.prior is not None and not 0 < self.prior < 1:
            raise ConfigError(f"crossmatch: prior must lie in (0, 1), got {self.prior!r}")
        if self.density is not None and not 0 < self.density < np.inf:
            raise ConfigError(f"crossmatch: density must be positive, got {self.density!r}")
        if not 0 < self.min_probability < 1:
            raise ConfigError(
                f"crossmatch: min_probability must lie in (0, 1), got {self.min_probability!r}"
            )


def _with_errors(catalogue: Catalogue) -> Catalogue:
    """The catalogue without those rows whose positions have no error."""
    if catalogue.covariance is None:
        raise DataError(
            f"crossmatch: method='bayes' needs positional errors, but {catalogue.name} has none; "
            f"give error=, in arcseconds, or use method='plain'"
        )
    bad = (catalogue.trouble == 0) & np.isnan(catalogue.covariance[:, 0])
    if not bad.any():
        return catalogue
    trouble = catalogue.trouble.copy()
    trouble[bad] = trouble_code("no positional error")
    return replace(
        catalogue,
        ra=np.where(bad, np.nan, catalogue.ra),
        dec=np.where(bad, np.nan, catalogue.dec),
        trouble=trouble,
    )


def _candidates(
    left: Catalogue, right: Catalogue, rule: _Rule
) -> tuple[Pairs, NDArray[np.float64]]:
    """Pairs within the radius, and their Bayes factors (NaN for the plain method)."""
    epoch = common_epoch(left, right)
    one, two = at_epoch(left, epoch), at_epoch(right, epoch)
    radius = _radii(one, two, rule)
    extra = reach_of_motion(left, right, epoch)
    extra = extra + reach_of_motion(right, left, epoch).max(initial=0.0)
    pairs = within(one.ra, one.dec, two.ra, two.dec, np.minimum(radius + extra, 2 * MAX_RADIUS))
    if epoch is not None and extra.any():
        apart, one, two = pair_separation(left, right, pairs.left, pairs.right, epoch)
        kept = apart <= radius[pairs.left]
        pairs = _sorted(Pairs(pairs.offsets, pairs.left[kept], pairs.right[kept], apart[kept]))
        apart, one, two = pair_separation(left, right, pairs.left, pairs.right, epoch)
        i = j = np.arange(pairs.left.size)
    else:
        i, j = pairs.left, pairs.right
    if rule.method == "plain" or one.covariance is None or two.covariance is None:
        return pairs, np.full(pairs.left.size, np.nan)
    return pairs, pair_log_bayes(
        i, j, one.ra, one.dec, one.covariance, two.ra, two.dec, two.covariance
    )


def _radii(left: Catalogue, right: Catalogue, rule: _Rule) -> NDArray[np.float64]:
    """Search radius of each left object, arcseconds."""
    if rule.radius is not None:
        return np.full(len(left), rule.radius)
    assert left.covariance is not None
    assert right.covariance is not None
    joint = _major(left.covariance) + np.nanmax(_major(right.covariance), initial=0.0)
    return np.minimum(SIGMAS * np.sqrt(joint), MAX_RADIUS)


def _major(c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Larger eigenvalue of each covariance."""
    return np.asarray(0.5 * (c[:, 0] + c[:, 2]) + np.hypot(0.5 * (c[:, 0] - c[:, 2]), c[:, 1]))


def _sorted(pairs: Pairs) -> Pairs:
    """Pairs with new separations, by left row and then by separation; offsets made anew."""
    order = np.lexsort((pairs.right, pairs.separation, pairs.left))
    counts = np.bincount(pairs.left, minlength=pairs.offsets.size - 1)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Pairs(offsets, pairs.left[order], pairs.right[order], pairs.separation[order])


def _scores(
    left: Catalogue,
    right: Catalogue,
    pairs: Pairs,
    log_bayes: NDArray[np.float64],
    rule: _Rule,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float | None]:
    """Gain of choosing each pair, its probability (NaN if plain), the share with a counterpart."""
    if rule.method == "plain":
        assert rule.radius is not None
        widest = (rule.radius + 1e-8) * (1 + 1e-9)  # a pair at the very radius gains a little
        return widest**2 - pairs.separation**2, log_bayes, None
    density, n_inside = _density(left, right, pairs, rule)
    ratio = log_bayes - np.log(SPHERE * density[pairs.left])
    share = rule.prior or completeness(pairs.offsets, ratio, n_inside)
    odds = np.log(share) - np.log1p(-share)
    least = np.log(rule.min_probability) - np.log1p(-rule.min_probability)
    return ratio + odds - least, probabilities(pairs.offsets, ratio, share), share


def _density(
    left: Catalogue, right: Catalogue, pairs: Pairs, rule: _Rule
) -> tuple[NDArray[np.float64], int]:
    """Density of the right catalogue at each left object, and how many lie in its footprint."""
    usable = left.trouble == 0
    if rule.density is not None:
        return np.full(len(left), rule.density), int(usable.sum())
    if not usable.any():
        return np.ones(len(left)), 0
    typical = float(np.median(_radii(left, right, rule)[usable]))
    counts = np.diff(pairs.offsets)
    density = surface_density(left.ra, left.dec, right.ra, right.dec, counts, typical)
    inside = np.isfinite(density)
    # a search wider than the cells may reach objects where the cells hold none
    return np.where(inside, density, max(len(right), 1) / SPHERE), int((inside & usable).sum())


def _choose(
    pairs: Pairs, score: NDArray[np.float64], n_left: int, n_right: int, rule: _Rule
) -> NDArray[np.bool_]:
    """Which pairs are matches."""
    if rule.kind == "one-to-one":
        return assign(pairs.left, pairs.right, score, n_left, n_right, rule.assignment)
    if rule.kind == "all":
        return score > 0
    chosen = np.zeros(score.size, bool)
    some = np.flatnonzero(np.diff(pairs.offsets))
    if not some.size:
        return chosen
    if rule.method == "plain":  # the nearest comes first
        chosen[pairs.offsets[some]] = True
        return chosen
    best = np.maximum.reduceat(score, pairs.offsets[some])
    top = np.flatnonzero(score == np.repeat(best, np.diff(pairs.offsets)[some]))
    first = top[np.unique(pairs.left[top], return_index=True)[1]]
    chosen[first] = score[first] > 0
    return chosen
