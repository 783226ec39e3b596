"""Who learns and who measures: twins together, given splits obeyed."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import DataError
from astroprep.pipeline.recipe import SplitTable
from astroprep.pipeline.split import assign_roles


def survey(n=400, twins_of=()):
    """Two classes; object `a` and object `b` of each pair are 3 arcseconds apart."""
    ra, dec = np.linspace(0, 350, n), np.linspace(-60, 60, n)
    for a, b in twins_of:
        ra[b], dec[b] = ra[a], dec[a] + 3 / 3600
    return {
        "id": np.array([f"s{i}" for i in range(n)], dtype=object),
        "ra": ra,
        "dec": dec,
        "label": np.array(["A", "B", "B", "B"] * (n // 4), dtype=object),
        "split": np.full(n, "", dtype=object),
    }


def test_shares_hold_class_by_class():
    objects = survey()
    roles = assign_roles(objects, SplitTable(test=0.25, validation=0.2), 1, given=False)
    for name, n in (("A", 100), ("B", 300)):
        mine = roles.role[objects["label"] == name]
        assert (mine == "test").sum() == n // 4
        assert (mine == "validation").sum() == round(0.2 * 0.75 * n)
    assert roles.classes == ["A", "B"]


def test_twins_never_cross():
    pairs = [(4 * i, 4 * i + 200) for i in range(40)]
    objects = survey(twins_of=pairs)
    for seed in range(5):
        role = assign_roles(objects, SplitTable(), seed, given=False).role
        assert all(role[a] == role[b] for a, b in pairs)


def test_a_given_split_is_obeyed_and_its_crossing_train_twins_only_predicted():
    objects = survey(twins_of=[(0, 1), (4, 5)])
    objects["split"][:] = np.where(np.arange(400) % 2 == 0, "train", "test")
    objects["split"][8:12] = ["", "spare", "", ""]
    objects["label"][12] = ""
    roles = assign_roles(objects, SplitTable(), 1, given=True)
    assert roles.notes["train_twins_of_test"] == 2
    assert roles.role[[0, 4]].tolist() == ["", ""]
    assert roles.role[[1, 5]].tolist() == ["test", "test"]
    assert roles.role[8:13].tolist() == [""] * 5
    assert set(roles.role[14::2]) == {"train", "validation"}


def test_labels_that_appear_only_in_test_are_not_scored():
    objects = survey()
    objects["split"][:] = np.where(np.arange(400) % 4 < 2, "train", "test")
    objects["label"][3] = "C"
    roles = assign_roles(objects, SplitTable(), 1, given=True)
    assert roles.classes == ["A", "B"]
    assert roles.notes["test_of_unknown_class"] == 1
    assert roles.role[3] == ""


def test_a_large_survey_is_sampled_and_rare_classes_kept_whole():
    objects = survey(n=4000)
    objects["label"][:] = "B"
    objects["label"][:40] = "A"
    roles = assign_roles(objects, SplitTable(test=0.5, max_train=300), 1, given=False)
    learning = np.isin(roles.role, ("train", "validation"))
    assert learning.sum() <= 300
    assert (learning & (objects["label"] == "A")).sum() == 20


def test_a_code_for_no_declination_is_not_a_place(caplog):
    objects = survey()
    objects["dec"][[3, 7]] = 99.0, -999.0
    role = assign_roles(objects, SplitTable(), 1, given=False).role
    assert (role != "").all()
    assert "2 declinations beyond 90 degrees" in caplog.text


def test_without_test_objects_it_is_said(caplog):
    objects = survey()
    objects["split"][:] = "train"
    assert set(assign_roles(objects, SplitTable(), 1, given=True).role) == {"train", "validation"}
    assert "no object is left to test with" in caplog.text


def test_nothing_to_learn_is_said():
    objects = survey()
    objects["split"][:100] = "Train"
    with pytest.raises(DataError, match=r"got none with split 'train'; .* 300 x '', 100 x 'Train'"):
        assign_roles(objects, SplitTable(), 1, given=True)
    objects["label"][:] = ""
    with pytest.raises(DataError, match="no object has a label"):
        assign_roles(objects, SplitTable(), 1, given=False)


def test_a_class_whose_name_would_be_two_in_a_set_is_refused():
    objects = survey()
    objects["label"][objects["label"] == "A"] = "A|B"
    with pytest.raises(DataError, match=r"class 'A\|B' contains '\|'.*rename"):
        assign_roles(objects, SplitTable(), 1, given=False)


def test_the_published_split_loses_its_crossing_twins(data_dir):
    import pandas as pd

    table = pd.read_parquet(
        data_dir / "crts_south.parquet", columns=["id", "ra", "dec", "label", "split"]
    ).fillna({"split": ""})
    objects = {name: table[name].to_numpy() for name in table.columns}
    roles = assign_roles(objects, SplitTable(), 1, given=True)
    assert roles.notes == {"train_twins_of_test": 24, "test_of_unknown_class": 0}
    assert (roles.role == "test").sum() == 21242
    assert len(roles.classes) == 11
