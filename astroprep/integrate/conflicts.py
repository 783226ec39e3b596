"""One row of several about the same object, by stated rules, with every conflict listed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from astroprep.errors import ConfigError, DataError
from astroprep.integrate.conflict_rules import HOW, Rule, RuledColumn

__all__ = ["resolve_conflicts"]

COLUMNS = ("object", "column", "values", "errors", "sources", "rule", "chosen", "chi2", "p")


def resolve_conflicts(
    rows: pd.DataFrame | Mapping[str, ArrayLike],
    groups: ArrayLike,
    rules: Mapping[str, Rule | Mapping[str, Any]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Merge the rows of each group and list every disagreement beyond the errors.

    Parameters
    ----------
    rows : DataFrame or mapping of str to array
        One row per measurement; NaN, None and empty text are missing. Never changed.
    groups : int or str array, shape (n_rows,)
        Equal for rows of one object, such as the result of `twins`.
    rules : mapping of str to Rule or mapping
        One for each column that the result shall have; a mapping, as a recipe holds it, has the
        parameters of `Rule`.

    Returns
    -------
    merged : DataFrame
        One row per group in the order of their first rows: ``object`` (the group), ``n_rows``, the
        columns of the rules and, where they have one, the column of their errors. Whole numbers
        are floats where an object has none, and of dtype object if floats would round them.
    conflicts : DataFrame
        One row for each object and column whose values differ: ``object``, ``column``,
        ``values``, ``errors``, ``sources`` (tuples), ``rule``, ``chosen``, ``chi2`` and ``p`` (NaN
        where errors do not decide).

    Raises
    ------
    ConfigError
        If a rule is wrong; all mistakes at once.
    DataError
        If a column is missing, lengths differ, a row has no group, or numbers are needed and
        are not there.

    Notes
    -----
    With the weighted mean ``m`` of ``n`` values, ``chi2 = sum((x - m)^2 / error^2)`` has ``n - 1``
    degrees of freedom. Where a conflict is averaged all the same, the error is enlarged by
    ``sqrt(chi2 / (n - 1))`` [1]_. Values without errors conflict when they span more than
    `tolerance`; a group with both kinds is judged by both. A plain mean of values without errors
    has the standard error of its scatter. An error that is not positive is missing. Errors of
    right ascension are those of the coordinate, without the cosine of the declination.

    References
    ----------
    .. [1] Birge 1932, Phys. Rev. 40, 207, doi:10.1103/PhysRev.40.207
    """
    table = pd.DataFrame({str(k): np.asarray(v) for k, v in rows.items()})
    group = np.asarray(groups).ravel()
    if group.size != len(table):
        raise DataError(
            f"resolve_conflicts needs a group for each of {len(table)} rows, got {group.size}"
        )
    nameless = np.flatnonzero(pd.isna(group))
    if nameless.size:
        raise DataError(
            f"resolve_conflicts: {nameless.size} of {group.size} rows have no group, the first is "
            f"row {nameless[0]}; they would become one object. Leave them out"
        )
    known = _checked(rules, table)
    _, first, code = np.unique(group.astype(str), return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(first.size)
    code = rank[code]
    heads = np.sort(first)
    merged = pd.DataFrame(
        {"object": group[heads], "n_rows": np.bincount(code, minlength=heads.size)}
    )
    conflicts = []
    for name, rule in known.items():
        column = RuledColumn(table, name, rule, code, heads.size)
        chosen, error = column.choose()
        merged[name] = chosen
        if rule.error is not None:
            merged[rule.error] = error
        conflicts.append(column.conflicts(chosen, group[heads]))
    listed = pd.concat([part for part in conflicts if len(part)] or [pd.DataFrame(columns=COLUMNS)])
    return merged, listed.reset_index(drop=True)


def _checked(rules: Mapping[str, Any], table: pd.DataFrame) -> dict[str, Rule]:
    """Rules as `Rule`, all their mistakes in one error."""
    known, wrong = {}, []
    names = [f.name for f in fields(Rule)]
    for column, given in rules.items():
        settings = {f: getattr(given, f) for f in names} if isinstance(given, Rule) else dict(given)
        for key in [key for key in settings if key not in names]:
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"
            wrong.append(f"{column}: unknown key {key!r}{hint}")
            del settings[key]
        settings["prefer"] = tuple(settings.get("prefer", ()))
        rule = Rule(**settings)
        wrong += [f"{column}: {mistake}" for mistake in _mistakes(rule)]
        known[column] = rule
    if wrong:
        raise ConfigError("resolve_conflicts: " + "; ".join(wrong))
    for column, rule in known.items():
        wanted = [column, rule.error]
        wanted += [rule.source] if rule.how == "preferred" else []
        wanted += [rule.date] if rule.how == "newest" else []
        for name in wanted:
            if name is not None and name not in table:
                raise DataError(
                    f"resolve_conflicts needs the column {name!r} for the rule of {column!r}; the "
                    f"table has {', '.join(table.columns)}"
                )
    return known


def _mistakes(rule: Rule) -> list[str]:
    wrong = []
    if rule.how not in HOW:
        wrong.append(f"how must be one of {', '.join(HOW)}, got {rule.how!r}")
    if rule.how == "most_precise" and rule.error is None:
        wrong.append("'most_precise' needs error=, the column of errors")
    if rule.how == "preferred" and not rule.prefer:
        wrong.append("'preferred' needs prefer=, the sources from best to worst")
    if not rule.tolerance >= 0:
        wrong.append(f"tolerance must not be negative, got {rule.tolerance!r}")
    if not 0 < rule.p_limit < 1:
        wrong.append(f"p_limit must lie between 0 and 1, got {rule.p_limit!r}")
    if rule.period is not None and not 0 < rule.period < np.inf:
        wrong.append(f"period must be positive, got {rule.period!r}")
    return wrong
