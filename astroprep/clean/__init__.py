"""Flag what is no measurement, what stands alone; honest errors, bins and smooth curves."""

from astroprep.clean.bands import SelectBand
from astroprep.clean.binning import Bin, BinDown
from astroprep.clean.cluster import ClusterNoise
from astroprep.clean.errors import ErrorRescaler
from astroprep.clean.flags import FlagBad, flag_counts
from astroprep.clean.kept import amplitude_kept, spline_response, window_response
from astroprep.clean.outliers import SigmaClip
from astroprep.clean.short import DropShort
from astroprep.clean.smooth import Smooth

__all__ = [
    "Bin",
    "BinDown",
    "ClusterNoise",
    "DropShort",
    "ErrorRescaler",
    "FlagBad",
    "SelectBand",
    "SigmaClip",
    "Smooth",
    "amplitude_kept",
    "flag_counts",
    "spline_response",
    "window_response",
]
