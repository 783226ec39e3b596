"""Make one survey of several: say what columns mean, find what is there twice, and say so."""

from typing import TYPE_CHECKING

from astroprep.lazy import lazy_room

if TYPE_CHECKING:
    from astroprep.integrate.barycentric import ToBarycentric
    from astroprep.integrate.catalogue import Catalogue
    from astroprep.integrate.catalogue_files import CatalogueColumns, read_catalogue
    from astroprep.integrate.conflict_rules import Rule
    from astroprep.integrate.conflicts import resolve_conflicts
    from astroprep.integrate.crossmatch import crossmatch
    from astroprep.integrate.crossmatch_many import ManyMatches, crossmatch_many
    from astroprep.integrate.duplicates import DropDuplicates, MarkDuplicates
    from astroprep.integrate.match_files import match_files
    from astroprep.integrate.match_step import CrossMatch
    from astroprep.integrate.matches import Matches, MatchStatus
    from astroprep.integrate.merge import MergeObjects, merge_objects
    from astroprep.integrate.merge_files import merge_files, read_merger
    from astroprep.integrate.merging import merge_curves
    from astroprep.integrate.proper_motion import propagate
    from astroprep.integrate.redundancy import twins
    from astroprep.integrate.same_stars import SameStars, find_same_stars
    from astroprep.integrate.schema import SchemaDraft, describe_schema, guess_schema, rank_schemas
    from astroprep.integrate.sites import SITES, Site
    from astroprep.integrate.skymap import SkyMap, credible_level, in_credible_region, read_skymap
    from astroprep.integrate.stack import stack_surveys
    from astroprep.integrate.star_evidence import EVIDENCE
    from astroprep.integrate.star_traits import with_periods
    from astroprep.integrate.timescale import to_bjd_tdb
    from astroprep.integrate.undo import undo_merge
    from astroprep.integrate.zeropoint import ZeroPoints, measure_zero_points
    from astroprep.integrate.zeropoint_step import ZeroPointCorrection
    from astroprep.surveys import Schema, SchemaReport, load_schema, schema_names

__all__ = [
    "EVIDENCE",
    "SITES",
    "Catalogue",
    "CatalogueColumns",
    "CrossMatch",
    "DropDuplicates",
    "ManyMatches",
    "MarkDuplicates",
    "MatchStatus",
    "Matches",
    "MergeObjects",
    "Rule",
    "SameStars",
    "Schema",
    "SchemaDraft",
    "SchemaReport",
    "Site",
    "SkyMap",
    "ToBarycentric",
    "ZeroPointCorrection",
    "ZeroPoints",
    "credible_level",
    "crossmatch",
    "crossmatch_many",
    "describe_schema",
    "find_same_stars",
    "guess_schema",
    "in_credible_region",
    "load_schema",
    "match_files",
    "measure_zero_points",
    "merge_curves",
    "merge_files",
    "merge_objects",
    "propagate",
    "rank_schemas",
    "read_catalogue",
    "read_merger",
    "read_skymap",
    "resolve_conflicts",
    "schema_names",
    "stack_surveys",
    "to_bjd_tdb",
    "twins",
    "undo_merge",
    "with_periods",
]

lazy_room(__name__)
