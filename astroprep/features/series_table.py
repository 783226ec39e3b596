"""Features of how a light curve runs in time: needs, formula and source of each."""

from __future__ import annotations

from astroprep.features.feature import Feature

__all__ = ["CADENCE", "SERIES", "SERIES_NOISE"]

DISANTO = "D'Isanto et al. 2016, doi:10.1093/mnras/stw157"
KIM = "Kim et al. 2014, doi:10.1051/0004-6361/201323252"
NEUMANN = "von Neumann 1941, doi:10.1214/aoms/1177731677"
LEAST_SQUARES = "linear least squares; Hogg et al. 2010, arXiv:1008.4686"
FLAT = "all values are equal"
ONE_TIME = "all times are equal"

SERIES = (
    Feature(
        "eta",
        "series",
        2,
        "sum (m[i+1] - m[i])² / ((N - 1) s²)",
        FLAT,
        NEUMANN,
        error="2 sqrt((N - 2) / (N² - 1)): white Gaussian noise, where eta is 2",
    ),
    Feature(
        "eta_e",
        "series",
        2,
        "(t[N-1] - t[0])² / (N - 1)³ sum ((m[i+1] - m[i]) / (t[i+1] - t[i]))² / s²; pairs of equal "
        "times are left out of the sum",
        f"{FLAT}, or {ONE_TIME}",
        KIM,
    ),
    Feature("cusum", "series", 2, "range of the running sums of (m - <m>) / (N s)", FLAT, KIM),
    Feature(
        "maximum_slope",
        "series",
        2,
        "max |m[i+1] - m[i]| / (t[i+1] - t[i]), without pairs of equal times",
        ONE_TIME,
        DISANTO,
    ),
    Feature(
        "linear_trend",
        "series",
        3,
        "slope of m against t, equal weights",
        ONE_TIME,
        LEAST_SQUARES,
        error="linear_trend_sigma",
    ),
    Feature(
        "linear_trend_sigma",
        "series",
        3,
        "standard error of linear_trend: noise / sqrt(sum (t - <t>)²)",
        ONE_TIME,
        LEAST_SQUARES,
    ),
    Feature(
        "linear_trend_noise",
        "series",
        3,
        "sqrt(sum (m - line)² / (N - 2))",
        ONE_TIME,
        LEAST_SQUARES,
    ),
    Feature(
        "trend_fraction",
        "series",
        3,
        "share of the variance that the straight line explains, r²",
        f"{FLAT}, or {ONE_TIME}",
        LEAST_SQUARES,
    ),
    Feature(
        "night_fraction",
        "series",
        3,
        "<(m[i+1] - m[i])²> / (2 s²) over neighbours less than 0.5 d apart; 1 for white noise",
        f"{FLAT}, or no two points within 0.5 d",
        NEUMANN,
    ),
    Feature(
        "slow_fraction",
        "series",
        4,
        "1 - v / s², v the unbiased variance within blocks of 50 d; near 0 unless slow",
        f"{FLAT}, or no block holds two points",
        "analysis of variance; Schwarzenberg-Czerny 1989, doi:10.1093/mnras/241.2.153",
    ),
)

CADENCE = (
    Feature("observation_count", "cadence", 1, "N", "", "survey cadence"),
    Feature("duration", "cadence", 1, "t[N-1] - t[0], days", "", "survey cadence"),
    Feature(
        "minimum_time_interval", "cadence", 2, "min (t[i+1] - t[i]), days", "", "survey cadence"
    ),
    Feature(
        "maximum_time_interval", "cadence", 2, "max (t[i+1] - t[i]), days", "", "survey cadence"
    ),
    Feature(
        "time_standard_deviation",
        "cadence",
        2,
        "sqrt(sum (t - <t>)² / (N - 1)), days",
        "",
        "survey cadence",
    ),
)

SERIES_NOISE = (
    Feature(
        "linear_fit_slope",
        "series",
        3,
        "slope of m against t, weights 1 / δ²",
        ONE_TIME,
        LEAST_SQUARES,
        errors=True,
        error="linear_fit_slope_sigma",
    ),
    Feature(
        "linear_fit_slope_sigma",
        "series",
        3,
        "standard error of linear_fit_slope from the errors δ",
        ONE_TIME,
        LEAST_SQUARES,
        errors=True,
    ),
    Feature(
        "linear_fit_reduced_chi2",
        "series",
        3,
        "sum ((m - line) / δ)² / (N - 2)",
        ONE_TIME,
        LEAST_SQUARES,
        errors=True,
        error="sqrt(2 / (N - 2)): Gaussian noise of the errors δ",
    ),
    Feature(
        "stetson_j",
        "noise",
        2,
        "<sign(p) sqrt |p|>, p = d[i] d[i+1] N / (N - 1) over neighbours less than 0.5 d apart, "
        "d = (m - weighted mean) / δ",
        "no two points within 0.5 d",
        "Stetson 1996, doi:10.1086/133808, equation 1",
        errors=True,
    ),
    Feature(
        "stetson_l",
        "noise",
        2,
        "stetson_j stetson_k / 0.798",
        "no two points within 0.5 d, or all values are equal",
        "Stetson 1996, doi:10.1086/133808, equation 3, for one weight of all points",
        errors=True,
        default=False,
    ),
)
