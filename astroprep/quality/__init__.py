"""How good a survey is, before anything is learned from it."""

from astroprep.quality.assess import SCHEMA_VERSION, QualityReport, assess
from astroprep.quality.conditions import CONDITIONS, Check, Condition, Limits
from astroprep.quality.drift import Drift, compare, summarize, summarize_measures
from astroprep.quality.objects import ObjectTable

__all__ = [
    "CONDITIONS",
    "SCHEMA_VERSION",
    "Check",
    "Condition",
    "Drift",
    "Limits",
    "ObjectTable",
    "QualityReport",
    "assess",
    "compare",
    "summarize",
    "summarize_measures",
]
