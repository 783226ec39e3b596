"""Features of how values are distributed: needs, formula and source of each."""

from __future__ import annotations

from astroprep.features.feature import Feature

__all__ = ["DISTRIBUTION"]

DISANTO = "D'Isanto et al. 2016, doi:10.1093/mnras/stw157"
KIM = "Kim et al. 2014, doi:10.1051/0004-6361/201323252"
JOANES = "Joanes & Gill 1998, doi:10.1111/1467-9884.00122"
OTSU = "Otsu 1979, doi:10.1109/TSMC.1979.4310076"
HAZEN = "quantiles of Hazen, Hyndman & Fan 1996, doi:10.2307/2684934"
FLAT = "all values are equal"
NARROW = "Q(0.95) = Q(0.05)"
NO_MEDIAN = "the median is 0"
# what `standard_errors` computes
JACKKNIFE = "from its values without each of the points (jackknife)"
DENSITY = "from the covariance p (1 - q) / (N f(p) f(q)) of quantiles, f the density there"

DISTRIBUTION = (
    Feature("mean", "brightness", 1, "<m>", "", "arithmetic mean", error="s / sqrt(N)"),
    Feature("median", "brightness", 1, "Q(1/2)", "", HAZEN, error=DENSITY),
    Feature("mean_variance", "brightness", 2, "s / <m>", "the mean is 0", KIM, error=JACKKNIFE),
    Feature(
        "percent_difference_magnitude_percentile_5",
        "brightness",
        1,
        "(Q(0.95) - Q(0.05)) / median",
        NO_MEDIAN,
        DISANTO,
        error=DENSITY,
    ),
    Feature(
        "percent_difference_magnitude_percentile_10",
        "brightness",
        1,
        "(Q(0.9) - Q(0.1)) / median",
        NO_MEDIAN,
        DISANTO,
        error=DENSITY,
    ),
    Feature("amplitude", "distribution", 1, "(max m - min m) / 2", "", DISANTO),
    Feature(
        "standard_deviation",
        "distribution",
        2,
        "s = sqrt(sum (m - <m>)² / (N - 1))",
        "",
        "unbiased variance",
        error=JACKKNIFE,
    ),
    Feature(
        "skew",
        "distribution",
        3,
        "N / ((N-1)(N-2)) sum (m - <m>)³ / s³ (G1)",
        FLAT,
        JOANES,
        error=JACKKNIFE,
    ),
    Feature(
        "kurtosis",
        "distribution",
        4,
        "N(N+1) / ((N-1)(N-2)(N-3)) sum (m - <m>)⁴ / s⁴ - 3(N-1)² / ((N-2)(N-3)) (G2)",
        FLAT,
        JOANES,
        error=JACKKNIFE,
    ),
    Feature(
        "anderson_darling_normal",
        "distribution",
        4,
        "(1 + 4/N - 25/N²) (-N - sum ((2i-1) ln Φi + (2(N-i)+1) ln(1 - Φi)) / N), i = 1..N",
        FLAT,
        "Stephens 1974, doi:10.1080/01621459.1974.10480196",
    ),
    Feature("beyond_1_std", "distribution", 2, "share of |m - <m>| > s", "", DISANTO),
    Feature("beyond_2_std", "distribution", 2, "share of |m - <m>| > 2 s", "", DISANTO),
    Feature(
        "inter_percentile_range_2", "distribution", 1, "Q(0.98) - Q(0.02)", "", HAZEN, error=DENSITY
    ),
    Feature(
        "inter_percentile_range_10", "distribution", 1, "Q(0.9) - Q(0.1)", "", HAZEN, error=DENSITY
    ),
    Feature(
        "inter_percentile_range_25",
        "distribution",
        1,
        "Q(0.75) - Q(0.25)",
        "",
        HAZEN,
        error=DENSITY,
    ),
    Feature(
        "magnitude_percentage_ratio_40_5",
        "distribution",
        2,
        "(Q(0.6) - Q(0.4)) / (Q(0.95) - Q(0.05))",
        NARROW,
        DISANTO,
        error=DENSITY,
    ),
    Feature(
        "magnitude_percentage_ratio_20_5",
        "distribution",
        2,
        "(Q(0.8) - Q(0.2)) / (Q(0.95) - Q(0.05))",
        NARROW,
        DISANTO,
        error=DENSITY,
    ),
    Feature(
        "median_absolute_deviation",
        "distribution",
        1,
        "median |m - median|",
        "",
        DISANTO,
        error="that of the median of |m - median|, for symmetric distributions",
    ),
    Feature(
        "median_buffer_range_percentage_10",
        "distribution",
        2,
        "share of |m - median| <= 0.1 (max - min) / 2",
        "",
        DISANTO,
    ),
    Feature(
        "median_buffer_range_percentage_20",
        "distribution",
        2,
        "share of |m - median| <= 0.2 (max - min) / 2",
        "",
        DISANTO,
    ),
    Feature("percent_amplitude", "distribution", 1, "max |m - median|", "", DISANTO),
    Feature(
        "otsu_mean_diff",
        "distribution",
        2,
        "difference of the means of Otsu's two sets",
        FLAT,
        OTSU,
    ),
    Feature("otsu_std_lower", "distribution", 2, "s of the lower set, 0 for one point", FLAT, OTSU),
    Feature("otsu_std_upper", "distribution", 2, "s of the upper set, 0 for one point", FLAT, OTSU),
    Feature(
        "otsu_lower_to_all_ratio", "distribution", 2, "share of points in the lower set", FLAT, OTSU
    ),
    Feature(
        "percentile_skew",
        "distribution",
        2,
        "(Q(0.95) + Q(0.05) - 2 median) / (Q(0.95) - Q(0.05)) of the faintness f; > 0: faint tail",
        NARROW,
        "Bowley's skewness at 5 %, Hinkley 1975, doi:10.1093/biomet/62.1.101",
        error=DENSITY,
    ),
    Feature(
        "faint_reach",
        "distribution",
        2,
        "(max f - median f) / (max f - min f)",
        FLAT,
        "after Richards et al. 2011, doi:10.1088/0004-637X/733/1/10 (median against extremes)",
    ),
    Feature(
        "faint_half",
        "distribution",
        2,
        "share of points fainter than the middle of Q(0.05) and Q(0.95)",
        "",
        "duty cycle of the fainter half",
    ),
    *(
        Feature(
            f"magnitude_percentage_ratio_{name}_5",
            "distribution",
            2,
            f"(Q({1 - low:g}) - Q({low:g})) / (Q(0.95) - Q(0.05))",
            NARROW,
            "Richards et al. 2011, doi:10.1088/0004-637X/733/1/10",
            default=False,
            error=DENSITY,
        )
        for name, low in (("32", 0.325), ("25", 0.25), ("17", 0.175), ("10", 0.1))
    ),
    Feature(
        "moors_kurtosis",
        "distribution",
        2,
        "(Q(7/8) - Q(5/8) + Q(3/8) - Q(1/8)) / (Q(6/8) - Q(2/8)); 1.233 for a Gaussian",
        "Q(0.75) = Q(0.25)",
        "robust kurtosis, Moors 1988, doi:10.2307/2348376",
        default=False,
        error=DENSITY,
    ),
    Feature(
        "beyond_3_std", "distribution", 2, "share of |m - <m>| > 3 s", "", DISANTO, default=False
    ),
    Feature(
        "tail_asymmetry",
        "distribution",
        2,
        "(<f of its lowest and highest tenths> - median f) / s of the faintness f, "
        "ceil(N / 10) points each; > 0: dips, < 0: flares",
        FLAT,
        "M of Cody et al. 2014, doi:10.1088/0004-6256/147/4/82",
        default=False,
    ),
)
