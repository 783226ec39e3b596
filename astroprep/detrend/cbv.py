"""Take the systematics that all stars of a detector share out of each light curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from astroprep.base import Needs, OnBad
from astroprep.data import LightCurveBatch
from astroprep.detrend.cbv_apply import SPARE_POINTS
from astroprep.detrend.cbv_files import read_vectors
from astroprep.detrend.cbv_step import VectorStep
from astroprep.detrend.cbv_vectors import ANY, CotrendingVectors
from astroprep.errors import ConfigError, DataError

__all__ = ["CotrendingCorrection"]

EXAMPLE = Path(__file__).parent / "cbv_example.csv"


class CotrendingCorrection(VectorStep):
    """Subtract cotrending basis vectors, keeping what the star does itself.

    Plain least squares lets the vectors swallow any stellar signal that resembles them. Here
    the star's own variation, sines of unknown amplitude at all periods from `shortest` to
    `protect`, is fitted beside the vectors, and every amplitude and every vector has a
    Gaussian prior whose width the curve itself chooses by its marginal likelihood: nothing is
    tuned by hand and no curve depends on the others in the batch.

    Parameters
    ----------
    vectors : str, CotrendingVectors or a list of these, default ""
        Files (see `astroprep.detrend.read_vectors`), or vectors at hand. Of several the one is
        taken whose segment and channel are the curve's (columns ``segment`` and ``channel``);
        vectors that state none serve any. They are read by ``fit`` and kept in the state. The
        empty default is refused by ``fit``: there are no vectors that suit every survey.
    n_vectors : int or None, default None
        Use the first so many of each file; None for all: unneeded ones shrink to nothing.
    scale : str, default "single"
        Which vectors of a TESS file: ``"single"``, ``"spike"``, ``"band-1"`` ...
    any_channel : bool, default False
        Use vectors of another channel or segment too; for comparisons, not for science.
    protect : float, default 20.0
        Longest period that the star is allowed, days. Longer ones are shared with the vectors,
        and are mostly lost when those carry a slow drift: 30 keeps more of the star and leaves
        more of the drift. 20 days is what one Kepler quarter separates. In a short segment the
        limit is half its length. 0 takes all variation for systematics.
    shortest : float, default 1.0
        Shortest period with sines of its own, days. Faster variation hardly resembles the
        vectors and counts as noise.
    bin_width : float, default 0.25
        Bins in which the fit sees the curve, days: a quarter of `shortest`, so that the bins do
        not blur it.
    bridge : float, default 3.0
        Gaps of at most so many cadences of the vectors are crossed by a straight line.
    min_overlap : float, default 0.5
        Share of the usable points of a curve that must have vectors.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves that no vectors match or overlap, or with too few points.

    Notes
    -----
    Adds ``points["trend"]`` (level and systematics) and ``points["trend_err"]`` (posterior
    of the coefficients, and the white noise of the vectors);
    the corrected value is ``value - trend + level`` with ``level`` the median of the fitted
    points; errors stay. Points without vectors keep their value, have a NaN trend and get the
    flag SURVEY. Points with EVENT, or excluded, are left out of the fit and corrected;
    outliers lose weight in it. Missing errors count as the median one, and all error bars are
    scaled to the scatter between neighbours. A constant curve stays as it is.

    Adds ``objects["cbv_coefficients"]`` (unit of the value per unit of the vector) and, from 0
    (good) to 1: ``cbv_overfit``, the largest share that the correction takes of a faint sine
    at a protected period, from the hat matrix; ``cbv_underfit``, the share of the variance left
    by vectors and star that the vectors still explain; ``cbv_prior``, the share of the
    vectors' freedom that the prior takes away (0: least squares, 1: unused).

    References
    ----------
    .. [1] Smith et al. 2012, PASP 124, 1000, arXiv:1203.1383
    .. [2] Stumpe et al. 2012, PASP 124, 985, arXiv:1203.1382
    .. [3] Tipping 2001, Journal of Machine Learning Research 1, 211 (a prior per amplitude)
    """

    needs = Needs(min_points=1 + SPARE_POINTS)
    example: ClassVar[dict[str, Any]] = {"vectors": str(EXAMPLE)}

    def __init__(
        self,
        vectors: str | Path | CotrendingVectors | Sequence[str | Path | CotrendingVectors] = "",
        n_vectors: int | None = None,
        scale: str = "single",
        any_channel: bool = False,
        protect: float = 20.0,
        shortest: float = 1.0,
        bin_width: float = 0.25,
        bridge: float = 3.0,
        min_overlap: float = 0.5,
        on_bad: OnBad = "raise",
    ) -> None:
        self.vectors = vectors
        self.n_vectors = n_vectors
        self.scale = scale
        self.any_channel = any_channel
        self.protect = protect
        self.shortest = shortest
        self.bin_width = bin_width
        self.bridge = bridge
        self.min_overlap = min_overlap
        self.on_bad = on_bad

    def _given(self) -> list[str | Path | CotrendingVectors]:
        if isinstance(self.vectors, str | Path | CotrendingVectors):
            return [self.vectors] if self.vectors != "" else []
        return list(self.vectors)

    def _check(self) -> None:
        wrong = self._check_fit()
        strange = [v for v in self._given() if not isinstance(v, str | Path | CotrendingVectors)]
        if strange:
            wrong.append(f"vectors must be paths or CotrendingVectors, got {strange[0]!r}")
        if self.n_vectors is not None and not self.n_vectors >= 1:
            wrong.append(f"n_vectors must be at least 1, got {self.n_vectors!r}")
        if wrong:
            raise ConfigError("CotrendingCorrection: " + "; ".join(wrong))

    def _fit(self, batch: LightCurveBatch) -> None:
        sets: list[CotrendingVectors] = []
        for given in self._given():
            sets += [given] if isinstance(given, CotrendingVectors) else read_vectors(given)
        if not sets:
            raise ConfigError(
                "CotrendingCorrection: vectors must name a file or hold CotrendingVectors; "
                "CotrendingFit makes them from the batch itself"
            )
        chosen = [one for one in sets if one.scale == self.scale]
        if not chosen:
            there = ", ".join(sorted({one.scale for one in sets}))
            raise DataError(
                f"CotrendingCorrection: no vectors of scale {self.scale!r}; there are {there}"
            )
        if self.n_vectors is not None:
            chosen = [one.first(min(self.n_vectors, one.n_vectors)) for one in chosen]
        self._hold(chosen)
        if self.any_channel:
            self.set_segment_ = np.full_like(self.set_segment_, ANY)
            self.set_channel_ = np.full_like(self.set_channel_, ANY)
