"""Claims of the README about catalogues and merged light curves."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean
from typing import Any


def _spread(values: Iterable[float], form: str) -> str:
    """Range of a figure over the seeds."""
    values = sorted(values)
    first, last = f"{values[0]:{form}}", f"{values[-1]:{form}}"
    return first if first == last else f"{first} to {last}"


def _seeds(rows: list[Any]) -> str:
    return "one seed" if len(rows) == 1 else f"{len(rows)} seeds"


def catalogues(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `crossmatch.py`."""
    rows = {row["what"]: row for row in result["rows"]}
    sky, hats = rows["published AllWISE partners"], rows["HATS small_sky_order1 x small_sky_xmatch"]
    claims = [
        (
            f"ZTF positions among AllWISE and {result['decoys']:,} decoys of the Galactic plane",
            f"{sky['among_decoys_nearest_right']:,} of {sky['partners']:,} published partners, "
            f"separations within {sky['largest_difference_arcsec']:.4f} arcsec; "
            f"{sky['false_candidates']} false candidates ({sky['false_expected_by_chance']:.0f} "
            "expected by chance)",
        ),
        (
            f"HATS `small_sky_order1` against its published match, {hats['objects']} objects",
            f"distances within {hats['largest_difference_deg']:.0e} degrees",
        ),
    ]
    keys = [f"recall at {share}% false" for share in (1, 2, 5)]
    for method in ("radius", "radius, moved", "bayes, moved"):
        row = rows[f"injected stars: {method}"]
        recall = " / ".join(f"{row[key]:.3f}" for key in keys)
        claims.append(
            (f"injected proper motions and errors, {method}, recall at 1 / 2 / 5 % false", recall)
        )
    for what, row in rows.items():
        if "plain_over_astropy" in row:
            claims.append(
                (
                    f"cross-match, {what}, one thread",
                    f"nearest within a radius {row['plain_over_astropy']:.2f} of the time of "
                    f"astropy's `match_to_catalog_sky` ({row['astropy_s']:.1f} s), one-to-one "
                    f"{row['one-to-one_over_astropy']:.2f}, Bayesian "
                    f"{row['bayes_over_astropy']:.2f}; same partners",
                )
            )
    return claims


def rejoined(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of the first half of `merge_lmc.py`."""
    methods: dict[str, list[dict[str, Any]]] = {}
    for row in result["rows"]:
        methods.setdefault(row["method"], []).append(row)
    links = methods.pop("wrong links of MACHO")
    claims = [
        (
            f"1,561 light curves of 500 LMC Cepheids, {result['decoys']} decoys each, rejoined: "
            f"{method}",
            f"pairwise precision {_spread((row['precision'] for row in rows), '.3f')}, "
            f"recall {_spread((row['recall'] for row in rows), '.3f')} ({_seeds(rows)})",
        )
        for method, rows in methods.items()
    ]
    claims.append(
        (
            "wrong links of MACHO to those Cepheids",
            f"{mean(row['flagged'] for row in links):.0f} of "
            f"{mean(row['wrong'] for row in links):.0f} made ones flagged; of the others with one "
            f"period {_spread((row['others_of_one_period_flagged'] for row in links), '.0f')} of "
            f"{_spread((row['others_of_one_period'] for row in links), '.0f')} flagged",
        )
    )
    return claims


def merged(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of the second half of `merge_lmc.py`."""
    rows = result["rows"]
    return [
        (
            f"median period error of {rows[0]['stars']} injected Cepheids, merged against the best "
            "single survey",
            f"{_spread((row['ratio'] for row in rows), '.1f')} times smaller ({len(rows)} seeds)",
        ),
        (
            "their zero points, differences from the truth in stated errors",
            f"central 68 % within {_spread((row['zero_pull_68'] for row in rows), '.2f')}, within "
            f"3 errors {_spread((100 * row['zero_within_3'] for row in rows), '.1f')} %",
        ),
    ]


def pairs(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claim of `twins_crts.py`."""
    rows = result["rows"]
    same = sum(row["one_star"] for row in rows)
    period = sum(row["one_catalogue_period"] for row in rows)
    both = sum(row["one_star"] and row["one_catalogue_period"] for row in rows)
    return [
        (
            f"{len(rows)} pairs of CRTS South within {result['radius']:.0f} arcsec",
            f"{same} judged one star, {both} of them among the {period} of one catalogue period; "
            f"{sum(row['crosses_split'] for row in rows)} cross the published split, "
            f"{result['train_twins_set_aside']} training twins set aside",
        )
    ]


CLAIMS = {
    "crossmatch": catalogues,
    "merge_lmc_rejoin": rejoined,
    "merge_lmc_injected": merged,
    "twins_crts": pairs,
}
