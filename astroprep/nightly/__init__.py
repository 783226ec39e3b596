"""Every night: alerts in, joined to a history that is kept, what changed classified."""

from astroprep.nightly.classify import NightClassifier
from astroprep.nightly.few import FewPointModel
from astroprep.nightly.ingest import DEAD_LETTERS, AlertReader
from astroprep.nightly.merge import latest_objects, merge_observations
from astroprep.nightly.objects import CLASSIFICATIONS, OBJECTS
from astroprep.nightly.outbox import publish
from astroprep.nightly.page import write_night_page
from astroprep.nightly.products import write_metrics, write_products
from astroprep.nightly.rows import OBSERVATIONS
from astroprep.nightly.run import run_night
from astroprep.nightly.settings import NightOptions, NightResult
from astroprep.nightly.sources import open_alerts
from astroprep.nightly.state import RUNS, State, open_state
from astroprep.nightly.upkeep import backup, compact, current_observations

__all__ = [
    "CLASSIFICATIONS",
    "DEAD_LETTERS",
    "OBJECTS",
    "OBSERVATIONS",
    "RUNS",
    "AlertReader",
    "FewPointModel",
    "NightClassifier",
    "NightOptions",
    "NightResult",
    "State",
    "backup",
    "compact",
    "current_observations",
    "latest_objects",
    "merge_observations",
    "open_alerts",
    "open_state",
    "publish",
    "run_night",
    "write_metrics",
    "write_night_page",
    "write_products",
]
