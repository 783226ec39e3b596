"""Which period: grids, Lomb-Scargle periodograms, candidates and their ranking, folding."""

from astroprep.period.fold import FoldPhase, fold, fold_ragged
from astroprep.period.grid import FrequencyGrid, GridRule
from astroprep.period.lombscargle import log10_false_alarm, power, power_ragged
from astroprep.period.periodsearch import (
    Candidates,
    PeriodSearch,
    UseCataloguePeriod,
    search,
    weigh,
)

__all__ = [
    "Candidates",
    "FoldPhase",
    "FrequencyGrid",
    "GridRule",
    "PeriodSearch",
    "UseCataloguePeriod",
    "fold",
    "fold_ragged",
    "log10_false_alarm",
    "power",
    "power_ragged",
    "search",
    "weigh",
]
