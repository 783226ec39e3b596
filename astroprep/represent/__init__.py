"""Fixed-size arrays for the network, and common scales."""

from astroprep.represent.auxiliary import AuxiliaryScale
from astroprep.represent.folded import CHANNELS, FoldedChannels, fold_channels
from astroprep.represent.normalize import Normalize

__all__ = ["CHANNELS", "AuxiliaryScale", "FoldedChannels", "Normalize", "fold_channels"]
