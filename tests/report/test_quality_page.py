"""The page on quality: whole, offline, filterable without a script, safe, and never a crash."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from astroprep.quality import assess
from astroprep.report import write_quality_report
from astroprep.report.quality_details import quality_details
from astroprep.synthetic import simulate_survey

HOSTILE = "<script>alert('x')</script>\"'>&{{ 7 * 7 }}"


@pytest.fixture(scope="module")
def survey():
    return simulate_survey(120, seed=3)


@pytest.fixture(scope="module")
def quality(survey):
    training = assess([survey[:60]]).summary
    other = survey.with_columns(value=survey.value + 2.0 * (survey.value < 90))
    return json.loads(json.dumps(assess([other], training=training).to_dict()))


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def written(tmp_path, quality):
    write_quality_report(tmp_path / "q.html", quality)
    text = (tmp_path / "q.html").read_text("utf-8")
    return text, Page(text)


def test_sections_links_and_pictures(tmp_path, quality, survey):
    about = quality["objects"]["worst"][0]
    text, page = written(tmp_path, {**quality, "curves": [(survey[:1], about)]})
    names = [one["id"] for one in page.all("section")]
    assert names == ["quality", "drift", "nights", "objects", "balance", "distributions"]
    assert [one["href"][1:] for one in page.all("a")] == names
    for picture in page.all("img"):
        assert picture["src"].startswith("data:image/")
        assert len(picture["alt"]) > 20
    alts = " ".join(one["alt"] for one in page.all("img"))
    for words in (
        "Zero point of each night",
        "Population stability",
        "each class, by split",
        "Scatter against brightness",
        f"Light curve of {about['id']}",
        "Error bars",
    ):
        assert words in alts
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?\s*(?:https?:)?//", text)
    assert "url(" not in text
    assert text.index('id="quality"') < text.index('id="nights"')  # verdicts stand on top


def test_rows_can_be_filtered_without_a_script(tmp_path, quality):
    """Every kind of fault has a button, a rule that hides the other rows, and rows."""
    text, page = written(tmp_path, quality)
    buttons = {one["id"] for one in page.all("input") if "id" in one}
    rules = set(re.findall(r"#([\w-]+):checked\) tbody tr:not\(\.kind-(\d+)\)", text))
    assert buttons == {name for name, _ in rules}
    assert all(name.endswith(f"-{kind}") for name, kind in rules)
    kinds = {one["class"] for one in page.all("tr") if "class" in one}
    assert {f"kind-{kind}" for _, kind in rules} <= kinds
    groups = {one["name"] for one in page.all("input")}
    assert sum("checked" in one for one in page.all("input")) == len(groups)


def test_text_from_files_stays_text(tmp_path, quality, survey):
    hostile = copy.deepcopy(quality)
    for row in hostile["objects"]["worst"] + hostile["nights"]["worst"]:
        row["id"] = row["worst_check"] = HOSTILE
    hostile["classes"] = {HOSTILE: {HOSTILE: 3}}
    hostile["rare_classes"] = {HOSTILE: 3}
    hostile["bands"] = {HOSTILE: {"objects": 1, "enough": 1, "points": 4}, "g": {}}
    hostile["drift"]["differences"] = [HOSTILE]
    hostile["drift"]["measures"][0]["name"] = HOSTILE
    one = replace(survey[:1], objects={"id": np.array([HOSTILE], object)})
    hostile["curves"] = [(one, {"id": HOSTILE, "worst_check": HOSTILE})]
    text, page = written(tmp_path, hostile)
    assert "<script>alert" not in text
    assert len(page.all("script")) == 1
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_parts_may_be_missing(tmp_path, quality):
    written(tmp_path, {})
    for name in quality:
        written(tmp_path, {key: value for key, value in quality.items() if key != name})


@pytest.mark.parametrize("wrong", [None, [], {}, "x", 3])
def test_parts_may_be_nonsense(quality, wrong):
    for name in ("nights", "bands", "drift", "classes", "brightness"):
        quality_details({**quality, name: wrong if name != "classes" else {}})
    quality_details({**quality, "nights": {"columns": {"night": [1, 2], "verdict": ["good"]}}})
