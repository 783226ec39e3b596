"""`assess_survey`: three files, one row an object, drift from a bundle, every kind of input."""

from __future__ import annotations

import dataclasses
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astroprep.data import LightCurveBatch
from astroprep.deploy.bundle import read_bundle, write_bundle
from astroprep.errors import DataError
from astroprep.io import write_survey
from astroprep.pipeline.quality import assess_survey
from astroprep.synthetic import simulate_space, simulate_survey


@pytest.fixture(scope="module")
def assessed(survey_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("quality")
    return out, assess_survey(survey_file, out, longitude=149.0)


def test_three_files(assessed):
    out, content = assessed
    assert sorted(path.name for path in out.iterdir()) == [
        "objects.parquet",
        "quality.html",
        "quality.json",
    ]
    assert json.loads((out / "quality.json").read_text()) == content
    assert content["schema"] == 2
    assert content["nights"]["longitude"] == 149.0


def test_one_row_an_object(assessed):
    out, content = assessed
    table = pq.read_table(out / "objects.parquet")
    assert table["row"].to_pylist() == list(range(150))
    verdicts = table["verdict"].to_pylist()
    assert {v: verdicts.count(v) for v in ("good", "fair", "poor", "unknown")} == {
        v: content["objects"]["verdicts"]["all"][v] for v in ("good", "fair", "poor", "unknown")
    }
    empty = table.filter(pa.compute.equal(table["n_usable"], 0))
    assert empty["median"].null_count == empty.num_rows > 0


def test_the_page_draws_the_worst(assessed):
    page = (assessed[0] / "quality.html").read_text()
    worst = [row["id"] for row in assessed[1]["objects"]["worst"] if row["n_usable"] >= 5]
    assert f"Light curve of {worst[0]}: " in page
    assert 'id="nights"' in page
    assert "Zero point of each night" in page


def test_all_columns_are_looked_at(tmp_path, survey_file):
    """Columns that nobody named: one twice, one that only some classes have."""
    table = pq.read_table(survey_file)
    x = pa.array(np.arange(float(table.num_rows)) % 31)
    table = table.append_column("colour", x).append_column("colour_again", x)
    pq.write_table(table, tmp_path / "s.parquet")
    found = assess_survey(tmp_path / "s.parquet", tmp_path / "out")["redundancy"]
    assert ["colour", "colour_again"] in found["redundant_columns"]


def test_the_bundle_holds_a_summary_and_knows_its_survey(result, survey_file, tmp_path):
    bundle = result.out / "bundle.apz"
    summary = read_bundle(bundle).training_summary
    assert summary["measures"]["brightness"]["n"] == 150
    assert "feature amplitude" in summary["measures"]
    with zipfile.ZipFile(bundle) as archive:
        # quantiles of 79 features, and the covariance that the unknown score looks at
        assert archive.getinfo("recipe.json").compress_size < 20_000
    drift = assess_survey(survey_file, tmp_path, bundle=bundle)["drift"]
    assert len(drift["measures"]) > 15
    assert {m["name"] for m in drift["measures"] if m["verdict"] == "poor"} == set()
    assert any(m["name"].startswith("feature ") for m in drift["measures"])
    assert "Drift from training" in (tmp_path / "quality.html").read_text()


def test_another_survey_drifts(result, tmp_path):
    other = simulate_survey(150, seed=5, n_visits=80)
    write_survey(tmp_path / "s.parquet", other.with_columns(value=other.value + 2.5))
    content = assess_survey(tmp_path / "s.parquet", tmp_path, bundle=result.out / "bundle.apz")
    poor = {m["name"] for m in content["drift"]["measures"] if m["verdict"] == "poor"}
    assert {"brightness", "points of an object"} <= poor


def test_fluxes_against_a_bundle_of_magnitudes(result, tmp_path):
    write_survey(tmp_path / "s.parquet", simulate_space(3, 1, "k2", days=5))
    content = assess_survey(tmp_path / "s.parquet", tmp_path, bundle=result.out / "bundle.apz")
    assert "the quantity was mag and is flux" in content["drift"]["differences"]


def test_a_bundle_without_summary_is_refused(result, survey_file, tmp_path):
    bundle = read_bundle(result.out / "bundle.apz")
    recipe = {k: v for k, v in bundle.recipe.items() if k != "training_summary"}
    write_bundle(tmp_path / "old.apz", dataclasses.replace(bundle, recipe=recipe))
    assert read_bundle(tmp_path / "old.apz").training_summary == {}
    with pytest.raises(DataError, match="holds no summary of the survey"):
        assess_survey(survey_file, tmp_path / "out", bundle=tmp_path / "old.apz")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_objects(tmp_path, n, suffix):
    curve = (np.arange(3) + 55000.0, np.full(3, 15.0), np.full(3, 0.1))
    write_survey(tmp_path / f"s.{suffix}", LightCurveBatch.from_curves([curve] * n))
    content = assess_survey(tmp_path / f"s.{suffix}", tmp_path / "out")
    assert content["objects"]["total"] == n
    assert pq.read_table(tmp_path / "out" / "objects.parquet").num_rows == n
    assert "</html>" in (tmp_path / "out" / "quality.html").read_text()


def test_space_photometry(tmp_path, data_dir):
    content = assess_survey(data_dir / "space" / "k2", tmp_path)
    assert content["points"]["survey_flags"]["THRUSTER_FIRING"] > 100
    assert content["points"]["flags"]["survey"] > 0
    assert content["objects"]["total"] == 6
