"""Numbers that describe a light curve: distributions, trends, harmonic models and folds."""

from astroprep.features.extract import (
    DEFAULT_FEATURES,
    FEATURES,
    GROUPS,
    FeatureExtractor,
    extract_features,
)
from astroprep.features.feature import Feature
from astroprep.features.random_walk import (
    RandomWalkFit,
    fit_random_walk,
    random_walk_log_likelihood,
    simulate_random_walk,
)
from astroprep.features.structure_function import BinnedStructure, structure_function

__all__ = [
    "DEFAULT_FEATURES",
    "FEATURES",
    "GROUPS",
    "BinnedStructure",
    "Feature",
    "FeatureExtractor",
    "RandomWalkFit",
    "extract_features",
    "fit_random_walk",
    "random_walk_log_likelihood",
    "simulate_random_walk",
    "structure_function",
]
