"""Clean, fold, describe and classify light curves with a network of a few kilobytes.

The names below are loaded on first use, so that importing the package stays cheap.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "AstroprepError": "errors",
    "ConfigError": "errors",
    "DataError": "errors",
    "LightCurveBatch": "data",
    "Meta": "data",
    "PointFlag": "data",
    "Transformer": "base",
    "Needs": "base",
    "open_survey": "io",
    "simulate_survey": "synthetic",
    "FlagBad": "clean",
    "SigmaClip": "clean",
    "OutlierMixture": "clean",
    "MovingTrend": "detrend",
    "EventTrend": "detrend",
    "PeriodSearch": "period",
    "FeatureExtractor": "features",
    "FoldedChannels": "represent",
    "FireNetClassifier": "model.classifier",
    "read_recipe": "pipeline.recipe",
    "run": "pipeline.run",
    "classify": "pipeline.classify",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'astroprep' has no attribute {name!r}")
    return getattr(importlib.import_module(f"astroprep.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
