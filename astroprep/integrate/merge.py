"""Merge the curves of one star, keep a log of it, and take it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch, Rejected
from astroprep.errors import ConfigError, DataError
from astroprep.integrate.merging import merge_curves
from astroprep.integrate.same_stars import By, SameStars, find_same_stars
from astroprep.integrate.zeropoint import point_names

__all__ = ["MergeObjects", "merge_objects", "undo_merge"]

STEP = "MergeObjects"


def merge_objects(
    batch: LightCurveBatch,
    stars: SameStars,
    *,
    survey: str = "survey",
    offsets: Mapping[str, float] | None = None,
) -> tuple[LightCurveBatch, pd.DataFrame]:
    """Merge curves into stars and log every merger.

    Parameters
    ----------
    batch : LightCurveBatch
        The curves that `stars` was found in.
    stars : SameStars
        See `astroprep.integrate.find_same_stars`; ``stars.undo`` changes it beforehand.
    survey : str, default "survey"
        Column in ``objects`` that names the survey of a curve, if there is one.
    offsets : mapping of str to float, optional
        Zero points by ``"survey:band"``, in the unit of the values, taken out of them:
        ``value - offset``. Systems that are not named keep their values.

    Returns
    -------
    merged : LightCurveBatch
        One curve per star as by `merge_curves`, with ``n_sources``. The other curves of a star are
        in ``rejected`` with the star and the probability as their reason, so that
        ``n_objects`` stays.
    log : DataFrame
        One row per curve of a star of several: ``star`` and ``row`` (rows in the input),
        ``probability``, ``reason``, ``n_points``, and all columns of the curve with one dimension.
        `undo_merge` makes the curves again from it.

    Raises
    ------
    DataError
        If `stars` is of another batch, or an offset names a system that is not there.
    """
    if stars.group.size != batch.n_curves or not np.array_equal(stars.ids, batch.ids):
        raise DataError(
            f"merge_objects needs the batch that the stars were found in: {stars.group.size} "
            f"curves, got {batch.n_curves} or others"
        )
    rows = batch.objects["row"]
    if np.unique(rows).size != rows.size:
        raise DataError(
            "merge_objects needs a 'row' of its own for each curve, because the log goes by it; "
            "put batches together with stack_surveys"
        )
    merged = merge_curves(batch, stars.group, survey=survey)
    member = np.flatnonzero(stars.group != np.arange(batch.n_curves))
    log = _log(batch, stars)
    reason = dict(zip(log["row"], log["reason"], strict=True))
    away = Rejected(
        row=np.asarray(rows[member], np.int64),
        id=batch.ids[member],
        step=np.full(member.size, STEP, dtype=object),
        reason=np.array(
            [
                f"merged into {batch.ids[stars.group[i]]!r} (row {rows[stars.group[i]]}): "
                f"{reason[rows[i]]}"
                for i in member
            ],
            dtype=object,
        ),
        **{
            name: np.array([str(text) for text in batch.objects[name][member]], dtype=object)
            for name in ("label", "split")
            if name in batch.objects
        },
    )
    merged = replace(merged, rejected=Rejected.concat([batch.rejected, away]))
    if merged.n_points != batch.n_points or merged.n_objects != batch.n_objects:
        raise DataError(  # an invariant of this package: never expected, and never silent
            f"merge_objects lost something: {batch.n_points} points of {batch.n_objects} objects "
            f"in, {merged.n_points} of {merged.n_objects} out"
        )
    return _shifted(merged, offsets, survey), log


def _log(batch: LightCurveBatch, stars: SameStars) -> pd.DataFrame:
    """Every curve of a star of several curves, its columns included."""
    size = np.bincount(stars.group, minlength=batch.n_curves)
    where = np.flatnonzero(size[stars.group] > 1)
    joined = stars.merge_log().set_index("curve")
    rows = batch.objects["row"]
    columns: dict[str, NDArray[np.generic] | list[str]] = {
        "star": rows[stars.group[where]],
        "row": rows[where],
        "probability": joined["probability"].reindex(where).to_numpy(np.float64),
        "reason": [str(joined["reason"].get(i, "first curve of the star")) for i in where],
        "n_points": np.diff(batch.offsets)[where],
    }
    own = {
        name: column[where]
        for name, column in batch.objects.items()
        if column.ndim == 1 and name not in columns
    }
    return pd.DataFrame(columns | own)


def _shifted(
    merged: LightCurveBatch, offsets: Mapping[str, float] | None, survey: str
) -> LightCurveBatch:
    """Values less the zero point of their system, which is kept beside them."""
    if not offsets:
        return merged
    band = point_names(merged, "band").astype(str)
    name = np.full(merged.n_points, merged.meta.survey)
    if survey in merged.points:
        name = merged.points[survey].astype(str)
    system = np.char.add(np.char.add(name, ":"), band)
    known, code = np.unique(system, return_inverse=True)
    strange = sorted(set(offsets) - set(known.tolist()))
    if strange:
        raise DataError(
            f"merge_objects: no points are of {', '.join(map(repr, strange))}; the systems are "
            f"{', '.join(known.tolist()) or 'none'}"
        )
    zero = np.array([float(offsets.get(str(one), 0.0)) for one in known])[code]
    return merged.with_columns(value=merged.value - zero, points={"zero_point": zero})


def undo_merge(
    merged: LightCurveBatch, log: pd.DataFrame, *, stars: list[int] | None = None
) -> LightCurveBatch:
    """Take mergers back: every curve again, with its own columns and points.

    Parameters
    ----------
    merged : LightCurveBatch
        With ``source`` per point, as `merge_objects` makes it.
    log : DataFrame
        What `merge_objects` gave with it.
    stars : list of int, optional
        Rows of the stars (column ``star`` of the log) to take apart; all by default.

    Returns
    -------
    LightCurveBatch
        Curves in the order of their rows; zero points are put back. Without `stars` it is the batch
        that was merged, but for the columns that the merger added per point.

    Raises
    ------
    DataError
        If a star or a point is not in the log, or the points of a curve are not all there.
    """
    chosen = set(log["star"] if stars is None else stars)
    strange = sorted(chosen - set(log["star"]))
    if strange or "source" not in merged.points:
        raise DataError(
            "undo_merge needs a batch of merge_objects and stars of its log, "
            + (f"star {strange[0]} is not in it" if strange else "there is no 'source' per point")
        )
    part = log[log["star"].isin(chosen)]
    star_row = merged.objects["row"]
    curve_star = np.repeat(star_row, np.diff(merged.offsets))
    source = np.where(np.isin(curve_star, list(chosen)), merged.points["source"], curve_star)
    order = np.argsort(source, kind="stable")
    kept = np.flatnonzero(~np.isin(star_row, list(chosen)))
    rows = np.concatenate((star_row[kept], part["row"].to_numpy(np.int64)))
    order_of_rows = np.argsort(rows, kind="stable")
    counts = np.bincount(np.searchsorted(rows[order_of_rows], source), minlength=rows.size)
    expected = dict(zip(part["row"], part["n_points"], strict=True))
    for row, count in zip(rows[order_of_rows], counts, strict=True):
        if row in expected and expected[row] != count:
            raise DataError(
                f"undo_merge: the curve of row {row} had {expected[row]} points, {count} are left; "
                "undo before points are dropped"
            )
    objects = {}
    for name, column in merged.objects.items():
        if name != "n_sources" and column.ndim == 1:
            own = part[name].to_numpy() if name in part else np.full(len(part), np.nan)
            objects[name] = np.concatenate((column[kept], own.astype(column.dtype)))[order_of_rows]
    value = merged.value + merged.points.get("zero_point", 0.0)
    gone = (merged.rejected.step == STEP) & np.isin(merged.rejected.row, part["row"])
    added = ("source", "source_id", "survey", "zero_point") if stars is None else ("zero_point",)
    return replace(
        merged,
        time=merged.time[order],
        value=value[order],
        error=merged.error[order],
        flags=merged.flags[order],
        weight=merged.weight[order],
        band=None if merged.band is None else merged.band[order],
        offsets=np.concatenate(([0], np.cumsum(counts))),
        points={k: column[order] for k, column in merged.points.items() if k not in added},
        objects=objects,
        rejected=Rejected(
            **{name: getattr(merged.rejected, name)[~gone] for name in vars(merged.rejected)}
        ),
    )


class MergeObjects(Transformer):
    """Make one light curve of those that a star has under several ids.

    Parameters
    ----------
    radius, by, position_error, prior, min_probability, period, survey
        See `astroprep.integrate.find_same_stars`.
    offsets : mapping of str to float, optional
        See `merge_objects`. Without it values stay as they are, and `ZeroPointCorrection` behind
        this step takes out what systems differ by.
    on_bad : {"raise", "reject"}, default "raise"
        Every curve can be served, so it makes no difference here.

    Notes
    -----
    Only curves of one batch are merged: a survey that is read in batches keeps stars apart whose
    curves lie in two of them, so read it whole or sorted by place. Merged curves are in
    ``rejected``, each with the star that it went into; use `merge_objects` for a log that can be
    taken back.
    """

    needs = Needs(single_band=False)

    def __init__(
        self,
        radius: float = 2.0,
        by: By = "position",
        position_error: float = 0.3,
        prior: float = 0.5,
        min_probability: float = 0.9,
        period: str = "period",
        survey: str = "survey",
        offsets: Mapping[str, float] | None = None,
        on_bad: OnBad = "raise",
    ) -> None:
        self.radius = radius
        self.by = by
        self.position_error = position_error
        self.prior = prior
        self.min_probability = min_probability
        self.period = period
        self.survey = survey
        self.offsets = offsets
        self.on_bad = on_bad

    def _check(self) -> None:
        if self.offsets is not None and not isinstance(self.offsets, Mapping):
            raise ConfigError(
                f"MergeObjects: offsets map 'survey:band' to a number, got {self.offsets!r}"
            )
        self._find(LightCurveBatch.from_curves([], objects={"ra": [], "dec": [], self.period: []}))

    def _find(self, batch: LightCurveBatch) -> SameStars:
        return find_same_stars(
            batch,
            radius=self.radius,
            by=self.by,
            position_error=self.position_error,
            prior=self.prior,
            min_probability=self.min_probability,
            period=self.period,
            survey=self.survey,
        )

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        merged, _ = merge_objects(
            batch, self._find(batch), survey=self.survey, offsets=self.offsets
        )
        return merged
