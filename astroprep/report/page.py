"""Write the pages: one file each, with everything inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from astroprep.data import LightCurveBatch
from astroprep.io.files import replaced
from astroprep.report import answers, sections
from astroprep.report.quality import quality_name, quality_parts
from astroprep.report.quality_details import quality_details

__all__ = ["write_quality_report", "write_run_report", "write_template"]

SECTIONS = (
    ("headline", "Result"),
    ("quality", "Data quality"),
    ("classes", "Classes"),
    ("confusion", "Confusion matrix"),
    ("examples", "Light curves"),
    ("mistakes", "Worst mistakes"),
    ("training", "Training"),
    ("size", "Size"),
    ("calibration", "Calibration"),
    ("answers", "Sets, unknown, shares"),
    ("levels", "Groups of classes"),
    ("depends", "Accuracy by object"),
    ("rejected", "Rejected"),
    ("seconds", "Seconds"),
    ("recipe", "Recipe"),
)


def _script_hash(script: object) -> str:
    """What a content security policy calls a script that it lets run."""
    digest = hashlib.sha256(str(script).encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def write_template(path: str | Path, template: str, **parts: Any) -> None:
    """Fill in a template of this room and write it, whole or not at all."""
    environment = Environment(
        loader=PackageLoader("astroprep.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["script_hash"] = _script_hash
    page = environment.get_template(template).render(version=version("astroprep"), **parts)
    with replaced(path) as temporary:
        # ids may hold halves of surrogate pairs, which no file can
        temporary.write_bytes(page.encode("utf-8", errors="replace"))


def write_quality_report(path: str | Path, quality: Mapping[str, Any]) -> None:
    """Page on the quality of a survey.

    Parameters
    ----------
    path : str or Path
        The HTML file; written whole or not at all.
    quality : mapping
        What `astroprep.quality.assess` found, as its ``to_dict()``. Missing parts are left out.
        Under ``"curves"`` perhaps the worst objects: pairs of a `LightCurveBatch` of one curve
        and the mapping of its row in ``objects.worst``.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    survey = quality_name(quality)
    details = quality_details(quality)
    write_template(
        path,
        "quality.html",
        title=f"Data quality: {survey}" if survey else "Data quality",
        subtitle="",
        sections=(
            ("quality", "Verdicts"),
            *((one.name, one.title) for one in details),
            ("distributions", "Distributions"),
        ),
        quality=quality_parts(quality),
        details=details,
    )


def write_run_report(
    path: str | Path,
    *,
    title: str,
    recipe_text: str,
    counts: Mapping[str, int],
    seconds: Mapping[str, float],
    quality: Mapping[str, Any],
    metrics: Mapping[str, Any],
    predictions: pd.DataFrame,
    examples: LightCurveBatch,
    history: Mapping[str, Any],
    classes: Sequence[str],
) -> None:
    """Page on a run: how good the network is, on what data, and where it errs.

    Parameters
    ----------
    path : str or Path
        The HTML file; written whole or not at all.
    title : str
        Headline.
    recipe_text : str
        The resolved recipe.
    counts : mapping
        ``"input"``, ``"result"``, ``"rejected"``.
    seconds : mapping of stage to float
        How long each took.
    quality : mapping
        See `write_quality_report`.
    metrics : mapping
        Under ``"uncompressed"``, ``"compressed"`` and perhaps ``"teacher"`` what
        `astroprep.model.evaluate.evaluate` gives, with ``"parameters"``, ``"bytes"`` and
        ``"bundle_bytes"``; ``"answers"``, ``"sets"``, ``"unknown"``, ``"levels"``,
        ``"depends"`` of `astroprep.pipeline.measures`. Every key may be missing.
    predictions : pandas.DataFrame
        One row an object of the input: ``id``, ``label``, ``predicted``, ``prob_<label>``...,
        ``rejected_reason``, and ``role`` or ``split`` (see `choose_examples`).
    examples : LightCurveBatch
        Curves to draw, with the columns ``label``, ``predicted``, ``confidence``, ``period`` and
        ``role`` (``"class"`` or ``"mistake"``).
    history : mapping
        See `astroprep.plot.plot_training`.
    classes : sequence of str
        Labels that the network knows.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    networks = sections.networks_of(metrics)
    drawn, not_drawn = sections.example_curves(examples)
    groups: dict[str, list[sections.Example]] = {}
    for role, one in drawn:
        if role != "mistake":
            groups.setdefault(one.predicted, []).append(one)
    write_template(
        path,
        "run.html",
        title=title,
        subtitle=sections.subtitle(counts, classes),
        sections=SECTIONS,
        cards=sections.cards(counts, networks),
        headline=sections.headline(networks),
        quality=quality_parts(quality),
        class_counts=sections.class_counts(predictions),
        per_class=sections.class_table(networks),
        confusion=sections.confusion(predictions, classes),
        example_groups=[{"name": name, "curves": curves} for name, curves in groups.items()],
        mistakes=[one for role, one in drawn if role == "mistake"],
        not_drawn=not_drawn,
        training=sections.training(history),
        size=sections.size_against_accuracy(networks),
        reliability=sections.reliability(predictions),
        answers=answers.answers(metrics),
        levels=answers.levels(metrics),
        depends=answers.depends(metrics),
        rejected=sections.rejected_objects(predictions, counts),
        seconds=sections.stage_times(seconds),
        recipe_text=recipe_text,
    )
