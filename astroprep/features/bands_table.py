"""Features of several bands together: needs, formula and source of each."""

from __future__ import annotations

from astroprep.features.feature import Feature

__all__ = ["CROSS_BAND"]

WELCH = "Welch & Stetson 1993, doi:10.1086/116556"
STETSON = "Stetson 1996, doi:10.1086/133808"
PAIRS = (
    "pairs: points of the two bands less than 0.5 d apart, nearest to each other, each in one; "
    "d = sqrt(N / (N - 1)) (m - weighted mean) / δ in each band of N points"
)
NO_PAIR = "no pair"
NEGATIVE = "a median flux is not positive"


def _cross(
    name: str,
    points: int,
    formula: str,
    undefined: str,
    reference: str,
    error: str = "",
    *,
    errors: bool = True,
    period: bool = False,
) -> Feature:
    return Feature(
        name,
        "bands",
        points,
        formula,
        undefined,
        reference,
        errors=errors,
        period=period,
        error=error,
    )


CROSS_BAND = (
    _cross(
        "colour",
        1,
        "median m of the first band less that of the second; of the flux -2.5 log10 of their ratio",
        NEGATIVE,
        "colour index",
        "errors of the medians, in quadrature",
        errors=False,
    ),
    _cross(
        "spread_ratio",
        2,
        "ratio of Q(0.9) - Q(0.1), the first band over the second; of the flux each over its "
        "median",
        f"Q(0.9) = Q(0.1) in the second band, or {NEGATIVE}",
        "amplitude ratio without a period",
        "relative errors of both, in quadrature",
        errors=False,
    ),
    _cross(
        "amplitude_ratio",
        12,
        "ratio of fourier_amplitude; of the flux each over its median",
        f"fourier_amplitude is undefined in a band, or 0 in the second, or {NEGATIVE}",
        "Klagyivik & Szabados 2009, doi:10.1051/0004-6361/200811464",
        "relative errors of both, in quadrature",
        period=True,
    ),
    _cross(
        "phase_lag",
        12,
        "(φ1 of the second band - φ1 of the first) / 2π in -0.5..0.5, cycles of P; > 0: the first "
        "comes later",
        "fourier_r21 is undefined in a band",
        "Freedman 1988, doi:10.1086/166233",
        "errors of both phases, in quadrature",
        period=True,
    ),
    _cross(
        "welch_stetson_i", 2, f"sum d d' / sqrt(n (n - 1)), n {PAIRS}", "fewer pairs than 2", WELCH
    ),
    _cross("pair_stetson_j", 2, f"<sign(d d') sqrt |d d'|> over {PAIRS}", NO_PAIR, STETSON),
    _cross(
        "pair_stetson_l",
        2,
        "pair_stetson_j K / 0.798, K = <|d|> / sqrt <d²> over the points of both bands",
        f"{NO_PAIR}, or all values are equal",
        STETSON,
    ),
    _cross(
        "pair_correlation",
        3,
        f"correlation of the values of {PAIRS.partition(';')[0]}",
        "fewer pairs than 3, or equal values in a band",
        "Pearson's correlation",
        "(1 - r²) / sqrt(n - 1), n pairs: Gaussian values",
        errors=False,
    ),
)
