"""Fixed-size arrays for the network."""

from astroprep.represent.folded import CHANNELS, FoldedChannels, fold_channels
from astroprep.represent.normalize import AuxiliaryScale

__all__ = ["CHANNELS", "AuxiliaryScale", "FoldedChannels", "fold_channels"]
