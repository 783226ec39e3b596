"""Take slow changes, of the instrument or of the star, out of light curves."""

from astroprep.detrend.cbv import CotrendingCorrection
from astroprep.detrend.cbv_compute import Ensemble, compute_vectors
from astroprep.detrend.cbv_files import read_vectors, write_vectors
from astroprep.detrend.cbv_fit import CotrendingFit
from astroprep.detrend.cbv_vectors import CotrendingVectors
from astroprep.detrend.moving import MovingMedian

__all__ = [
    "CotrendingCorrection",
    "CotrendingFit",
    "CotrendingVectors",
    "Ensemble",
    "MovingMedian",
    "compute_vectors",
    "read_vectors",
    "write_vectors",
]
