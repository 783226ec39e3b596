"""The quality report: counts that are known, verdicts that follow, one pass, plain values."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta, Rejected
from astroprep.io import open_survey
from astroprep.quality import CONDITIONS, assess
from astroprep.quality.conditions import judge
from astroprep.quality.kernels import curve_noise, window_power
from astroprep.synthetic import simulate_survey


def verdicts(report):
    return {
        check.name: check.verdict for condition in report.conditions for check in condition.checks
    }


def halves(batch):
    middle = len(batch) // 2
    return [batch[:middle], batch[middle:]]


def test_known_damage_is_counted():
    survey = simulate_survey(300, seed=3)
    truth = survey.points["corruption"]
    report = assess([survey])

    assert report.objects["total"] == 300
    assert report.points["total"] == survey.n_points
    assert report.points["flags"]["sentinel"] == np.count_nonzero(truth & 8)
    assert report.points["flags"]["missing_value"] == np.count_nonzero(truth & 2)
    assert report.points["flags"]["bad_time"] == np.count_nonzero(truth & 1)
    assert report.errors["unknown"] == np.count_nonzero(truth & 4)
    assert report.objects["empty"] == 2  # one without points, one of NaN only
    assert report.redundancy["groups"] == 3
    labels = survey.objects["label"]
    assert sum(report.classes["EA"].values()) == np.sum(labels == "EA")
    assert sum(sum(counts.values()) for counts in report.classes.values()) == 300


def test_batches_do_not_matter():
    survey = simulate_survey(60, seed=3)
    whole, parts = assess([survey]).to_dict(), assess(halves(survey)).to_dict()
    assert whole == parts


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_honesty_of_errors(factor):
    """Errors quoted too small by a factor come back as that factor."""
    clean = simulate_survey(80, seed=1, accidents=0, shares={"constant": 1, "LPV": 1})
    report = assess([clean.with_columns(error=clean.error / factor)])
    assert report.errors["honesty"]["median"] == pytest.approx(factor, rel=0.05)
    expected = {0.5: "fair", 1.0: "good", 4.0: "poor"}[factor]
    assert verdicts(report)["misquoted errors"] == expected


def test_a_clean_survey_is_good():
    survey = simulate_survey(250, seed=2, accidents=0)
    objects = {name: survey.objects[name] for name in ("id", "ra", "dec", "label", "split")}
    report = assess([replace(survey, objects=objects)])  # without the truth
    assert [c.name for c in report.conditions] == list(CONDITIONS)
    assert {c.verdict for c in report.conditions} == {"good"}


def test_a_wreck_is_poor():
    survey = simulate_survey(60, seed=2, accidents=8)
    found = verdicts(assess([survey]))
    for name in ("sentinel values", "outlying points", "repeated points", "short curves"):
        assert found[name] in ("fair", "poor"), name


def test_what_the_cadence_says():
    report = assess([simulate_survey(50, seed=2, accidents=0)])
    assert 120 < report.cadence["points_per_object"]["median"] < 300
    assert 2000 < report.cadence["baseline"]["median"] < 2600
    # observed at one time of a sidereal day, and not in every season
    assert report.cadence["window"]["sidereal day"] > 0.6
    assert report.cadence["window"]["year"] > 0.05
    gaps = report.cadence["histograms"]["gap"]
    assert gaps["counts"].sum() == report.points["usable"] - 50
    assert gaps["edges"].size == gaps["counts"].size + 1


def test_redundancy_and_conflicts():
    curve = (np.arange(30.0) + 55000, np.full(30, 15.0), np.full(30, 0.1))
    batch = LightCurveBatch.from_curves(
        [curve] * 4,
        ids=["a", "b", "c", "a"],
        objects={
            "ra": np.array([10.0, 10.0 + 2 / 3600, 50.0, 80.0]),
            "dec": np.array([0.0, 0.0, 95.0, 0.0]),
            "label": np.array(["EA", "ea", "RRab", "EA"], object),
            "split": np.array(["train", "test", "train", "test"], object),
            "copy": np.array(["EA", "ea", "RRab", "EA"], object),
            "flat": np.ones(4),
        },
        meta=Meta(time_scale="MJD", time_ref=2400000.5),
    )
    report = assess([batch])
    assert report.redundancy["groups"] == 1
    assert report.redundancy["crossing"] == 1
    assert report.redundancy["repeated_ids"] == 1
    assert report.redundancy["examples"] == [["a", "b"]]
    assert report.redundancy["redundant_columns"] == [("label", "copy")]
    assert report.redundancy["constant_columns"] == ["flat"]
    found = verdicts(report)
    assert found["impossible positions"] == "poor"
    assert found["twins across the split"] == "poor"
    assert found["twins with different labels"] == "poor"
    assert found["labels spelled in several ways"] == "poor"
    assert found["misquoted errors"] == "unknown"  # no two points within an hour


def test_many_bands_and_fluxes(rng):
    n = 120
    batch = LightCurveBatch(
        time=np.sort(55000 + np.repeat(np.arange(30.0), 4) + np.tile(np.arange(4) * 0.01, 30)),
        value=np.where(np.arange(n) % 2, 100.0, 500.0) + rng.normal(0, 1, n),
        error=np.full(n, 1.0),
        offsets=np.array([0, n]),
        band=np.arange(n) % 2,
        meta=Meta(quantity="flux", unit="nJy", bands=("g", "r")),
    )
    report = assess([batch])
    assert report.errors["honesty"]["median"] == pytest.approx(1, rel=0.4)
    assert report.points["flags"]["outlier"] == 0
    assert report.survey["bands"] == ["g", "r"]


def test_odd_curves_do_not_break_it():
    nan = np.nan
    batch = LightCurveBatch.from_curves(
        [
            ([], [], []),
            ([55000.0], [15.0], [0.1]),
            ([55000.0] * 5, [15.0] * 5, [0.1] * 5),
            ([nan] * 3, [nan] * 3, [nan] * 3),
            ([55000.0, 55001.0], [np.inf, -np.inf], [0.0, -1.0]),
            ([-2409998.5, 55001.0, 55000.0], [15.0, 15.1, 15.2], [0.1] * 3),
        ]
    )
    refused = Rejected(
        row=np.array([6]),
        id=np.array(["x"], object),
        step=np.array(["reader"], object),
        reason=np.array(["needs lists of equal length"], object),
    )
    batch = LightCurveBatch(
        **{**{k: getattr(batch, k) for k in batch.__dataclass_fields__}, "rejected": refused}
    )
    report = assess([batch])
    assert report.objects["total"] == 7
    assert report.objects["readable"] == 6
    assert report.objects["unreadable"] == {"needs lists of equal length": 1}
    assert report.objects["one_point"] == 2  # copies of one point are one point
    assert report.objects["unsorted"] == 1
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize("batches", [[], [LightCurveBatch.from_curves([])]])
def test_nothing_to_judge(batches):
    report = assess(batches)
    assert report.objects["total"] == 0
    assert verdicts(report)["missing values"] == "unknown"
    json.dumps(report.to_dict(), allow_nan=False)


def test_the_dict_is_plain():
    report = assess([simulate_survey(40, seed=3)]).to_dict()
    again = json.loads(json.dumps(report, allow_nan=False))
    assert again["conditions"][0]["name"] == "validity"
    assert len(again["cadence"]["histograms"]["gap"]["edges"]) == 81


def test_limits_are_included():
    assert judge("completeness", {"missing values": (0.01, "")}).verdict == "good"
    assert judge("completeness", {"missing values": (0.1, "")}).verdict == "fair"
    assert judge("completeness", {"missing values": (0.11, "")}).verdict == "poor"
    assert judge("completeness", {"missing values": (np.nan, "")}).verdict == "unknown"


def test_noise_of_a_known_curve(rng):
    time = np.arange(4000) * 0.01
    value = rng.normal(15, 0.2, 4000)
    median, scatter, _, honesty = curve_noise(
        time, value, np.full(4000, 0.1), np.array([0, 4000, 4000]), 0.05
    )
    # five standard errors of MAD-based scatter, 1.17 sigma / sqrt(n)
    assert scatter[0] == pytest.approx(0.2, rel=0.09)
    assert honesty[0] == pytest.approx(2.0, rel=0.12)
    assert median[0] == pytest.approx(15, abs=0.02)
    assert np.isnan([median[1], scatter[1], honesty[1]]).all()


def test_window_of_known_samplings(rng):
    nightly = np.arange(100.0)
    anytime = rng.uniform(0, 1000, 400)
    power = window_power(
        np.append(nightly, anytime), np.array([0, 100, 500, 500]), np.array([1.0, 0.5])
    )
    np.testing.assert_allclose(power[0], [1.0, 0.0], atol=1e-12)
    assert (power[1] < 10 / 400).all()
    assert np.isnan(power[2]).all()


def test_catalina_south(data_dir):
    """Counts that the README of the data states, and its over-estimated errors."""
    with open_survey(data_dir / "crts_south.parquet") as survey:
        report = assess(survey.iter_batches(4096))
    assert report.objects["total"] == 37745
    assert report.points["flags"]["bad_time"] == 3
    assert report.cadence["points_per_object"]["median"] == 235
    assert report.redundancy["groups"] == 50
    assert report.redundancy["crossing"] == 24
    assert report.errors["honesty"]["median"] == pytest.approx(0.5, abs=0.05)
    assert report.classes["EW_EB_contact_semidetached"].keys() == {"train", "test"}
