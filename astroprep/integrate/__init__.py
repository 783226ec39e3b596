"""Make one survey of several: find what is there twice, and say so."""

from astroprep.integrate.catalogue import Catalogue
from astroprep.integrate.crossmatch import crossmatch
from astroprep.integrate.matches import Matches, MatchStatus
from astroprep.integrate.proper_motion import propagate
from astroprep.integrate.redundancy import twins

__all__ = ["Catalogue", "MatchStatus", "Matches", "crossmatch", "propagate", "twins"]
