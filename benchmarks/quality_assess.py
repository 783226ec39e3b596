"""What the quality report finds on surveys whose faults are known, in what time and memory.

    python benchmarks/quality_assess.py --data DATA/

Real surveys: the three sentinel times, the twins and the split of Catalina South, the missing
errors of MACHO in the LMC file and the `period` of ASAS that gives the label away are stated by
those who gathered the data, not by us. Simulated surveys (seeds that nothing was tuned on): every
point, twin and night that was damaged is known, which gives precision and recall of each kind of
check. Each survey is read twice; the faster time counts, reading included, one thread.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
from record import record

from astroprep.clean import FlagBad, SigmaClip
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.io import ColumnNames, open_survey
from astroprep.quality import QualityReport, assess
from astroprep.synthetic import simulate_survey

SEEDS = (101, 102, 103)
STARS = 1500
BATCH = 2000
NIGHT_SHIFT, NIGHT_NOISE = 0.06, 3.0  # mag; times the usual


def assessed(path: Path, extra: tuple[str, ...] = ()) -> QualityReport:
    """Report on a file."""
    with open_survey(path, ColumnNames(extra=extra), on_bad="reject") as survey:
        return assess(survey.iter_batches(BATCH))


def memory(path: Path, work: str) -> float:
    """MiB that a fresh process needs at its highest for reading a file, or for assessing it."""
    code = (
        "import sys, numba; numba.set_num_threads(1)\n"
        "from astroprep.io import open_survey\nfrom astroprep.quality import assess\n"
        f"with open_survey(sys.argv[1], on_bad='reject') as s:\n    {work}\n"
        # not getrusage: its maximum is that of the process which started this one, if higher
        "print([int(l.split()[1]) / 1024 for l in open('/proc/self/status') if 'VmHWM' in l][0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def timed(work: Callable[[], QualityReport], repeats: int) -> tuple[QualityReport, float]:
    """Report and the shortest time, seconds."""
    best, report = np.inf, None
    for _ in range(repeats):
        start = time.perf_counter()
        report = work()
        best = min(best, time.perf_counter() - start)
    assert report is not None
    return report, best


def checked(name: str, found: Any, truth: Any) -> dict[str, Any]:
    """One line of the comparison with what is known."""
    mark = "as known" if found == truth else "DIFFERS"
    print(f"  {name:58} found {found!s:>12}  known {truth!s:>12}  {mark}")
    return {"what": name, "found": found, "known": truth, "agrees": bool(found == truth)}


def catalina(data: Path, repeats: int) -> dict[str, Any]:
    """Catalina South against what its README says."""
    path = data / "crts_south.parquet"
    report, seconds = timed(lambda: assessed(path), repeats)
    found = report.redundancy
    lines = [
        checked("objects", report.objects["total"], 37745),
        checked("sentinel times (MJD -2409998.5)", report.points["flags"]["bad_time"], 3),
        checked("pairs 3-6 arcsec apart", found["groups"], 50),
        checked("pairs that cross the split", found["crossing"], 24),
        checked("median points of an object", report.cadence["points_per_object"]["median"], 235),
        checked("labels", len([c for c in report.classes if c]), 13),
    ]
    return summary("Catalina South", path, report, seconds) | {"checks": lines}


def asas(data: Path, repeats: int) -> dict[str, Any]:
    """ASAS South against what its README says."""
    path = data / "asas_south.parquet"
    report, seconds = timed(lambda: assessed(path, ("period",)), repeats)
    # rows without a period are the stars that do not eclipse
    telling = [name for name, _ in report.redundancy["telling_columns"]]
    lines = [
        checked("objects", report.objects["total"], 13909),
        checked("fewest points of an object", int(report.cadence["points_per_object"]["min"]), 3),
        checked("columns whose presence gives the label away", telling, ["period"]),
    ]
    return summary("ASAS South", path, report, seconds) | {"checks": lines}


def lmc(data: Path, repeats: int) -> dict[str, Any]:
    """Cepheids of several surveys in one file; 500 stars, joined here by position alone."""
    path = data / "lmc_cepheids_multisurvey.parquet"
    report, seconds = timed(lambda: assessed(path), repeats)
    with open_survey(path) as survey:
        macho = sum(
            int(np.diff(b.offsets)[np.char.startswith(b.ids.astype(str), "MACHO")].sum())
            for b in survey.iter_batches(BATCH)
        )
    lines = [
        checked("light curves", report.objects["total"], 1561),
        checked("points without an error = points of MACHO", report.errors["unknown"], macho),
        checked("stars (objects less twins)", report.objects["total"]
                - report.redundancy["objects"], 500),
    ]  # fmt: skip
    return summary("LMC Cepheids", path, report, seconds) | {"checks": lines}


def summary(name: str, path: Path, report: QualityReport, seconds: float) -> dict[str, Any]:
    """Print and give what every survey is measured by."""
    reading = memory(path, f"[None for _ in s.iter_batches({BATCH})]")
    whole = memory(path, f"assess(s.iter_batches({BATCH}))")
    n = report.objects["total"]
    print(
        f"{name}: {n:,} objects, {report.points['total']:,} points, {seconds:.1f} s, "
        f"{n / seconds:,.0f} objects/s; {whole:.0f} MiB at most ({reading:.0f} for reading alone); "
        f"{report.nights['count']} nights, bad {report.nights['bad']}"
    )
    print("  " + ", ".join(f"{c.name} {c.verdict}" for c in report.conditions))
    return {
        "survey": name,
        "objects": n,
        "points": report.points["total"],
        "seconds": round(seconds, 2),
        "objects_per_second": round(n / seconds),
        "mib": round(whole),
        "mib_reading_alone": round(reading),
        "nights": report.nights["count"],
        "bad_nights": report.nights["bad"],
        "verdicts": {c.name: c.verdict for c in report.conditions},
    }


def scores(found: np.ndarray, truth: np.ndarray) -> tuple[int, int, int]:
    """Right, found and true ones."""
    return int((found & truth).sum()), int(found.sum()), int(truth.sum())


def point_kinds(survey: LightCurveBatch) -> dict[str, tuple[int, int, int]]:
    """Each kind of damage to points, as flagged by the steps that the report counts."""
    flags = SigmaClip(on_bad="reject").transform(FlagBad().transform(survey)).flags
    truth = survey.points["corruption"]
    # an outlier can only be seen in a point that is otherwise whole
    whole = (truth & ~np.uint32(PointFlag.OUTLIER | PointFlag.MISSING_ERROR)) == 0
    pairs = {
        "sentinel values": (PointFlag.SENTINEL, PointFlag.SENTINEL),
        "missing values": (PointFlag.MISSING_VALUE, PointFlag.MISSING_VALUE),
        "bad times": (PointFlag.BAD_TIME, PointFlag.BAD_TIME),
        "missing errors": (
            PointFlag.ESTIMATED_ERROR | PointFlag.MISSING_ERROR,
            PointFlag.MISSING_ERROR,
        ),
        "outlying points": (PointFlag.OUTLIER, PointFlag.OUTLIER),
    }
    rows = {}
    for name, (mine, theirs) in pairs.items():
        asked = whole if name == "outlying points" else np.ones(truth.size, bool)
        rows[name] = scores(
            ((flags & np.uint32(mine)) > 0) & asked, ((truth & np.uint32(theirs)) > 0) & asked
        )
    rows["repeated points"] = repeated(survey, flags)
    return rows


def repeated(survey: LightCurveBatch, flags: np.ndarray) -> tuple[int, int, int]:
    """Instants of a curve that are there twice; which of two equal points is the copy is open."""
    truth = survey.points["corruption"]
    curve = np.repeat(np.arange(survey.n_curves), np.diff(survey.offsets))
    harmless = PointFlag.OUTLIER | PointFlag.MISSING_ERROR | PointFlag.DUPLICATE
    whole = (truth & ~np.uint32(harmless)) == 0  # copies of lost points are lost points

    def instants(bits: np.ndarray) -> set[tuple[int, float]]:
        mine = whole & ((bits & np.uint32(PointFlag.DUPLICATE)) > 0)
        return set(zip(curve[mine].tolist(), survey.time[mine].tolist(), strict=True))

    found, true = instants(flags), instants(truth)
    return len(found & true), len(found), len(true)


def twin_pairs(survey: LightCurveBatch, report: QualityReport) -> tuple[int, int, int]:
    """Pairs of ids of one star."""
    second = survey.objects["twin_of"] != ""
    true = {
        frozenset(pair)
        for pair in zip(survey.ids[second], survey.objects["twin_of"][second], strict=True)
    }
    table = report.table.columns
    later = table["twin_of"] >= 0
    first = table["id"][table["twin_of"][later]]
    found = {frozenset(pair) for pair in zip(table["id"][later], first, strict=True)}
    return len(found & true), len(found), len(true)


def other_kinds(survey: LightCurveBatch, seed: int) -> dict[str, tuple[int, int, int]]:
    """Twins, and nights that are shifted or made noisy here."""
    rng = np.random.default_rng(seed)
    night = np.floor(np.where(survey.time > 0, survey.time, 0)).astype(np.int64)
    every = np.unique(night[night > 0])
    chosen = rng.permutation(every)
    off, noisy = chosen[: every.size // 20], chosen[every.size // 20 : every.size // 10]
    steps = rng.choice([-1, 1], off.size) * NIGHT_SHIFT
    shift = np.zeros(every.max() + 1)
    shift[off] = steps
    value = survey.value + np.where(survey.value < 90, shift[night], 0)
    sigma = np.where(np.isfinite(survey.error), survey.error, 0)
    extra = np.sqrt(NIGHT_NOISE**2 - 1) * sigma * rng.normal(size=value.size)
    value = np.where(np.isin(night, noisy) & (survey.value < 90), value + extra, value)
    report = assess([survey.with_columns(value=value)])
    table = report.nights["columns"]
    numbers, stars, pairs = table["night"], table["stars"], table["pairs"]
    reason = np.array(table["worst_check"], dtype=object)
    bad = np.array(table["verdict"], dtype=object) != "good"
    rows = {"twins": twin_pairs(survey, report)}
    judged = stars >= 8
    rows[f"nights off by {NIGHT_SHIFT:g} mag"] = scores(
        (bad & (reason == "zero point"))[judged], np.isin(numbers, off)[judged]
    )
    judged = pairs >= 20
    rows[f"nights of {NIGHT_NOISE:g} times the noise"] = scores(
        (bad & np.isin(reason, ["noise", "error bars"]))[judged], np.isin(numbers, noisy)[judged]
    )
    return rows


def simulated() -> Iterator[dict[str, Any]]:
    """Precision and recall by kind, over all seeds together, with the range of the seeds."""
    collected: dict[str, list[tuple[int, int, int]]] = {}
    for seed in SEEDS:
        survey = simulate_survey(STARS, seed=seed)
        for name, row in {**point_kinds(survey), **other_kinds(survey, seed)}.items():
            collected.setdefault(name, []).append(row)
    print(f"Simulated surveys of {STARS} stars, seeds {', '.join(map(str, SEEDS))}:")
    print(f"  {'kind':34} {'true':>8} {'precision':>10} {'recall':>8}  recall by seed")
    for name, rows in collected.items():
        right, found, true = np.sum(rows, axis=0).tolist()
        precision, recall = right / max(found, 1), right / max(true, 1)
        each = [round(r / max(t, 1), 4) for r, _, t in rows]
        print(f"  {name:34} {true:8,} {precision:10.4f} {recall:8.4f}  {each}")
        yield {
            "kind": name,
            "true": true,
            "found": found,
            "precision": round(precision, 4),
            "recall": round(recall, 4),
            "recall_by_seed": each,
        }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of real surveys")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", help="another file for the results")
    options = parser.parse_args()
    numba.set_num_threads(1)
    assess([simulate_survey(30, seed=1)])  # compiled before anything is timed
    surveys = [make(options.data, options.repeats) for make in (catalina, asas, lmc)]
    rows = [*surveys, *simulated()]
    path = record("quality_assess", rows, options.out, threads=1, seeds=list(SEEDS), stars=STARS)
    print(path)


if __name__ == "__main__":
    main()
