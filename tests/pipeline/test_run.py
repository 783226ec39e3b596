"""From raw light curves to a deployed classifier: nothing lost, nothing mixed, all agreeing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.io import ColumnNames, open_survey, write_survey
from astroprep.model.evaluate import evaluate
from astroprep.pipeline.classify import classify
from astroprep.pipeline.run import RunOptions, run


@pytest.fixture(scope="module")
def predictions(result):
    return pq.read_table(result.out / "predictions.parquet").to_pandas()


def test_every_object_is_in_the_predictions_once(result, predictions, survey_file):
    with open_survey(survey_file) as survey:
        assert predictions["row"].tolist() == list(range(survey.n_objects))
    counts = result.metrics["counts"]
    assert counts["input"] == counts["result"] + counts["rejected"] == len(predictions)
    away = predictions["rejected_reason"].notna()
    assert away.sum() == counts["rejected"] > 0
    assert predictions.loc[away, "predicted"].isna().all()
    assert predictions.loc[~away, "predicted"].notna().all()
    assert np.isfinite(predictions.loc[~away, "period"]).all()


def test_probabilities_sum_to_one_and_decide(result, predictions):
    classes = result.metrics["classes"]
    table = predictions[predictions["rejected_reason"].isna()]
    probability = table[[f"prob_{name}" for name in classes]].to_numpy()
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-12)
    assert np.array(classes)[probability.argmax(axis=1)].tolist() == table["predicted"].tolist()


def test_metrics_are_those_of_the_predictions(result, predictions):
    """A rejected test object counts as wrong."""
    classes = result.metrics["classes"]
    test = predictions[(predictions["split"] == "test") & predictions["label"].isin(classes)]
    probability = test[[f"prob_{name}" for name in classes]].to_numpy(np.float64)
    again = evaluate(test["label"], test["predicted"].fillna(""), classes, probability)
    compressed = result.metrics["compressed"]
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "ece", "n_test"):
        assert compressed[name] == pytest.approx(again[name], abs=1e-12)
    assert compressed["bytes"] == len((result.out / ".work" / "weights.bin").read_bytes())
    assert result.metrics["uncompressed"]["bytes"] == 4 * compressed["parameters"]
    assert compressed["bundle_bytes"] <= compressed["bytes"] + 48 * 1024


def test_classify_repeats_the_run(result, predictions, survey_file, tmp_path):
    classify(result.out / "bundle.apz", survey_file, tmp_path / "again.parquet")
    again = pq.read_table(tmp_path / "again.parquet").to_pandas()
    assert again["predicted"].equals(predictions["predicted"])
    columns = [name for name in again.columns if name.startswith("prob_")]
    np.testing.assert_array_equal(again[columns], predictions[columns])
    assert again["rejected_reason"].equals(predictions["rejected_reason"])


def test_classify_needs_no_torch(result, survey_file, tmp_path):
    code = f"""
        import sys
        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "torch":
                    raise ModuleNotFoundError("no torch here", name=name)
        sys.meta_path.insert(0, Absent())
        from astroprep.pipeline.classify import classify
        counts = classify({str(result.out / "bundle.apz")!r}, {str(survey_file)!r},
                          {str(tmp_path / "lean.parquet")!r})
        assert "torch" not in sys.modules
        print(counts.result)
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == result.metrics["counts"]["result"]


def test_the_command_line_classifies_without_what_takes_longest_to_import(
    result, survey_file, tmp_path
):
    """pandas by `pyarrow.array`, pictures and tables by nobody, rich where a table is printed."""
    code = f"""
        import sys
        from astroprep.cli.main import main
        sys.argv = ["astroprep", "classify", {str(result.out / "bundle.apz")!r},
                    {str(survey_file)!r}, "--out", {str(tmp_path / "lean.parquet")!r}]
        try:
            main()
        except SystemExit as end:
            assert not end.code
        heavy = "pandas rich.console scipy.special scipy.stats scipy.optimize sklearn astropy"
        print([name for name in heavy.split() if name in sys.modules])
    """
    words = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{result.metrics['counts']['result']} in the result" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_report_and_features_are_there(result):
    assert "</html>" in (result.out / "report.html").read_text()
    features = pq.read_table(result.out / "features.parquet")
    assert features.num_rows == result.metrics["counts"]["result"]
    assert json.loads((result.out / "metrics.json").read_text()) == result.metrics


def test_permuting_the_catalogues_period_changes_nothing(
    recipe, result, predictions, survey_file, tmp_path, rng
):
    table = pq.read_table(survey_file)
    shuffled = rng.permutation(table["period"].to_numpy())
    i = table.schema.get_field_index("period")
    other = tmp_path / "shuffled.parquet"
    pq.write_table(table.set_column(i, "period", pa.array(shuffled)), other)

    run(recipe, other, tmp_path / "out")

    again = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pandas()
    assert again.equals(predictions)


def test_a_finished_run_is_given_back_and_other_settings_are_not_mixed_in(
    recipe, result, survey_file
):
    begin = time.perf_counter()
    again = run(recipe, survey_file, result.out)
    assert time.perf_counter() - begin < 10
    assert again.metrics == result.metrics
    assert again.counts == result.counts
    with pytest.raises(ConfigError, match="holds a run with other settings; results are not mixed"):
        run(recipe.model_copy(update={"seed": 4}), survey_file, result.out)
    with pytest.raises(ConfigError, match="other settings"):
        run(recipe, survey_file, result.out, RunOptions(prior="estimate"))


def test_another_input_is_not_mixed_in(recipe, result, survey_file, tmp_path):
    changed = tmp_path / "changed.parquet"
    table = pq.read_table(survey_file)
    pq.write_table(table.slice(1), changed)
    with pytest.raises(ConfigError, match="other input"):
        run(recipe, changed, result.out)


@pytest.mark.slow
def test_killed_at_any_write_it_continues_to_the_same_end(
    recipe, result, predictions, survey_file, tmp_path
):
    """SIGKILL just before the n-th file of each process would appear under its name."""
    out = tmp_path / "out"
    code = textwrap.dedent(f"""
        import json, os, signal, sys
        from astroprep.pipeline.recipe import Recipe
        from astroprep.pipeline.run import run
        left = int(sys.argv[1])
        def counted(source, target, replace=os.replace):
            global left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target)
        os.replace = counted
        recipe = Recipe.model_validate(json.loads({json.dumps(recipe.to_dict())!r}))
        run(recipe, {str(survey_file)!r}, {str(out)!r})
    """)
    for write in (1, 3, 6, 5, 8, 7):
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(write)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert not (out / "metrics.json").exists()
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, "0"], check=True)
    assert not [path for path in out.rglob("*") if path.name.endswith(".tmp")]
    again = pq.read_table(out / "predictions.parquet").to_pandas()
    assert again.equals(predictions)
    assert (out / "bundle.apz").read_bytes() == (result.out / "bundle.apz").read_bytes()
    metrics = json.loads((out / "metrics.json").read_text())
    assert {**metrics, "seconds": 0} == {**result.metrics, "seconds": 0}


def test_a_split_column_is_found_in_any_case_and_an_empty_one_divides_nothing(
    recipe, survey_file, tmp_path
):
    table = pq.read_table(survey_file)
    names = ["Split" if name == "split" else name for name in table.schema.names]
    pq.write_table(table.rename_columns(names), tmp_path / "cased.parquet")
    given = run(recipe, tmp_path / "cased.parquet", tmp_path / "cased")
    assert given.metrics["split"]["test"] == (np.array(table["split"]) == "test").sum()
    i = table.schema.get_field_index("split")
    empty = table.set_column(i, "split", pa.nulls(len(table), pa.string()))
    pq.write_table(empty, tmp_path / "empty.parquet")
    divided = run(recipe, tmp_path / "empty.parquet", tmp_path / "empty")
    assert divided.metrics["split"]["test"] > 0


def test_without_test_objects_every_measure_is_there_and_empty(recipe, survey_file, tmp_path):
    table = pq.read_table(survey_file)
    i = table.schema.get_field_index("split")
    whole = table.set_column(i, "split", pa.array(["train"] * len(table)))
    pq.write_table(whole, tmp_path / "train.parquet")
    metrics = run(recipe, tmp_path / "train.parquet", tmp_path / "out").metrics
    assert metrics["compressed"]["n_test"] == 0
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "ece"):
        assert metrics["compressed"][name] is None
    assert "</html>" in (tmp_path / "out" / "report.html").read_text()


def test_a_result_is_no_input(recipe, survey_file, tmp_path):
    source = tmp_path / "features.parquet"
    source.write_bytes(survey_file.read_bytes())
    with pytest.raises(ConfigError, match="is an input too"):
        run(recipe, source, tmp_path, restart=True)
    assert source.read_bytes() == survey_file.read_bytes()


def test_a_catalogue_period_is_used_when_asked_for(recipe, survey_file, tmp_path):
    out = tmp_path / "out"
    given = run(recipe, survey_file, out, RunOptions(period_column="period"))
    table = pq.read_table(out / "predictions.parquet").to_pandas()
    with open_survey(survey_file, ColumnNames(period="period")) as survey:
        catalogue = survey.read().objects["catalogue_period"]
    kept = table["rejected_reason"].isna().to_numpy()
    np.testing.assert_allclose(table["period"][kept], catalogue[kept], rtol=1e-14)
    assert given.metrics["period_source"] == "column"
    bundle = out / "bundle.apz"
    with pytest.raises(ConfigError, match=r"trained with the periods of a catalogue.*--period-col"):
        classify(bundle, survey_file, tmp_path / "p.parquet")
    classify(bundle, survey_file, tmp_path / "p.parquet", period_column="period")
    assert pq.read_table(tmp_path / "p.parquet").to_pandas().equals(table)
    counts = classify(bundle, survey_file, tmp_path / "s.parquet", search_periods=True)
    assert counts.result > 0


@pytest.mark.parametrize("prior", ["estimate", "estimate:0.3"])
def test_estimated_priors_are_kept_in_the_bundle(recipe, survey_file, tmp_path, prior):
    out = tmp_path / "out"
    run(recipe, survey_file, out, RunOptions(prior=prior))
    table = pq.read_table(out / "predictions.parquet").to_pandas()
    classify(out / "bundle.apz", survey_file, tmp_path / "again.parquet")
    assert pq.read_table(tmp_path / "again.parquet").to_pandas().equals(table)


class TestBadInput:
    """One message, and nothing half-written."""

    def one_label(self, survey_file, tmp_path, label):
        with open_survey(survey_file) as survey:
            batch = survey.read()
        path = tmp_path / "one.parquet"
        write_survey(
            path,
            batch.with_columns(objects={"label": np.full(batch.n_curves, label, dtype=object)}),
        )
        return path

    def nothing_written(self, out):
        return not [path for path in out.glob("*") if path.name != ".work"]

    def test_no_labels(self, recipe, survey_file, tmp_path):
        path = self.one_label(survey_file, tmp_path, "")
        with pytest.raises(DataError, match="no object has a label"):
            run(recipe, path, tmp_path / "out")
        assert self.nothing_written(tmp_path / "out")

    def test_one_class_only(self, recipe, survey_file, tmp_path):
        path = self.one_label(survey_file, tmp_path, "RRab")
        with pytest.raises(DataError, match=r"at least two classes, got \['RRab'\]"):
            run(recipe, path, tmp_path / "out")

    def test_all_rejected(self, recipe, survey_file, tmp_path):
        with open_survey(survey_file) as survey:
            batch = survey.read()
        path = tmp_path / "nan.parquet"
        write_survey(path, batch.with_columns(value=np.full(batch.n_points, np.nan)))
        with pytest.raises(DataError, match=r"none survived preparation.*usable points"):
            run(recipe, path, tmp_path / "out")
        assert self.nothing_written(tmp_path / "out")

    def test_empty_file(self, recipe, tmp_path):
        path = tmp_path / "empty.parquet"
        path.touch()
        with pytest.raises(DataError, match="empty file"):
            run(recipe, path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_truncated_file(self, recipe, survey_file, tmp_path):
        path = tmp_path / "cut.parquet"
        path.write_bytes(survey_file.read_bytes()[:-2000])
        with pytest.raises(DataError, match=r"cut\.parquet"):
            run(recipe, path, tmp_path / "out")

    def test_missing_columns(self, recipe, survey_file, tmp_path):
        for option in ("period_column", "label_column", "split_column"):
            with pytest.raises(DataError, match="no column 'nowhere'"):
                run(recipe, survey_file, tmp_path / "out", RunOptions(**{option: "nowhere"}))

    def test_a_recipe_without_folds_or_periods(self, recipe, survey_file, tmp_path):
        bare = recipe.model_copy(update={"steps": recipe.steps[:-1]})
        with pytest.raises(ConfigError, match="add the step FoldedChannels"):
            run(bare, survey_file, tmp_path / "out")
        bare = recipe.model_copy(update={"steps": recipe.steps[:1]})
        with pytest.raises(ConfigError, match="no period step"):
            run(bare, survey_file, tmp_path / "out")

    def test_a_tampered_bundle(self, result, survey_file, tmp_path):
        data = bytearray((result.out / "bundle.apz").read_bytes())
        data[len(data) // 2] ^= 1
        bad = tmp_path / "bad.apz"
        bad.write_bytes(data)
        with pytest.raises(DataError, match=r"bad\.apz"):
            classify(bad, survey_file, tmp_path / "p.parquet")
        assert not (tmp_path / "p.parquet").exists()


def test_a_recipe_of_integers_runs_and_classifies_alike(recipe, result, survey_file, tmp_path):
    """The same network, so the decisions are those of the floats but for near ties."""
    from astroprep.deploy.runtime import Runtime

    tables = {**recipe.to_dict(), "deployment": {"engine": "integer"}}
    whole = run(type(recipe).model_validate(tables), survey_file, tmp_path / "out")

    assert Runtime(whole.out / "bundle.apz").engine == "integer"
    new = tmp_path / "new.parquet"
    classify(whole.out / "bundle.apz", survey_file, new)
    mine, again = (pq.read_table(p).to_pandas() for p in (whole.out / "predictions.parquet", new))
    floats = pq.read_table(result.out / "predictions.parquet").to_pandas()
    assert mine["predicted"].equals(again["predicted"])
    assert (mine["predicted"].fillna("") == floats["predicted"].fillna("")).mean() > 0.9


def test_a_recipe_trains_for_integers(recipe, survey_file, tmp_path):
    """The rounding in place, from the recipe alone; the bundle runs what was trained."""
    from astroprep.deploy.bundle import read_bundle
    from astroprep.deploy.runtime import Runtime

    compression = {**recipe.compression, "n_values": 0, "quantization_aware": True}
    tables = {
        **recipe.to_dict(),
        "compression": {**compression, "quantize_epochs": 2},
        "deployment": {"engine": "integer"},
    }
    whole = run(type(recipe).model_validate(tables), survey_file, tmp_path / "out")

    note = json.loads((whole.out / ".work" / "compressed.json").read_text())
    bundle = read_bundle(whole.out / "bundle.apz")
    assert len(note["histories"]["quantize"]["epochs"]) == 2
    assert bundle.integer.ranges.to_plain() == note["ranges"]  # learned, not calibrated anew
    assert Runtime(bundle).engine == "integer"
    weights = {n: t for n, t in bundle.tensors().items() if n.endswith("weight")}
    assert all(np.unique(t).size <= 255 for t in weights.values())
    new = tmp_path / "new.parquet"
    classify(whole.out / "bundle.apz", survey_file, new)
    mine, again = (pq.read_table(p).to_pandas() for p in (whole.out / "predictions.parquet", new))
    assert mine["predicted"].equals(again["predicted"])
    golden = bundle.golden
    apart = Runtime(bundle).logits(golden.folded, golden.auxiliary) - golden.logits
    assert np.abs(apart).std() < 0.1 * golden.logits.std()  # floats of the same weights
