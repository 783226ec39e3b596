"""Make the README's table of measured claims from the results that are committed.

python benchmarks/readme_table.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from claims_compress import CLAIMS as COMPRESS
from claims_evaluate import CLAIMS as EVALUATE
from claims_features import CLAIMS as FEATURES
from claims_honest import CLAIMS as HONEST
from claims_integrate import CLAIMS as INTEGRATE
from claims_parallel import parallel
from claims_stream import CLAIMS as STREAM
from claims_train import CLAIMS as TRAIN

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
                f"{span('ratio_nifty_ls', '.1f')} times as fast as nifty-ls 1.1.0, "
                "which works in double precision where ours is single "
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


def clipping(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `clean_speed.py`."""
    return [(f"clipping, {row['what']}", row["claim"]) for row in result["rows"]]


def outliers(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `clean_outliers.py`: what each method loses and what it misses."""
    kinds: dict[str, list[str]] = {}
    for row in result["rows"]:
        lost = "-" if not row["event_points"] else f"{100 * row['events_lost']:.1f}"
        kinds.setdefault(row["what"], []).append(
            f"{row['method']} {lost} / {100 * row['strays_missed']:.1f}"
        )
    return [
        (f"event points lost / strays missed, %, {what}", "; ".join(said))
        for what, said in kinds.items()
    ]


def trends(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `detrend_speed.py`."""
    return [
        (
            f"moving {row['average']}, {row['points']:,} points, one thread",
            f"trend {row['us_trend']:.0f} µs a curve, with error {row['us_trend_and_error']:.0f}, "
            f"the whole step {row['us_step']:.0f}; wotan {row['us_wotan']:.0f}"
            + (f"; lightkurve {row['us_lightkurve']:.0f}" if row.get("us_lightkurve") else ""),
        )
        for row in result["rows"]
    ]


def events(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `detrend_events.py`: recovery at equal false alarms, over all heights."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in result["rows"]:
        kinds.setdefault(row["kind"], []).append(row)
    claims = []
    for kind, rows in kinds.items():
        most = max(row["events"] for row in rows)
        rows = [row for row in rows if row["events"] == most]
        found = "; ".join(
            f"{row['method']} {row['recovery']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
            for row in rows
        )
        bias = 100 * rows[0]["bias_found"]
        claims.append(
            (
                f"{kind}s recovered at equal false alarms, {most} injected into real Kepler, K2 "
                "and TESS curves",
                f"{found}; our depth bias {bias:+.1f} %",
            )
        )
    return claims


def cotrending(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `detrend_cbv.py`: amplitude kept and scatter."""
    claims: dict[str, list[str]] = {}
    for row in result["rows"]:
        if row.get("periods") == "1-20 d":
            claims.setdefault(row["star"], []).append(
                f"{row['method']}: {100 * row['kept_95']:.0f} % of {row['sines']} sines keep 95 %, "
                f"least {row['kept_min']:.2f}, scatter {row['scatter_median']:.2f} of PDCSAP "
                f"(at most {row['scatter_max']:.2f})"
            )
    return [
        (f"cotrending {star}, sines of 1 to 20 d injected into SAP flux", "; ".join(said))
        for star, said in claims.items()
    ]


def roll(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `detrend_k2.py`: six-hour scatter."""
    return [
        (
            f"roll of K2, {row['star']}, six-hour scatter, ppm",
            f"SAP {row['sap']:.0f}, ours {row['ours']:.0f}, PDCSAP {row['pdcsap']:.0f}, "
            f"SFFCorrector {row['sff']:.0f}; without the star's own oscillations "
            f"{row['ours_whitened']:.0f}, {row['pdcsap_whitened']:.0f}, "
            f"{row['sff_whitened']:.0f}",
        )
        for row in result["rows"]
    ]


def missing(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `clean_missing.py`: mean recall, mean over seeds and its range."""
    names = list(result["rows"][0]["recall"])
    means = {n: [row["recall"][n][-1] for row in result["rows"]] for n in names}
    return [
        (
            f"faint points lost, 11 classes of CRTS South, recall, {len(result['rows'])} seeds",
            "; ".join(
                f"{n} {sum(v) / len(v):.3f} ({min(v):.3f} to {max(v):.3f})"
                for n, v in means.items()
            ),
        )
    ]


CLAIMS = {
    "crts_south": classification,
    "period_speed": periodograms,
    "period_scaling": scaling,
    "period_found": found,
    "period_multiband": multiband,
    "period_templates": templates,
    "period_verify": verification,
    "clean_outliers": outliers,
    "clean_speed": clipping,
    "clean_missing": missing,
    "detrend_speed": trends,
    "detrend_events": events,
    "detrend_cbv": cotrending,
    "detrend_k2": roll,
    **FEATURES,
    **INTEGRATE,
    **TRAIN,
    **EVALUATE,
    **STREAM,
    **HONEST,
    **COMPRESS,
    "classify_parallel": parallel,
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
