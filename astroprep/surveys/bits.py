"""What each bit of a survey's own quality flags means, and which of them spoil a point.

Every survey has two masks. `default` holds what makes a measurement wrong whatever the star does.
Bits that a pipeline sets because a point *stands out* (cosmic rays, impulsive outliers) are never
in it: they hit flares, and eclipses in short cadence, as well. `hard`, for work on quiet stars, has
the cosmic rays, the impulsive outliers of TESS, and what merely makes a point noisier.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "SURVEY_BITS",
    "Asas3Grade",
    "AsasSnFlag",
    "CrtsFlag",
    "GaiaFlag",
    "KeplerFlag",
    "LsstFlag",
    "SurveyBits",
    "TessFlag",
    "ZtfAlertFlag",
    "ZtfFlag",
    "ZtfInfoBit",
]


class KeplerFlag(enum.IntFlag):
    """Bits of SAP_QUALITY of Kepler and K2.

    References
    ----------
    .. [1] Thompson et al. 2016, Kepler Archive Manual, KDMC-10008-006, table 2-3
    .. [2] Mighell & Van Cleve 2020, K2 Handbook, KSCI-19116-003 (the thruster bits)
    """

    ATTITUDE_TWEAK = 1 << 0
    SAFE_MODE = 1 << 1
    COARSE_POINT = 1 << 2
    EARTH_POINT = 1 << 3
    ZERO_CROSSING = 1 << 4
    DESATURATION = 1 << 5
    ARGABRIGHTENING = 1 << 6
    COSMIC_RAY = 1 << 7
    MANUAL_EXCLUDE = 1 << 8
    SENSITIVITY_DROPOUT = 1 << 10
    IMPULSIVE_OUTLIER = 1 << 11
    ARGABRIGHTENING_ON_CHANNEL = 1 << 12
    COLLATERAL_COSMIC_RAY = 1 << 13
    DETECTOR_ANOMALY = 1 << 14
    NO_FINE_POINT = 1 << 15
    NO_DATA = 1 << 16
    ROLLING_BAND_IN_APERTURE = 1 << 17
    ROLLING_BAND = 1 << 18
    POSSIBLE_THRUSTER_FIRING = 1 << 19
    THRUSTER_FIRING = 1 << 20


class TessFlag(enum.IntFlag):
    """Bits of QUALITY of TESS.

    References
    ----------
    .. [1] Tenenbaum & Jenkins 2018, TESS Science Data Products Description Document,
       EXP-TESS-ARC-ICD-0014, table of data quality flags; later bits from the data release notes
    """

    ATTITUDE_TWEAK = 1 << 0
    SAFE_MODE = 1 << 1
    COARSE_POINT = 1 << 2
    EARTH_POINT = 1 << 3
    ARGABRIGHTENING = 1 << 4
    MOMENTUM_DUMP = 1 << 5
    COSMIC_RAY = 1 << 6
    MANUAL_EXCLUDE = 1 << 7
    DISCONTINUITY = 1 << 8
    IMPULSIVE_OUTLIER = 1 << 9
    COLLATERAL_COSMIC_RAY = 1 << 10
    STRAY_LIGHT = 1 << 11
    SCATTERED_LIGHT = 1 << 12
    PLANET_SEARCH_EXCLUDE = 1 << 13
    BAD_CALIBRATION = 1 << 14
    TOO_FEW_TARGETS = 1 << 15


class ZtfFlag(enum.IntFlag):
    """Bits of ``catflags`` in ZTF light curves that the releases explain.

    The lower fifteen are of the single extraction; the releases advise ``catflags < 32768``
    for usable and ``catflags == 0`` for perfectly clean epochs.

    References
    ----------
    .. [1] ZTF public data releases, section "Quality filtering of epochs in lightcurves"
    .. [2] Masci et al. 2019, PASP 131, 018003, doi:10.1088/1538-3873/aae8ac
    """

    EXTRACTION = (1 << 15) - 1
    MOON_OR_CLOUDS = 1 << 15


class ZtfInfoBit(enum.IntFlag):
    """The bit of ``infobits`` of ZTF images and forced photometry that spoils an image.

    References
    ----------
    .. [1] ZTF public data releases, "Quality filtering of single-exposure file products":
       usable images have ``infobits < 33554432``
    .. [2] Masci et al. 2023, arXiv:2305.16279 (forced photometry)
    """

    BAD_IMAGE = 1 << 25


class ZtfAlertFlag(enum.IntFlag):
    """``isdiffpos`` of ZTF alert packets, as a bit of ours.

    References
    ----------
    .. [1] Masci et al. 2019, PASP 131, 018003, doi:10.1088/1538-3873/aae8ac
    """

    NEGATIVE_DIFFERENCE = 1 << 0


class AsasSnFlag(enum.IntFlag):
    """The ``quality`` of ASAS-SN Sky Patrol 2, which is G or B, as a bit of ours.

    References
    ----------
    .. [1] Hart et al. 2023, arXiv:2304.03791
    """

    BAD = 1 << 0


class Asas3Grade(enum.IntFlag):
    """The grade of ASAS-3 photometry, A to D, as bits of ours; A has none.

    References
    ----------
    .. [1] Pojmanski 2002, AcA 52, 397, arXiv:astro-ph/0210283
    """

    B = 1 << 0
    C = 1 << 1
    D = 1 << 2


class CrtsFlag(enum.IntFlag):
    """``Blend`` of Catalina photometry, which is 0 or 1.

    References
    ----------
    .. [1] Drake et al. 2009, ApJ 696, 870, doi:10.1088/0004-637X/696/1/870
    """

    BLEND = 1 << 0


class GaiaFlag(enum.IntFlag):
    """Columns of truth values of Gaia's flat epoch photometry, as bits of ours.

    References
    ----------
    .. [1] Evans et al. 2023, A&A 674, A4, doi:10.1051/0004-6361/202244204, table 1
    """

    REJECTED_BY_PHOTOMETRY = 1 << 0
    REJECTED_BY_VARIABILITY = 1 << 1


# DiaSource has one boolean column a flag. The numbering is ours, in the order of the schema; the
# member's name in lower case is the column's.
_LSST_COLUMNS = (
    "centroid_flag", "apFlux_flag", "apFlux_flag_apertureTruncated", "psfFlux_flag",
    "psfFlux_flag_edge", "psfFlux_flag_noGoodPixels", "trail_flag_edge", "forced_PsfFlux_flag",
    "forced_PsfFlux_flag_edge", "forced_PsfFlux_flag_noGoodPixels", "shape_flag",
    "shape_flag_no_pixels", "shape_flag_not_contained", "shape_flag_parent_source", "isDipole",
    "pixelFlags", "pixelFlags_bad", "pixelFlags_cr", "pixelFlags_crCenter", "pixelFlags_edge",
    "pixelFlags_nodata", "pixelFlags_nodataCenter", "pixelFlags_interpolated",
    "pixelFlags_interpolatedCenter", "pixelFlags_offimage", "pixelFlags_saturated",
    "pixelFlags_saturatedCenter", "pixelFlags_suspect", "pixelFlags_suspectCenter",
    "pixelFlags_streak", "pixelFlags_streakCenter", "pixelFlags_injected",
    "pixelFlags_injectedCenter", "pixelFlags_injected_template",
    "pixelFlags_injected_templateCenter", "glint_trail",
)  # fmt: skip

LsstFlag = enum.IntFlag(  # type: ignore[misc]
    "LsstFlag", {name: 1 << i for i, name in enumerate(_LSST_COLUMNS)}, module=__name__
)
"""Boolean flags of Rubin's DiaSource (alert schema 7 to 11), one bit each; see `pack_flags`."""


@dataclass(frozen=True)
class SurveyBits:
    """Flags of one survey.

    Parameters
    ----------
    flag : IntFlag class
        Names of the bits.
    default : int
        Bits that make a point unusable.
    hard : int
        Those and the doubtful ones.
    text : mapping of IntFlag to str
        What a bit means, where its name does not say it all.
    """

    flag: type[enum.IntFlag]
    default: int
    hard: int
    text: Mapping[int, str]


_K, _T, _L = KeplerFlag, TessFlag, LsstFlag

_KEPLER_DEFAULT = (
    _K.ATTITUDE_TWEAK  # the star moved on the detector during the exposure
    | _K.SAFE_MODE  # nothing was measured, or with the electronics still warming up
    | _K.COARSE_POINT  # pointing wandered by pixels
    | _K.EARTH_POINT  # the telescope looked elsewhere
    | _K.DESATURATION  # the wheels were unloaded: the exposure is smeared
    | _K.MANUAL_EXCLUDE  # a person found it wrong
    | _K.DETECTOR_ANOMALY
    | _K.NO_DATA
    | _K.THRUSTER_FIRING  # K2: the star jumped by up to a pixel within the exposure
)
_KEPLER_HARD = (
    _KEPLER_DEFAULT
    | _K.COSMIC_RAY  # corrected by the pipeline, which also "corrects" fast flares
    | _K.SENSITIVITY_DROPOUT
    | _K.COLLATERAL_COSMIC_RAY
    | _K.POSSIBLE_THRUSTER_FIRING
)
_KEPLER_TEXT: dict[int, str] = {
    _K.ATTITUDE_TWEAK: "the pointing was adjusted during the cadence",
    _K.SAFE_MODE: "the spacecraft was in safe mode",
    _K.COARSE_POINT: "pointing was coarse",
    _K.EARTH_POINT: "the antenna pointed at the Earth",
    _K.ZERO_CROSSING: "a reaction wheel passed zero speed",
    _K.DESATURATION: "the reaction wheels were desaturated",
    _K.ARGABRIGHTENING: "diffuse light swept over the whole detector",
    _K.COSMIC_RAY: "a cosmic ray was found in the aperture and corrected",
    _K.MANUAL_EXCLUDE: "excluded by hand as anomalous",
    _K.SENSITIVITY_DROPOUT: "a pixel suddenly lost sensitivity between this cadence and the last",
    _K.IMPULSIVE_OUTLIER: "stood out alone and was left out of the cotrending",
    _K.ARGABRIGHTENING_ON_CHANNEL: "diffuse light swept over this channel",
    _K.COLLATERAL_COSMIC_RAY: "a cosmic ray hit the pixels of the black level or the smear",
    _K.DETECTOR_ANOMALY: "the local detector electronics reported an anomaly",
    _K.NO_FINE_POINT: "the spacecraft was not in fine point",
    _K.NO_DATA: "no data were collected",
    _K.ROLLING_BAND_IN_APERTURE: "a rolling band crossed the aperture",
    _K.ROLLING_BAND: "a rolling band crossed the star's pixels",
    _K.POSSIBLE_THRUSTER_FIRING: "the thrusters may have fired",
    _K.THRUSTER_FIRING: "the thrusters fired",
}

_TESS_DEFAULT = (
    _T.ATTITUDE_TWEAK
    | _T.SAFE_MODE
    | _T.COARSE_POINT
    | _T.EARTH_POINT
    | _T.ARGABRIGHTENING  # the background of two-minute cadences cannot follow it
    | _T.MOMENTUM_DUMP  # the thrusters fire: the exposure is smeared
    | _T.MANUAL_EXCLUDE
    | _T.BAD_CALIBRATION
)
_TESS_HARD = (
    _TESS_DEFAULT
    | _T.COSMIC_RAY
    | _T.IMPULSIVE_OUTLIER  # hits the peaks of flares
    | _T.COLLATERAL_COSMIC_RAY
    | _T.STRAY_LIGHT  # predicted from the geometry, days at a time, where much is good
    | _T.SCATTERED_LIGHT
)
_TESS_TEXT: dict[int, str] = {
    _T.ATTITUDE_TWEAK: "the pointing was adjusted during the cadence",
    _T.SAFE_MODE: "the spacecraft was in safe mode",
    _T.COARSE_POINT: "pointing was coarse",
    _T.EARTH_POINT: "the antenna pointed at the Earth",
    _T.ARGABRIGHTENING: "diffuse light swept over the detector",
    _T.MOMENTUM_DUMP: "the reaction wheels were desaturated",
    _T.COSMIC_RAY: "a cosmic ray was found in the aperture and corrected",
    _T.MANUAL_EXCLUDE: "excluded by hand as anomalous",
    _T.DISCONTINUITY: "a jump was corrected between this cadence and the next",
    _T.IMPULSIVE_OUTLIER: "stood out alone and was left out of the cotrending",
    _T.COLLATERAL_COSMIC_RAY: "a cosmic ray hit the pixels of the black level or the smear",
    _T.STRAY_LIGHT: "stray light of the Earth or the Moon was predicted",
    _T.SCATTERED_LIGHT: "scattered light was found, and the cadence left out",
    _T.PLANET_SEARCH_EXCLUDE: "left out of the search for planets",
    _T.BAD_CALIBRATION: "the calibration of the cadence failed",
    _T.TOO_FEW_TARGETS: "too few stars to estimate the systematics",
}

_LSST_DEFAULT = (
    _L["psfFlux_flag"]  # the flux could not be measured, for this reason or that
    | _L["psfFlux_flag_edge"]
    | _L["psfFlux_flag_noGoodPixels"]
    | _L["pixelFlags_bad"]
    | _L["pixelFlags_nodataCenter"]
    | _L["pixelFlags_offimage"]
    | _L["pixelFlags_saturatedCenter"]
    | _L["pixelFlags_suspectCenter"]  # beyond the linear range
    | _L["pixelFlags_streakCenter"]  # a satellite
    | _L["pixelFlags_injectedCenter"]  # no star, but one that was put in for tests
    | _L["pixelFlags_injected_templateCenter"]
    | _L["glint_trail"]
)
_LSST_HARD = _LSST_DEFAULT | sum(
    _L[name]
    for name in (
        "centroid_flag", "isDipole", "pixelFlags", "pixelFlags_cr", "pixelFlags_crCenter",
        "pixelFlags_edge", "pixelFlags_nodata", "pixelFlags_interpolatedCenter",
        "pixelFlags_saturated", "pixelFlags_suspect", "pixelFlags_streak", "pixelFlags_injected",
        "pixelFlags_injected_template", "shape_flag_parent_source",
    )
)  # fmt: skip

_KEPLER = SurveyBits(KeplerFlag, int(_KEPLER_DEFAULT), int(_KEPLER_HARD), _KEPLER_TEXT)

SURVEY_BITS: Mapping[str, SurveyBits] = {
    "Kepler": _KEPLER,
    "K2": _KEPLER,
    "TESS": SurveyBits(TessFlag, int(_TESS_DEFAULT), int(_TESS_HARD), _TESS_TEXT),
    "ZTF": SurveyBits(
        ZtfFlag,
        int(ZtfFlag.MOON_OR_CLOUDS),
        int(ZtfFlag.MOON_OR_CLOUDS | ZtfFlag.EXTRACTION),
        {
            ZtfFlag.EXTRACTION: "the extraction of the source was not clean",
            ZtfFlag.MOON_OR_CLOUDS: "moonlight, or a night that was not photometric",
        },
    ),
    "ZTF infobits": SurveyBits(
        ZtfInfoBit,
        int(ZtfInfoBit.BAD_IMAGE),
        int(ZtfInfoBit.BAD_IMAGE),
        {ZtfInfoBit.BAD_IMAGE: "the image is unusable"},
    ),
    "ZTF alerts": SurveyBits(
        ZtfAlertFlag,
        0,
        1,
        {ZtfAlertFlag.NEGATIVE_DIFFERENCE: "the source is fainter than in the template"},
    ),
    "ASAS-SN": SurveyBits(
        AsasSnFlag, 1, 1, {AsasSnFlag.BAD: "the image or the photometry on it is bad"}
    ),
    "ASAS-3": SurveyBits(
        Asas3Grade,
        int(Asas3Grade.D),
        int(Asas3Grade.C | Asas3Grade.D),
        {
            Asas3Grade.B: "mean data",
            Asas3Grade.C: "not all of the magnitude was measured",
            Asas3Grade.D: "worst data, probably useless",
        },
    ),
    "CRTS": SurveyBits(
        CrtsFlag, 0, 1, {CrtsFlag.BLEND: "two sources may have been measured as one"}
    ),
    "Gaia DR3": SurveyBits(
        GaiaFlag,
        int(GaiaFlag.REJECTED_BY_PHOTOMETRY | GaiaFlag.REJECTED_BY_VARIABILITY),
        int(GaiaFlag.REJECTED_BY_PHOTOMETRY | GaiaFlag.REJECTED_BY_VARIABILITY),
        {
            GaiaFlag.REJECTED_BY_PHOTOMETRY: "rejected by the photometric processing",
            GaiaFlag.REJECTED_BY_VARIABILITY: "rejected by the variability processing",
        },
    ),
    "LSST": SurveyBits(LsstFlag, int(_LSST_DEFAULT), int(_LSST_HARD), {}),
}
"""Flags of each survey, by the name in ``meta.survey`` (in any case)."""
