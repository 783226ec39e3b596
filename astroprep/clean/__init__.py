"""Flag what is no measurement and what stands alone; fill what is missing, set aside the short."""

from astroprep.clean.bands import SelectBand
from astroprep.clean.flags import FlagBad, flag_counts
from astroprep.clean.impute import Impute
from astroprep.clean.limits import MarkUpperLimits
from astroprep.clean.missing import DropMissing, KeepMissing, missing_points
from astroprep.clean.outliers import SigmaClip
from astroprep.clean.short import DropShort

__all__ = [
    "DropMissing",
    "DropShort",
    "FlagBad",
    "Impute",
    "KeepMissing",
    "MarkUpperLimits",
    "SelectBand",
    "SigmaClip",
    "flag_counts",
    "missing_points",
]
