"""Make one survey of several: say what columns mean, find what is there twice, and say so."""

from astroprep.integrate.catalogue import Catalogue
from astroprep.integrate.catalogue_files import CatalogueColumns, read_catalogue
from astroprep.integrate.crossmatch import crossmatch
from astroprep.integrate.crossmatch_many import ManyMatches, crossmatch_many
from astroprep.integrate.match_files import match_files
from astroprep.integrate.match_step import CrossMatch
from astroprep.integrate.matches import Matches, MatchStatus
from astroprep.integrate.proper_motion import propagate
from astroprep.integrate.redundancy import twins
from astroprep.integrate.schema import SchemaDraft, describe_schema, guess_schema, rank_schemas
from astroprep.integrate.skymap import SkyMap, credible_level, in_credible_region, read_skymap
from astroprep.surveys import Schema, SchemaReport, load_schema, schema_names

__all__ = [
    "Catalogue",
    "CatalogueColumns",
    "CrossMatch",
    "ManyMatches",
    "MatchStatus",
    "Matches",
    "Schema",
    "SchemaDraft",
    "SchemaReport",
    "SkyMap",
    "credible_level",
    "crossmatch",
    "crossmatch_many",
    "describe_schema",
    "guess_schema",
    "in_credible_region",
    "load_schema",
    "match_files",
    "propagate",
    "rank_schemas",
    "read_catalogue",
    "read_skymap",
    "schema_names",
    "twins",
]
