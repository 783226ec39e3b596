"""Numbers that describe a light curve: distributions, trends, harmonic models and folds."""

from typing import TYPE_CHECKING

from astroprep.lazy import lazy_room

if TYPE_CHECKING:
    from astroprep.features.catalog import CROSS_FEATURES, DEFAULT_FEATURES, FEATURES, GROUPS
    from astroprep.features.extract import extract_features, feature_errors
    from astroprep.features.extractor import FeatureExtractor
    from astroprep.features.feature import Feature
    from astroprep.features.power_law import PowerLawFit, fit_power_law
    from astroprep.features.random_walk import (
        RandomWalkFit,
        fit_random_walk,
        random_walk_log_likelihood,
        simulate_random_walk,
    )
    from astroprep.features.stochastic import StructureFunction
    from astroprep.features.structure_function import (
        DEFAULT_LAGS,
        BinnedStructure,
        structure_function,
    )

__all__ = [
    "CROSS_FEATURES",
    "DEFAULT_FEATURES",
    "DEFAULT_LAGS",
    "FEATURES",
    "GROUPS",
    "BinnedStructure",
    "Feature",
    "FeatureExtractor",
    "PowerLawFit",
    "RandomWalkFit",
    "StructureFunction",
    "extract_features",
    "feature_errors",
    "fit_power_law",
    "fit_random_walk",
    "random_walk_log_likelihood",
    "simulate_random_walk",
    "structure_function",
]

lazy_room(__name__)
