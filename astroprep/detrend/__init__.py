"""Take slow changes, of the instrument or of the star, out of light curves."""

from astroprep.detrend.moving import MovingTrend

__all__ = ["MovingTrend"]
