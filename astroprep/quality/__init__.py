"""How good a survey is, before anything is learned from it."""

from astroprep.quality.assess import QualityReport, assess
from astroprep.quality.conditions import CONDITIONS, Check, Condition, Limits

__all__ = ["CONDITIONS", "Check", "Condition", "Limits", "QualityReport", "assess"]
