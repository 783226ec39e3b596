"""The page of a night: what it says is what the state holds."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from astroprep.deploy.bundle import read_bundle, write_bundle
from astroprep.nightly import NightOptions, open_state, run_night, write_night_page
from astroprep.nightly.page import _last_said, _lists
from astroprep.quality.drift import summarize_measures

BAND = ("ztf_r=V",)
SAID = pa.schema(
    [
        ("object_id", pa.string()),
        ("class", pa.string()),
        ("probability", pa.float64()),
        ("n_points", pa.int64()),
        ("previous_class", pa.string()),
        ("unknown", pa.bool_()),
        ("run", pa.int64()),
    ]
)


def options(folder, **more):
    return NightOptions(**{"night": folder.name, "band_map": BAND, "batch": 25, **more})


@pytest.fixture(scope="module")
def trained(bundle_file, tmp_path_factory):
    """The bundle with a training summary: 500 stars 3 mag brighter than the alerts."""
    from dataclasses import replace

    bundle = read_bundle(bundle_file)
    rng = np.random.default_rng(1)
    summary = summarize_measures(
        {"brightness": rng.normal(12.0, 0.5, 500), "points of an object": np.full(500, 200.0)},
        {"A": 300, "B": 200},
        quantity="mag",
    )
    path = tmp_path_factory.mktemp("trained") / "bundle.apz"
    write_bundle(path, replace(bundle, recipe={**bundle.recipe, "training_summary": summary}))
    return path


@pytest.fixture(scope="module")
def season(nights, trained, tmp_path_factory):
    _, folders = nights(40, 3, visits_per_night=12.0)
    (folders[-1] / "zz.avro").write_bytes(b"rubbish")
    url = str(tmp_path_factory.mktemp("page") / "state")
    results = [
        run_night(url, trained, str(f), options(f, unknown_below=0.36, batch=300)) for f in folders
    ]
    return folders, url, results


def page_of(result, out, url, bundle, chosen):
    path = write_night_page(result, out, state=url, bundle=bundle, options=chosen)
    return path.read_text("utf-8")


def section(page, name):
    return re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)[1]


def test_says_what_the_state_holds(season, trained, tmp_path):
    folders, url, results = season
    result = results[-1]
    page = page_of(result, tmp_path, url, trained, options(folders[-1], unknown_below=0.36))
    c = result.counts
    assert f"{c['received']} alerts = {c['new']} new + {c['duplicate']} duplicate + 1 dead" in page
    assert (
        f"{c['changed']} changed objects = {c['classified']} classified + {c['rejected']} rejected"
        in page
    )
    rows = result.classifications.to_pandas().groupby("object_id")
    last, before = rows.last(skipna=False), rows["previous_class"].first(skipna=False)
    expected = {
        "discoveries": last.index[last["class"].notna() & before.isna() & ~last["unknown"]],
        "changes": last.index[last["class"].notna() & before.notna() & (last["class"] != before)],
        "unknowns": last.index[last["unknown"]],
    }
    assert sum(map(len, expected.values())) > 5
    for name, ids in expected.items():
        part = section(page, name)
        assert set(re.findall(r"<td class=\"text\"><bdi>(ZTF\w+)</bdi>", part)) == set(ids)
        assert part.count('<svg class="curve"') == len(ids)
        assert "None." in part if not len(ids) else f"{len(ids)} of {len(ids)} are shown" in part
    with open_state(url) as state:
        new = state.read("observations", ["run"])["run"].to_pylist()
    n_new = sum(run in result.runs for run in new)
    found = re.findall(r"<tr><td class=\"text\"><bdi>ztf_\w</bdi></td><td data-value=\"(\d+)", page)
    assert sum(map(int, found)) == n_new == c["observations"]
    assert "could not be read" in section(page, "quality")


def test_drift_is_that_of_the_band_that_was_classified(season, trained, tmp_path):
    """Stars of 15.5 to 19 mag against training stars of 12 mag, in magnitudes and in words."""
    folders, url, results = season
    page = page_of(results[-1], tmp_path, url, trained, options(folders[-1]))
    drift = section(page, "drift")
    row = re.search(r"<tr[^>]*><td class=\"text\"><bdi>brightness</bdi>.*?</tr>", drift)[0]
    assert 'class="verdict bad">poor' in row
    values = [float(v) for v in re.findall(r'data-value="([-\d.e]+)"', row)]
    assert values[0] == pytest.approx(12.0, abs=0.2)
    assert 15.5 < values[1] < 18.6
    assert values[3] == pytest.approx(1.0, abs=0.01)  # no star of one survey is in the other


def test_a_bundle_without_a_summary_is_said(season, bundle_file, tmp_path):
    (folder, *_), url = season[0], str(tmp_path / "state")
    result = run_night(url, bundle_file, str(folder), options(folder))
    page = page_of(result, tmp_path, url, bundle_file, options(folder))
    assert "keeps no distributions" in section(page, "drift")


def test_nights_without_objects_or_classes(season, nights, trained, tmp_path):
    folders, url, _ = season
    again = run_night(url, trained, str(folders[0]), options(folders[0]))
    page = page_of(again, tmp_path, url, trained, options(folders[0]))
    assert "0 changed objects = 0 classified + 0 rejected" in page
    assert section(page, "discoveries").count("<tr") == 0
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "one.avro").write_bytes(b"rubbish")
    chosen = options(tmp_path / "empty", survey="ztf")
    fresh = str(tmp_path / "fresh")
    nothing = run_night(fresh, trained, str(tmp_path / "empty"), chosen)
    page = page_of(nothing, tmp_path, fresh, trained, chosen)
    assert "1 alerts = 0 new + 0 duplicate + 1 dead" in page
    _, (folder, *_) = nights(1, 1, visits_per_night=4.0)
    single = run_night(str(tmp_path / "one"), trained, str(folder), options(folder))
    assert (single.counts["changed"], single.counts["classified"]) == (1, 0)
    page = page_of(single, tmp_path, str(tmp_path / "one"), trained, options(folder))
    assert "No object was classified" in page
    assert "Changed objects that were not classified" in page


def test_an_object_of_several_batches_counts_once():
    """It was A before the night, B in its first batch and A again in its second: no change."""
    rows = [
        ("s", "B", 0.9, 30, "A", False, 1),
        ("s", "A", 0.8, 31, "B", False, 2),
        ("t", "A", 0.7, 30, None, False, 1),
        ("t", "B", 0.9, 31, "A", False, 2),
        ("u", None, None, 3, None, False, 2),
    ]
    table = pa.table(list(map(list, zip(*rows, strict=True))), schema=SAID)
    shown, totals = _lists(*_last_said(table))
    assert totals == {"discoveries": 1, "changes": 0, "unknowns": 0}
    assert shown["discoveries"].select(["object_id", "class"]).to_pylist() == [
        {"object_id": "t", "class": "B"}
    ]


def test_lists_are_bounded_and_the_most_confident_come_first():
    n = 300
    p = np.random.default_rng(0).permutation(np.linspace(0.5, 1, n))
    rows = {
        "object_id": [f"o{i:04d}" for i in range(n)],
        "class": ["A"] * n,
        "probability": p,
        "n_points": [20] * n,
        "previous_class": [None] * n,
        "unknown": [False] * n,
        "run": [1] * n,
    }
    shown, totals = _lists(*_last_said(pa.table(rows, schema=SAID)))
    assert totals["discoveries"] == n
    assert shown["discoveries"]["probability"].to_pylist() == sorted(p, reverse=True)[:50]


def test_an_interrupted_night_is_not_faster(season, trained, tmp_path, monkeypatch):
    """Alerts that an earlier call stored are left out of the rate."""
    from astroprep.nightly.products import summary
    from astroprep.nightly.session import NightSession

    folders, _, _ = season
    take, done = NightSession.take, []

    def tired(self, incoming, digest):
        if done:
            raise KeyboardInterrupt
        done.append(incoming.n_received)
        return take(self, incoming, digest)

    monkeypatch.setattr(NightSession, "take", tired)
    url, chosen = str(tmp_path / "state"), options(folders[0], batch=100)
    with pytest.raises(KeyboardInterrupt):
        run_night(url, trained, str(folders[0]), chosen)
    monkeypatch.undo()
    result = run_night(url, trained, str(folders[0]), chosen)
    assert result.n_resumed == done[0] == 100
    timed = result.counts["received"] - 100
    assert summary(result)["cpu_ms_per_alert"] == pytest.approx(
        1e3 * result.cpu_seconds / timed, abs=1e-3
    )
    assert "100 more were stored before an interruption" in page_of(
        result, tmp_path, url, trained, chosen
    )
