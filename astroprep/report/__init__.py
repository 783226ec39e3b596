"""Self-contained pages: what a run did, what a survey is worth, what a night brought."""

from astroprep.report.examples import choose_examples
from astroprep.report.night import write_night_report
from astroprep.report.page import write_quality_report, write_run_report

__all__ = ["choose_examples", "write_night_report", "write_quality_report", "write_run_report"]
