"""Make one survey of several: find what is there twice, and say so."""

from astroprep.integrate.catalogue import Catalogue
from astroprep.integrate.catalogue_files import CatalogueColumns, read_catalogue
from astroprep.integrate.crossmatch import crossmatch
from astroprep.integrate.crossmatch_many import ManyMatches, crossmatch_many
from astroprep.integrate.match_files import match_files
from astroprep.integrate.match_step import CrossMatch
from astroprep.integrate.matches import Matches, MatchStatus
from astroprep.integrate.proper_motion import propagate
from astroprep.integrate.redundancy import twins
from astroprep.integrate.skymap import SkyMap, credible_level, in_credible_region, read_skymap

__all__ = [
    "Catalogue",
    "CatalogueColumns",
    "CrossMatch",
    "ManyMatches",
    "MatchStatus",
    "Matches",
    "SkyMap",
    "credible_level",
    "crossmatch",
    "crossmatch_many",
    "in_credible_region",
    "match_files",
    "propagate",
    "read_catalogue",
    "read_skymap",
    "twins",
]
