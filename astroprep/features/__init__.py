"""Numbers that describe a light curve: distributions, trends, harmonic models and folds."""

from astroprep.features.extract import (
    DEFAULT_FEATURES,
    FEATURES,
    GROUPS,
    FeatureExtractor,
    extract_features,
)
from astroprep.features.feature import Feature

__all__ = [
    "DEFAULT_FEATURES",
    "FEATURES",
    "GROUPS",
    "Feature",
    "FeatureExtractor",
    "extract_features",
]
