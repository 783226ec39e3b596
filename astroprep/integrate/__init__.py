"""Make one survey of several: find what is there twice, and say so."""

from astroprep.integrate.redundancy import twins

__all__ = ["twins"]
