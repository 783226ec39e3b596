"""The bits of survey flags, which `astroprep.surveys` keeps, under their name in this room."""

from astroprep.surveys.bits import (
    SURVEY_BITS,
    KeplerFlag,
    LsstFlag,
    SurveyBits,
    TessFlag,
    ZtfFlag,
    ZtfInfoBit,
)

__all__ = [
    "SURVEY_BITS",
    "KeplerFlag",
    "LsstFlag",
    "SurveyBits",
    "TessFlag",
    "ZtfFlag",
    "ZtfInfoBit",
]
