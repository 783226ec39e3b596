"""One star under several ids: pairs with their evidence, and the groups that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.integrate.star_evidence import EVIDENCE, Calibration, calibrate, score_pairs
from astroprep.integrate.star_groups import cross_pairs, join
from astroprep.integrate.star_pairs import (
    apart,
    candidates,
    density,
    place_ratio,
    positions,
    union,
)
from astroprep.integrate.star_traits import measure_traits

__all__ = ["SameStars", "find_same_stars"]

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
By = Literal["position", "photometry", "both"]

CONTRADICTION = -3.0  # natural logarithm: place or light are 20 to 1 against one star
SURE = 0.95  # pairs that calibrate how systems differ
CHUNK = 1 << 20  # pairs scored at a time: 0.3 GB of intermediate arrays
MAX_GROUP = 100  # curves that links connect; more is a chain through a crowd


@dataclass(frozen=True, eq=False)
class SameStars:
    """Pairs of curves that were compared, and which curves are one star.

    Parameters
    ----------
    ids : object array of str, shape (n_curves,)
        Names of the curves.
    left, right : int64 array, shape (n_pairs,)
        Curves, the lower one left.
    separation : float64 array, shape (n_pairs,)
        Arcseconds; NaN without positions.
    scores : float64 array, shape (n_pairs, len(EVIDENCE))
        Natural logarithm of each likelihood ratio, NaN where nothing can be said.
    probability : float64 array, shape (n_pairs,)
        That the two are one star.
    verdict : object array of str, shape (n_pairs,)
        ``"same"``, ``"different"`` or ``"unsure"``.
    group : int64 array, shape (n_curves,)
        Lowest curve of the star; a curve that stands alone has its own number.
    joined_by : int64 array, shape (n_curves,)
        Pair through which a curve (and those already with it) was joined to a lower one; -1.
    blocked : int64 array, shape (n_pairs,)
        For a pair called the same whose groups were not joined, the pair that contradicts it; -1
        elsewhere. ``n_pairs`` where the chain was too long to be looked at.
    """

    ids: NDArray[np.object_]
    left: Rows
    right: Rows
    separation: Array
    scores: Array
    probability: Array
    verdict: NDArray[np.object_]
    group: Rows
    joined_by: Rows
    blocked: Rows

    @property
    def n_stars(self) -> int:
        """Stars, those of one curve included."""
        return int(np.unique(self.group).size)

    def table(self) -> pd.DataFrame:
        """One row per pair: ids, separation, a column per evidence, probability, verdict, reason.

        ``reason`` names evidence from the strongest on, as ``"phase +3.1, period -3.9"``, and what
        kept a pair apart that is called the same.
        """
        columns = {
            "left": self.left,
            "right": self.right,
            "left_id": self.ids[self.left],
            "right_id": self.ids[self.right],
            "separation": self.separation,
        }
        columns |= {name: self.scores[:, k] for k, name in enumerate(EVIDENCE)}
        columns |= {
            "probability": self.probability,
            "verdict": self.verdict,
            "one_star": self.group[self.left] == self.group[self.right],
            "reason": np.array([self.reason(k) for k in range(self.left.size)], dtype=object),
        }
        return pd.DataFrame(columns)

    def reason(self, pair: int) -> str:
        """What decided about a pair, in words."""
        score = self.scores[pair]
        order = np.argsort(-np.abs(np.where(np.isfinite(score), score, 0.0)), kind="stable")
        told = [f"{EVIDENCE[k]} {score[k]:+.1f}" for k in order if np.isfinite(score[k])]
        text = ", ".join(told) or "no evidence"
        against = int(self.blocked[pair])
        if against == self.left.size:
            text += f"; not joined: more than {MAX_GROUP} curves hang together"
        elif against >= 0:
            one, two = self.ids[self.left[against]], self.ids[self.right[against]]
            text += f"; not joined: {one!r} and {two!r} contradict each other"
        return text

    def merge_log(self) -> pd.DataFrame:
        """One row per curve that was joined to another: star, curve, through whom, how surely."""
        row = np.flatnonzero(self.group != np.arange(self.group.size))
        pair = self.joined_by[row]
        by_pair = pair >= 0
        known = np.where(by_pair, pair, 0)
        probability = self.probability[known] if self.left.size else np.full(row.size, np.nan)
        return pd.DataFrame(
            {
                "star": self.group[row],
                "star_id": self.ids[self.group[row]],
                "curve": row,
                "curve_id": self.ids[row],
                "probability": np.where(by_pair, probability, np.nan),
                "reason": [
                    self.reason(k) if k >= 0 else "with others of the star" for k in pair.tolist()
                ],
            }
        )

    def undo(self, curve: int | str) -> SameStars:
        """Take one curve out of its star; the others stay together.

        Parameters
        ----------
        curve : int or str
            Its number, or its id where only one curve has it.

        Raises
        ------
        DataError
            If there is no such curve, or it stands alone already.
        """
        row = self._row(curve)
        members = np.flatnonzero(self.group == self.group[row])
        if members.size == 1:
            raise DataError(f"SameStars.undo: {self.ids[row]!r} stands alone already")
        group, by = self.group.copy(), self.joined_by.copy()
        rest = members[members != row]
        group[rest], group[row] = rest.min(), row
        by[[row, rest.min()]] = -1
        return replace(self, group=group, joined_by=by)

    def _row(self, curve: int | str) -> int:
        if isinstance(curve, str):
            found = np.flatnonzero(self.ids == curve)
            if found.size != 1:
                raise DataError(
                    f"SameStars.undo needs one curve of the id {curve!r}, there are {found.size}"
                )
            return int(found[0])
        if not 0 <= curve < self.ids.size:
            raise DataError(f"SameStars.undo: no curve {curve}, there are {self.ids.size}")
        return int(curve)


def find_same_stars(
    batch: LightCurveBatch,
    *,
    radius: float = 2.0,
    by: By = "position",
    evidence: Sequence[str] | None = None,
    position_error: float = 0.3,
    prior: float = 0.5,
    min_probability: float = 0.9,
    period: str = "period",
    survey: str = "survey",
) -> SameStars:
    """Find the light curves that are one star, from their positions and their photometry.

    Parameters
    ----------
    batch : LightCurveBatch
        Curves of one or several surveys, on one time system. Positions are ``ra`` and ``dec`` in
        ``objects``, ICRS degrees.
    radius : float, default 2.0
        Arcseconds within which curves are compared.
    by : {"position", "photometry", "both"}, default "position"
        Which curves are compared: neighbours on the sky; curves of one period wherever they are,
        for surveys without positions; or neighbours, and by period those without a position.
    evidence : sequence of str, optional
        Out of ``"position", "period", "phase", "brightness", "amplitude", "shape", "exposures",
        "label"``; all by default, without ``"position"`` for ``by="photometry"``.
    position_error : float, default 0.3
        Sigma of each coordinate of a position, arcseconds.
    prior : float, default 0.5
        Share of curves that have a counterpart.
    min_probability : float, default 0.9
        Of a pair called the same; those below ``1 - min_probability`` are called different.
    period : str, default "period"
        Column in ``objects``, days, such as `astroprep.period.PeriodSearch` writes. Curves
        without it are compared by what remains.
    survey : str, default "survey"
        Column in ``objects`` that names the survey of a curve, if there is one.

    Returns
    -------
    SameStars

    Raises
    ------
    ConfigError
        If a setting is wrong, or more than 50 million pairs were to be compared.
    DataError
        If positions or periods are needed and no column has them.

    Notes
    -----
    The odds of a pair are the prior's times the likelihood ratio of each piece of evidence,
    taken as independent. For the position it is Eq. 16 of [1]_ over the density of curves, the
    local one within the radius where that is higher; without a position each of the N curves
    with a period is as likely beforehand, 1 / N. How two surveys differ in brightness and amplitude
    is learned from the pairs that are sure without it, where there are ten. Pairs of one period are
    found in its sorted order, so that the work does not grow with the square of the number.

    Pairs called the same are joined from the most probable on, unless that would put two curves
    into one star that contradict each other (place, light or both below -3); the pair then says so.

    References
    ----------
    .. [1] Budavari & Szalay 2008, ApJ 679, 301, doi:10.1086/587156
    """
    chosen = _evidence(evidence, by)
    _check(radius, by, position_error, prior, min_probability)
    ra, dec = positions(batch, by)
    if by != "position" and period not in batch.objects:
        raise DataError(
            f"find_same_stars needs the column {period!r} per object to compare by {by}, but the "
            f"batch has {', '.join(sorted(batch.objects))}; put PeriodSearch before it"
        )
    traits = measure_traits(batch, period=period, survey=survey)
    left, right = candidates(ra, dec, traits, radius, by)
    around = density(ra, dec, radius)
    n_known = max(int(np.isfinite(traits.frequency).sum()), 2)
    learned: Calibration = {}

    def score_some(left: Rows, right: Rows) -> tuple[Array, Array, Array]:
        distance = apart(ra, dec, left, right)
        place = place_ratio(distance, around, left, right, radius, position_error)
        scores = score_pairs(
            batch, traits, left, right, position=place, evidence=chosen, learned=learned
        )
        total = np.where(np.isfinite(scores), scores, 0.0).sum(axis=1)
        unplaced = ~np.isfinite(place) | ("position" not in chosen)
        odds = logit(prior) + total - np.where(unplaced, np.log(n_known), 0.0)
        return scores, total, np.asarray(expit(odds))

    def score(left: Rows, right: Rows) -> tuple[Array, Array, Array]:
        starts = range(0, max(left.size, 1), CHUNK)
        parts = [score_some(left[k : k + CHUNK], right[k : k + CHUNK]) for k in starts]
        scores, total, probability = zip(*parts, strict=True)
        return np.concatenate(scores), np.concatenate(total), np.concatenate(probability)

    probability = score(left, right)[2]
    learned = calibrate(traits, left[probability > SURE], right[probability > SURE])
    probability = score(left, right)[2]
    link = probability >= min_probability
    more = cross_pairs(left[link], right[link], batch.n_curves, MAX_GROUP)
    left, right = union(left, right, more[0], more[1], batch.n_curves)
    scores, total, probability = score(left, right)
    verdict = np.full(left.size, "unsure", dtype=object)
    verdict[probability >= min_probability] = "same"
    verdict[probability <= 1 - min_probability] = "different"
    group, by_pair, blocked = _joined(
        left, right, probability, verdict == "same", _contradicts(scores, total), more[2]
    )
    return SameStars(
        batch.ids, left, right, apart(ra, dec, left, right), scores, probability, verdict,
        group, by_pair, blocked,
    )  # fmt: skip


def _evidence(evidence: Sequence[str] | None, by: str) -> tuple[str, ...]:
    chosen = EVIDENCE if evidence is None else tuple(evidence)
    strange = [name for name in chosen if name not in EVIDENCE]
    if strange or isinstance(evidence, str) or not chosen:
        raise ConfigError(
            f"find_same_stars: evidence is a list out of {', '.join(EVIDENCE)}; got {evidence!r}"
        )
    return tuple(name for name in chosen if name != "position" or by != "photometry")


def _check(
    radius: float, by: str, position_error: float, prior: float, min_probability: float
) -> None:
    """All wrong settings at once."""
    wrong = []
    if by not in ("position", "photometry", "both"):
        wrong.append(f"by must be 'position', 'photometry' or 'both', got {by!r}")
    if not 0 < radius <= 3600:
        wrong.append(f"radius must lie in (0, 3600] arcseconds, got {radius!r}")
    if not 0 < position_error <= 3600:
        wrong.append(f"position_error must lie in (0, 3600] arcseconds, got {position_error!r}")
    if not 0 < prior < 1:
        wrong.append(f"prior must lie between 0 and 1, got {prior!r}")
    if not 0.5 < min_probability < 1:
        wrong.append(f"min_probability must lie between 0.5 and 1, got {min_probability!r}")
    if wrong:
        raise ConfigError("find_same_stars: " + "; ".join(wrong))


def _contradicts(scores: Array, total: Array) -> NDArray[np.bool_]:
    """Pairs that cannot be one star by their place alone, their light alone, or both together."""
    place = np.nan_to_num(scores[:, EVIDENCE.index("position")])
    return np.asarray(np.minimum(np.minimum(place, total - place), total) < CONTRADICTION)


def _joined(
    left: Rows,
    right: Rows,
    probability: Array,
    link: NDArray[np.bool_],
    contradicts: NDArray[np.bool_],
    large: NDArray[np.bool_],
) -> tuple[Rows, Rows, Rows]:
    """Groups, what joined them, and what kept others apart."""
    n = large.size
    tried = link & ~large[left]
    order = np.flatnonzero(tried)
    order = order[np.argsort(-probability[order], kind="stable")]
    against = np.flatnonzero(contradicts & ~link)
    ends = np.concatenate((left[against], right[against]))
    others = np.concatenate((right[against], left[against]))
    by_end = np.argsort(ends, kind="stable")
    starts = np.searchsorted(ends[by_end], np.arange(n + 1))
    group, by_pair, blocked = join(
        order, left, right, starts, others[by_end], np.concatenate((against, against))[by_end], n
    )
    blocked[link & ~tried] = left.size
    return group, by_pair, blocked
