"""Flag, mark, weigh, fill and smooth points; set aside what is too short."""

from typing import TYPE_CHECKING

from astroprep.lazy import lazy_room

if TYPE_CHECKING:
    from astroprep.clean.bands import SelectBand
    from astroprep.clean.binning import Bin, BinDown
    from astroprep.clean.cluster import ClusterNoise
    from astroprep.clean.errors import ErrorRescaler
    from astroprep.clean.flags import FlagBad, flag_counts
    from astroprep.clean.impute import Impute
    from astroprep.clean.kept import amplitude_kept, spline_response, window_response
    from astroprep.clean.limits import MarkUpperLimits
    from astroprep.clean.missing import DropMissing, KeepMissing, missing_points
    from astroprep.clean.mixture import OutlierMixture
    from astroprep.clean.outliers import SigmaClip
    from astroprep.clean.quantity import ToFlux, ToMagnitude
    from astroprep.clean.short import DropShort
    from astroprep.clean.smooth import Smooth
    from astroprep.clean.survey_bits import SURVEY_BITS, KeplerFlag, LsstFlag, TessFlag, ZtfFlag
    from astroprep.clean.survey_flags import SurveyFlags, describe_flags, pack_flags

__all__ = [
    "SURVEY_BITS",
    "Bin",
    "BinDown",
    "ClusterNoise",
    "DropMissing",
    "DropShort",
    "ErrorRescaler",
    "FlagBad",
    "Impute",
    "KeepMissing",
    "KeplerFlag",
    "LsstFlag",
    "MarkUpperLimits",
    "OutlierMixture",
    "SelectBand",
    "SigmaClip",
    "Smooth",
    "SurveyFlags",
    "TessFlag",
    "ToFlux",
    "ToMagnitude",
    "ZtfFlag",
    "amplitude_kept",
    "describe_flags",
    "flag_counts",
    "missing_points",
    "pack_flags",
    "spline_response",
    "window_response",
]

lazy_room(__name__)
