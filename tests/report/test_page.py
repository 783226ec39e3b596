"""The pages: whole, self-contained, safe against what files hold, and never a crash."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.report import write_quality_report, write_run_report

VOID = {"meta", "img", "br", "link", "input", "hr"}
HOSTILE = "<script>alert('x')</script>\"'>&{{ 7 * 7 }}"


class Page(HTMLParser):
    """Text by section, attributes and balance of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.sections: dict[str, str] = {}
        self.section = ""
        self.rows = 0
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "section":
            self.section = dict(attrs)["id"] or ""
        self.rows += tag == "tr"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        else:
            self.sections[self.section] = self.sections.get(self.section, "") + data

    def pictures(self) -> list[str]:
        return [value for tag, name, value in self.attributes if (tag, name) == ("img", "alt")]


def page_of(path: Path, arguments: dict[str, Any], **changed: Any) -> Page:
    write_run_report(path / "report.html", **(arguments | changed))
    return Page((path / "report.html").read_text("utf-8"))


def test_every_section_says_its_numbers(tmp_path: Path, a_run: dict[str, Any]) -> None:
    page = page_of(tmp_path, a_run)

    scores = a_run["metrics"]["compressed"]
    headline = page.sections["headline"]
    for key in ("accuracy", "balanced_accuracy", "macro_f1", "ece"):
        assert f"{scores[key]:.3f}" in headline
    for text in ("3.7 kB", "16 times", "59,200", "55 classified + 5 rejected"):
        assert text in headline
    assert f"{scores['per_class']['EW']['recall']:.3f}" in page.sections["classes"]
    assert "has 3 points, needs 20" in page.sections["rejected"]
    assert "2 min 10 s" in page.sections["seconds"]
    assert "2 min 12 s" in page.sections["seconds"]  # all of them
    assert "window = 2.0" in page.sections["recipe"]
    quality = page.sections["quality"]
    for text in ("made up: 60 objects", "twins (3 of 60 objects)", "poor", "star-1, star-2"):
        assert text in quality
    for text in (
        "Confusion matrix of the test objects",
        "Losses and scores of each epoch of training",
        "Balanced accuracy against bytes of the weights",
        "Share of right predictions against confidence",
        "Time from one point to the next",
        "Scatter of the objects against their brightness",
    ):
        assert page.pictures().count(text) == 1
    roles = a_run["examples"].objects["role"]
    assert page.pictures().count("Folded light curve") == roles.size
    mistakes = a_run["examples"].ids[roles == "mistake"]
    assert mistakes.size > 0
    for name in mistakes:
        assert name in page.sections["mistakes"]


def test_page_needs_nothing_else(tmp_path: Path, a_run: dict[str, Any]) -> None:
    page = page_of(tmp_path, a_run)
    text = (tmp_path / "report.html").read_text("utf-8")

    for tag, name, value in page.attributes:
        if name in ("src", "href", "srcset", "action", "data", "poster"):
            assert value.startswith("data:image/" if tag == "img" else "#")
    assert "@import" not in text
    assert "url(" not in text
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?\s*(?:https?:)?//", text)
    assert len(text) < 6e6
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_links_lead_to_sections(tmp_path: Path, a_small_run: dict[str, Any]) -> None:
    page = page_of(tmp_path, a_small_run)
    names = [value for tag, name, value in page.attributes if (tag, name) == ("section", "id")]
    links = [value[1:] for tag, name, value in page.attributes if name == "href"]
    assert links == names


def test_only_our_script_may_run(tmp_path: Path, a_small_run: dict[str, Any]) -> None:
    """The policy names the script by its hash, computed here from the page as parsed."""
    import base64
    import hashlib

    page = page_of(tmp_path, a_small_run)

    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [v for tag, name, v in page.attributes if name == "content" and "default-src" in v]
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_text_from_files_stays_text(
    tmp_path: Path,
    a_run: dict[str, Any],
    predictions: pd.DataFrame,
) -> None:
    examples: LightCurveBatch = a_run["examples"]
    hostile = np.full(examples.n_curves, HOSTILE, object)
    frame = predictions.assign(
        id=HOSTILE,
        label=predictions["label"] + HOSTILE,
        predicted=predictions["predicted"].where(
            predictions["predicted"] == "", predictions["predicted"] + HOSTILE
        ),
        rejected_reason=predictions["rejected_reason"].where(
            predictions["rejected_reason"] == "", HOSTILE
        ),
    ).rename(columns={f"prob_{name}": f"prob_{name}{HOSTILE}" for name in a_run["classes"]})
    quality = a_run["quality"]
    quality["survey"]["name"] = quality["survey"]["time_scale"] = HOSTILE
    quality["conditions"][0]["checks"][0]["text"] = HOSTILE
    quality["redundancy"]["examples"] = [[HOSTILE, HOSTILE]]
    quality["objects"]["unreadable"] = {HOSTILE: 3}
    metrics = {
        name: {**a_run["metrics"][name], "per_class": {HOSTILE: {"n": 3, "recall": 0.5}}}
        for name in ("uncompressed", "compressed")
    }

    page = page_of(
        tmp_path,
        a_run,
        title=HOSTILE,
        recipe_text=HOSTILE,
        seconds={HOSTILE: 1.0},
        predictions=frame,
        metrics=metrics,
        classes=[name + HOSTILE for name in a_run["classes"]],
        examples=examples.with_columns(
            objects={"id": hostile, "label": hostile, "predicted": hostile}
        ),
    )

    text = (tmp_path / "report.html").read_text("utf-8")
    assert "<script>alert" not in text
    assert len(page.scripts) == 1
    for section in ("quality", "classes", "examples", "mistakes", "rejected", "seconds", "recipe"):
        assert HOSTILE in page.sections[section]
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


@pytest.mark.parametrize(
    "name", ["$x_{$", "\ud800", "a\x00b", "\u202eevil", "星", "x" * 100_000, ""]
)
def test_strange_labels_and_ids_are_survived(
    tmp_path: Path, a_small_run: dict[str, Any], predictions: pd.DataFrame, name: str
) -> None:
    frame = predictions.assign(id=name).replace({"label": {"EW": name}, "predicted": {"EW": name}})
    frame = frame.rename(columns={"prob_EW": f"prob_{name}"})
    page_of(tmp_path, a_small_run, predictions=frame, classes=[name, "RRab", "RRc"])
    assert (tmp_path / "report.html").stat().st_size < 3e6


EMPTY: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "no labels": lambda run: {"predictions": run["predictions"].assign(label="")},
    "null labels": lambda run: {"predictions": run["predictions"].assign(label=None, split=None)},
    "no test objects": lambda run: {"predictions": run["predictions"].assign(split="train")},
    "no predictions": lambda run: {"predictions": run["predictions"].iloc[:0]},
    "no columns": lambda run: {"predictions": pd.DataFrame()},
    "all rejected": lambda run: {
        "predictions": run["predictions"].assign(
            predicted="", prob_EW=np.nan, prob_RRab=np.nan, prob_RRc=np.nan, rejected_reason="why"
        ),
        "counts": {"input": 60, "result": 0, "rejected": 60},
    },
    "no classes": lambda run: {"classes": [], "metrics": {}},
    "one class": lambda run: {
        "classes": ["EW"],
        "predictions": run["predictions"]
        .drop(columns=["prob_RRab", "prob_RRc"])
        .assign(label="EW", predicted="EW"),
    },
    "no examples": lambda run: {"examples": LightCurveBatch.from_curves([])},
    "no periods": lambda run: {
        "examples": run["examples"].with_columns(
            objects={"period": np.full(run["examples"].n_curves, np.nan)}
        )
    },
    "bare examples": lambda run: {
        "examples": LightCurveBatch.from_curves([([], [], []), ([1.0], [np.nan], [1.0])])
    },
    "no metrics": lambda run: {"metrics": {}},
    "empty metrics": lambda run: {"metrics": {"uncompressed": {"n_test": 0}, "compressed": {}}},
    "not a number": lambda run: {
        "metrics": {
            "compressed": {"accuracy": float("nan"), "balanced_accuracy": float("nan"), "ece": None}
        }
    },
    "no history": lambda run: {"history": {}},
    "no quality": lambda run: {"quality": {}},
    "no seconds": lambda run: {"seconds": {}, "recipe_text": "", "counts": {}},
    "nothing at all": lambda run: {
        "title": "",
        "recipe_text": "",
        "counts": {},
        "seconds": {},
        "quality": {},
        "metrics": {},
        "predictions": pd.DataFrame(),
        "examples": LightCurveBatch.from_curves([]),
        "history": {},
        "classes": [],
    },
}

SENTENCES = {
    "no labels": ("confusion", "no test object has a label"),
    "no test objects": ("confusion", "no test object has a label"),
    "no examples": ("examples", "No light curve was chosen"),
    "no metrics": ("headline", "No network was measured"),
    "empty metrics": ("headline", "no labelled test objects"),
    "no history": ("training", "no training history"),
    "no quality": ("quality", "was not assessed"),
    "no seconds": ("recipe", "No recipe was given"),
    "nothing at all": ("rejected", "No object was rejected"),
}


@pytest.mark.parametrize("case", EMPTY)
def test_what_is_missing_is_said_in_a_sentence(
    tmp_path: Path, a_small_run: dict[str, Any], case: str
) -> None:
    page = page_of(tmp_path, a_small_run, **EMPTY[case](a_small_run))
    section, sentence = SENTENCES.get(case, ("recipe", ""))
    assert sentence in page.sections[section]


def test_lost_objects_are_not_hidden(tmp_path: Path, a_small_run: dict[str, Any]) -> None:
    page = page_of(tmp_path, a_small_run, counts={"input": 60, "result": 54, "rejected": 5})
    assert "≠" in page.sections["headline"]


def test_many_rejected_are_counted_by_reason_and_listed_in_part(
    tmp_path: Path, a_small_run: dict[str, Any]
) -> None:
    n = 400
    frame = pd.DataFrame(
        {"id": np.arange(n).astype(str), "rejected_reason": [f"has {k} points" for k in range(n)]}
    )
    page = page_of(tmp_path, a_small_run, predictions=frame)
    assert "has … points" in page.sections["rejected"]
    assert "The first 100 of 400" in page.sections["rejected"]
    assert "has 99 points" in page.sections["rejected"]
    assert "has 100 points" not in page.sections["rejected"]


def test_page_stays_small_with_many_curves(
    tmp_path: Path, a_run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astroprep.report.sections.MAX_CURVES", 5)
    page = page_of(tmp_path, a_run)
    n = a_run["examples"].n_curves
    assert page.pictures().count("Folded light curve") == 5
    assert f"{n - 5} further light curves are not drawn" in page.sections["mistakes"]


def test_same_run_gives_the_same_bytes(tmp_path: Path, a_small_run: dict[str, Any]) -> None:
    page_of(tmp_path, a_small_run)
    first = (tmp_path / "report.html").read_bytes()
    page_of(tmp_path, a_small_run)
    assert (tmp_path / "report.html").read_bytes() == first


def test_failed_page_leaves_the_old_one(
    tmp_path: Path, a_small_run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(DataError, match=r"report\.html cannot be written: No space left"):
        write_run_report(path, **a_small_run)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_quality_page_stands_alone(tmp_path: Path, a_run: dict[str, Any]) -> None:
    path = tmp_path / "quality.html"

    write_quality_report(path, a_run["quality"])

    page = Page(path.read_text("utf-8"))
    assert page.sections[""].count("Data quality: made up\n") == 2  # title and headline
    assert "no redundancy" in page.sections["quality"]
    assert "point: sentinel" in page.sections["distributions"]
    assert len(page.pictures()) == 5


@pytest.mark.parametrize(
    "part", ["", "survey", "objects", "points", "errors", "cadence", "brightness"]
)
def test_quality_page_of_whatever_there_is(
    tmp_path: Path, a_run: dict[str, Any], part: str
) -> None:
    for quality in ({part: a_run["quality"].get(part)}, {part: None}):
        write_quality_report(tmp_path / "quality.html", quality)
        Page((tmp_path / "quality.html").read_text("utf-8"))


def test_quality_page_of_a_real_assessment(
    tmp_path: Path, make_batch: Callable[..., LightCurveBatch]
) -> None:
    from astroprep.quality import assess

    for batches in ([make_batch(30, 60)], []):
        write_quality_report(tmp_path / "quality.html", assess(batches).to_dict())
        page = Page((tmp_path / "quality.html").read_text("utf-8"))
        assert "completeness" in page.sections["quality"]
