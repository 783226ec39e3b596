"""Where surveys observe from: longitude, latitude and height of their sites."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import NamedTuple

from astroprep.errors import ConfigError

__all__ = ["SITES", "Site", "find_site"]


class Site(NamedTuple):
    """A place on Earth, on the WGS84 ellipsoid.

    Parameters
    ----------
    longitude, latitude : float
        Degrees, east and north positive.
    height : float
        Metres.
    """

    longitude: float
    latitude: float
    height: float


# Coordinates as in the registry of sites that astropy downloads (`EarthLocation.of_site`), which
# has most of them from the IRAF observatory database; rounded to 1e-4 degrees or 11 m, which is
# 0.04 microseconds of light. The telescopes of one mountain stand within 3 km, 10 microseconds.
SITES: Mapping[str, Site] = {
    "apache point": Site(-105.8200, 32.7800, 2798.0),
    "cerro pachon": Site(-70.7367, -30.2407, 2750.0),
    "cerro tololo": Site(-70.8150, -30.1653, 2215.0),
    "haleakala": Site(-156.1690, 20.7155, 3048.0),
    "kitt peak": Site(-111.6000, 31.9633, 2120.0),
    "la palma": Site(-17.8800, 28.7583, 2327.0),
    "la silla": Site(-70.7300, -29.2567, 2347.0),
    "las campanas": Site(-70.7017, -29.0033, 2282.0),
    "mount bigelow": Site(-110.7317, 32.4167, 2510.0),
    "mount stromlo": Site(149.0243, -35.3207, 767.0),
    "palomar": Site(-116.8630, 33.3560, 1706.0),
    "paranal": Site(-70.4050, -24.6274, 2669.0),
    "siding spring": Site(149.0612, -31.2734, 1149.0),
}
"""Sites by name."""

ALIASES: Mapping[str, str] = {
    "apo": "apache point",
    "asas": "las campanas",
    "crts": "mount bigelow",
    "css": "mount bigelow",
    "ctio": "cerro tololo",
    "des": "cerro tololo",
    "eros-2": "la silla",
    "lsst": "cerro pachon",
    "macho": "mount stromlo",
    "ogle": "las campanas",
    "pan-starrs": "haleakala",
    "ptf": "palomar",
    "rubin": "cerro pachon",
    "sdss": "apache point",
    "sss": "siding spring",
    "vvv": "paranal",
    "ztf": "palomar",
}


def find_site(site: str | tuple[float, float, float] | list[float]) -> Site:
    """Coordinates of a site.

    Parameters
    ----------
    site : str or three floats
        A name of `SITES`, a survey that observes from one place (such as ``"ztf"``), or
        longitude and latitude in degrees and height in metres.

    Returns
    -------
    Site
        Its place.

    Raises
    ------
    ConfigError
        If the name is not known or the numbers are no place on Earth.
    """
    if isinstance(site, str):
        name = " ".join(site.lower().replace("_", " ").split())
        name = ALIASES.get(name, name)
        if name in SITES:
            return SITES[name]
        known = [*SITES, *ALIASES]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(SITES))}"
        raise ConfigError(f"unknown site {site!r}; {hint} Or give (longitude, latitude, height)")
    try:
        longitude, latitude, height = (float(number) for number in site)
    except (TypeError, ValueError):
        raise ConfigError(
            f"site must be a name or (longitude, latitude, height) in degrees and metres, "
            f"got {site!r}"
        ) from None
    on_earth = abs(longitude) <= 360 and abs(latitude) <= 90 and -1e3 <= height <= 1e5
    if not (on_earth and math.isfinite(longitude)):
        raise ConfigError(
            "site must have a longitude within 360 and a latitude within 90 degrees and a height "
            f"from -1,000 to 100,000 m, got {site!r}"
        )
    return Site(longitude, latitude, height)
