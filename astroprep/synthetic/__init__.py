"""Seeded stars with known truth, for samples, tests, notebooks and benchmarks."""

from astroprep.synthetic.alerts import AlertNight, AlertStars, simulate_alerts
from astroprep.synthetic.several import SEVERAL_SURVEYS, SurveyDesign, simulate_several
from astroprep.synthetic.space import EVENT_BITS, SPACE_SHARES, simulate_space
from astroprep.synthetic.stars import CLASSES, Stars, draw_stars, magnitude
from astroprep.synthetic.survey import CLASS_SHARES, content_sha256, simulate_survey

__all__ = [
    "CLASSES",
    "CLASS_SHARES",
    "EVENT_BITS",
    "SEVERAL_SURVEYS",
    "SPACE_SHARES",
    "AlertNight",
    "AlertStars",
    "Stars",
    "SurveyDesign",
    "content_sha256",
    "draw_stars",
    "magnitude",
    "simulate_alerts",
    "simulate_several",
    "simulate_space",
    "simulate_survey",
]
