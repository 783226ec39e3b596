"""Surveys that no memory holds: what runs on each partition of a HATS catalogue."""

from astroprep.scale.lsdb_match import lsdb_algorithm

__all__ = ["lsdb_algorithm"]
