"""Flag what is no measurement and what stands alone; set aside what is too short."""

from astroprep.clean.bands import SelectBand
from astroprep.clean.flags import FlagBad, flag_counts
from astroprep.clean.outliers import SigmaClip
from astroprep.clean.short import DropShort
from astroprep.clean.survey_bits import SURVEY_BITS, KeplerFlag, LsstFlag, TessFlag, ZtfFlag
from astroprep.clean.survey_flags import SurveyFlags, describe_flags, pack_flags

__all__ = [
    "SURVEY_BITS",
    "DropShort",
    "FlagBad",
    "KeplerFlag",
    "LsstFlag",
    "SelectBand",
    "SigmaClip",
    "SurveyFlags",
    "TessFlag",
    "ZtfFlag",
    "describe_flags",
    "flag_counts",
    "pack_flags",
]
