"""Make the README's table of measured claims from the results that are committed.

python benchmarks/readme_table.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"


def classification(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `crts_south.py`."""
    rows = []
    for row in result["rows"]:
        forest = ", ".join(
            f"{row[f'forest_{key}']:.3f}" for key in ("accuracy", "balanced_accuracy", "macro_f1")
        )
        rows += [
            (
                f"11 classes of CRTS South, {row['n_test']:,} test stars, "
                f"{row['periods']} periods, {name} network",
                f"accuracy {row[f'{name}_accuracy']:.3f}, balanced "
                f"{row[f'{name}_balanced_accuracy']:.3f}, macro F1 {row[f'{name}_macro_f1']:.3f} "
                f"(random forest on the same features: {forest})",
            )
            for name in ("uncompressed", "compressed")
        ]
        change = row["compression"]
        rows.append(
            (
                f"compression, {row['periods']} periods",
                f"{row['uncompressed_bytes']:,} to {row['compressed_bytes']:,} bytes, "
                f"{row['ratio']:.1f} times smaller; balanced accuracy "
                f"{change['difference']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]",
            )
        )
        counts = row["counts"]
        rows.append(
            (
                f"whole run, {row['periods']} periods",
                f"{row['minutes']:.0f} minutes, {row['memory_gib']:.1f} GiB; "
                f"{counts['input']:,} objects = {counts['result']:,} + "
                f"{counts['rejected']:,} rejected; classify on the same file: "
                f"largest difference of a probability "
                f"{row['classify_largest_difference']:.0e}",
            )
        )
    return rows


def periodograms(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `period_speed.py`: the range over points and sampling."""
    claims = []
    for key in sorted({(row["harmonics"], row["frequencies"]) for row in result["rows"]}):
        rows = [r for r in result["rows"] if (r["harmonics"], r["frequencies"]) == key]

        def span(name: str, form: str, rows: list[dict[str, Any]] = rows) -> str:
            values = [row[name] for row in rows]
            return f"{min(values):{form}} to {max(values):{form}}"

        points = [row["points"] for row in rows]
        worst = max(row["largest_difference"] for row in rows)
        claims.append(
            (
                f"periodogram, {key[1]:,} frequencies, {key[0]} harmonic{'s' * (key[0] > 1)}, "
                f"{min(points):,} to {max(points):,} points, uniform and nightly, one thread",
                f"{span('ratio_nifty_ls', '.1f')} times as fast as nifty-ls 1.1.0 "
                f"({span('astroprep_ms', '.2f')} ms, {span('nifty_ls_ms', '.0f')} ms); "
                f"same highest peak {100 * min(row['same_highest_peak'] for row in rows):.0f} %, "
                f"power within {worst:.0e}",
            )
        )
    return claims


def found(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `period_found.py`."""
    claims = []
    for row in result["rows"]:
        if row["label"] != "all":
            continue
        names = [n.removesuffix("_strict") for n in row if n.endswith("_strict")]
        rates = "; ".join(
            f"{name.replace('_', ' ')} {row[f'{name}_strict']:.3f}, {row[f'{name}_harmonic']:.3f}"
            for name in names
        )
        claims.append(
            (
                f"periods right, {row['survey']}, {row['objects']:,} stars"
                f"{' (a random part)' if row['subset'] == 'nifty_ls' else ''}, "
                "within 1 %, and with P, 2P, P/2, 3P, P/3",
                rates,
            )
        )
    return claims


def multiband(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `period_multiband.py`."""
    return [
        (
            f"periods right, RR Lyrae of Stripe 82 in five bands, {row['objects']} stars, "
            f"up to {row['range'][1]:g} cycles a day, {row['method']}",
            f"{row['strict']:.3f}, with harmonics {row['harmonic']:.3f}"
            + (
                f"; {row['cpu_seconds_per_object']:.3f} s a star"
                if "cpu_seconds_per_object" in row
                else ""
            ),
        )
        for row in result["rows"]
        if row["objects"] > 100  # astropy took so few that its rate says nothing
    ]


def templates(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `period_templates.py` on real stars."""
    return [
        (
            f"periods right, the same stars, template fit, {row['templates']} templates",
            f"{row['strict']:.3f}, with harmonics {row['harmonic']:.3f}; "
            f"{(row['cpu_ms_candidates'] + row['cpu_ms_fit']) / 1e3:.3f} s a star",
        )
        for row in result["rows"]
        if "stars" in row
    ]


def verification(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `period_verify.py`: what it costs."""
    costs = [row for row in result["rows"] if row["case"] == "cost"]
    return [
        (
            "verifying a known period that holds, "
            + " / ".join(f"{row['points']:,}" for row in costs)
            + " points",
            " / ".join(f"{100 * row['ratio']:.1f}" for row in costs) + " % of the cost of a search",
        )
    ]


def scaling(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `period_scaling.py`: memory."""
    return [
        (
            f"`astroprep period` over {row['objects']:,} objects",
            f"peak memory {row['memory_gib']:.2f} GiB, {row['seconds']:.0f} s",
        )
        for row in result["rows"]
        if "objects" in row
    ]


def features(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `features_speed.py`."""
    return [(f"features, {row['what']}", row["claim"]) for row in result["rows"]]


CLAIMS = {
    "crts_south": classification,
    "period_speed": periodograms,
    "period_scaling": scaling,
    "period_found": found,
    "period_multiband": multiband,
    "period_templates": templates,
    "period_verify": verification,
    "features_speed": features,
}


def table() -> str:
    """Markdown table of all claims, with command, commit, processor and date."""
    lines = ["| what | measured | how |", "|---|---|---|"]
    for name, claims in CLAIMS.items():
        path = ROOT / "benchmarks" / "results" / f"{name}.json"
        if not path.exists():
            continue
        result = json.loads(path.read_text())
        how = (
            f"`{result['command']}` at {result['commit']}, {result['processor']}, {result['date']}"
        )
        for what, measured in claims(result):
            lines.append(f"| {what} | {measured} | {how} |")
            how = "same run"
    return "\n".join(lines)


def updated(readme: str) -> str:
    """Text of the README with the table of now."""
    return re.sub(
        f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{table()}\n{END}", readme, flags=re.DOTALL
    )


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(updated(path.read_text()))
