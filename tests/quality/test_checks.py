"""Each check on a survey with exactly its defect: its verdict changes and no other."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Rejected
from astroprep.quality import assess
from astroprep.quality.conditions import LIMITS


def verdicts(report):
    return {
        check.name: check.verdict for condition in report.conditions for check in condition.checks
    }


def some(batch, share, seed=1):
    return np.random.default_rng(seed).random(batch.n_points) < share


def put(batch, name, where, value):
    column = getattr(batch, name).copy()
    column[where] = value
    return batch.with_columns(**{name: column})


def about(batch, name, where, value):
    column = batch.objects[name].copy()
    column[where] = value
    return batch.with_columns(objects={name: column})


def in_nights(batch, *nights):
    return np.isin(np.floor(batch.time) - 55000, nights)


def curve_of(batch):
    return np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))


def keep(batch, kept):
    """Batch with only some of its points."""
    count = np.bincount(curve_of(batch)[kept], minlength=batch.n_curves)
    columns = {n: getattr(batch, n)[kept] for n in ("time", "value", "error", "flags", "weight")}
    band = None if batch.band is None else batch.band[kept]
    return replace(batch, offsets=np.append(0, np.cumsum(count)), band=band, **columns)


def shifted(batch):
    return batch.with_columns(value=batch.value + 0.06 * in_nights(batch, 5, 20, 40))


def noisy(batch):
    bad = in_nights(batch, 5, 20, 40)
    extra = np.random.default_rng(5).normal(0, 0.057, batch.n_points)
    return batch.with_columns(
        value=batch.value + np.where(bad, extra, 0), error=np.where(bad, 0.06, batch.error)
    )


def frozen(batch):
    return put(batch, "value", curve_of(batch) < 2, 15.0)


def with_columns(batch, **columns):
    return batch.with_columns(objects=columns)


def unreadable(batch):
    refused = Rejected(
        row=np.array([99]),
        id=np.array(["x"], object),
        step=np.array(["reader"], object),
        reason=np.array(["needs lists of equal length"], object),
    )
    return replace(batch, rejected=refused)


def marked(batch):
    bits = np.where(some(batch, 0.1), 1 << 20, 0).astype(np.int64)  # thrusters
    return replace(batch, points={"survey_flags": bits}, meta=replace(batch.meta, survey="K2"))


def doubled(batch):
    where = np.sort(np.append(np.arange(batch.n_points), np.flatnonzero(some(batch, 0.02))))
    columns = {n: getattr(batch, n)[where] for n in ("time", "value", "error", "flags", "weight")}
    count = np.bincount(curve_of(batch)[where])
    return replace(batch, offsets=np.append(0, np.cumsum(count)), **columns)


def unsorted(batch):
    time = batch.time.copy()
    time[[0, 1]] = time[[1, 0]]
    return batch.with_columns(time=time)


def twin(batch, label=None, split=None):
    batch = about(about(batch, "ra", 2, batch.objects["ra"][0] + 1e-4), "dec", 2, -40.0)
    return about(
        about(batch, "label", 2, label or batch.objects["label"][0]),
        "split", 2, split or batch.objects["split"][0],
    )  # fmt: skip


RNG = np.random.default_rng(8)
DEFECTS = {
    "bad times": lambda b: put(b, "time", some(b, 0.005), -2409998.5),
    "sentinel values": lambda b: put(b, "value", some(b, 0.005), 99.99),
    "absurd values": lambda b: put(b, "value", some(b, 0.001), 61.7),
    "impossible positions": lambda b: about(b, "dec", 3, 95.0),
    "curves of one value": frozen,
    "outlying points": lambda b: b.with_columns(value=b.value + np.where(some(b, 0.02), 1.0, 0)),
    "misquoted errors": lambda b: b.with_columns(error=b.error / 4),
    "spread of misquoting": lambda b: b.with_columns(
        error=b.error * np.array([0.4, 1.0, 2.5])[curve_of(b) % 3]
    ),
    "nights off in zero point": shifted,
    "noisy nights": noisy,
    "nights with other error bars": lambda b: b.with_columns(
        error=np.where(in_nights(b, 5, 20, 40), b.error / 3, b.error)
    ),
    "unknown time system": lambda b: replace(b, meta=replace(b.meta, time_ref=None)),
    "unsorted curves": unsorted,
    "labels spelled in several ways": lambda b: about(b, "label", np.arange(1, 60, 2), "a"),
    "missing values": lambda b: put(b, "value", some(b, 0.03), np.nan),
    "missing errors": lambda b: put(b, "error", some(b, 0.03), 0.0),
    "short curves": lambda b: keep(b, (curve_of(b) > 2) | (np.arange(b.n_points) % 180 < 15)),
    "objects without a position": lambda b: about(b, "ra", [1, 2], np.nan),
    "unreadable objects": unreadable,
    "points marked by the survey": marked,
    "curves with one long gap": lambda b: keep(
        b, (curve_of(b) > 5) | ~in_nights(b, *range(10, 50))
    ),
    "rare classes": lambda b: about(b, "label", [4, 8, 12], "Z"),
    "objects without a label": lambda b: about(b, "label", np.arange(6), ""),
    "repeated points": doubled,
    "repeated ids": lambda b: about(b, "id", 7, "s3"),
    "redundant columns": lambda b: with_columns(
        b, one=np.arange(60.0) % 7, other=np.arange(60.0) % 7
    ),
    "correlated columns": lambda b: with_columns(
        b, one=np.arange(60.0), other=np.exp(np.arange(60.0) / 9)
    ),
    "columns that give the label away": lambda b: with_columns(
        b, period=np.where(np.arange(60) % 2, np.nan, RNG.random(60))
    ),
    "twins": twin,
}
TWO = {  # defects that are two things at once
    "implausible brightness": (
        lambda b: b.with_columns(value=b.value + 50.0 * (curve_of(b) == 3)),
        {"absurd values"},
    ),
    "nights of bad points": (
        lambda b: put(b, "value", in_nights(b, 5, 20) & some(b, 0.4), np.nan),
        {"missing values"},
    ),
    "twins with different labels": (lambda b: twin(b, label="B"), {"twins"}),
    "twins across the split": (lambda b: twin(b, split="train"), {"twins"}),
    "objects without all bands": (None, set()),
    "drift from training": (None, set()),
}


def changed(batch, base):
    before, after = verdicts(assess([base])), verdicts(assess([batch]))
    return {name: after[name] for name in after if after[name] != before[name]}


def test_the_plain_survey_is_good(steady):
    report = assess([steady()])
    assert {condition.verdict for condition in report.conditions} == {"good"}
    found = verdicts(report)
    assert set(LIMITS) - set(found) == {"drift from training"}
    assert {name for name, verdict in found.items() if verdict == "unknown"} == {
        "points marked by the survey",
        "objects without all bands",
    }


def test_every_check_has_its_defect():
    assert set(DEFECTS) | set(TWO) == set(LIMITS)


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_changes_its_verdict_alone(steady, name):
    base = steady()
    found = changed(DEFECTS[name](base), base)
    assert set(found) == {name}
    assert found[name] in ("fair", "poor")


@pytest.mark.parametrize("name", [name for name, (make, _) in TWO.items() if make])
def test_a_defect_that_is_two(steady, name):
    make, also = TWO[name]
    base = steady()
    assert set(changed(make(base), base)) == {name} | also


def test_missing_bands(steady):
    base = steady(bands=2)
    assert verdicts(assess([base]))["objects without all bands"] == "good"
    without = keep(base, (curve_of(base) > 5) | (base.band == 0))
    assert changed(without, base) == {"objects without all bands": "fair"}
    report = assess([without])
    assert report.bands["g"] == {"objects": 60, "enough": 60, "points": 10800}
    assert report.bands["r"] == {"objects": 54, "enough": 54, "points": 9720}
    fair = np.flatnonzero(report.table.columns["worst_check"] == "missing bands")
    assert fair.tolist() == list(range(6))


def flux_of(batch):
    flux = 10 ** (-0.4 * (batch.value - 20))
    meta = replace(batch.meta, quantity="flux", unit="nJy")
    return replace(batch, value=flux, error=flux * batch.error / 1.0857, meta=meta)


@pytest.mark.parametrize("name", ["absurd values", "nights off in zero point", "noisy nights"])
def test_fluxes_too(steady, name):
    base = flux_of(steady())
    damaged = (
        put(base, "value", some(base, 0.001), 1e30)
        if name == "absurd values"
        else flux_of(DEFECTS[name](steady()))
    )
    assert verdicts(assess([base]))[name] == "good"
    assert verdicts(assess([damaged]))[name] in ("fair", "poor")


ODD = {
    "all NaN": lambda b: b.with_columns(value=np.full(b.n_points, np.nan)),
    "no time": lambda b: b.with_columns(time=np.full(b.n_points, np.nan)),
    "no errors": lambda b: b.with_columns(error=np.full(b.n_points, np.nan)),
    "negative errors": lambda b: b.with_columns(error=-b.error),
    "constant": lambda b: b.with_columns(value=np.full(b.n_points, 15.0)),
    "one object": lambda b: b[:1],
    "no columns": lambda b: replace(b, objects={}),
    "negative flux": lambda b: replace(
        b, value=b.value - 16, meta=replace(b.meta, quantity="flux", unit="nJy")
    ),
    "points of one night": lambda b: b.with_columns(time=55000 + (b.time % 1.0)),
    "empty curves": lambda b: keep(b, np.zeros(b.n_points, bool)),
    "one point each": lambda b: keep(b, np.arange(b.n_points) % 180 == 0),
    "infinite": lambda b: put(b, "value", some(b, 0.1), np.inf),
    "wide times": lambda b: b.with_columns(time=np.where(some(b, 0.5), b.time, -1e4)),
}


@pytest.mark.parametrize("name", ODD)
def test_bad_input_has_an_outcome(steady, name):
    batch = ODD[name](steady())
    report = assess([batch])
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert content["objects"]["total"] == batch.n_curves
    assert report.table.n_objects == batch.n_curves
    found = verdicts(report)
    expected = {
        "all NaN": {
            "missing values": "poor",
            "short curves": "poor",
            "misquoted errors": "unknown",
        },
        "no time": {"bad times": "poor", "short curves": "poor"},
        "no errors": {"missing errors": "poor", "misquoted errors": "unknown"},
        "negative errors": {"missing errors": "poor", "misquoted errors": "unknown"},
        "constant": {"curves of one value": "poor"},
        "no columns": {"objects without a position": "poor", "rare classes": "unknown"},
        "empty curves": {"short curves": "poor", "missing values": "unknown"},
        "one point each": {"short curves": "poor"},
        "infinite": {"missing values": "poor"},
    }.get(name, {})
    assert {key: found[key] for key in expected} == expected


def test_no_objects_at_all():
    for batches in ([], [LightCurveBatch.from_curves([])]):
        report = assess(batches)
        assert {check.verdict for c in report.conditions for check in c.checks} <= {
            "unknown",
            "good",  # counts of columns and spellings: there are none
        }
        assert report.table.n_objects == 0
        assert report.nights["count"] == 0
