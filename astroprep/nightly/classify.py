"""Classes of the objects that changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.base import Transformer
from astroprep.clean import ToFlux, ToMagnitude
from astroprep.data import LightCurveBatch
from astroprep.deploy.bundle import parse_bundle
from astroprep.errors import ConfigError, DataError
from astroprep.nightly.bands import band_steps, choose_bands
from astroprep.nightly.few import FewPointModel
from astroprep.nightly.histories import Histories
from astroprep.nightly.objects import CLASSIFICATIONS, OBJECTS
from astroprep.nightly.periods import KnownPeriods, give_periods
from astroprep.nightly.rows import SurveyAlerts
from astroprep.period.periodsearch import AUXILIARIES, PeriodSearch
from astroprep.pipeline.classify import BATCH_OBJECTS, Classifier
from astroprep.pipeline.prepare import Prepared, apply_steps, prepare
from astroprep.pipeline.restore import read_note

__all__ = ["NightClassifier", "Verdicts"]


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What became of changed objects.

    Parameters
    ----------
    objects, classifications : pyarrow.Table
        New rows of the tables `OBJECTS` and `CLASSIFICATIONS`, without ``run``; one for each
        object, in their order.
    counts : dict of str to int
        ``changed``, ``classified``, ``rejected``; of the classified ``by_features``,
        ``class_changes`` and ``unknown``; and ``searched``, ``verified``.
    """

    objects: pa.Table
    classifications: pa.Table
    counts: dict[str, int]

    @classmethod
    def joined(cls, parts: Sequence[Verdicts]) -> Verdicts:
        """Verdicts of several groups of objects, one group after the other."""
        return cls(
            pa.concat_tables([part.objects for part in parts]),
            pa.concat_tables([part.classifications for part in parts]),
            {name: sum(part.counts[name] for part in parts) for name in parts[0].counts},
        )


class NightClassifier:
    """A bundle that classifies objects of a survey night by night.

    Parameters
    ----------
    bundle : path
        Made by ``astroprep run``.
    survey : SurveyAlerts
        Whose alerts.
    band_map : sequence of str
        See `astroprep.nightly.bands.choose_bands`.
    unknown_below : float, default 0.5
        An object is unknown if no class has this probability, or by the bundle's `UnknownScore`.
    few : path, optional
        Made by `FewPointModel.save`: for objects that the network cannot serve.

    Raises
    ------
    ConfigError
        If a setting is wrong, or the bands do not fit.
    DataError
        If a file is damaged.
    """

    def __init__(
        self,
        bundle: str | Path,
        survey: SurveyAlerts,
        *,
        band_map: Sequence[str] = (),
        unknown_below: float = 0.5,
        few: str | Path | None = None,
    ) -> None:
        if not 0 <= unknown_below <= 1:
            raise ConfigError(f"--unknown-below must be 0 to 1, got {unknown_below!r}")
        try:
            content = Path(bundle).read_bytes()
        except OSError as error:
            raise DataError(f"{bundle} cannot be read: {error.strerror or error}") from error
        opened = parse_bundle(content, str(bundle))
        self.bundle_sha256 = hashlib.sha256(content).hexdigest()
        self.unknown_below = unknown_below
        self.bands = choose_bands(band_map, read_note(opened).bands, survey.bands)
        self.classifier = Classifier(opened, period_source="search")
        self.classes = self.classifier.classes
        self.few = None if few is None else FewPointModel.load(few, self.classes)
        convert: list[Transformer] = []
        if self.classifier.quantity != survey.quantity:
            convert = [ToMagnitude() if survey.quantity == "flux" else ToFlux()]
        steps = self.classifier.steps
        at = next((i for i, step in enumerate(steps) if isinstance(step, PeriodSearch)), None)
        if at is None:
            raise ConfigError(f"{bundle}: its recipe finds no periods, so there is none to verify")
        self.before = [*band_steps(list(self.bands)), *convert, *steps[:at]]
        search = steps[at]
        assert isinstance(search, PeriodSearch)
        self.search = PeriodSearch(**{**search.get_params(), "n_candidates": 0})
        self.after = list(steps[at + 1 :])

    def classify(self, histories: Histories, known: pa.Table, night: str) -> Verdicts:
        """Classify objects.

        Parameters
        ----------
        histories : Histories
            Of the objects that changed.
        known : pyarrow.Table
            Their latest rows of `OBJECTS`, in any order; new objects have none.
        night : str
            For the table.
        """
        ids = pa.array(histories.batch.ids, pa.string())
        before = known.take(pc.index_in(ids, value_set=known["object_id"].combine_chunks()))
        said = [
            self._part(histories.batch[start : start + BATCH_OBJECTS], before.slice(start))
            for start in range(0, len(ids), BATCH_OBJECTS)
        ]
        columns = (
            {name: np.concatenate([part[name] for part in said]) for name in said[0]}
            if (said)
            else {name: values[:0] for name, values in self._nothing(1).items()}
        )
        return self._tables(histories, before, columns, night)

    # -- inside -----------------------------------------------------------------------------

    def _nothing(self, n: int) -> dict[str, NDArray[Any]]:
        return {
            "probability": np.full((n, len(self.classes)), np.nan),
            "unlike": np.zeros(n, bool),
            "method": np.full(n, "", object),
            "reason": np.full(n, "", object),
            "band": np.full(n, "", object),
            "period": np.full(n, np.nan),
            "period_err": np.full(n, np.nan),
            "period_origin": np.full(n, "", object),
            "searched_points": np.zeros(n, np.int64),
            **{name: np.full(n, np.nan) for name in AUXILIARIES},
        }

    def _part(self, batch: LightCurveBatch, before: pa.Table) -> dict[str, NDArray[Any]]:
        """Classes and periods of up to `BATCH_OBJECTS` objects."""
        n = len(batch)
        out = self._nothing(n)
        batch = batch.with_columns(objects={"row": np.arange(n), "known": np.arange(n)})
        chosen = apply_steps(self.before, batch)
        out["band"][chosen.objects["row"]] = _band_names(chosen)
        periods = give_periods(chosen, self.search, _known(before.slice(0, n)))
        row = periods.objects["row"]
        for name in ("period", "period_err", "period_origin", "searched_points", *AUXILIARIES):
            out[name][row] = periods.objects[name]
        prepared: Prepared = prepare(periods, self.after)
        out["probability"][prepared.row] = self.classifier.predict_proba(prepared)
        out["unlike"][prepared.row] = self.classifier.is_unknown(prepared)
        out["method"][prepared.row] = "network"
        away = prepared.rejected
        for place, step, why in zip(away.row, away.step, away.reason, strict=True):
            out["reason"][place] = f"{step} {why}"
        if self.few is not None and len(away):
            self._few_points(batch, np.sort(away.row), out)
        return out

    def _few_points(
        self, batch: LightCurveBatch, rows: NDArray[np.int64], out: dict[str, NDArray[Any]]
    ) -> None:
        """Classify by simple features what the network could not be shown."""
        assert self.few is not None
        steps = self.before[: len(band_steps(list(self.bands)))]
        convert = [s for s in self.before if isinstance(s, ToMagnitude | ToFlux)]
        chosen = apply_steps([*steps, *convert], batch.take(rows))
        probability, served = self.few.predict_proba(chosen)
        row = chosen.objects["row"][served]
        out["probability"][row] = probability[served]
        out["method"][row] = "features"
        out["reason"][row] = ""

    def _tables(
        self,
        histories: Histories,
        before: pa.Table,
        out: Mapping[str, NDArray[Any]],
        night: str,
    ) -> Verdicts:
        batch = histories.batch
        n = len(batch)
        served = out["method"] != ""
        best = np.argmax(np.where(served[:, None], out["probability"], -1.0), axis=1)
        top = np.where(served, out["probability"][np.arange(n), best], np.nan)
        names = np.where(served, np.array([*self.classes, ""], object)[best], None)
        previous = before["class"].to_numpy(zero_copy_only=False)
        had = np.array([one is not None for one in previous], bool)
        changed = served & had & (names != previous)
        unknown = served & (out["unlike"] | ~(top >= self.unknown_below))
        points = np.diff(batch.offsets)
        objects = {
            "object_id": batch.ids,
            "pixels": histories.pixels,
            "ra": batch.objects["ra"],
            "dec": batch.objects["dec"],
            "n_points": points,
            "fingerprint": histories.fingerprint,
            "class": np.where(served, names, previous),
            "probability": top,
            **{k: v for k, v in out.items() if k in OBJECTS.names and k != "probability"},
        }
        rows = {
            "object_id": batch.ids,
            "night": np.full(n, night, object),
            "class": names,
            "probability": top,
            "probabilities": [
                list(p) if s else None
                for p, s in zip(out["probability"].tolist(), served.tolist(), strict=True)
            ],
            "classes": np.full(n, " ".join(self.classes), object),
            "n_points": points,
            "previous_class": previous,
            "changed": changed,
            "unknown": unknown,
            "rejected_reason": [
                None if s else why for s, why in zip(served, out["reason"], strict=True)
            ],
            "bundle": np.full(n, self.bundle_sha256, object),
            "code": np.full(n, version("astroprep"), object),
            "time": [datetime.now(UTC)] * n,
            **{k: out[k] for k in ("method", "band", "period", "period_origin")},
        }
        counts = {
            "changed": n,
            "classified": int(served.sum()),
            "rejected": int(n - served.sum()),
            "by_features": int((out["method"] == "features").sum()),
            "class_changes": int(changed.sum()),
            "unknown": int(unknown.sum()),
            "searched": int((out["period_origin"] == "searched").sum()),
            "verified": int(np.isin(out["period_origin"], ("confirmed", "drifted")).sum()),
        }
        return Verdicts(_as_table(objects, OBJECTS), _as_table(rows, CLASSIFICATIONS), counts)


def _as_table(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    fields = [field for field in schema if field.name != "run"]
    return pa.table(
        {field.name: pa.array(columns[field.name], field.type) for field in fields},
        schema=pa.schema(fields),
    )


def _band_names(batch: LightCurveBatch) -> NDArray[np.object_]:
    """Band of the usable points of each curve; empty where there is none."""
    usable = batch.usable
    names = np.full(len(batch), "", object)
    some = np.flatnonzero(usable.counts())
    if usable.band is not None:
        bands = np.array(batch.meta.bands, object)
        names[some] = bands[usable.band[usable.offsets[some]]]
    return names


def _known(before: pa.Table) -> KnownPeriods:
    """Known periods out of rows of `OBJECTS`, null where an object is new."""

    def floats(name: str) -> NDArray[np.float64]:
        values: NDArray[np.float64] = pc.fill_null(before[name], np.nan).to_numpy()
        return values

    return KnownPeriods(
        floats("period"),
        floats("period_err"),
        pc.fill_null(before["searched_points"], 0).to_numpy(),
        {name: floats(name) for name in AUXILIARIES},
    )
