"""Take slow changes, of the instrument or of the star, out of light curves."""

from astroprep.detrend.ensemble import EnsembleTrend
from astroprep.detrend.moving import MovingMedian
from astroprep.detrend.telemetry import TelemetryTrend

__all__ = ["EnsembleTrend", "MovingMedian", "TelemetryTrend"]
