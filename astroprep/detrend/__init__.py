"""Take slow changes, of the instrument or of the star, out of light curves."""

from typing import TYPE_CHECKING

from astroprep.lazy import lazy_room

if TYPE_CHECKING:
    from astroprep.detrend.cbv import CotrendingCorrection
    from astroprep.detrend.cbv_compute import Ensemble, compute_vectors
    from astroprep.detrend.cbv_files import read_vectors, write_vectors
    from astroprep.detrend.cbv_fit import CotrendingFit
    from astroprep.detrend.cbv_vectors import CotrendingVectors
    from astroprep.detrend.ensemble import EnsembleTrend
    from astroprep.detrend.events import EventTrend, MarkEvents
    from astroprep.detrend.moving import MovingTrend
    from astroprep.detrend.telemetry import TelemetryTrend

__all__ = [
    "CotrendingCorrection",
    "CotrendingFit",
    "CotrendingVectors",
    "Ensemble",
    "EnsembleTrend",
    "EventTrend",
    "MarkEvents",
    "MovingTrend",
    "TelemetryTrend",
    "compute_vectors",
    "read_vectors",
    "write_vectors",
]

lazy_room(__name__)
