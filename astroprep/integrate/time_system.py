"""What a text such as "MJD UTC" says of times: scale, origin, and what is implied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from astroprep.errors import ConfigError, DataError
from astroprep.units import TIME_REFERENCES

__all__ = ["TimeSystem", "parse_time_system", "require_scale"]

Origin = Literal["observer", "sun", "barycentre"]

SCALES = {"UTC": "UTC", "TAI": "TAI", "TT": "TT", "TDT": "TT", "TDB": "TDB", "TCB": "TCB"}
ORIGINS: dict[str, Origin] = {"H": "sun", "B": "barycentre"}
# Kepler and TESS define their dates in TDB; of all others the scale must be said.
IMPLIED = {"BKJD": "TDB", "BTJD": "TDB"}
CHOICES = "UTC (clocks at observatories), TAI (LSST), TT, TDB (Kepler, TESS) or TCB (Gaia)"


@dataclass(frozen=True)
class TimeSystem:
    """What a time counts from, where it is counted, and by which clock.

    Parameters
    ----------
    zero : float
        Julian date of zero, days.
    origin : {"observer", "sun", "barycentre"}
        Where the light was when the clock was read.
    scale : str
        ``"UTC"``, ``"TAI"``, ``"TT"``, ``"TDB"``, ``"TCB"``, or ``""`` when not said.
    """

    zero: float
    origin: Origin
    scale: str


def parse_time_system(text: str, scale: str | None = None) -> TimeSystem:
    """Read a time system such as ``"MJD UTC"``, ``"HJD-2450000"``, ``"BJD_TDB"`` or ``"BTJD"``.

    Parameters
    ----------
    text : str
        JD, MJD, HJD, HMJD, BJD, BMJD, BKJD or BTJD, what was subtracted, and the scale.
    scale : str, optional
        The scale, when the text says none.

    Returns
    -------
    TimeSystem
        With an empty scale when neither says one.

    Raises
    ------
    ConfigError
        If the text names no system or scale known here, or contradicts `scale`.
    """
    words = re.sub(r"[_()\[\],]", " ", text.upper()).split()
    name, _, offset = words[0].partition("-") if words else ("", "", "")
    if name not in TIME_REFERENCES:
        known = ", ".join(TIME_REFERENCES)
        raise ConfigError(
            f"unknown time system {text!r}; known are {known}, with their scale, as in 'MJD UTC'"
        )
    try:
        zero = TIME_REFERENCES[name] + (float(offset) if offset else 0.0)
    except ValueError:
        raise ConfigError(
            f"time system {text!r}: {offset!r} is not a number of days; write 'HJD-2450000'"
        ) from None
    said = [_scale(word, text) for word in words[1:]]
    implied = [IMPLIED[name]] if name in IMPLIED else []
    given = [] if scale is None else [_scale(scale, f"scale={scale!r}")]
    if len(set(said + implied + given)) > 1:
        raise ConfigError(
            f"time system {text!r} is in {(said + implied + given)[0]}, but scale={scale!r} says "
            "otherwise; give one of them"
        )
    return TimeSystem(
        zero, ORIGINS.get(name[0], "observer"), next(iter(said + implied + given), "")
    )


def _scale(word: str, where: str) -> str:
    if word.upper() not in SCALES:
        raise ConfigError(f"unknown time scale {word!r} in {where}; choose {CHOICES}")
    return SCALES[word.upper()]


def require_scale(system: TimeSystem, who: str, text: str) -> None:
    """Raise when nobody said by which clock the times are.

    Raises
    ------
    DataError
        With the choices.
    """
    if not system.scale:
        raise DataError(
            f"{who} needs the time scale, but {text!r} states none; pass scale=, one of {CHOICES}: "
            "UTC taken for TDB is wrong by 40 to 69 s"
        )
