"""`StructureFunction`: the step that describes variability without a period."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError
from astroprep.features.power_law import fit_power_law
from astroprep.features.random_walk import fit_random_walk
from astroprep.features.structure_function import Definition, structure_function

__all__ = ["StructureFunction"]

MODELS = ("power_law", "random_walk")


class _NeedsOfBands:
    """Needs of a single band on the class and by default, of any bands where they are shared."""

    def __get__(self, step: StructureFunction | None, owner: type) -> Needs:
        single = step is None or not step.multiband
        return Needs(min_points=1, errors=True, single_band=single)


class StructureFunction(Transformer):
    """Fit a power law and a damped random walk to each light curve; write both as object columns.

    Of the power law ``SF = A (dt / 1 yr)^gamma`` (`fit_power_law`): ``sf_amplitude`` and
    ``sf_gamma``, each with ``_err``, and ``sf_status``. Of the walk (`fit_random_walk`):
    ``drw_log10_tau`` (days), ``drw_log10_sigma`` (unit of the value) and ``drw_log10_sigma_hat``
    (unit of the value per root day), each the median of its posterior with ``_err``, half of the
    central 68 % interval; the joint maximum ``drw_log10_tau_mode`` and ``drw_log10_sigma_mode``;
    ``drw_gain_over_noise`` and ``drw_gain_over_infinite``, natural logarithms of likelihood
    ratios; ``drw_share_long``, the probability that τ exceeds a tenth of the baseline; and
    ``drw_status``. With `lags` the bins: ``sf_lag``, ``sf_squared``, ``sf_squared_err`` and
    ``sf_pairs``, one column a bin.

    The statuses are ``"ok"`` or the reason for caution, as `PowerLawFit` and `RandomWalkFit` tell.
    As with `FeatureExtractor`, a number is NaN where it is not defined: with too few points, one
    time, or all values equal, and the status says so.

    Parameters
    ----------
    models : sequence of {"power_law", "random_walk"}, default both
        What to fit. Each costs a few milliseconds a curve.
    lags : sequence of float, optional
        Edges of the bins, days, to write binned structure functions too; see `DEFAULT_LAGS`. By
        default none: the two models hold what they tell.
    definition : {"mean_square", "mean_absolute", "iqr", "mad"}, default "mean_square"
        Average in a bin: the mean square is the one that stays unbiased with unequal errors.
    tau_range : sequence of two floats, optional
        Support of the prior of τ, days. By default a tenth of a curve's median gap to ten times
        its baseline; give one to compare objects of different surveys under one prior.
    multiband : bool, default False
        Share gamma and τ among the bands of an object; amplitudes (``sf_amplitude``,
        ``drw_log10_sigma``) then have one column a band, NaN where a band has fewer than three
        points.
    max_pairs : int, default 20000
        Pairs of a curve that the power law is fitted to, at most: all pairs of 200 points.
    on_bad : {"raise", "reject"}, default "raise"
        What happens to a curve without points or errors, or of several bands.

    Raises
    ------
    ConfigError
        If a model or definition is unknown, or lags or a range do not ascend from above zero.
    """

    needs: ClassVar[Needs] = _NeedsOfBands()  # type: ignore[assignment]

    def __init__(
        self,
        models: Sequence[str] = MODELS,
        lags: Sequence[float] | None = None,
        definition: Definition = "mean_square",
        tau_range: Sequence[float] | None = None,
        multiband: bool = False,
        max_pairs: int = 20_000,
        on_bad: OnBad = "raise",
    ) -> None:
        self.models = models
        self.lags = lags
        self.definition = definition
        self.tau_range = tau_range
        self.multiband = multiband
        self.max_pairs = max_pairs
        self.on_bad = on_bad

    def _check(self) -> None:
        models = (self.models,) if isinstance(self.models, str) else tuple(self.models)
        unknown = [name for name in models if name not in MODELS]
        if unknown or not (models or self.lags is not None):
            raise ConfigError(
                f"StructureFunction: models must be of {', '.join(MODELS)}, got {self.models!r}"
            )
        if self.definition not in get_args(Definition):
            raise ConfigError(
                f"StructureFunction: definition must be one of {', '.join(get_args(Definition))}, "
                f"got {self.definition!r}"
            )
        for name in ("lags", "tau_range"):
            given = getattr(self, name)
            if given is None:
                continue
            edges = np.asarray(given, np.float64)
            good = edges.ndim == 1 and edges.size > 1 and np.isfinite(edges).all()
            if not (good and edges[0] > 0 and (np.diff(edges) > 0).all()):
                raise ConfigError(
                    f"StructureFunction: {name} must ascend from above 0, got {given!r}"
                )
        if self.tau_range is not None and len(self.tau_range) != 2:
            raise ConfigError(f"StructureFunction: tau_range must be two, got {self.tau_range!r}")
        if self.lags is not None and self.multiband:
            raise ConfigError(
                "StructureFunction: bins of lag are of a single band; leave lags out, or choose "
                "a band with SelectBand"
            )
        if not self.max_pairs >= 100:
            raise ConfigError(
                f"StructureFunction: max_pairs must be 100 or more, got {self.max_pairs!r}"
            )

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        models = (self.models,) if isinstance(self.models, str) else self.models
        columns: dict[str, NDArray[Any]] = {}
        if "power_law" in models:
            law = fit_power_law(batch, self.multiband, self.max_pairs)
            columns |= {
                "sf_amplitude": law.amplitude,
                "sf_amplitude_err": law.amplitude_error,
                "sf_gamma": law.gamma,
                "sf_gamma_err": law.gamma_error,
                "sf_status": law.status,
            }
        if "random_walk" in models:
            columns |= self._walk(batch)
        if self.lags is not None:
            bins = structure_function(batch, self.lags, self.definition)
            columns |= {
                "sf_lag": bins.lag,
                "sf_squared": bins.squared,
                "sf_squared_err": bins.squared_error,
                "sf_pairs": bins.pairs,
            }
        return batch.with_columns(objects=columns)

    def _walk(self, batch: LightCurveBatch) -> dict[str, NDArray[Any]]:
        span = None if self.tau_range is None else (self.tau_range[0], self.tau_range[1])
        walk = fit_random_walk(batch, span, self.multiband)
        columns: dict[str, NDArray[Any]] = {}
        for name in ("log10_tau", "log10_sigma", "log10_sigma_hat"):
            low, high = getattr(walk, f"{name}_low"), getattr(walk, f"{name}_high")
            columns[f"drw_{name}"] = getattr(walk, name)
            columns[f"drw_{name}_err"] = 0.5 * (high - low)
        for name in (
            "log10_tau_mode",
            "log10_sigma_mode",
            "gain_over_noise",
            "gain_over_infinite",
            "share_long",
            "status",
        ):
            columns[f"drw_{name}"] = getattr(walk, name)
        return columns
