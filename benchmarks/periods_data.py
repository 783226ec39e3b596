"""Catalina South stars with the catalogue's periods and those of our own search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.clean import FlagBad, SigmaClip
from astroprep.data import LightCurveBatch
from astroprep.features import extract_features
from astroprep.io import ColumnNames, open_survey
from astroprep.period import PeriodSearch

SEARCH = (
    "period", "period_power", "period_power_half", "period_fap", "period_fit",
    "period_fit_double", "period_confidence", "period_second_ratio", "period_highest",
    "period_second", "period_sine",
)  # fmt: skip
OBJECTS = ("row", "label", "split", "ra", "dec", "catalogue_period")
SAME = 0.01  # of the period, within which two are the same
PART = 4000  # light curves whose features are made at a time


def prepared(data: Path, cache: Path) -> dict[str, NDArray[Any]]:
    """Usable points and searched periods; made once."""
    path = cache / "classify_periods.npz"
    if path.exists():
        return dict(np.load(path))
    kept: dict[str, list[NDArray[Any]]] = {}
    start = 0
    columns = ColumnNames(period="period")
    with open_survey(data / "crts_south.parquet", columns, on_bad="reject") as survey:
        for batch in survey.iter_batches(2000):
            batch = FlagBad(missing_errors="estimate", on_bad="reject").transform(batch)
            batch = SigmaClip(on_bad="reject").transform(batch)
            batch = PeriodSearch(n_candidates=6, on_bad="reject").transform(batch)
            usable, objects = batch.usable, batch.objects
            other, probability = other_choices(objects)
            found = {
                "time": usable.time,
                "value": usable.value,
                "error": usable.error,
                "trust": batch.weight[usable.index],
                "offsets": start + usable.offsets[1:],
                "id": batch.ids,
                **{name: objects[name] for name in (*OBJECTS, *SEARCH)},
                "other": other,
                "other_probability": probability,
            }
            start += usable.time.size
            for name, column in found.items():
                column = column.astype(str) if column.dtype == object else column
                kept.setdefault(name, []).append(column)
    arrays = {name: np.concatenate(parts) for name, parts in kept.items()}
    arrays["offsets"] = np.concatenate([[0], arrays["offsets"]])
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return arrays


def other_choices(objects: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two most probable candidates of other periods, and their probabilities."""
    chosen, candidate = objects["period"][:, None], objects["candidate_period"]
    other = (candidate > 0) & (np.abs(candidate / chosen - 1) > 1e-3)
    order = np.argsort(~other, axis=1, kind="stable")[:, :2]
    there = np.take_along_axis(other, order, axis=1)
    probability = np.take_along_axis(objects["candidate_probability"], order, axis=1)
    return (
        np.where(there, np.take_along_axis(candidate, order, axis=1), chosen),
        np.where(there, probability, 0.0),
    )


def factor_of(stars: dict[str, NDArray[Any]]) -> NDArray[np.str_]:
    """Of the searched period to the catalogue's: right, half, double or other."""
    ratio = stars["period"] / stars["catalogue_period"]
    wanted = {"right": 1.0, "half": 0.5, "double": 2.0}
    return np.select(
        [np.abs(ratio / factor - 1) < SAME for factor in wanted.values()], list(wanted), "other"
    )


def features_at(
    stars: dict[str, NDArray[Any]], period: NDArray[np.float64], names: list[str]
) -> NDArray[np.float64]:
    """Features of all stars at given periods, days."""
    offsets, made = stars["offsets"], []
    for first in range(0, period.size, PART):
        ends = offsets[first : first + PART + 1]
        points = slice(ends[0], ends[-1])
        batch = LightCurveBatch(
            **{name: stars[name][points] for name in ("time", "value", "error")},
            offsets=ends - ends[0],
            objects={"period": period[first : first + PART]},
        )
        made.append(extract_features(batch, names))
    return np.concatenate(made)


def is_twice_the_sine(
    stars: dict[str, NDArray[Any]], period: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether a sine of half the period explains more than one of the period."""
    power = features_at(stars, period, ["power_p", "power_half_p"])
    return np.asarray(power[:, 1] > power[:, 0])


def period_of(stars: dict[str, NDArray[Any]], inputs: str) -> NDArray[np.float64]:
    """The period that features and folds are made at, days."""
    catalogue, searched = stars["catalogue_period"], stars["period"]
    if inputs == "catalogue":
        return catalogue
    if inputs == "octave":
        return np.where(np.isin(factor_of(stars), ("half", "double")), searched, catalogue)
    if inputs.endswith("_sine"):
        period = catalogue if inputs.startswith("catalogue") else searched
        return np.where(is_twice_the_sine(stars, period), 0.5, 1.0) * period
    return searched


def said_by_search(stars: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """What the search says of its choice and of the other candidates."""
    period, other = stars["period"], np.log10(stars["other"] / stars["period"][:, None])
    return np.column_stack(
        [
            *(stars[name] for name in SEARCH[1:7]),
            *(np.log10(stars[name] / period) for name in ("period_highest", "period_second")),
            stars["period_second_ratio"],
            np.log10(stars["period_sine"] / period),
            *(x[:, k] for k in range(2) for x in (other, stars["other_probability"])),
        ]
    )
