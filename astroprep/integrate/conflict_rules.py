"""How values that contradict each other are settled, column by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2 as chi_square

from astroprep.errors import DataError

__all__ = ["HOW", "Rule", "RuledColumn"]

Array = NDArray[np.float64]
How = Literal["weighted_mean", "most_precise", "preferred", "newest", "keep_all", "agree"]
HOW = get_args(How)
EXACT = 2.0**53  # whole numbers from here on are rounded as floats: ids


@dataclass(frozen=True)
class Rule:
    """How the values of one column become one.

    Parameters
    ----------
    how : str, default "agree"
        ``"weighted_mean"``: weighted by 1/error^2; values without an error count only where none
        has one. ``"most_precise"``: smallest error. ``"preferred"``: first source of `prefer`
        that has a value. ``"newest"``: largest of the column `date`. ``"keep_all"``: all distinct
        values, as a tuple. ``"agree"``: the value where all agree, missing where they do not.
        Ties go to the first row.
    error : str, optional
        Column of one-sigma errors, in the unit of the value.
    tolerance : float, default 0.0
        What values without errors may differ by and still agree.
    p_limit : float, default 0.0027
        Values with errors conflict when chance alone makes them differ so much less often.
    period : float, optional
        Of an angle, in its unit (360 for right ascension in degrees): averaged across the wrap.
    prefer : tuple of str, default ()
        Sources, best first; needed by ``"preferred"``.
    source, date : str, default "source", "date"
        Columns that name the source of a row and its date.
    """

    how: How = "agree"
    error: str | None = None
    tolerance: float = 0.0
    p_limit: float = 0.0027
    period: float | None = None
    prefer: tuple[str, ...] = ()
    source: str = "source"
    date: str = "date"


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind in "fiub":
        return ~np.isfinite(values.astype(np.float64))
    return np.asarray(pd.isna(values) | (values.astype(str) == ""))


class RuledColumn:
    """One column under its rule, for all groups at once: present rows only, sorted by group.

    Parameters
    ----------
    table : pandas.DataFrame
        All rows.
    name : str
        Of the column.
    rule : Rule
        How its values become one.
    code : int64 array, shape (n_rows,)
        Group of each row, from 0.
    n : int
        How many groups.

    Raises
    ------
    DataError
        If the rule needs numbers and the column has none, or the dates cannot be read.
    """

    def __init__(
        self, table: pd.DataFrame, name: str, rule: Rule, code: NDArray[np.int64], n: int
    ) -> None:
        values = table[name].to_numpy()
        self.name, self.rule, self.n = name, rule, n
        self.numeric = values.dtype.kind in "fiub"
        numbers_only = rule.how == "weighted_mean" or rule.error or rule.period
        if numbers_only and not self.numeric:
            raise DataError(
                f"resolve_conflicts: the rule of {name!r} needs numbers, got dtype {values.dtype}"
            )
        here = np.flatnonzero(~_missing(values))
        here = here[np.argsort(code[here], kind="stable")]
        self.rows, self.code, self.given = here, code[here], values[here]
        self.count = np.bincount(self.code, minlength=n)
        self.start = np.concatenate(([0], np.cumsum(self.count)))[:-1]
        self.error = np.full(here.size, np.nan)
        if rule.error is not None:
            quoted = _numbers(table, rule.error)[here]
            self.error = np.where(np.isfinite(quoted) & (quoted > 0), quoted, np.nan)
        self.value = self._unwrapped() if self.numeric else np.zeros(here.size)
        self.key = pd.factorize(self.given)[0]
        self.source = (
            table[rule.source].to_numpy()[here].astype(str)
            if rule.source in table
            else here.astype(str)
        )
        self.date = _dates(table, rule.date)[here] if rule.how == "newest" else None
        self._weigh()

    def _unwrapped(self) -> Array:
        """Values as numbers; angles within half a turn of the first of their group."""
        value = self.given.astype(np.float64)
        if self.rule.period is not None and value.size:
            head = value[self.start[self.code]]
            turn = self.rule.period
            value = head + (value - head + turn / 2) % turn - turn / 2
        return np.asarray(value)

    def _sum(self, x: Array) -> Array:
        return np.bincount(self.code, weights=x, minlength=self.n).astype(np.float64)

    def _weigh(self) -> None:
        """Means, chi-squares and who conflicts."""
        sure = np.isfinite(self.error)
        # scaled by the smallest error of all: 1/error^2 must not overflow
        unit = float(np.min(self.error[sure])) if sure.any() else 1.0
        weight = np.where(sure, (unit / np.where(sure, self.error, 1.0)) ** 2, 0.0)
        self.n_sure = np.bincount(self.code[sure], minlength=self.n)
        weight = np.where(self.n_sure[self.code] > 0, weight, 1.0)
        total = self._sum(weight)
        head = self.value[self.start[self.code]] if self.value.size else self.value
        with np.errstate(invalid="ignore", divide="ignore"):
            apart = self._sum(weight * (self.value - head)) / total
            deviation = self.value - head - apart[self.code]
            square = self._sum(weight * deviation**2)
            some, free = self.n_sure > 0, self.count - 1.0
            self.chi2 = np.where(self.n_sure > 1, square / unit**2, np.nan)
            self.p = chi_square.sf(self.chi2, self.n_sure - 1.0)
            birge = np.sqrt(np.maximum(self.chi2 / (self.n_sure - 1.0), 1.0))
            known = unit / np.sqrt(total) * np.where(self.p < self.rule.p_limit, birge, 1.0)
            self.mean_error = np.where(some, known, np.sqrt(square / free / self.count))
        self.mean = np.full(self.n, np.nan)
        full = self.count > 0
        self.mean[full] = (self.value[self.start[full]] if full.any() else 0.0) + apart[full]
        self.differs = self._differs(sure)

    def _differs(self, sure: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Groups whose values are in conflict."""
        beyond = np.asarray(self.p < self.rule.p_limit)
        if not self.numeric:
            odd = self.key != self.key[self.start[self.code]] if self.key.size else self.key > 0
            return np.bincount(self.code[odd], minlength=self.n) > 0
        low, high = np.full(self.n, np.inf), np.full(self.n, -np.inf)
        value = self._from_first()
        np.minimum.at(low, self.code[~sure], value[~sure])
        np.maximum.at(high, self.code[~sure], value[~sure])
        beyond |= high - low > self.rule.tolerance
        mixed = (self.n_sure > 0) & (self.n_sure < self.count)
        # a value without error against the mean of those with one
        far = ~sure & mixed[self.code]
        gap = np.abs(self.value - self.mean[self.code])
        allowed = self.rule.tolerance + 3 * self.mean_error[self.code]
        return beyond | (np.bincount(self.code[far & (gap > allowed)], minlength=self.n) > 0)

    def _from_first(self) -> Array:
        """Values less the first of their group; ids of 19 digits differ in their last ones."""
        first = self.start[self.code]
        if self.given.dtype.kind not in "iu" or self.rule.period is not None:
            return np.asarray(self.value - self.value[first])
        low, high = (
            np.minimum(self.given, self.given[first]),
            np.maximum(self.given, self.given[first]),
        )
        # as unsigned: a difference of two int64 need not be one
        apart = (high.astype(np.uint64) - low.astype(np.uint64)).astype(np.float64)
        return np.asarray(np.where(self.given < self.given[first], -apart, apart))

    def choose(self) -> tuple[NDArray[Any], Array]:
        """Merged value and error of every group."""
        how = self.rule.how
        if how == "keep_all":
            return self._all(), np.full(self.n, np.nan)
        if how == "weighted_mean" or (how == "agree" and self.rule.error is not None):
            value, error = self.mean.copy(), self.mean_error.copy()
            if self.rule.period is not None:
                value = value % self.rule.period
                value[value >= self.rule.period] = 0.0  # the modulo of -1e-17 rounds up
            if how == "agree":
                value[self.differs], error[self.differs] = np.nan, np.nan
            return value, error
        row = self._first_by({"agree": None, "newest": "date"}.get(how, how))
        empty = self.count == 0
        if how == "agree":
            empty = empty | self.differs
        return self._taken(row, empty)

    def _first_by(self, what: str | None) -> NDArray[np.int64]:
        """Row (among the present) of every group that comes first by error, source or date."""
        merit = np.zeros(self.code.size)
        if what == "most_precise":
            merit = np.where(np.isfinite(self.error), self.error, np.inf)
        elif what == "preferred":
            place = {name: float(i) for i, name in enumerate(self.rule.prefer)}
            merit = np.array([place.get(name, np.inf) for name in self.source.tolist()])
        elif what == "date" and self.date is not None:
            merit = np.where(np.isfinite(self.date), -self.date, np.inf)
        order = np.lexsort((merit, self.code))
        row = np.zeros(self.n, np.int64)
        full = self.count > 0
        row[full] = order[self.start[full]]
        return row

    def _taken(
        self, row: NDArray[np.int64], empty: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], Array]:
        error = np.full(self.n, np.nan)
        value: NDArray[Any] = np.full(self.n, np.nan if self.numeric else "", dtype=object)
        if self.given.size:
            value[~empty] = self.given[row[~empty]]
            error[~empty] = self.error[row[~empty]]
        if self.numeric:
            whole = self.given.dtype.kind in "iub" and not empty.any()
            exact = self.given.dtype.kind in "iu" and bool((np.abs(self.value) >= EXACT).any())
            if exact and not whole:
                return value, error
            return value.astype(self.given.dtype if whole else np.float64), error
        return value, error

    def _all(self) -> NDArray[np.object_]:
        """Distinct values of every group, as tuples."""
        pairs = pd.DataFrame({"group": self.code, "key": self.key}).drop_duplicates()
        value = np.empty(self.n, dtype=object)
        given, sizes = self.given[pairs.index], np.bincount(pairs["group"], minlength=self.n)
        ends = np.cumsum(sizes)
        for i in range(self.n):
            value[i] = tuple(given[ends[i] - sizes[i] : ends[i]].tolist())
        return value

    def conflicts(self, chosen: NDArray[Any], objects: NDArray[Any]) -> pd.DataFrame:
        """Rows of the table of conflicts."""
        where = np.flatnonzero(self.differs)
        parts = [slice(self.start[i], self.start[i] + self.count[i]) for i in where]
        return pd.DataFrame(
            {
                "object": objects[where],
                "column": self.name,
                "values": [tuple(self.given[part].tolist()) for part in parts],
                "errors": [tuple(self.error[part].tolist()) for part in parts],
                "sources": [tuple(self.source[part].tolist()) for part in parts],
                "rule": self.rule.how,
                "chosen": pd.Series(list(chosen[where]), dtype=object),
                "chi2": self.chi2[where],
                "p": np.where(np.isfinite(self.chi2[where]), self.p[where], np.nan),
            }
        )


def _numbers(table: pd.DataFrame, name: str) -> Array:
    values = table[name].to_numpy()
    if values.dtype.kind not in "fiub":
        raise DataError(f"resolve_conflicts needs numbers in {name!r}, got dtype {values.dtype}")
    return values.astype(np.float64)


def _dates(table: pd.DataFrame, name: str) -> Array:
    """Dates as numbers that rise with time; NaN where missing."""
    values = table[name]
    if values.dtype.kind == "M":
        numbers = values.to_numpy().astype("datetime64[us]").astype(np.int64).astype(np.float64)
        return np.where(values.isna().to_numpy(), np.nan, numbers)
    return _numbers(table, name)
