"""Make one survey of several: find what is there twice, and say so."""

from astroprep.integrate.barycentric import ToBarycentric
from astroprep.integrate.redundancy import twins
from astroprep.integrate.sites import SITES, Site
from astroprep.integrate.timescale import to_bjd_tdb

__all__ = ["SITES", "Site", "ToBarycentric", "to_bjd_tdb", "twins"]
