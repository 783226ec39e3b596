"""Merge the curves of one star and keep a log of it."""

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

__all__ = ["ADDED", "STEP", "MergeObjects", "merge_objects"]

STEP = "MergeObjects"
ADDED = ("source", "source_id", "survey", "merge_offset")  # per point, by a merger


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
        ``value - offset``, and ``points["merge_offset"]`` keeps them. Systems that are not named
        keep their values.

    Returns
    -------
    merged : LightCurveBatch
        One curve per star as by `merge_curves`, with ``n_sources``. The other curves of a star are
        in ``rejected`` with the star and the probability as their reason, so that
        ``n_objects`` stays.
    log : DataFrame
        One row per curve of a star of several: ``star`` and ``row`` (rows in the input),
        ``probability``, ``reason``, ``n_points``, and all columns of the curve (arrays where a
        curve has several numbers). `undo_merge` makes the curves again from it.

    Raises
    ------
    DataError
        If `stars` is of another batch, an offset names a system that is not there, or the points
        have a column that the merger writes, as those of an earlier merger do.
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
    taken = [name for name in ADDED if name in batch.points]
    if taken:
        raise DataError(
            f"merge_objects writes the column {taken[0]!r} per point, and the batch has one: if an "
            "earlier merger made it, undo that one and merge all curves at once, else rename it"
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
    return _shifted(merged, offsets), log


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
        name: column[where] if column.ndim == 1 else list(column[where])
        for name, column in batch.objects.items()
        if name not in columns
    }
    return pd.DataFrame(columns | own)


def _shifted(merged: LightCurveBatch, offsets: Mapping[str, float] | None) -> LightCurveBatch:
    """Values less the zero point of their system, which is kept beside them."""
    if not offsets:
        return merged
    band = point_names(merged, "band").astype(str)
    name = np.full(merged.n_points, merged.meta.survey)
    if "survey" in merged.points:
        name = merged.points["survey"].astype(str)
    system = np.char.add(np.char.add(name, ":"), band)
    known, code = np.unique(system, return_inverse=True)
    strange = sorted(set(offsets) - set(known.tolist()))
    if strange:
        raise DataError(
            f"merge_objects: no points are of {', '.join(map(repr, strange))}; the systems are "
            f"{', '.join(known.tolist()) or 'none'}"
        )
    wrong = [name for name, zero in offsets.items() if not np.isfinite(zero)]
    if wrong:
        raise DataError(
            f"merge_objects: the offset of {wrong[0]!r} must be finite, got {offsets[wrong[0]]!r}"
        )
    zero = np.array([float(offsets.get(str(one), 0.0)) for one in known])[code]
    return merged.with_columns(value=merged.value - zero, points={"merge_offset": zero})


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
