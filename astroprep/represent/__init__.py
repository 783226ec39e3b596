"""Fixed-size arrays for the network."""

from astroprep.represent.folded import FoldedChannels, fold_channels

__all__ = ["FoldedChannels", "fold_channels"]
