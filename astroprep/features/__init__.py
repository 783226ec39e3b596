"""Numbers that describe a light curve: distributions, trends, harmonic models and folds."""

from astroprep.features.catalog import CROSS_FEATURES, DEFAULT_FEATURES, FEATURES, GROUPS
from astroprep.features.extract import extract_features, feature_errors
from astroprep.features.extractor import FeatureExtractor
from astroprep.features.feature import Feature

__all__ = [
    "CROSS_FEATURES",
    "DEFAULT_FEATURES",
    "FEATURES",
    "GROUPS",
    "Feature",
    "FeatureExtractor",
    "extract_features",
    "feature_errors",
]
