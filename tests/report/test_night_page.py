"""The page of a night: bounded, escaped, honest about what is not shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.report import write_night_report
from astroprep.report.curve import BOTTOM, LEFT, MAX_POINTS, RIGHT, TOP, curve_svg
from tests.report.test_browser import browse

COUNTS = (
    *("received", "new", "duplicate", "dead", "limits", "observations", "withdrawn", "changed"),
    *("classified", "rejected", "by_features", "class_changes", "unknown", "searched", "verified"),
)
HOSTILE = ("<script>alert(1)</script>", "x" * 10_000, "a\0b\x1b[31m\u202e", "\"'><img src=x>", "")


def a_night(
    ids: tuple[str, ...] = ("star-1", "star-2", "star-3"), **changed: Any
) -> dict[str, Any]:
    """Arguments of `write_night_report`; every object is in the list of discoveries."""
    n, rng = len(ids), np.random.default_rng(2)
    time = np.sort(rng.uniform(0, 30, (n, 40)), axis=1)
    curves = LightCurveBatch.from_curves(
        [(t, 15 + np.sin(2 * np.pi * t / 0.5), np.full(40, 0.02)) for t in time],
        ids=list(ids),
        meta=Meta(quantity="mag"),
    )
    objects = pd.DataFrame(
        {
            "list": ["discoveries"] * n,
            "object_id": list(ids),
            "class": [("RRab", "EW")[i % 2] for i in range(n)],
            "previous_class": [""] * n,
            "probability": np.linspace(0.9, 0.6, n),
            "period": np.where(np.arange(n) % 3 == 2, np.nan, 0.5),
            "n_points": [40] * n,
            "ra": np.linspace(10.0, 20.0, n),
            "dec": np.linspace(-5.0, 5.0, n),
        }
    )
    night = {
        "title": "Night 2026-11-30",
        "about": "ztf",
        "counts": {**dict.fromkeys(COUNTS, 0), "received": 5, "new": 4, "dead": 1, "changed": n}
        | {"classified": n},
        "seconds": 2.0,
        "cpu_seconds": 1.0,
        "n_timed": 5,
        "points": pd.DataFrame({"band": ["ztf_r"], "observations": [4]}),
        "flags": {"survey": 2},
        "dead": {"ends after 10 bytes": 1, "ends after 12 bytes": 2},
        "rejected": {},
        "classes": {"RRab": 2, "EW": 1},
        "training_classes": {"RRab": 10, "EW": 30},
        "drift": {},
        "drift_note": "nothing to compare",
        "objects": objects,
        "totals": {"discoveries": 1234},
        "curves": curves,
    }
    return night | changed


def text_of(path: Path, night: dict[str, Any]) -> str:
    write_night_report(path / "night.html", **night)
    return (path / "night.html").read_text("utf-8")


def test_says_how_many_are_shown_and_counts_like_reasons_together(tmp_path: Path) -> None:
    page = text_of(tmp_path, a_night())
    assert "3 of 1,234 are shown" in page
    assert "5 alerts = 4 new + 0 duplicate + 1 dead" in page
    assert "does not add up" not in page
    assert re.search(r"ends after … bytes</bdi></td><td data-value=\"3.0\"", page)
    assert page.count('<svg class="curve"') == 3
    assert page.count("<title>Folded light curve, 40 points</title>") == 2


def test_an_equation_that_does_not_hold_is_marked(tmp_path: Path) -> None:
    night = a_night()
    page = text_of(tmp_path, night | {"counts": night["counts"] | {"new": 3}})
    assert '<p class="verdict bad">5 alerts = 3 new + 0 duplicate + 1 dead: does not add up' in page


def test_hostile_names_are_text_and_short(tmp_path: Path) -> None:
    night = a_night(HOSTILE, dead=dict.fromkeys(HOSTILE, 1), classes={HOSTILE[0]: 1})
    night["objects"]["class"] = HOSTILE[0]
    page = text_of(tmp_path, night)
    assert page.count("<script") == 1
    assert "<img src=x" not in page
    assert "x" * 300 not in page
    assert not re.search(r"[\0\x1b\u202e]", page)
    assert page.count('<svg class="curve"') == len(HOSTILE)


@pytest.mark.parametrize("n", [0, 1])
def test_nights_of_few_objects(tmp_path: Path, n: int) -> None:
    night = a_night(("only",), totals={"discoveries": n})
    if not n:
        night |= {
            "objects": night["objects"][:0], "curves": None, "classes": {}, "flags": {},
            "points": pd.DataFrame({"band": []}), "dead": {},
        }  # fmt: skip
    page = text_of(tmp_path, night)
    assert ("No object was classified" in page) == (n == 0)
    assert page.count('<svg class="curve"') == n


def marks(svg: str) -> np.ndarray:
    """Dots of a picture, in pixels."""
    return np.array(re.findall(r"M(\d+) (\d+)h0", svg), float).reshape(-1, 2)


def test_dots_stand_where_the_points_are() -> None:
    """Analytic: a straight rise through one period, drawn twice, bright (small) above."""
    phase = np.linspace(0, 0.99, 50)
    svg = curve_svg(phase * 2.0, 10 + phase, np.zeros(50), 2.0, downwards=True)
    x, y = marks(svg).T
    np.testing.assert_allclose(x[:50], LEFT + phase / 2 * (RIGHT - LEFT), atol=0.51)
    np.testing.assert_allclose(x[50:] - x[:50], (RIGHT - LEFT) / 2, atol=1)
    slope = np.polyfit(phase, y[:50], 1)[0]
    low, high = np.percentile(10 + phase, [1, 99])
    assert slope == pytest.approx((BOTTOM - TOP) / (1.7 * (high - low)), rel=0.01)
    flipped = marks(curve_svg(phase * 2.0, 10 + phase, np.zeros(50), 2.0, downwards=False))
    np.testing.assert_allclose(flipped[:, 1] + y, TOP + BOTTOM, atol=1)


def test_pictures_are_bounded_and_say_what_they_leave_out() -> None:
    rng = np.random.default_rng(0)
    time, value = np.arange(100_000.0), rng.normal(size=100_000)
    value[0] = 1e6
    svg = curve_svg(time, value, np.ones(time.size), 1.7, downwards=False)
    assert len(svg) < 12_000
    assert len(marks(svg)) == 2 * (MAX_POINTS - int(re.search(r"(\d+) beyond", svg)[1]))  # type: ignore[index]
    assert f"100000 points, {MAX_POINTS} drawn" in svg
    assert "1 beyond the frame" in svg


@pytest.mark.parametrize("period", [np.nan, np.inf, 0.0, -1.0])
def test_without_a_period_points_stand_against_time(period: float) -> None:
    svg = curve_svg(np.array([5.0, 7.0]), np.ones(2), np.zeros(2), period, downwards=False)
    assert marks(svg)[:, 0].tolist() == [LEFT, RIGHT]
    assert "time [d]" in svg
    assert curve_svg(*[np.empty(0)] * 3, period, downwards=False) == ""
    one = curve_svg(np.ones(1), np.ones(1), np.zeros(1), period, downwards=False)
    assert len(marks(one)) == 1


DRIVER = """
const table = document.getElementById("discoveries-table");
const names = () => Array.from(table.tBodies[0].rows)
  .filter(row => row.offsetParent !== null).map(row => row.cells[0].textContent).join(" ");
const filter = document.querySelector("[data-filters=discoveries-table]");
const set = (name, value) => {
  filter.querySelector(name).value = value;
  filter.querySelector(name).dispatchEvent(new Event("input", {bubbles: true}));
};
const steps = [names()];
table.querySelectorAll("th")[3].click(); table.querySelectorAll("th")[3].click();
steps.push(names());
set("select", "EW"); steps.push(names()); steps.push(filter.querySelector("output").textContent);
set("select", ""); set("input", "STAR-3"); steps.push(names());
set("input", "");
const seen = table.querySelector("svg.curve").getBoundingClientRect();
steps.push(seen.width > 200 && seen.height > 100 ? "seen" : "not seen");
document.body.dataset.steps = steps.join("|");
"""


@pytest.mark.slow
def test_sorts_filters_and_shows_pictures_in_a_browser(tmp_path: Path) -> None:
    """The page's own script under its own policy, which lets in one more script: the driver."""
    from astroprep.report.page import _script_hash

    page = text_of(tmp_path, a_night())
    page = page.replace("script-src '", f"script-src '{_script_hash(DRIVER)}' '")
    page = page.replace("</body>", f"<script>{DRIVER}</script></body>")
    (tmp_path / "driven.html").write_text(page)
    for path in (tmp_path / "night.html", tmp_path / "driven.html"):
        seen = browse(path, tmp_path / "profile")
        assert seen.returncode == 0
        assert [line for line in seen.stderr.splitlines() if "CONSOLE" in line] == []
    steps = re.search(r'data-steps="([^"]*)"', seen.stdout)
    assert steps is not None
    assert steps[1].split("|") == [
        "star-1 star-2 star-3",
        "star-3 star-2 star-1",
        "star-2",
        "1 of 3 rows",
        "star-3",
        "seen",
    ]


@pytest.mark.slow
def test_a_hostile_page_runs_nothing_in_a_browser(tmp_path: Path) -> None:
    write_night_report(tmp_path / "night.html", **a_night(HOSTILE))
    seen = browse(tmp_path / "night.html", tmp_path / "profile")
    assert [line for line in seen.stderr.splitlines() if "CONSOLE" in line] == []
    assert seen.stdout.count("<script") == 1
