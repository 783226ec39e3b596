"""Rejoin the Cepheids that five surveys saw, among decoys; what merging brings to the period.

    python benchmarks/merge_lmc.py --data DATA/

`lmc_cepheids_multisurvey.parquet` in DATA holds 1,561 curves of 500 stars under the names of
their surveys; its column `star` is the truth and is used for scoring alone. Periods are our own,
searched in the fullest band. Per seed, positions are moved by 0.3 arcsec in each coordinate and 20
decoys are simulated within 5 arcsec of each star, half constant, half periodic, on the cadence of a
curve of that star and in its survey's images. Peers on the same input: everything within a radius
(`twins`), and every pair of one period within 1e-4. The surveys' own links of MACHO are wrong for
some stars, which this truth counts as misses; `merge_lmc_links` makes wrong ones and counts them.

The second half injects the truth: Cepheids of known period and zero points on the real cadences,
errors and surveys. Single surveys against the merged curve, by the median error of the period.
"""

from __future__ import annotations

import argparse
import time as clock
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from merge_lmc_links import wrong_links
from record import record

from astroprep.clean import FlagBad, SelectBand
from astroprep.data import LightCurveBatch
from astroprep.integrate import (
    MarkDuplicates,
    ZeroPointCorrection,
    find_same_stars,
    merge_curves,
    twins,
    with_periods,
)
from astroprep.io import ColumnNames, open_survey

DECOYS = 20
MOVED = 0.3  # arcsec, each coordinate
FASTEST = 3.0  # cycles per day
ZERO = {"OGLE-II": 0.02, "OGLE-III": 0.0, "OGLE-IV": -0.03, "EROS-2": 0.4, "MACHO": -24.0}


def read(folder: Path) -> tuple[LightCurveBatch, np.ndarray]:
    """Curves with hidden ids in one band each, and the star of each."""
    extra = ("survey", "star", "star_ra", "star_dec")
    names = ColumnNames(id="source_id", extra=extra)
    with open_survey(folder / "lmc_cepheids_multisurvey.parquet", names) as survey:
        batch = survey.read()
    # MACHO lists exposures twice, a second apart
    batch = MarkDuplicates(window=5.0).transform(SelectBand().transform(batch))
    batch = FlagBad().fit_transform(batch)
    star = np.unique(batch.objects["star"].astype(str), return_inverse=True)[1]
    keep = {
        "id": np.array([str(k) for k in range(len(batch))], dtype=object),
        "row": batch.objects["row"],
        "survey": batch.objects["survey"],
        "ra": batch.objects["star_ra"],
        "dec": batch.objects["star_dec"],
    }
    return replace(batch, objects=keep), star


def decoys(batch: LightCurveBatch, star: np.ndarray, rng: np.random.Generator) -> LightCurveBatch:
    """Simulated neighbours of every star, on the exposures of one of its curves."""
    usable = batch.usable
    curves, columns = [], {name: [] for name in ("survey", "ra", "dec")}
    for s in np.unique(star):
        own = np.flatnonzero((star == s) & (usable.counts() > 0))
        for _ in range(DECOYS):
            k = int(rng.choice(own))
            part = slice(*usable.offsets[k : k + 2])
            seen = np.arange(part.start, part.stop)
            seen = np.sort(rng.choice(seen, min(seen.size, 100), replace=False))
            time = usable.time[seen]
            level = np.median(usable.value[part]) + rng.uniform(-1, 1.5)
            mag = level + rng.normal(0, 0.03, time.size)
            if rng.random() < 0.5:
                angle = 2 * np.pi * (
                    time / np.exp(rng.uniform(np.log(0.5), np.log(40)))
                ) + rng.uniform(0, 6)
                mag += rng.uniform(0.05, 0.4) * (np.cos(angle) + 0.4 * np.cos(2 * angle + 1))
            curves.append(
                (time, mag, np.full(time.size, 0.03), np.full(time.size, usable.band[part.start]))
            )
            place = rng.uniform(0, 2 * np.pi), 5 * np.sqrt(rng.random())
            columns["survey"].append(batch.objects["survey"][k])
            columns["ra"].append(
                batch.objects["ra"][k]
                + place[1] * np.sin(place[0]) / 3600 / np.cos(np.deg2rad(batch.objects["dec"][k]))
            )
            columns["dec"].append(batch.objects["dec"][k] + place[1] * np.cos(place[0]) / 3600)
    made = LightCurveBatch.from_curves([c[:3] for c in curves], meta=batch.meta)
    objects = {name: np.asarray(column) for name, column in columns.items()}
    objects["survey"] = objects["survey"].astype(object)
    rows = np.arange(len(made)) + len(batch)
    objects |= {"row": rows, "id": np.array([str(k) for k in rows], dtype=object)}
    return replace(made, objects=objects, band=np.concatenate([c[3] for c in curves]))


def score(group: np.ndarray, star: np.ndarray) -> dict[str, float]:
    """Pairwise precision and recall of groups; a star of -1 is alone."""
    truth = np.where(star >= 0, star, -1 - np.arange(star.size))

    def pairs(*keys: np.ndarray) -> float:
        size = np.unique(np.stack(keys, axis=1), axis=0, return_counts=True)[1].astype(float)
        return float((size * (size - 1) / 2).sum())

    right, found, true = pairs(group, truth), pairs(group), pairs(truth)
    return {
        "precision": right / max(found, 1.0),
        "recall": right / true,
        "pairs_found": found,
        "pairs_true": true,
    }


def by_period(batch: LightCurveBatch) -> np.ndarray:
    """The peer without positions: neighbours in the order of periods within 1e-4 are one star."""
    log_period = np.log(batch.objects["period"])
    order = np.argsort(log_period, kind="stable")
    step = np.diff(log_period[order], prepend=-np.inf)
    group = np.empty(order.size, np.int64)
    group[order] = np.cumsum(~(step < 1e-4))
    return group


def rejoin(batch: LightCurveBatch, star: np.ndarray, seed: int) -> list[dict[str, Any]]:
    """Rows of the first half for one seed."""
    rng = np.random.default_rng(seed)
    ra = batch.objects["ra"] + rng.normal(0, MOVED, len(batch)) / 3600 / np.cos(
        np.deg2rad(batch.objects["dec"])
    )
    dec = batch.objects["dec"] + rng.normal(0, MOVED, len(batch)) / 3600
    real = batch.with_columns(objects={"ra": ra, "dec": dec})
    links = wrong_links(real, star, seed, MOVED)
    others = with_periods(decoys(batch, star, rng), max_frequency=FASTEST)
    whole = LightCurveBatch.concat([real, others])
    truth = np.concatenate((star, np.full(len(others), -1)))
    rows = [links]

    def add(name: str, group: np.ndarray, truth: np.ndarray, seconds: float, **more: Any) -> None:
        rows.append(
            {"seed": seed, "method": name, **score(group, truth), "seconds": seconds, **more}
        )
        last = rows[-1]
        print(f"{seed} {name:38} {last['precision']:.4f} {last['recall']:.4f}", flush=True)

    for radius in (0.5, 1.0, 2.0):
        begin = clock.perf_counter()
        group = twins(whole.objects["ra"], whole.objects["dec"], radius=radius)
        add(f"peer: within {radius} arcsec", group, truth, clock.perf_counter() - begin)
    begin = clock.perf_counter()
    found = find_same_stars(whole, radius=2.0, position_error=MOVED)
    macho = whole.objects["survey"] == "MACHO"
    alone = (
        macho & (truth >= 0) & (np.bincount(found.group, minlength=len(whole))[found.group] == 1)
    )
    add(
        "position and photometry", found.group, truth, clock.perf_counter() - begin,
        macho_curves=int((macho & (truth >= 0)).sum()), macho_left_apart=int(alone.sum()),
        compared=int(found.left.size), kept_apart=int((found.blocked >= 0).sum()),
    )  # fmt: skip
    add("peer: period within 1e-4, with decoys", by_period(whole), truth, 0.0)
    begin = clock.perf_counter()
    found = find_same_stars(whole, by="photometry")
    add(
        "photometry alone, with decoys", found.group, truth, clock.perf_counter() - begin,
        compared=int(found.left.size),
    )  # fmt: skip
    if seed == 0:
        add("peer: period within 1e-4", by_period(real), star, 0.0)
        begin = clock.perf_counter()
        found = find_same_stars(real, by="photometry")
        add("photometry alone", found.group, star, clock.perf_counter() - begin)
    return rows


def simulate(batch: LightCurveBatch, star: np.ndarray, n_stars: int, seed: int) -> tuple:
    """Cepheids of known period and zero points on the real cadences and errors."""
    rng = np.random.default_rng(1000 + seed)
    usable = batch.usable
    several = np.flatnonzero(np.bincount(star) >= 2)
    chosen = rng.choice(several, min(n_stars, several.size), replace=False)
    curves, objects, truth = [], {"survey": [], "star": []}, np.full(star.max() + 1, np.nan)
    for s in chosen:
        truth[s] = np.exp(rng.uniform(np.log(1.5), np.log(20)))
        amplitude, shift, level = rng.uniform(0.1, 0.3), rng.uniform(0, 6), rng.uniform(14.5, 16)
        for k in np.flatnonzero(star == s):
            part = slice(*usable.offsets[k : k + 2])
            time, error = usable.time[part], np.clip(usable.error[part], 0.005, 0.1)
            name = batch.objects["survey"][k]
            angle = 2 * np.pi * time / truth[s] + shift
            mag = level + amplitude * (np.cos(angle) + 0.4 * np.cos(2 * angle + 1)) + ZERO[name]
            curves.append((time, mag + error * rng.standard_normal(time.size), error))
            objects["survey"].append(name)
            objects["star"].append(s)
    made = LightCurveBatch.from_curves(
        curves,
        objects={
            "survey": np.array(objects["survey"], dtype=object),
            "star": np.array(objects["star"]),
        },
        meta=replace(batch.meta, bands=()),
    )
    return made, truth


def injected(batch: LightCurveBatch, star: np.ndarray, n_stars: int, seed: int) -> dict[str, Any]:
    """One row of the second half."""
    made, truth = simulate(batch, star, n_stars, seed)
    single = with_periods(made, max_frequency=1.0)
    of = made.objects["star"]
    off = np.abs(single.objects["period"] / truth[of] - 1)
    stated = single.objects["period_err"] / single.objects["period"]
    order = np.lexsort((np.where(np.isfinite(stated), stated, np.inf), of))
    stars, first = np.unique(of[order], return_index=True)
    best = order[first]  # of each star the curve that says it is the most precise
    oracle = np.full(truth.size, np.inf)
    np.fmin.at(oracle, of, off)
    merged = merge_curves(single, of)
    place = np.searchsorted(stars, merged.objects["star"])
    merged = merged.with_columns(objects={"period": single.objects["period"][best][place]})
    settings = {"system": "survey", "reference": "OGLE-III", "method": "fold", "on_bad": "reject"}
    step = ZeroPointCorrection(per="star", combine=True, **settings)
    corrected = step.fit_transform(merged)
    after = with_periods(corrected, max_frequency=1.0)
    kept = after.objects["star"]
    off_after = np.abs(after.objects["period"] / truth[kept] - 1)
    single_best = np.full(truth.size, np.nan)
    single_best[stars] = off[best]
    names = corrected.points["survey"].astype(str)
    zero, error = corrected.points["zero_point"], corrected.points["zero_point_err"]
    curve = np.repeat(np.arange(len(corrected)), np.diff(corrected.offsets))
    _, at = np.unique(np.char.add(names, curve.astype(str)), return_index=True)
    at = at[(names[at] != "OGLE-III") & np.isfinite(zero[at])]
    pull = (zero[at] - np.array([ZERO[name] for name in names[at]])) / error[at]
    row = {
        "seed": seed, "stars": len(after), "refused": len(corrected.rejected),
        "best_single_median": float(np.nanmedian(single_best[kept])),
        "luckiest_single_median": float(np.nanmedian(oracle[kept])),
        "merged_median": float(np.nanmedian(off_after)),
        "single_wrong": float((single_best[kept] > 1e-3).mean()),
        "merged_wrong": float((off_after > 1e-3).mean()),
        "zero_points": int(pull.size),
        "zero_pull_median": float(np.median(pull)),
        "zero_pull_68": float(np.percentile(np.abs(pull), 68.27)),
        "zero_within_1": float((np.abs(pull) < 1).mean()),
        "zero_within_3": float((np.abs(pull) < 3).mean()),
    }  # fmt: skip
    row["ratio"] = row["best_single_median"] / row["merged_median"]
    print({key: round(value, 8) for key, value in row.items()})
    return row


def main() -> None:
    """Run both halves."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--stars", type=int, default=200)
    parser.add_argument("--half", choices=("rejoin", "injected", "both"), default="both")
    parser.add_argument("--out", default=None)
    given = parser.parse_args()
    batch, star = read(given.data)
    rows: list[dict[str, Any]] = []
    if given.half != "rejoin":
        rows += [
            {"part": "injected", **injected(batch, star, given.stars, seed)}
            for seed in range(given.seeds)
        ]
    if given.half != "injected":
        begin = clock.perf_counter()
        batch = with_periods(batch, max_frequency=FASTEST)
        print(f"periods of {len(batch)} curves: {clock.perf_counter() - begin:.1f} s")
        for seed in range(given.seeds):
            rows += [{"part": "rejoin", **row} for row in rejoin(batch, star, seed)]
    for method in dict.fromkeys(row.get("method", "ratio") for row in rows):
        own = [row for row in rows if row.get("method", "ratio") == method]
        for key in ("precision", "recall", "ratio"):
            if key in own[0]:
                values = np.array([row[key] for row in own])
                spread = f"{values.mean():.4f} +- {values.std(ddof=min(1, values.size - 1)):.4f}"
                print(f"{method:40} {key:10} {spread}")
    name = "merge_lmc" if given.half == "both" else f"merge_lmc_{given.half}"
    record(name, rows, given.out, decoys=DECOYS, position_error=MOVED, zero_points=ZERO)


if __name__ == "__main__":
    main()
