"""Surveys that no memory holds: what runs on each partition of a HATS catalogue."""

from astroprep.scale.lsdb import run_on_cluster
from astroprep.scale.lsdb_match import lsdb_algorithm
from astroprep.scale.work import ClassifyWork, PeriodWork

__all__ = ["ClassifyWork", "PeriodWork", "lsdb_algorithm", "run_on_cluster"]
