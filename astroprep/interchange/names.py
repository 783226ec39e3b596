"""What surveys call the columns of a light curve, and how to find them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import Quantity
from astroprep.errors import DataError

__all__ = ["NAMES", "filled", "find_column", "measurement"]

NAMES: Mapping[str, tuple[str, ...]] = {
    "id": (
        "id", "source_id", "object_id", "objectid", "obj_id", "oid", "sourceid", "star_id", "star",
        "name", "diaobjectid",
    ),
    "ra": (
        "ra", "ra_deg", "raj2000", "ra_icrs", "star_ra", "ramean", "meanra", "objra", "_raj2000",
    ),
    "dec": (
        "dec", "dec_deg", "dej2000", "decj2000", "de_icrs", "dec_icrs", "star_dec", "decmean",
        "meandec", "objdec", "_dej2000",
    ),
    "label": ("label",),
    "split": ("split",),
    "lightcurve": ("lightcurve", "light_curve", "lc", "sources", "nested"),
    "time": ("time", "mjd", "hmjd", "hjd", "bjd", "jd", "btjd", "bkjd", "midpointmjdtai", "t"),
    "mag": ("mag", "magnitude", "psfmag", "magpsf", "mag_psf"),
    "mag_err": (
        "mag_err", "magerr", "mag_error", "magnitude_error", "e_mag", "sigma_mag", "sigmapsf",
        "psfmagerr", "error", "err",
    ),
    "flux": ("flux", "psfflux"),
    "flux_err": (
        "flux_err", "fluxerr", "flux_error", "psffluxerr", "e_flux", "error", "err",
    ),
    "band": ("band", "filter", "filtercode", "passband", "filtername"),
}  # fmt: skip
"""What surveys call the canonical columns; the first name that is there wins."""


def find_column(available: Sequence[str], wanted: str) -> str | None:
    """Name among `available` under which a survey keeps the canonical column `wanted`.

    Case is ignored. Returns None when none of the names in `NAMES` is there.

    Parameters
    ----------
    available : sequence of str
        Columns of a table.
    wanted : str
        A key of `NAMES`.

    Returns
    -------
    str or None
    """
    by_lower = {name.lower(): name for name in reversed(available)}
    for name in NAMES[wanted]:
        if name in by_lower:
            return by_lower[name]
    return None


def measurement(available: Sequence[str], who: str) -> tuple[str, str, str | None, Quantity]:
    """Columns of time, measurement and error, and which quantity it is."""
    time = find_column(available, "time")
    for quantity in ("mag", "flux"):
        value = find_column(available, quantity)
        if time is not None and value is not None:
            error = find_column(available, f"{quantity}_err")
            return time, value, error, quantity
    raise DataError(
        f"{who} needs a column of times and one of magnitudes or fluxes, "
        f"but has {', '.join(available) or 'none'}; rename them to time and mag (or flux)"
    )


def filled(values: Any) -> NDArray[np.float64]:
    """Plain float64 values of a Quantity, Time, masked or ordinary column; masked is NaN."""
    plain = getattr(values, "value", values)
    if hasattr(plain, "unmasked"):  # astropy.utils.masked.Masked
        return np.where(plain.mask, np.nan, plain.unmasked).astype(np.float64)
    return np.ma.filled(np.ma.asarray(plain, dtype=np.float64), np.nan)
