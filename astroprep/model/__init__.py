"""The compact cyclic network: its shape, its training, its calibration and its evaluation."""

from typing import TYPE_CHECKING

from astroprep.lazy import lazy_room

if TYPE_CHECKING:
    from astroprep.model.conformal import Conformal
    from astroprep.model.folded_autoencoder import FoldedAutoencoder
    from astroprep.model.isotonic import Isotonic
    from astroprep.model.label_map import evaluate_mapped, read_label_map
    from astroprep.model.outputs import Outputs
    from astroprep.model.priors import PriorEstimate, estimate_shares, read_shares
    from astroprep.model.reliability import calibration_error, reliability
    from astroprep.model.scores import accuracy_by, bootstrap_scores, top_k_error
    from astroprep.model.taxonomy import Taxonomy, evaluate_levels
    from astroprep.model.unknown import UnknownScore

__all__ = [
    "Conformal",
    "FoldedAutoencoder",
    "Isotonic",
    "Outputs",
    "PriorEstimate",
    "Taxonomy",
    "UnknownScore",
    "accuracy_by",
    "bootstrap_scores",
    "calibration_error",
    "estimate_shares",
    "evaluate_levels",
    "evaluate_mapped",
    "read_label_map",
    "read_shares",
    "reliability",
    "top_k_error",
]

lazy_room(__name__)
