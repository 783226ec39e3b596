"""`Meta`: what is true of every point of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from astroprep.errors import ConfigError

__all__ = ["Meta", "Quantity"]

Quantity = Literal["mag", "flux"]


@dataclass(frozen=True)
class Meta:
    """What is true of every point of a batch.

    Parameters
    ----------
    survey : str
        Name of the survey, for people.
    quantity : {"mag", "flux"}
        What ``value`` measures. Bright is small in ``mag``, large in ``flux``.
    unit : str
        Unit of ``value`` and ``error``.
    time_scale : str
        As the survey states it, such as ``"MJD UTC"``.
    time_ref : float or None
        Julian date that was subtracted from the times, days; None when not known.
    bands : tuple of str
        Names that the codes in ``band`` index.
    """

    survey: str = ""
    quantity: Quantity = "mag"
    unit: str = "mag"
    time_scale: str = ""
    time_ref: float | None = None
    bands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.quantity not in ("mag", "flux"):
            raise ConfigError(f"quantity must be 'mag' or 'flux', got {self.quantity!r}")
