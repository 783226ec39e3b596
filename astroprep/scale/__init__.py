"""Surveys that no memory holds: what runs on each partition of a HATS catalogue."""

from typing import TYPE_CHECKING

from astroprep.lazy import lazy_room

if TYPE_CHECKING:
    from astroprep.scale.lsdb import run_on_cluster
    from astroprep.scale.lsdb_match import lsdb_algorithm
    from astroprep.scale.prepared import PrepareWork
    from astroprep.scale.run import run_recipe_on_cluster
    from astroprep.scale.work import ClassifyWork, PeriodWork

__all__ = [
    "ClassifyWork",
    "PeriodWork",
    "PrepareWork",
    "lsdb_algorithm",
    "run_on_cluster",
    "run_recipe_on_cluster",
]

lazy_room(__name__)
