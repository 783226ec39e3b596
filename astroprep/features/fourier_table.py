"""Features of harmonic models: needs, formula and source of each."""

from __future__ import annotations

from astroprep.features.feature import Feature

__all__ = ["FOURIER"]

SIMON = "Simon & Lee 1981, doi:10.1086/159153"
ZECHMEISTER = "Zechmeister & Kürster 2009, doi:10.1051/0004-6361:200811296"
SCHWARZENBERG = "Schwarzenberg-Czerny 1996, doi:10.1086/309985"
NEUMANN = "von Neumann 1941, doi:10.1214/aoms/1177731677"
MODEL = "model: f = A0 + sum A_k cos(2πk t / P + φ_k), k = 1..4, weights 1 / δ²; "
GAPS = "the phases do not constrain four harmonics"
GAPS_2P = "the phases do not constrain eight harmonics at 2P"
NO_FIRST = f"{GAPS}, or A1 = 0"
FLAT_MODEL = f"{GAPS}, or all values are equal"
COVARIANCE = "from the covariance of the fit, times sqrt(reduced χ²) where that exceeds 1"


def _shape(
    name: str,
    formula: str,
    undefined: str = NO_FIRST,
    reference: str = SIMON,
    *,
    default: bool = True,
    error: str = "",
) -> Feature:
    return Feature(
        name,
        "fourier",
        12,
        formula,
        undefined,
        reference,
        errors=True,
        period=True,
        default=default,
        error=error,
    )


def _at_2p(name: str, formula: str, undefined: str = "") -> Feature:
    return Feature(
        name,
        "fourier",
        24,
        f"{formula} of eight harmonics at 2P",
        f"{GAPS_2P}{undefined}",
        SIMON,
        errors=True,
        period=True,
        default=False,
        error=COVARIANCE,
    )


def _power(suffix: str, cycle: str) -> Feature:
    return Feature(
        f"power_{suffix}",
        "periodogram",
        4,
        f"share of sum ((m - weighted mean) / δ)² that a constant and one sine of period {cycle} "
        "explain",
        "the phases do not constrain the sine, or all values are equal",
        ZECHMEISTER,
        errors=True,
        period=True,
        default=False,
    )


FOURIER = (
    _shape("fourier_amplitude", f"A1; {MODEL}f the faintness", GAPS, error=COVARIANCE),
    _shape("fourier_r21", "A2 / A1", error=COVARIANCE),
    _shape("fourier_r31", "A3 / A1", error=COVARIANCE),
    _shape("fourier_r41", "A4 / A1", error=COVARIANCE),
    _shape("fourier_phi21", "(φ2 - 2 φ1) mod 2π, radians", error=COVARIANCE),
    _shape("fourier_phi31", "(φ3 - 3 φ1) mod 2π, radians", error=COVARIANCE),
    _shape("fourier_phi41", "(φ4 - 4 φ1) mod 2π, radians", error=COVARIANCE),
    _shape("cos_phi21", "cos(φ2 - 2 φ1), without the jump at 2π", error=COVARIANCE),
    _shape("sin_phi21", "sin(φ2 - 2 φ1)", error=COVARIANCE),
    _shape("cos_phi31", "cos(φ3 - 3 φ1)", error=COVARIANCE),
    _shape("sin_phi31", "sin(φ3 - 3 φ1)", error=COVARIANCE),
    _shape(
        "harmonic_share_1", "A1² / (A1² + A2² + A3² + A4²): bounded where R21 runs away", FLAT_MODEL
    ),
    _shape("harmonic_share_2", "A2² / (A1² + A2² + A3² + A4²)", FLAT_MODEL),
    _shape("harmonic_share_3", "A3² / (A1² + A2² + A3² + A4²)", FLAT_MODEL),
    _shape("model_range", "max - min of the model", GAPS),
    _shape("rise_fraction", "phase from the model's faintest to its brightest", FLAT_MODEL),
    _shape(
        "model_faint_half",
        "share of the phase where the model is fainter than its middle",
        FLAT_MODEL,
        "duty cycle",
    ),
    _shape(
        "slope_ratio",
        "steepest brightening over steepest fading of the model",
        FLAT_MODEL,
        "after Richards et al. 2011, doi:10.1088/0004-637X/733/1/10",
    ),
    _shape(
        "variance_explained_p",
        "1 - sum ((m - model) / δ)² / sum ((m - weighted mean) / δ)²",
        FLAT_MODEL,
        SCHWARZENBERG,
    ),
    Feature(
        "variance_explained_2p",
        "fourier",
        24,
        "the same with eight harmonics at 2P",
        f"{GAPS_2P}, or all values are equal",
        SCHWARZENBERG,
        errors=True,
        period=True,
    ),
    Feature(
        "odd_harmonics_2p",
        "fourier",
        24,
        "1 - (1 - V2) (N - 9) / ((1 - V1) (N - 17)), V1, V2 the variance explained at P and 2P: "
        "what 2P adds, 0 for noise",
        f"{GAPS_2P}, or the model at P leaves nothing",
        "adjusted partial R²; Theil 1961",
        errors=True,
        period=True,
    ),
    _shape(
        "residual_reduced_chi2",
        "sum ((m - model) / δ)² / (N - 9)",
        GAPS,
        "Pearson's chi square",
        error="sqrt(2 / (N - 9)): Gaussian noise of the errors δ",
    ),
    _shape(
        "residual_mad_ratio",
        "median absolute residual from the median residual, over that of m",
        f"{GAPS}, or the median absolute deviation is 0",
        "after Dubath et al. 2011, doi:10.1111/j.1365-2966.2011.18575.x (P2p_scatter)",
    ),
    _shape(
        "residual_eta",
        "sum (r[i+1] - r[i])² / sum r² in time order, r = m - model",
        f"{GAPS}, or no residual",
        NEUMANN,
    ),
    _shape(
        "residual_bright_share",
        "B / (B + F), B and F the mean (r / δ)² where the model is in its brighter or fainter half",
        f"{GAPS}, or a half without points, or no residual",
        "stars of changing amplitude scatter around maximum; Blazhko 1907, "
        "doi:10.1002/asna.19071752002",
    ),
    _shape(
        "model_asymmetry",
        "share of sum A_k² that is odd about the faintest phase of the model; 0: falls as it rises",
        FLAT_MODEL,
        "power of the sine terms, Simon & Lee's series with the faintest phase as origin",
        default=False,
    ),
    _at_2p("fourier_amplitude_2p", "A1"),
    _at_2p("fourier_r21_2p", "A2 / A1", ", or A1 = 0"),
    _at_2p("fourier_r31_2p", "A3 / A1", ", or A1 = 0"),
    _at_2p("fourier_phi21_2p", "(φ2 - 2 φ1) mod 2π, radians,", ", or A1 = 0"),
    _at_2p("fourier_phi31_2p", "(φ3 - 3 φ1) mod 2π, radians,", ", or A1 = 0"),
    _power("2p", "2P"),
    _power("p", "P"),
    _power("half_p", "P / 2"),
    _power("third_p", "P / 3"),
)
