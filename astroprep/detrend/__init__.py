"""Take slow changes, of the instrument or of the star, out of light curves."""

from astroprep.detrend.ensemble import EnsembleTrend
from astroprep.detrend.moving import MovingTrend
from astroprep.detrend.telemetry import TelemetryTrend

__all__ = [
    "EnsembleTrend",
    "MovingTrend",
    "TelemetryTrend",
]
