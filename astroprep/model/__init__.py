"""The compact cyclic network: its shape, its training, its calibration and its evaluation."""

from astroprep.model.folded_autoencoder import FoldedAutoencoder

__all__ = ["FoldedAutoencoder"]
