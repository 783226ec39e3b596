"""Fewer numbers that say the same: light curves stored as models."""

from typing import TYPE_CHECKING

from astroprep.lazy import lazy_room

if TYPE_CHECKING:
    from astroprep.reduce.components import ComponentFeatures
    from astroprep.reduce.correlation import CorrelationClusters, correlation_clusters
    from astroprep.reduce.eliminate import SelectionCurve
    from astroprep.reduce.importance import PermutationImportance, permutation_importance
    from astroprep.reduce.information import MutualInformation, mutual_information
    from astroprep.reduce.models import HarmonicModel, SplineModel, StructureFunctionModel
    from astroprep.reduce.numerosity import compress_curves
    from astroprep.reduce.parallel import ParallelAnalysis, parallel_analysis
    from astroprep.reduce.pca import PrincipalComponents, principal_components
    from astroprep.reduce.select import Selection, select_features
    from astroprep.reduce.selected import SelectFeatures
    from astroprep.reduce.stored import StoredCurves
    from astroprep.reduce.table import FeatureTable, as_table

__all__ = [
    "ComponentFeatures",
    "CorrelationClusters",
    "FeatureTable",
    "HarmonicModel",
    "MutualInformation",
    "ParallelAnalysis",
    "PermutationImportance",
    "PrincipalComponents",
    "SelectFeatures",
    "Selection",
    "SelectionCurve",
    "SplineModel",
    "StoredCurves",
    "StructureFunctionModel",
    "as_table",
    "compress_curves",
    "correlation_clusters",
    "mutual_information",
    "parallel_analysis",
    "permutation_importance",
    "principal_components",
    "select_features",
]

lazy_room(__name__)
