"""Which period: periodograms, candidates and their ranking, templates, boxes, folding."""

from typing import TYPE_CHECKING

from astroprep.lazy import lazy_room

if TYPE_CHECKING:
    from astroprep.period.binned import FoldedBins, fold_binned
    from astroprep.period.box import BoxSearch, find_box
    from astroprep.period.boxfit import Box, measure_box
    from astroprep.period.boxgrid import BoxRule
    from astroprep.period.boxpower import BoxPower, box_power
    from astroprep.period.fold import FoldedPoints, FoldPhase, fold, fold_ragged, fold_sorted
    from astroprep.period.grid import FrequencyGrid, GridRule
    from astroprep.period.lombscargle import log10_false_alarm, power, power_ragged
    from astroprep.period.multiband import multiband_power
    from astroprep.period.multiband_grid import power_multiband_ragged
    from astroprep.period.multiband_search import search_multiband
    from astroprep.period.multiband_step import MultibandSearch
    from astroprep.period.periodsearch import Candidates, PeriodSearch, UseCataloguePeriod
    from astroprep.period.search import search, weigh
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
    from astroprep.period.verify import PeriodStatus, Verification, verify_periods
    from astroprep.period.verify_step import VerifyPeriod

__all__ = [
    "Box",
    "BoxPower",
    "BoxRule",
    "BoxSearch",
    "Candidates",
    "FoldPhase",
    "FoldedBins",
    "FoldedPoints",
    "FrequencyGrid",
    "GridRule",
    "MultibandSearch",
    "PeriodSearch",
    "PeriodStatus",
    "TemplateFit",
    "TemplatePeriod",
    "TemplateSet",
    "UseCataloguePeriod",
    "Verification",
    "VerifyPeriod",
    "box_power",
    "build_templates",
    "find_box",
    "fit_templates",
    "fold",
    "fold_binned",
    "fold_ragged",
    "fold_sorted",
    "load_templates",
    "log10_false_alarm",
    "measure_box",
    "multiband_power",
    "power",
    "power_multiband_ragged",
    "power_ragged",
    "read_templates",
    "search",
    "search_multiband",
    "shipped_templates",
    "sine_candidates",
    "verify_periods",
    "weigh",
    "write_templates",
]

lazy_room(__name__)
