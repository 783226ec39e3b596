"""The result of a cross-match: one row for a pair or a lonely object, each with its reason."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.integrate.catalogue import TROUBLES, Catalogue
from astroprep.integrate.sphere import Pairs

__all__ = ["Keep", "MatchStatus", "Matches", "tabulate"]

Keep = Literal["left", "both", "matched"]
NOTABLE = 0.01  # probability of a candidate that counts


class MatchStatus(enum.IntEnum):
    """What became of a row."""

    MATCHED = 0
    AMBIGUOUS = 1  # matched to the best of several candidates
    NOTHING_NEAR = 2
    LOST = 3  # its candidates are better partners of others
    UNLIKELY = 4  # its candidates are more likely chance
    UNUSABLE = 5  # the row itself cannot be matched


@dataclass(frozen=True, eq=False)
class Matches:
    """Rows of a cross-match.

    Attributes
    ----------
    left_row, right_row : int64 array, shape (n,)
        Rows in the catalogues, -1 for none.
    separation : float64 array, shape (n,)
        Arcseconds, NaN without a partner.
    probability : float64 array, shape (n,)
        Of being one source, given all candidates of the left object; NaN without a partner and
        for the plain method, which gives none.
    log_bayes : float64 array, shape (n,)
        Natural logarithm of the Bayes factor, NaN likewise.
    status : int8 array, shape (n,)
        `MatchStatus`.
    n_candidates : int64 array, shape (n,)
        Of the object: within the radius or, by probability, above one per cent.
    left, right : Catalogue
        What was matched.
    about : dict
        Method, kind, radius, completeness and counts.
    """

    left_row: NDArray[np.int64]
    right_row: NDArray[np.int64]
    separation: NDArray[np.float64]
    probability: NDArray[np.float64]
    log_bayes: NDArray[np.float64]
    status: NDArray[np.int8]
    n_candidates: NDArray[np.int64]
    left: Catalogue
    right: Catalogue
    about: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.left_row.size)

    @property
    def is_matched(self) -> NDArray[np.bool_]:
        """True where the row is a pair."""
        return self.status <= MatchStatus.AMBIGUOUS

    @property
    def left_id(self) -> NDArray[np.object_]:
        """Ids of the left objects, row numbers where there are none; ``""`` for no object."""
        return self.left.names(self.left_row)

    @property
    def right_id(self) -> NDArray[np.object_]:
        """Ids of the right objects, likewise."""
        return self.right.names(self.right_row)

    @property
    def match_status(self) -> NDArray[np.object_]:
        """What became of each row, in words."""
        radius, least = self.about.get("radius"), self.about.get("min_probability", 0.0)
        near = "near" if radius is None else f"within {radius:g} arcsec"
        words = {
            MatchStatus.MATCHED: "matched",
            MatchStatus.NOTHING_NEAR: f"unmatched: nothing {near}",
            MatchStatus.LOST: "unmatched: lost to a better partner",
            MatchStatus.UNLIKELY: f"unmatched: no candidate of probability {least:g}",
        }
        texts = np.empty(len(self), dtype=object)
        for status, text in words.items():
            texts[self.status == status] = text
        several = np.flatnonzero(self.status == MatchStatus.AMBIGUOUS)
        numbers, which = np.unique(self.n_candidates[several], return_inverse=True)
        names = np.array([f"ambiguous ({n} candidates)" for n in numbers], dtype=object)
        texts[several] = names[which]
        bad = np.flatnonzero(self.status == MatchStatus.UNUSABLE)
        trouble = _looked_up(
            self.left.trouble, self.left_row[bad],
            _looked_up(self.right.trouble, self.right_row[bad], 0),
        )  # fmt: skip
        texts[bad] = np.array([f"unmatched: {text}" for text in TROUBLES], dtype=object)[trouble]
        return texts

    def columns(self) -> dict[str, NDArray[Any]]:
        """Columns of the table that is written, by name."""
        return {
            "left_id": self.left_id,
            "right_id": self.right_id,
            "left_row": self.left_row,
            "right_row": self.right_row,
            "separation": self.separation,
            "probability": self.probability,
            "match_status": self.match_status,
        }

    def counts(self) -> dict[str, int]:
        """Number of rows by status, without the number of candidates."""
        words = np.where(self.status == MatchStatus.AMBIGUOUS, "ambiguous", self.match_status)
        names, numbers = np.unique(words.astype(str), return_counts=True)
        return dict(zip(names.tolist(), numbers.tolist(), strict=True))


def tabulate(
    left: Catalogue,
    right: Catalogue,
    pairs: Pairs,
    chosen: NDArray[np.bool_],
    score: NDArray[np.float64],
    log_bayes: NDArray[np.float64],
    chance: NDArray[np.float64],
    keep: Keep,
    about: dict[str, Any],
) -> Matches:
    """Rows of the chosen pairs and of the objects without one.

    Parameters
    ----------
    left, right : Catalogue
        What was matched.
    pairs : Pairs
        Candidates.
    chosen : bool array, shape (n_pairs,)
        Which are matches.
    score, log_bayes, chance : float64 array, shape (n_pairs,)
        Gain of each pair (positive where it might have been chosen), logarithm of its Bayes
        factor and probability; the last two NaN for the plain method.
    keep : {"left", "both", "matched"}
        Objects without a partner that get a row.
    about : dict
        Kept in the result.
    """
    notable = ~(chance < NOTABLE)  # NaN counts: the plain method has no probability
    picked = np.flatnonzero(chosen)
    picked = picked[np.lexsort((-np.nan_to_num(chance[picked]), pairs.left[picked]))]
    n_left = np.bincount(pairs.left[notable], minlength=len(left))
    several = n_left[pairs.left[picked]] > 1
    status = np.where(several, MatchStatus.AMBIGUOUS, MatchStatus.MATCHED)
    alone = [_alone(left, pairs.left, picked, score), _alone(right, pairs.right, picked, score)]
    if keep == "matched":
        alone = [(rows[:0], why[:0]) for rows, why in alone]
    elif keep == "left":
        alone[1] = (alone[1][0][:0], alone[1][1][:0])
    (rows_1, why_1), (rows_2, why_2) = alone
    none_1, none_2 = np.full(rows_1.size, -1), np.full(rows_2.size, -1)
    left_row = np.concatenate([pairs.left[picked], rows_1, none_2])
    order = np.argsort(np.where(left_row < 0, len(left), left_row), kind="stable")
    left_row = left_row[order]
    right_row = np.concatenate([pairs.right[picked], none_1, rows_2])[order]
    blank = np.full(rows_1.size + rows_2.size, np.nan)

    def with_blanks(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([values[picked], blank])[order]

    n_right = np.bincount(pairs.right[notable], minlength=len(right))
    return Matches(
        left_row=left_row,
        right_row=right_row,
        separation=with_blanks(pairs.separation),
        probability=with_blanks(chance),
        log_bayes=with_blanks(log_bayes),
        status=np.concatenate([status, why_1, why_2])[order].astype(np.int8),
        n_candidates=_looked_up(n_left, left_row, _looked_up(n_right, right_row, 0)),
        left=left,
        right=right,
        about=about,
    )


def _alone(
    catalogue: Catalogue,
    members: NDArray[np.int64],
    picked: NDArray[np.intp],
    score: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Rows without a partner, and why."""
    n = len(catalogue)
    why = np.full(n, MatchStatus.NOTHING_NEAR, np.int8)
    why[members] = MatchStatus.UNLIKELY
    why[members[score > 0]] = MatchStatus.LOST
    why[catalogue.trouble > 0] = MatchStatus.UNUSABLE
    without = np.ones(n, bool)
    without[members[picked]] = False
    rows = np.flatnonzero(without)
    return rows, why[rows]


def _looked_up(values: NDArray[Any], rows: NDArray[np.int64], otherwise: Any) -> NDArray[Any]:
    """Values of rows, something else for row -1."""
    if not values.size:
        return np.array(np.broadcast_to(np.asarray(otherwise, values.dtype), rows.shape))
    return np.where(rows >= 0, values[rows], otherwise)
