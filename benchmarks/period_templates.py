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

HARMONICS = np.array([1.0, 2.0, 0.5, 3.0, 1 / 3])


def read(path: Path, limit: int) -> LightCurveBatch:
    """Stars with their usable points marked and the catalogue's period as ``catalogue_period``."""
    with open_survey(path, ColumnNames(period="period")) as survey:
        batch = LightCurveBatch.concat(list(survey.iter_batches(1000)))
    clean = FlagBad(missing_errors="estimate", on_bad="reject").transform(batch)
    return clean[: limit or None]


def measure(
    fit: TemplateFit, candidate: NDArray[np.float64], batch: LightCurveBatch
) -> dict[str, Any]:
    """Shares of right answers and how well the templates fit."""
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
    pull = ((fit.period - 1 / truth) / fit.period_error)[right]
    return {
        **{name: round(float(share.mean()), 4) for name, share in shares.items()},
        "cycle_exact_ab": round(float(right[kind == "ab"].mean()), 4),
        "cycle_exact_c": round(float(right[kind == "c"].mean()), 4),
        "chi2_per_dof_5_50_95": [round(float(x), 2) for x in per_dof],
        "median_absolute_period_pull": round(float(np.median(np.abs(pull))), 2),
        "outliers": round(float((fit.trust < 1).mean()), 4),
    }


def main() -> None:
    """Search, fit, measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=0, help="stars; 0 for all")
    parser.add_argument("--candidates", type=int, default=40)
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

    begin = time.perf_counter()
    candidate = sine_candidates(*points, n_candidates=args.candidates, jobs=1)
    search = (time.perf_counter() - begin) / len(batch)
    rows = []
    for name, templates in sets.items():
        begin = time.perf_counter()
        fit = fit_templates(*points, candidate, templates, batch.meta.bands, jobs=1)
        seconds = (time.perf_counter() - begin) / len(batch)
        row = {
            "templates": name,
            "stars": len(batch),
            **measure(fit, candidate, batch),
            "ms_candidates": round(1e3 * search, 2),
            "ms_fit": round(1e3 * seconds, 2),
        }
        rows.append(row)
        print(" ".join(f"{key}={value}" for key, value in row.items()))
    record("period_templates", rows, args.out, candidates=args.candidates)


if __name__ == "__main__":
    main()
