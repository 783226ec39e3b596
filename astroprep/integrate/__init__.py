"""Make one survey of several: find what is there twice, and say so."""

from astroprep.integrate.barycentric import ToBarycentric
from astroprep.integrate.conflicts import Rule, resolve_conflicts
from astroprep.integrate.merging import merge_curves
from astroprep.integrate.redundancy import twins
from astroprep.integrate.sites import SITES, Site
from astroprep.integrate.timescale import to_bjd_tdb
from astroprep.integrate.zeropoint import ZeroPointCorrection, ZeroPoints, measure_zero_points

__all__ = [
    "SITES",
    "Rule",
    "Site",
    "ToBarycentric",
    "ZeroPointCorrection",
    "ZeroPoints",
    "measure_zero_points",
    "merge_curves",
    "resolve_conflicts",
    "to_bjd_tdb",
    "twins",
]
