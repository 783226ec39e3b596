"""Take slow changes, of the instrument or of the star, out of light curves."""

from astroprep.detrend.events import EventTrend, MarkEvents
from astroprep.detrend.moving import MovingMedian

__all__ = ["EventTrend", "MarkEvents", "MovingMedian"]
