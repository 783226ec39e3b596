"""Canonical units, time systems and the magnitude-flux relation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError

__all__ = [
    "J2000",
    "JULIAN_YEAR",
    "MAG_PER_RELATIVE_FLUX",
    "PLAUSIBLE_JD",
    "TIME_REFERENCES",
    "flux_to_mag",
    "mag_to_flux",
    "time_reference",
]

MAG_PER_RELATIVE_FLUX = 2.5 / np.log(10.0)  # d(mag) = 1.0857 d(flux) / flux; Pogson 1856

TIME_REFERENCES = {
    "JD": 0.0,
    "HJD": 0.0,
    "BJD": 0.0,
    "MJD": 2400000.5,
    "HMJD": 2400000.5,
    "BMJD": 2400000.5,
    "BKJD": 2454833.0,  # Kepler Archive Manual, KDMC-10008, section 2.3.2
    "BTJD": 2457000.0,  # TESS Archive Manual, section 4
}
"""Julian date of zero, in days, for each time system by name."""

# No photographic plate is older than 1800 and no survey plans beyond 2200: a time outside is a
# sentinel or a wrong reference, such as the MJD -2409998.5 of the Catalina files.
PLAUSIBLE_JD = (2378496.5, 2524593.5)

J2000 = 2451545.0  # Julian date of the Julian year 2000
JULIAN_YEAR = 365.25  # days


def time_reference(system: str) -> float | None:
    """Julian date that was subtracted from the times of a system, days.

    Parameters
    ----------
    system : str
        Such as ``"MJD UTC"``, ``"HJD"``, ``"BTJD"`` or ``"HJD-2450000"``.

    Returns
    -------
    float or None
        The Julian date of zero, or None when the text names no system known here.

    Raises
    ------
    ConfigError
        If a number is subtracted in the text that is not one.
    """
    words = system.replace("_", " ").split()
    if not words:
        return None
    name, _, offset = words[0].upper().partition("-")
    if name not in TIME_REFERENCES:
        return None
    if not offset:
        return TIME_REFERENCES[name]
    try:
        return TIME_REFERENCES[name] + float(offset)
    except ValueError:
        raise ConfigError(
            f"time system {system!r}: {offset!r} is not a number of days; "
            "write it like 'HJD-2450000'"
        ) from None


def mag_to_flux(
    mag: NDArray[np.float64], mag_err: NDArray[np.float64], zero_point: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flux and its error from magnitudes.

    Parameters
    ----------
    mag, mag_err : float64 array, shape (n_points,)
        Magnitudes and their one-sigma errors.
    zero_point : float
        Magnitude of unit flux.

    Returns
    -------
    flux, flux_err : float64 array, shape (n_points,)
        In the unit that ``zero_point`` defines; the error to first order.
    """
    flux = 10.0 ** (-0.4 * (mag - zero_point))
    return flux, flux * mag_err / MAG_PER_RELATIVE_FLUX


def flux_to_mag(
    flux: NDArray[np.float64], flux_err: NDArray[np.float64], zero_point: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Magnitudes and their errors from flux; NaN where the flux is not positive.

    Parameters
    ----------
    flux, flux_err : float64 array, shape (n_points,)
        Linear brightness and its one-sigma error.
    zero_point : float
        Magnitude of unit flux.

    Returns
    -------
    mag, mag_err : float64 array, shape (n_points,)
        The error to first order, which is fair above about five sigma.
    """
    positive = np.where(flux > 0, flux, np.nan)
    return zero_point - 2.5 * np.log10(positive), MAG_PER_RELATIVE_FLUX * flux_err / positive
