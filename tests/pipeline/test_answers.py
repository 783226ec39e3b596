"""What a run and `classify` say beyond a class: shares, sets, unknown, groups."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from astroprep.deploy.bundle import read_bundle, write_bundle
from astroprep.errors import ConfigError, DataError
from astroprep.model.calibrate import priors_between
from astroprep.pipeline.classify import Classifier, classify
from astroprep.pipeline.run import RunOptions, run
from astroprep.pipeline.summary import summarise_predictions


def table_of(path):
    return pq.read_table(path).to_pandas()


def about(path):
    return json.loads(pq.read_schema(path).metadata[b"astroprep_answers"])


def test_every_object_has_a_set_a_score_and_groups_that_add_up(result):
    made = table_of(result.out / "predictions.parquet")
    served = made["rejected_reason"].isna()
    p = made.loc[served, [c for c in made if c.startswith("prob_")]]
    classes = [c.removeprefix("prob_") for c in p]

    assert (
        made.loc[~served, ["predicted", "conformal_set", "unknown_score", "is_unknown"]]
        .isna()
        .all(axis=None)
    )
    sets = made.loc[served, "conformal_set"].str.split("|")
    assert all(name in {*classes, ""} for one in sets for name in one)
    said = about(result.out / "predictions.parquet")
    score = made.loc[served, "unknown_score"]
    assert (made.loc[served, "is_unknown"] == (score > said["unknown_threshold"])).all()
    first = p[["prob_RRab", "prob_RRc"]].sum(axis=1)
    top = np.maximum(first, p.drop(columns=["prob_RRab", "prob_RRc"]).max(axis=1))
    np.testing.assert_allclose(made.loc[served, "group_1_probability"], top, atol=1e-12)
    assert ((made.loc[served, "group_1"] == "RR Lyrae") == (first == top)).all()


def test_the_summary_counts_what_the_file_says_and_warns_of_strangers(result, tmp_path):
    path = result.out / "predictions.parquet"
    made = table_of(path)
    said = summarise_predictions(path)
    served = made["predicted"].notna()
    assert said.n_answered == served.sum()
    assert {k: n for k, n in said.classes.items() if n} == Counter(made["predicted"].dropna())
    sizes = Counter(len([c for c in one.split("|") if c]) for one in made["conformal_set"].dropna())
    assert said.set_sizes == sizes
    assert said.n_unknown == made.loc[served, "is_unknown"].astype(bool).sum()
    usual = replace(said, n_unknown=round(0.02 * said.n_answered))
    assert not usual.too_many_unknown
    assert replace(said, n_unknown=round(0.3 * said.n_answered)).too_many_unknown
    with pytest.raises(DataError, match="no file of predictions"):
        summarise_predictions(result.out / "features.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(DataError, match="no file of predictions"):
        summarise_predictions(tmp_path / "text.parquet")


def test_measures_of_all_answers_are_in_the_metrics(result):
    metrics = result.metrics
    assert [level["level"] for level in metrics["levels"]] == [1, 2]
    assert metrics["sets"]["stated_coverage"] == 0.9
    assert 0 <= metrics["unknown"]["false_unknown_rate"] <= 1
    assert set(metrics["depends"]) == {
        "labels of the class in training", "points", "brightness", "period",
    }  # fmt: skip
    small = metrics["compressed"]
    low, high = small["intervals"]["balanced_accuracy"]
    assert low <= small["balanced_accuracy"] <= high
    assert small["top2_error"] <= 1 - small["accuracy"]
    assert sum(metrics["answers"]["shares"].values()) == pytest.approx(1.0)
    assert "Sets of classes" in (result.out / "report.html").read_text()


def test_stated_shares_move_the_answers_as_bayes_says(result, survey_file, tmp_path):
    bundle = result.out / "bundle.apz"
    classes = Classifier(bundle).classes
    wanted = dict(
        zip(classes, np.arange(1, len(classes) + 1) / sum(range(len(classes) + 1)), strict=True)
    )
    (tmp_path / "shares.json").write_text(json.dumps(wanted))
    classify(bundle, survey_file, tmp_path / "a.parquet", prior="train")
    classify(bundle, survey_file, tmp_path / "b.parquet", prior=str(tmp_path / "shares.json"))

    columns = [f"prob_{name}" for name in classes]
    before, after = (
        table_of(tmp_path / name)[columns].dropna() for name in ("a.parquet", "b.parquet")
    )
    shares = about(tmp_path / "a.parquet")["shares"]
    ratio = np.array([wanted[name] / shares[name] for name in classes])
    expected = before.to_numpy() * ratio
    np.testing.assert_allclose(after, expected / expected.sum(axis=1, keepdims=True), rtol=1e-9)
    made = table_of(tmp_path / "b.parquet").dropna(subset=["predicted"])
    assert (made["predicted"] == np.array(classes)[after.to_numpy().argmax(axis=1)]).all()


def test_estimated_shares_need_objects_and_are_written_down(result, survey_file, tmp_path, caplog):
    bundle = result.out / "bundle.apz"
    counts = classify(bundle, survey_file, tmp_path / "all.parquet", prior="estimate")
    assert counts == classify(bundle, survey_file, tmp_path / "plain.parquet")
    made, plain = (table_of(tmp_path / name) for name in ("all.parquet", "plain.parquet"))
    assert made["id"].equals(plain["id"])
    assert made["unknown_score"].equals(plain["unknown_score"])
    classify(bundle, survey_file, tmp_path / "part.parquet", prior="estimate:0.3")
    whole, part = (about(tmp_path / name)["shares"] for name in ("all.parquet", "part.parquet"))
    learned = Classifier(read_bundle(bundle)).answers().outputs.learned
    between = priors_between(learned, np.array(list(whole.values())), 0.3)
    np.testing.assert_allclose(list(part.values()), between, rtol=1e-6)
    few = tmp_path / "few.parquet"
    pq.write_table(pq.read_table(survey_file).slice(0, 12), few)
    with caplog.at_level(logging.WARNING):
        classify(bundle, few, tmp_path / "few_out.parquet", prior="estimate")
    assert "class shares cannot be estimated from" in caplog.text
    assert "not possible" in about(tmp_path / "few_out.parquet")["prior"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "all.parquet", "few.parquet", "few_out.parquet", "part.parquet",
        "plain.parquet",
    ]  # fmt: skip


def test_mistakes_in_what_is_assumed(recipe, result, survey_file, tmp_path):
    bundle = result.out / "bundle.apz"
    (tmp_path / "bad.csv").write_text("EW,1.0\n")
    with pytest.raises(ConfigError, match="no share of"):
        classify(bundle, survey_file, tmp_path / "x.parquet", prior=str(tmp_path / "bad.csv"))
    with pytest.raises(ConfigError, match="coverage must be between 0 and 1"):
        classify(bundle, survey_file, tmp_path / "x.parquet", coverage=1.2)
    with pytest.raises(ConfigError, match="neither train, estimate nor a file"):
        run(recipe, survey_file, tmp_path / "out", RunOptions(prior="guess"))
    with pytest.raises(ConfigError, match="no share of"):
        run(recipe, survey_file, tmp_path / "out", RunOptions(prior=str(tmp_path / "bad.csv")))


def test_zero_objects_and_bundles_without_or_with_damaged_outputs(result, survey_file, tmp_path):
    none = tmp_path / "none.parquet"
    pq.write_table(pq.read_table(survey_file).slice(0, 0), none)
    classify(result.out / "bundle.apz", none, tmp_path / "out.parquet", prior="estimate")
    assert len(table_of(tmp_path / "out.parquet")) == 0
    bundle = read_bundle(result.out / "bundle.apz")
    recipe = {k: v for k, v in bundle.recipe.items() if k not in ("outputs", "train_shares")}
    old = replace(bundle, recipe=recipe)
    write_bundle(tmp_path / "old.apz", old)
    classify(tmp_path / "old.apz", survey_file, tmp_path / "old.parquet")
    assert "conformal_set" not in table_of(tmp_path / "old.parquet")
    broken = {**bundle.recipe, "outputs": {"unknown": {"method": "magic"}}}
    write_bundle(tmp_path / "broken.apz", replace(bundle, recipe=broken))
    with pytest.raises(DataError, match=r"recipe.json: the unknown score .* damaged"):
        classify(tmp_path / "broken.apz", survey_file, tmp_path / "x.parquet")
