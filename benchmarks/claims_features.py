"""Claims of the README about features, images, learned descriptions and stored models."""

from __future__ import annotations

from typing import Any

Claims = list[tuple[str, str]]


def speed(result: dict[str, Any]) -> Claims:
    """Claims of `features_speed.py`."""
    return [(f"features, {row['what']}", row["claim"]) for row in result["rows"]]


def values(result: dict[str, Any]) -> Claims:
    """Claim of `features_values.py`, over all surveys."""
    rows = result["rows"]
    return [
        (
            f"{rows[0]['features']} features against light-curve 0.13.3, "
            f"{sum(row['curves'] for row in rows):,} real curves of ground and space",
            f"{sum(row['beyond_tolerance'] for row in rows)} of "
            f"{sum(row['values'] for row in rows):,} values differ by more than 1e-6, at most "
            f"{max(row['largest'] for row in rows):.0e}, its float32 quantile positions taken out",
        )
    ]


def use(result: dict[str, Any]) -> Claims:
    """Claims of `features_use.py`: a line for each set of features."""
    claims = []
    for name in ("all", "selected", "components"):
        rows = {row["model"]: row for row in result["rows"] if row["features"] == name}
        scores = "; ".join(
            f"{words} {rows[model]['balanced_accuracy']:.3f} "
            f"({min(rows[model]['scores']):.3f} to {max(rows[model]['scores']):.3f})"
            for model, words in (("booster", "boosted trees"), ("forest", "random forest"))
        )
        claims.append(
            (
                f"11 classes of CRTS South, test stars, catalogue period, "
                f"{rows['booster']['n_features']} features ({name}), balanced accuracy, "
                f"{len(rows['booster']['scores'])} seeds",
                scores,
            )
        )
    first = ", ".join(f"`{name}`" for name in result["importance"]["feature"][:5])
    return [*claims, ("features that matter most there, by permutation on held-out stars", first)]


def images(result: dict[str, Any]) -> Claims:
    """Claims of `features_dmdt.py`."""
    return [(f"dm-dt images, {row['what']}", row["claim"]) for row in result["rows"]]


def learned(result: dict[str, Any]) -> Claims:
    """Claims of `features_learned.py`: hidden points, and the gain of a classifier."""
    claims = []
    for row in result["rows"]:
        if "held_out" in row:
            ratios = ", ".join(
                f"{name} {row[name]['median_ratio_to_fourier']:.2f}"
                for name in ("components", "autoencoder", "6 bins")
            )
            claims.append(
                (
                    f"{row['what']}, six numbers a star, {row['held_out']:,} stars held out",
                    f"error in that of a Fourier series of three harmonics: {ratios}",
                )
            )
        elif row["what"].startswith("boosted trees on features +"):
            claims.append(
                (
                    f"{row['what']}, {row['objects']:,} training stars of CRTS South, folds",
                    f"balanced accuracy {row['balanced_accuracy']:.3f}, "
                    f"{row['gain_balanced_accuracy']:+.3f} ± {row['gain_spread'][0]:.3f} "
                    "against features alone",
                )
            )
    return claims


def storage(result: dict[str, Any]) -> Claims:
    """Claims of `features_storage.py`: bytes, and what is left over."""
    bytes_ = next(row for row in result["rows"] if row["part"] == "bytes")
    left = next(row for row in result["rows"] if row["part"] == "left over")
    peers = "; ".join(f"{name} {ratio:.1f}" for name, ratio in bytes_["ratios"].items())
    return [
        (
            f"{bytes_['objects']:,} curves of CRTS South stored as Fourier series, "
            f"{bytes_['milliseconds_an_object']:.2f} ms each",
            f"{bytes_['stored'] / 1e6:.1f} MB; times larger: {peers}",
        ),
        (
            "residual of the stored curves, in the scatter of each curve",
            f"median {left['residual_over_scatter']['q50']:.2f}",
        ),
    ]


CLAIMS = {
    "features_speed": speed,
    "features_values": values,
    "features_use": use,
    "features_dmdt": images,
    "features_learned": learned,
    "features_storage": storage,
}
