"""How good a survey is, before anything is learned from it."""

from typing import TYPE_CHECKING

from astroprep.lazy import lazy_room

if TYPE_CHECKING:
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

lazy_room(__name__)
