"""Whether the objects of a night look like those that the classifier learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.clean import ToFlux, ToMagnitude
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.nightly.bands import band_steps
from astroprep.nightly.classify import NightClassifier
from astroprep.period.periodsearch import AUXILIARIES
from astroprep.pipeline.prepare import apply_steps, prepare
from astroprep.quality.assess import assess
from astroprep.quality.drift import FEATURE_PREFIX

__all__ = ["drift_from_training", "in_band"]


def in_band(classifier: NightClassifier, batch: LightCurveBatch) -> LightCurveBatch | None:
    """Light curves in the band that was classified: no points of other bands, none twice.

    Parameters
    ----------
    classifier : NightClassifier
        Of the night: bands, and the quantity that it learned from.
    batch : LightCurveBatch
        Histories, see `object_histories`.

    Returns
    -------
    LightCurveBatch or None
        Of objects with a usable point in the band; None without objects. Detections beside
        forced photometry of the same exposure are left out, as other bands are.
    """
    if not len(batch):
        return None
    convert = [one for one in classifier.before if isinstance(one, ToFlux | ToMagnitude)]
    chosen = apply_steps([*band_steps(list(classifier.bands)), *convert], batch)
    keep = (chosen.flags & np.uint32(PointFlag.OTHER_BAND | PointFlag.DUPLICATE)) == 0
    total = np.concatenate([[0], np.cumsum(keep)])
    return LightCurveBatch(
        time=chosen.time[keep],
        value=chosen.value[keep],
        error=chosen.error[keep],
        flags=chosen.flags[keep],
        offsets=total[chosen.offsets],
        objects=chosen.objects,
        meta=replace(chosen.meta, bands=()),
    )


def drift_from_training(
    classifier: NightClassifier,
    training: dict[str, Any],
    histories: LightCurveBatch,
    known: pa.Table,
    sample: pa.Array,
    said: pa.RecordBatch,
) -> tuple[dict[str, Any], str]:
    """Drift of a sample of the night's objects from the training survey, and what it is.

    Parameters
    ----------
    classifier : NightClassifier
        Of the night.
    training : dict
        `Bundle.training_summary`; may be empty.
    histories, known
        Light curves of all bands and latest rows of `OBJECTS`, of the same objects.
    sample : pyarrow.Array of str
        Objects that stand for the night.
    said : pyarrow.RecordBatch
        Last classification of each object of the night: ``object_id`` and ``class``.

    Returns
    -------
    drift : dict
        See `QualityReport.drift`; empty where nothing can be compared.
    note : str
        What was compared, or why not.

    Raises
    ------
    DataError
        If the training summary is damaged or of a newer version.
    """
    if not training:
        return {}, (
            "The bundle keeps no distributions of the survey that it learned from, so nothing can "
            "be compared; bundles that are trained anew keep some."
        )
    drawn = pc.is_in(known["object_id"], value_set=sample).to_numpy()
    rows = np.flatnonzero(drawn)
    batch = in_band(classifier, histories.take(rows)) if rows.size else None
    if batch is None or not len(batch):
        return {}, "No object changed, so there is nothing to compare with the training survey."
    place = pc.index_in(pa.array(batch.ids, pa.string()), value_set=said["object_id"])
    label = pc.fill_null(said["class"].take(place), "").to_numpy(zero_copy_only=False)
    batch = batch.with_columns(objects={"label": label})
    features = _features(classifier, histories.take(rows), known.take(pa.array(rows)))
    report = assess([batch], training=training, further=lambda: features)
    note = (
        f"{len(batch):,} of {said.num_rows:,} changed objects with all that is known of them, in "
        "the band that was classified, against the distributions that the bundle keeps of its "
        "training survey; classes as predicted against the labels. Young histories have few "
        "points and short baselines, which is drift too."
    )
    return report.drift, note


def _features(
    classifier: NightClassifier, batch: LightCurveBatch, known: pa.Table
) -> dict[str, NDArray[np.float64]]:
    """Features as the network saw them, by the periods that are stored."""
    batch = batch.with_columns(objects={"row": np.arange(len(batch))})
    ready = apply_steps(classifier.before, batch)
    known = known.take(pa.array(ready.objects["row"]))
    found = pc.fill_null(known["period"], np.nan).to_numpy()
    has_period = np.isfinite(found) & (found > 0)
    numbers = ("period", "period_err", *AUXILIARIES)
    columns: dict[str, NDArray[Any]] = {
        name: pc.fill_null(known[name], np.nan).to_numpy()[has_period] for name in numbers
    }
    columns["period_status"] = np.full(int(has_period.sum()), "known", object)
    if not has_period.any():
        return {}
    ready = ready.take(np.flatnonzero(has_period)).with_columns(objects=columns)
    prepared = prepare(ready, classifier.after)
    names: Sequence[str] = prepared.feature_names
    return {FEATURE_PREFIX + name: prepared.features[:, k] for k, name in enumerate(names)}
