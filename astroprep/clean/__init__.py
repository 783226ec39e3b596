"""Flag what is no measurement and what stands alone; set aside what is too short."""

from astroprep.clean.bands import SelectBand
from astroprep.clean.flags import FlagBad, flag_counts
from astroprep.clean.mixture import OutlierMixture
from astroprep.clean.outliers import SigmaClip
from astroprep.clean.short import DropShort

__all__ = ["DropShort", "FlagBad", "OutlierMixture", "SelectBand", "SigmaClip", "flag_counts"]
