"""Which space mission wrote a light-curve file, and how its clock reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["MISSIONS", "Mission"]


@dataclass(frozen=True)
class Mission:
    """What the files of one mission have in common.

    Parameters
    ----------
    time_scale : str
        Time system of `time`.
    time_ref : float
        Julian date that was subtracted, days.
    quality : str
        Column of the survey's own flags.
    segment : str
        Header keyword that numbers the stretch of time.
    brightness : str
        Header keyword of the magnitude in the mission's band.
    catalogue : tuple of str
        Name and header keyword of the number in the input catalogue.
    """

    time_scale: str
    time_ref: float
    quality: str
    segment: str
    brightness: str
    catalogue: tuple[str, str]


MISSIONS: Mapping[str, Mission] = {
    "Kepler": Mission(
        "BKJD TDB", 2454833.0, "SAP_QUALITY", "QUARTER", "KEPMAG", ("KIC", "KEPLERID")
    ),
    "K2": Mission("BKJD TDB", 2454833.0, "SAP_QUALITY", "CAMPAIGN", "KEPMAG", ("EPIC", "KEPLERID")),
    "TESS": Mission("BTJD TDB", 2457000.0, "QUALITY", "SECTOR", "TESSMAG", ("TIC", "TICID")),
}
"""Missions whose light-curve files are read, by the name in ``meta.survey``."""
