"""Some hundreds of the mutations that ``benchmarks/inference_fuzz.py`` makes by the thousand."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_mutated_bundles_are_refused_in_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import inference_fuzz

    outcomes = inference_fuzz.fuzz(600, seed=7, watch=False)

    assert sum(count["refused"] for count in outcomes.values()) > 300
    assert {key for count in outcomes.values() for key in count} <= {"refused", "whole"}
