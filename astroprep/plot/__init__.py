"""One picture, one function: each draws on given or new matplotlib Axes and returns them."""

from astroprep.plot.compression import (
    plot_pareto,
    plot_sparsity,
    plot_ternary,
    plot_weights,
)
from astroprep.plot.features import (
    plot_correlation_map,
    plot_feature_importances,
    plot_feature_space,
    plot_selection_curve,
)
from astroprep.plot.lightcurve import plot_folded, plot_light_curve
from astroprep.plot.match import plot_separations
from astroprep.plot.merge import plot_merged
from astroprep.plot.period import plot_folds, plot_periodogram, plot_window
from astroprep.plot.quality import plot_band_coverage, plot_drift, plot_nights
from astroprep.plot.scores import (
    plot_accuracy_by,
    plot_class_counts,
    plot_confusion,
    plot_reliability,
    plot_size_accuracy,
)
from astroprep.plot.stored import plot_stored
from astroprep.plot.structure import plot_structure_function
from astroprep.plot.survey import (
    plot_error_honesty,
    plot_magnitudes,
    plot_points_per_object,
    plot_sampling,
    plot_scatter,
)
from astroprep.plot.timing import plot_o_minus_c
from astroprep.plot.training import plot_training

__all__ = [
    "plot_accuracy_by",
    "plot_band_coverage",
    "plot_class_counts",
    "plot_confusion",
    "plot_correlation_map",
    "plot_drift",
    "plot_error_honesty",
    "plot_feature_importances",
    "plot_feature_space",
    "plot_folded",
    "plot_folds",
    "plot_light_curve",
    "plot_magnitudes",
    "plot_merged",
    "plot_nights",
    "plot_o_minus_c",
    "plot_pareto",
    "plot_periodogram",
    "plot_points_per_object",
    "plot_reliability",
    "plot_sampling",
    "plot_scatter",
    "plot_selection_curve",
    "plot_separations",
    "plot_size_accuracy",
    "plot_sparsity",
    "plot_stored",
    "plot_structure_function",
    "plot_ternary",
    "plot_training",
    "plot_weights",
    "plot_window",
]
