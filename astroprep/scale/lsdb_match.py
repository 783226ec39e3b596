"""The cross-match as an algorithm of LSDB, for catalogues of billions of rows."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from astroprep.errors import ConfigError
from astroprep.integrate import Catalogue, crossmatch
from astroprep.optional import need

__all__ = ["lsdb_algorithm"]

LsdbKind = Literal["nearest", "all"]


def lsdb_algorithm(
    radius: float,
    *,
    kind: LsdbKind = "nearest",
    left_error: str | float | None = None,
    right_error: str | float | None = None,
    prior: float | None = None,
    density: float | None = None,
    min_probability: float = 0.5,
) -> Any:
    """Algorithm for ``catalog.crossmatch(other, algorithm=...)`` of LSDB.

    Parameters
    ----------
    radius : float
        Arcseconds; the right catalogue's margin must be at least as wide.
    kind : {"nearest", "all"}, default "nearest"
        As in `astroprep.integrate.crossmatch`. Partners one to one depend on objects beyond the
        partition, so they are not offered: match, then assign on the result.
    left_error, right_error : str or float, optional
        Column of positional errors, or one error for all: sigma, arcseconds. Given
        both, candidates are judged by probability; `prior` and `density` are needed then.
    prior : float, optional
        Share of left objects that have a counterpart. A partition alone must not estimate it, or
        the rule would change from partition to partition.
    density : float, optional
        Objects of the right catalogue per square arcsecond.
    min_probability : float, default 0.5
        As in `astroprep.integrate.crossmatch`.

    Returns
    -------
    lsdb.core.crossmatch.abstract_crossmatch_algorithm.AbstractCrossmatchAlgorithm
        Its results have ``_dist_arcsec`` and ``_probability`` (missing for the plain rule).

    Raises
    ------
    ConfigError
        If settings are wrong or do not go together.
    MissingExtraError
        If LSDB is not installed.

    Examples
    --------
    >>> left.crossmatch(right, algorithm=lsdb_algorithm(2.0))  # doctest: +SKIP
    """
    if kind not in get_args(LsdbKind):
        raise ConfigError(
            f"lsdb_algorithm: kind must be 'nearest' or 'all', got {kind!r}; one-to-one partners "
            f"cannot be found in a partition alone"
        )
    errors = (left_error, right_error)
    bayes = all(e is not None for e in errors)
    if not bayes and (any(e is not None for e in errors) or prior or density):
        raise ConfigError("lsdb_algorithm: probabilities need left_error and right_error")
    if bayes and (prior is None or density is None):
        raise ConfigError("lsdb_algorithm: probabilities need a prior and a density")
    settings = {
        "radius": radius,
        "method": "bayes" if bayes else "plain",
        "kind": kind,
        "prior": prior,
        "density": density,
        "min_probability": min_probability,
    }
    nothing = Catalogue.of([], [], error=[] if bayes else None)
    crossmatch(nothing, nothing, **settings)  # type: ignore[arg-type]  # for its checks
    return _algorithm_class()(settings, left_error, right_error)


@cache
def _algorithm_class() -> type:
    """The class, made when LSDB is there."""
    need("lsdb", extra="lsdb", who="lsdb_algorithm")
    import pandas as pd
    import pyarrow as pa

    module = need(
        "lsdb.core.crossmatch.abstract_crossmatch_algorithm", extra="lsdb", who="lsdb_algorithm"
    )
    number = pd.ArrowDtype(pa.float64())

    class AstroprepCrossmatch(module.AbstractCrossmatchAlgorithm):  # type: ignore[name-defined]
        """The rule of `astroprep.integrate.crossmatch` in each partition."""

        extra_columns = pd.DataFrame(
            {"_dist_arcsec": pd.Series(dtype=number), "_probability": pd.Series(dtype=number)}
        )

        def __init__(
            self, settings: dict[str, Any], left_error: Any = None, right_error: Any = None
        ) -> None:
            super().__init__()
            self.settings, self.left_error, self.right_error = settings, left_error, right_error

        def validate(self, left: Any, right: Any) -> None:
            """Raise before anything is computed: missing columns, a margin that is too narrow."""
            super().validate(left, right)
            for side, error in ((left, self.left_error), (right, self.right_error)):
                if isinstance(error, str) and error not in side.columns:
                    raise ConfigError(f"lsdb_algorithm: {side.name} has no column {error!r}")
            margin = right.margin
            if margin is not None:
                width = margin.hc_structure.catalog_info.margin_threshold
                if width < self.settings["radius"]:
                    raise ConfigError(
                        f"lsdb_algorithm: radius {self.settings['radius']:g} is beyond the "
                        f"margin of {width:g} arcseconds of {right.name}"
                    )

        def perform_crossmatch(self, crossmatch_args: Any) -> tuple[Any, Any, Any]:
            """Rows of the pairs in one partition, with separations and probabilities."""
            a = crossmatch_args
            found = crossmatch(
                _positions(a.left_df, a.left_catalog_info, self.left_error, "left"),
                _positions(a.right_df, a.right_catalog_info, self.right_error, "right"),
                keep="matched",
                **self.settings,
            )
            extra = pd.DataFrame(
                {
                    "_dist_arcsec": pd.Series(found.separation, dtype=number),
                    "_probability": pd.Series(
                        pa.array(found.probability, from_pandas=True), dtype=number
                    ),
                }
            )
            return found.left_row, found.right_row, extra

    return AstroprepCrossmatch


def _positions(frame: Any, info: Any, error: str | float | None, name: str) -> Catalogue:
    """Positions of a partition, and their errors."""
    sigma: Any = error
    if isinstance(error, str):
        sigma = frame[error].to_numpy(dtype=np.float64, na_value=np.nan)
    ra, dec = (
        frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        for column in (info.ra_column, info.dec_column)
    )
    # one partition may well look like hours; the catalogue says that it is in degrees
    return Catalogue.of(ra, dec, error=sigma, ra_unit="degree", name=f"{name} partition")
