"""Fixed-size arrays for the network, and common scales."""

from typing import TYPE_CHECKING

from astroprep.lazy import lazy_room

if TYPE_CHECKING:
    from astroprep.represent.auxiliary import AuxiliaryScale
    from astroprep.represent.dmdt import DmDtImage
    from astroprep.represent.dmdt_pairs import DmDtCounts, dmdt_counts, dmdt_edges
    from astroprep.represent.fold_kernel import ALL_CHANNELS, CHANNELS, fold_channels, fold_curves
    from astroprep.represent.folded import FoldedChannels, FoldLayout
    from astroprep.represent.folded_bins import FoldedBins, bin_folds
    from astroprep.represent.folded_components import FoldedComponents
    from astroprep.represent.normalize import Normalize
    from astroprep.represent.probabilistic_pca import Components, fit_components, posterior

__all__ = [
    "ALL_CHANNELS",
    "CHANNELS",
    "AuxiliaryScale",
    "Components",
    "DmDtCounts",
    "DmDtImage",
    "FoldLayout",
    "FoldedBins",
    "FoldedChannels",
    "FoldedComponents",
    "Normalize",
    "bin_folds",
    "dmdt_counts",
    "dmdt_edges",
    "fit_components",
    "fold_channels",
    "fold_curves",
    "posterior",
]

lazy_room(__name__)
