"""Which period: periodograms, candidates and their ranking, templates, boxes, folding."""

from astroprep.period.box import BoxSearch
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
from astroprep.period.template import TemplateFit, fit_templates
from astroprep.period.template_builder import build_templates
from astroprep.period.template_files import (
    load_templates,
    read_templates,
    shipped_templates,
    write_templates,
)
from astroprep.period.template_period import TemplatePeriod, sine_candidates
from astroprep.period.templates import TemplateSet

__all__ = [
    "BoxSearch",
    "Candidates",
    "FoldPhase",
    "FrequencyGrid",
    "GridRule",
    "PeriodSearch",
    "TemplateFit",
    "TemplatePeriod",
    "TemplateSet",
    "UseCataloguePeriod",
    "build_templates",
    "fit_templates",
    "fold",
    "fold_ragged",
    "load_templates",
    "log10_false_alarm",
    "power",
    "power_ragged",
    "read_templates",
    "search",
    "shipped_templates",
    "sine_candidates",
    "weigh",
    "write_templates",
]
