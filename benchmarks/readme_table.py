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


def periods(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `period_speed.py`."""
    return [
        (
            f"periodogram, {row['points']:,} points, {row['frequencies']:,} frequencies, "
            f"{row['sampling']} sampling, one thread",
            f"{row['astroprep_ms']:.2f} ms, nifty-ls 1.1.0 {row['nifty_ls_ms']:.1f} ms: "
            f"{row['ratio_nifty_ls']:.0f} times as fast; same highest peak "
            f"{100 * row['same_highest_peak']:.0f} %, "
            f"power within {row['largest_difference']:.0e}",
        )
        for row in result["rows"]
    ]


def features(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `features_speed.py`."""
    return [(f"features, {row['what']}", row["claim"]) for row in result["rows"]]


CLAIMS = {
    "crts_south": classification,
    "period_speed": periods,
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
