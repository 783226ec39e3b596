"""Self-contained pages: what a run did, and what a survey is worth."""

from astroprep.report.examples import choose_examples
from astroprep.report.page import write_quality_report, write_run_report

__all__ = ["choose_examples", "write_quality_report", "write_run_report"]
