"""The folder of a run: one at a time, never mixed, never half-written."""

from __future__ import annotations

import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.pipeline.resume import RunFolder, fingerprint_of

PRINT = {"code": "a", "settings": "b", "input": "c"}


def test_what_is_done_stays_done(tmp_path):
    with RunFolder(tmp_path / "out", PRINT) as folder:
        with folder.stage("one"):
            folder.put_json("x.json", {"a": 1})
        with folder.stage("two-1", part_of="two"):
            pass
    with RunFolder(tmp_path / "out", PRINT) as folder:
        assert folder.begun
        assert folder.is_done("one")
        assert folder.is_done("two-1")
        assert not folder.is_done("two")
        assert set(folder.seconds) == {"one", "two"}
        assert folder.get_json("x.json") == {"a": 1}


def test_a_failed_stage_is_not_done(tmp_path):
    with RunFolder(tmp_path, PRINT) as folder:
        with pytest.raises(ZeroDivisionError), folder.stage("one"):
            _ = 1 / 0
        assert not folder.is_done("one")


@pytest.mark.parametrize("name", ["code", "settings", "input"])
def test_what_differs_is_named(tmp_path, name):
    with RunFolder(tmp_path, PRINT):
        pass
    with pytest.raises(ConfigError, match=f"other {name}; results are not mixed"):
        RunFolder(tmp_path, {**PRINT, name: "z"})
    with RunFolder(tmp_path, {**PRINT, name: "z"}, restart=True) as folder:
        assert not folder.begun


def test_two_runs_do_not_share_a_folder(tmp_path):
    with RunFolder(tmp_path, PRINT), pytest.raises(ConfigError, match="another run works"):
        RunFolder(tmp_path, PRINT)


def test_a_damaged_ledger_and_lost_results_are_said(tmp_path):
    with RunFolder(tmp_path, PRINT) as folder, pytest.raises(DataError, match="missing or damaged"):
        folder.get_json("none.json")
    (tmp_path / ".work" / "ledger.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged; pass --restart"):
        RunFolder(tmp_path, PRINT)


def test_trainings_of_a_stage_that_is_done_go_and_others_stay(tmp_path):
    with RunFolder(tmp_path, PRINT) as folder:
        with folder.stage("teach"):
            pass
        for stage in ("teach", "train"):
            folder.trainings(stage).mkdir()
            (folder.trainings(stage) / "0-0.pt").write_bytes(b"x")
    with RunFolder(tmp_path, PRINT) as folder:
        assert not folder.trainings("teach").exists()
        assert (folder.trainings("train") / "0-0.pt").exists()


def test_leftovers_of_a_killed_process_go_and_other_files_stay(tmp_path):
    (tmp_path / ".work").mkdir()
    mine = [".predictions.parquet.17.tmp", ".bundle.apz.18.tmp", ".work/.network.pt.17.tmp"]
    for name in (*mine, ".notes.tmp", "survey.parquet"):
        (tmp_path / name).touch()
    with RunFolder(tmp_path, PRINT):
        left = {path.name for path in tmp_path.iterdir()}
    assert left == {".work", ".notes.tmp", "survey.parquet"}
    assert {path.name for path in (tmp_path / ".work").iterdir()} == {"lock", "ledger.json"}


def test_damaged_results_are_made_again(tmp_path):
    with RunFolder(tmp_path, PRINT) as folder:
        for name in ("train", "evaluate"):
            with folder.stage(name):
                pass
        (tmp_path / "metrics.json").write_text("{}")
        folder.seal()
    with RunFolder(tmp_path, PRINT) as folder:
        assert folder.is_done("evaluate")
    (tmp_path / "metrics.json").unlink()
    with RunFolder(tmp_path, PRINT) as folder:
        assert folder.is_done("train")
        assert not folder.is_done("evaluate")


def test_an_early_mistake_leaves_no_folder(tmp_path):
    with pytest.raises(DataError), RunFolder(tmp_path / "out", PRINT):
        raise DataError("no labels")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write there"):
        RunFolder(tmp_path / "file", PRINT)


def test_the_fingerprint_tells_settings_and_input_apart(tmp_path):
    path = tmp_path / "a"
    path.write_text("1")
    first = fingerprint_of({"x": 1}, path)
    assert fingerprint_of({"x": 1}, path) == first
    assert fingerprint_of({"x": 2}, path)["settings"] != first["settings"]
    path.write_text("2")
    assert fingerprint_of({"x": 1}, path)["input"] != first["input"]
