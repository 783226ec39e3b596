"""The rows that alerts become: one observation each, whatever the survey."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astroprep.data import Quantity
from astroprep.io.avro import AvroRequest, AvroTables
from astroprep.optional import need

__all__ = ["DETECTION", "FORCED", "OBSERVATIONS", "SurveyRows", "healpix_pixel", "mixed"]

DETECTION, FORCED = 0, 1

OBSERVATIONS = pa.schema(
    [
        ("pixel", pa.int32()),
        ("object_id", pa.string()),
        ("source_id", pa.int64()),
        ("kind", pa.int8()),
        ("quality", pa.int8()),
        ("withdrawn", pa.bool_()),
        ("time", pa.float64()),
        ("value", pa.float64()),
        ("error", pa.float64()),
        ("band", pa.string()),
        ("flags", pa.int32()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        ("ra_err", pa.float32()),
        ("dec_err", pa.float32()),
        ("ra_dec_cov", pa.float32()),
        ("run", pa.int64()),
    ]
)
"""Columns of an observation.

``pixel`` is its HEALPix pixel (nested); ``object_id`` is empty for what belongs to no object;
``source_id`` is ``candid`` or ``diaSourceId`` of a detection (``kind`` 0) and the survey's number
or a hash of object and exposure of forced photometry (1); ``quality`` is 1 where the observation
was the alert itself and 0 where it came in the history of another; ``time`` is BJD_TDB minus
2400000.5; ``value`` and ``error`` are the star's, not the difference's; ``flags`` are `PointFlag`
bits; positions are ICRS in degrees, their errors in degrees and the covariance in degrees squared.
"""


@dataclass(frozen=True, eq=False)
class SurveyRows:
    """Alerts of some messages as flat columns.

    Parameters
    ----------
    record : int64 array, shape (n_rows,)
        Which record each row was in.
    own : bool array, shape (n_rows,)
        Whether it is the alert itself.
    columns : dict of str to array, shape (n_rows,)
        Of `OBSERVATIONS`, without ``pixel``, ``quality`` and ``run``; ``time`` is still on the
        clock of the survey.
    refused : tuple of (int, str)
        Records that cannot be alerts, with the reason; they have no rows.
    n_limits : int
        Non-detections in the histories: limits on a difference say nothing of the star itself.
    """

    record: NDArray[np.int64]
    own: NDArray[np.bool_]
    columns: dict[str, NDArray[np.generic]]
    refused: tuple[tuple[int, str], ...]
    n_limits: int


@dataclass(frozen=True)
class SurveyAlerts:
    """How the alerts of one survey are read.

    Parameters
    ----------
    name : str
        Of the survey.
    request : AvroRequest
        The fields.
    quantity, unit : str
        Of the values.
    system, site : str
        Clock of the times, and where it is.
    bands : tuple of str
        Names that occur.
    """

    name: str
    request: AvroRequest
    quantity: Quantity
    unit: str
    system: str
    site: str
    bands: tuple[str, ...]

    def rows(self, tables: AvroTables) -> SurveyRows:
        """Rows of the alerts in `tables`."""
        raise NotImplementedError


def healpix_pixel(
    ra: NDArray[np.float64], dec: NDArray[np.float64], order: int
) -> NDArray[np.int32]:
    """Nested HEALPix pixel of positions in degrees."""
    from astropy import units

    healpix = need("astropy_healpix", extra="nightly", who="The nightly state")
    pixel = healpix.lonlat_to_healpix(ra * units.deg, dec * units.deg, 1 << order, order="nested")
    return np.asarray(pixel, np.int32)


def mixed(number: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Well mixed bits of whole numbers: the finaliser of splitmix64.

    References
    ----------
    .. [1] Steele, Lea & Flood 2014, OOPSLA, doi:10.1145/2660193.2660195
    """
    with np.errstate(over="ignore"):
        x = number + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), np.uint64)
