"""Fewer numbers that say as much: principal components, and the features worth having."""

from astroprep.reduce.components import ComponentFeatures
from astroprep.reduce.correlation import CorrelationClusters, correlation_clusters
from astroprep.reduce.eliminate import SelectionCurve
from astroprep.reduce.importance import PermutationImportance, permutation_importance
from astroprep.reduce.information import MutualInformation, mutual_information
from astroprep.reduce.parallel import ParallelAnalysis, parallel_analysis
from astroprep.reduce.pca import PrincipalComponents, principal_components
from astroprep.reduce.select import Selection, select_features
from astroprep.reduce.selected import SelectFeatures
from astroprep.reduce.table import FeatureTable, as_table

__all__ = [
    "ComponentFeatures",
    "CorrelationClusters",
    "FeatureTable",
    "MutualInformation",
    "ParallelAnalysis",
    "PermutationImportance",
    "PrincipalComponents",
    "SelectFeatures",
    "Selection",
    "SelectionCurve",
    "as_table",
    "correlation_clusters",
    "mutual_information",
    "parallel_analysis",
    "permutation_importance",
    "principal_components",
    "select_features",
]
