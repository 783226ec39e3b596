"""Fewer numbers that say the same: light curves stored as models."""

from astroprep.reduce.models import HarmonicModel, SplineModel, StructureFunctionModel
from astroprep.reduce.numerosity import compress_curves
from astroprep.reduce.stored import StoredCurves

__all__ = [
    "HarmonicModel",
    "SplineModel",
    "StoredCurves",
    "StructureFunctionModel",
    "compress_curves",
]
