"""RR Lyrae periods from multi-band templates, on the 483 stars of SDSS Stripe 82.

``python benchmarks/period_templates.py --data DATA/`` reads ``sdss_stripe82_rrlyrae.parquet`` and
``templates_sesar2010/`` there. Periods are right strictly (1 per cent), to the cycle (the phase at
the end of the survey errs by less than a quarter), or as a harmonic (P, 2P, P/2, 3P, P/3 within 1
per cent). No setting was chosen on these stars.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import record

from astroprep.clean import FlagBad
from astroprep.data import LightCurveBatch
from astroprep.io import ColumnNames, open_survey
from astroprep.period.template import TemplateFit, fit_templates
from astroprep.period.template_files import load_templates, shipped_templates
from astroprep.period.template_period import sine_candidates
from astroprep.period.templates import TemplateSet
from astroprep.synthetic.stars import draw_stars, magnitude

HARMONICS = np.array([1.0, 2.0, 0.5, 3.0, 1 / 3])

SIMULATED_BANDS = ("g", "i", "r", "u", "z")
AMPLITUDE = np.array([1.0, 0.57, 0.72, 0.95, 0.52])  # relative; about those of RR Lyrae
COLOUR = np.array([0.0, -0.25, -0.2, 1.1, -0.25])
SEASONS = np.array([1, 1, 2, 2, 3, 3, 4, 10, 10, 10]) / 46  # most nights of Stripe 82 came late


def simulate(n_stars: int, n_nights: int, seed: int) -> tuple[tuple[Any, ...], Any, Any]:
    """Points as `fit_templates` takes them, true periods, and kinds."""
    rng = np.random.default_rng(seed)
    label = np.where(rng.random(n_stars) < 0.7, "RRab", "RRc").astype(object)
    stars = draw_stars(rng, label)
    season = rng.choice(10, (n_stars, n_nights), p=SEASONS)
    night = np.floor(rng.uniform(0, 90, season.shape))
    # a drift scan passes a field at one sidereal time
    start = (
        51075.25 + 365.25 * season + night * (1 - 0.00273) + rng.uniform(-0.06, 0.06, night.shape)
    )
    when = (np.sort(start, axis=1)[:, :, None] + 0.000833 * np.arange(5)).ravel()
    band = np.tile(np.arange(5), n_stars * n_nights)
    star = np.repeat(np.arange(n_stars), 5 * n_nights)
    level = rng.uniform(14, 20.5, n_stars)[star] + COLOUR[band]
    true = level + AMPLITUDE[band] * magnitude(stars, star, when)
    error = np.hypot(0.02, 0.02 * 10 ** (0.36 * (true - 20)))
    value = true + rng.normal(0, error)
    value += (rng.random(value.size) < 0.01) * rng.normal(0, 1.0, value.size)
    offsets = np.arange(n_stars + 1, dtype=np.int64) * 5 * n_nights
    order = np.lexsort((when, star))  # two visits of one night may overlap
    when, value, error, band = (x[order] for x in (when, value, error, band))
    return (when, value, error, band, offsets), stars.period, np.where(label == "RRab", "ab", "c")


def measure_simulated(sets: dict[str, TemplateSet], n_stars: int) -> list[dict[str, Any]]:
    """Shares of right answers on simulated stars."""
    rows = []
    for n_nights in (56, 18, 14, 10):
        points, period, kind = simulate(n_stars, n_nights, seed=n_nights)
        baseline = np.array([np.ptp(t) for t in points[0].reshape(n_stars, -1)])
        for wanted in (40, None):
            candidate = sine_candidates(*points, n_candidates=wanted, jobs=1)
            for name, templates in sets.items():
                begin = time.process_time()
                fit = fit_templates(*points, candidate, templates, SIMULATED_BANDS, jobs=1)
                seconds = (time.process_time() - begin) / n_stars
                near = np.abs(candidate - 1 / period[:, None]) * baseline[:, None] < 0.25
                row = {
                    "templates": name,
                    "simulated_nights": n_nights,
                    "candidates": wanted or "by points",
                    "strict": round(float((np.abs(fit.period / period - 1) < 0.01).mean()), 4),
                    "cycle_exact": round(
                        float((np.abs(1 / fit.period - 1 / period) * baseline < 0.25).mean()), 4
                    ),
                    "among_candidates": round(float(near.any(axis=1).mean()), 4),
                    "kind": round(float((fit.kind == kind).mean()), 4),
                    "cpu_ms_fit": round(1e3 * seconds, 2),
                }
                rows.append(row)
                print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    return rows


def read(path: Path, limit: int) -> LightCurveBatch:
    """Stars with their usable points marked and the catalogue's period as ``catalogue_period``."""
    with open_survey(path, ColumnNames(period="period")) as survey:
        batch = LightCurveBatch.concat(list(survey.iter_batches(1000)))
    clean = FlagBad(missing_errors="estimate", on_bad="reject").transform(batch)
    return clean[: limit or None]


def measure(
    fit: TemplateFit,
    given: TemplateFit,
    candidate: NDArray[np.float64],
    batch: LightCurveBatch,
) -> dict[str, Any]:
    """Shares of right answers and how well the templates fit, also at the catalogue's period."""
    truth = 1.0 / np.asarray(batch.objects["catalogue_period"], np.float64)
    usable = batch.usable
    baseline = usable.time[usable.offsets[1:] - 1] - usable.time[usable.offsets[:-1]]
    ratio = 1.0 / fit.period / truth
    kind = np.asarray(batch.objects["label"])
    near = np.abs(candidate - truth[:, None]) * baseline[:, None] < 0.5
    per_dof = np.percentile(fit.chi2 / fit.dof, [5, 50, 95])
    shares = {
        "strict": np.abs(ratio - 1) < 0.01,
        "cycle_exact": np.abs(1.0 / fit.period - truth) * baseline < 0.25,
        "harmonic": (np.abs(ratio[:, None] * HARMONICS - 1) < 0.01).any(axis=1),
        "kind": fit.kind == kind,
        "among_candidates": near.any(axis=1),
    }
    right = shares["cycle_exact"]
    inflated = np.sqrt(np.maximum(fit.chi2 / fit.dof, 1.0))[right]
    pull = ((fit.period - 1 / truth) / fit.period_err)[right]
    return {
        **{name: round(float(share.mean()), 4) for name, share in shares.items()},
        "cycle_exact_ab": round(float(right[kind == "ab"].mean()), 4),
        "cycle_exact_c": round(float(right[kind == "c"].mean()), 4),
        "chi2_per_dof_5_50_95": [round(float(x), 2) for x in per_dof],
        "median_absolute_period_pull": round(float(np.median(np.abs(pull))), 2),
        "median_absolute_period_pull_scaled": round(float(np.median(np.abs(pull) / inflated)), 2),
        "wrong_cycle": int((~right).sum()),
        "wrong_with_lower_chi2_than_catalogue": int((fit.chi2 < given.chi2 - 1)[~right].sum()),
        "outliers": round(float((fit.trust < 1).mean()), 4),
    }


def main() -> None:
    """Search, fit, measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=0, help="stars; 0 for all")
    parser.add_argument("--simulated", type=int, default=200, help="stars of each number of nights")
    parser.add_argument("--candidates", type=int, default=None, help="by the points otherwise")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()

    batch = read(args.data / "sdss_stripe82_rrlyrae.parquet", args.limit)
    usable = batch.usable
    assert usable.band is not None
    points = (usable.time, usable.value, usable.error, usable.band, usable.offsets)
    sets: dict[str, TemplateSet] = {
        "sesar2010": load_templates(args.data / "templates_sesar2010"),
        "shipped": shipped_templates(),
    }
    few = slice(0, usable.offsets[2])
    start = (*(column[few] for column in points[:4]), usable.offsets[:3])
    compiled = sine_candidates(*start, n_candidates=args.candidates, jobs=1)
    fit_templates(*start, compiled, sets["shipped"], batch.meta.bands, jobs=1)

    begin = time.process_time()
    candidate = sine_candidates(*points, n_candidates=args.candidates, jobs=1)
    search = (time.process_time() - begin) / len(batch)
    truth = 1.0 / np.asarray(batch.objects["catalogue_period"], np.float64)
    rows = measure_simulated(sets, args.simulated)
    for name, templates in sets.items():
        begin = time.process_time()
        fit = fit_templates(*points, candidate, templates, batch.meta.bands, jobs=1)
        seconds = (time.process_time() - begin) / len(batch)
        given = fit_templates(*points, truth[:, None], templates, batch.meta.bands, jobs=1)
        row = {
            "templates": name,
            "stars": len(batch),
            **measure(fit, given, candidate, batch),
            "cpu_ms_candidates": round(1e3 * search, 2),
            "cpu_ms_fit": round(1e3 * seconds, 2),
        }
        rows.append(row)
        print(" ".join(f"{key}={value}" for key, value in row.items()))
    record("period_templates", rows, args.out, candidates=args.candidates or "by points")


if __name__ == "__main__":
    main()
