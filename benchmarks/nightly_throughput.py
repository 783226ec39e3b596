"""A replayed night over a state with a history: processor time an alert, memory, and the classes.

Full ZTF packets (three images, 30 days of earlier candidates and of forced photometry) of simulated
stars, one file each. The nights before the last are put into a state as stored observations and
the objects as known from them, in as many commits as a week makes; a share of the objects is made
unknown, so that their periods are searched in full. Then the last night is run in a process of its
own, after a few packets that load the compiled code, and everything it said is held against batches
over the whole histories: the recipe itself where a period was searched, and all objects at once
with the periods known before the night where it was verified.

    python benchmarks/nightly_throughput.py --bundle BUNDLE [--cases 50000:120:3.2]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from record import record

from astroprep.deploy.bundle import read_bundle, write_bundle
from astroprep.nightly import NightOptions, current_observations, open_state, run_night
from astroprep.nightly.bands import band_steps
from astroprep.nightly.classify import NightClassifier
from astroprep.nightly.histories import object_histories
from astroprep.nightly.ingest import SURVEYS
from astroprep.nightly.merge import latest_objects, merge_observations
from astroprep.pipeline.classify import Classifier
from astroprep.pipeline.prepare import apply_steps
from astroprep.synthetic import simulate_alerts

BAND = ("ztf_r=V",)
SURVEY = SURVEYS["ztf"]
FOLDER = 1000  # packets
WARM = 300  # packets that load compiled code before the clock runs
COMMITS = 7
CASES = ["50000:120:3.2", "5000:120:0.59", "50000:120:0.59", "500000:120:0.059", "50000:1200:0.59"]
"""A burst of 100,000; one growth of the state by stars, at the same history, and one by nights."""


def history(stars: Any, before: int, order: int) -> pa.Table:
    """Stored observations of all visits before a night, made without their packets."""
    from astroprep.integrate import to_bjd_tdb
    from astroprep.nightly.rows import OBSERVATIONS, healpix_pixel

    use = np.flatnonzero(stars.detected & (stars.night < before))
    use = use[np.argsort(stars.mjd[use], kind="stable")]  # as nights have brought them
    ra, dec = stars.ra[stars.star[use]], stars.dec[stars.star[use]]
    time_ = to_bjd_tdb(
        stars.mjd[use], system="MJD UTC", ra=ra, dec=dec, site="palomar", reference=2400000.5
    )
    flux = stars.flux[use]
    columns = {
        "pixel": healpix_pixel(ra, dec, order),
        "object_id": stars.id[stars.star[use]],
        "source_id": 10**15 + use,
        "kind": np.zeros(use.size, np.int8),
        "quality": np.ones(use.size, np.int8),
        "withdrawn": np.zeros(use.size, bool),
        "time": time_,
        "value": 31.4 - 2.5 * np.log10(flux),
        "error": 1.0857 * stars.flux_err[use] / flux,
        "band": np.array(["ztf_g", "ztf_r"], object)[stars.band[use]],
        "flags": np.zeros(use.size, np.int32),
        "ra": ra,
        "dec": dec,
    }
    fields = [field for field in OBSERVATIONS if field.name != "run"]
    return pa.table(
        {
            f.name: pa.array(columns[f.name], f.type)
            if f.name in columns
            else pa.nulls(use.size, f.type)
            for f in fields
        }
    )


def prepare(url: str, bundle: str, stored: pa.Table, unknown: float, seed: int) -> None:
    """State with the observations, and the objects as an earlier night would have left them."""
    current = merge_observations(stored.slice(0, 0), stored).current
    names = pc.unique(stored["object_id"].combine_chunks()).sort()
    with open_state(url, write=True, survey="ztf") as state:
        classifier = NightClassifier(bundle, SURVEY, band_map=BAND)
        known = latest_objects(state.read("objects"))
        said = classifier.classify(object_histories(current, names, SURVEY), known, "before")
        keep = np.random.default_rng(seed).random(len(names)) >= unknown
        objects = said.objects.filter(pa.array(keep))
        size = -(-stored.num_rows // COMMITS)
        for part in range(COMMITS):
            rows = {"observations": stored.slice(part * size, size)}
            if part == COMMITS - 1:
                rows["objects"] = objects
            state.commit("night", rows, night="before", batch=part)


def with_frequency(bundle: str, highest: float, to: Path) -> str:
    """The bundle with another highest frequency of the search; the network is the same."""
    opened = read_bundle(bundle)
    recipe = json.loads(json.dumps(opened.recipe))
    for step in recipe["steps"]:
        if step["table"]["step"] == "PeriodSearch":
            step["table"]["max_frequency"] = highest
    write_bundle(to, replace(opened, recipe=recipe))
    return str(to)


def make(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Write the night and the state before it."""
    n = args.nights
    visits = [args.visits] * (n - 1) + [args.last]
    stars, nights = simulate_alerts(
        args.stars, n, args.seed, late=0, visits_per_night=visits, only=n - 1
    )
    *_, last = nights
    size = 0
    for i, packet in enumerate(last.packets):
        folder = work / "night" / f"{i // FOLDER:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:07d}.avro").write_bytes(packet)
        size += len(packet)
        if i < WARM:
            (work / "few").mkdir(exist_ok=True)
            (work / "few" / f"{i:07d}.avro").write_bytes(packet)
    stored = history(stars, last.mjd, 2)
    prepare(str(work / "state"), args.bundle, stored, args.unknown, args.seed)
    return {
        "alerts": len(last.packets),
        "gigabytes": round(size / 1e9, 2),
        "bytes_a_packet": round(size / len(last.packets)),
        "stored_observations": stored.num_rows,
    }


def night(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Run the night; time and memory of this process."""
    run_night(str(work / "warm"), args.bundle, str(work / "few"), NightOptions(band_map=BAND))
    start = time.process_time()
    memory = []

    def told(_: Any) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory.append(pages * os.sysconf("SC_PAGESIZE") >> 20)

    options = NightOptions("last", band_map=BAND, batch=args.batch)
    result = run_night(str(work / "state"), args.bundle, str(work / "night"), options, told)
    c = result.counts
    periods = max(c["searched"] + c["verified"], 1)
    return {
        "changed_objects": c["changed"],
        "classified": c["classified"],
        "searched": c["searched"],
        "verified": c["verified"],
        "share_searched": round(c["searched"] / periods, 3),
        "cpu_seconds": round(result.cpu_seconds, 1),
        "cpu_ms_an_alert": round(1e3 * result.cpu_seconds / c["received"], 3),
        "wall_ms_an_alert": round(1e3 * result.seconds / c["received"], 3),
        "cpu_seconds_to_start": round(start, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "mb_behind_batches": memory,
    }


def compare(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Hold the last word of the night on each object against batches over the whole histories."""
    classifier = NightClassifier(args.bundle, SURVEY, band_map=BAND)
    with open_state(str(work / "state")) as state:
        said = latest_objects(state.read("classifications", where=pc.field("night") == "last"))
        once = said["object_id"].combine_chunks()
        rows = current_observations(state, pc.field("object_id").isin(once))
        objects = state.read("objects")
    place = pc.index_in(objects["object_id"], value_set=once)
    objects = objects.filter(pc.is_valid(place))
    spoken = said["run"].take(place.drop_null())
    known = latest_objects(objects.filter(pc.less(objects["run"], spoken)))
    histories = object_histories(rows, once, SURVEY)
    origin = said["period_origin"].to_numpy(zero_copy_only=False)
    method = said["method"].to_numpy(zero_copy_only=False)
    network = method == "network"
    searched, verified = (
        network & np.isin(origin, kinds) for kinds in (("searched",), ("confirmed", "drifted"))
    )
    night_says = _stacked(said["probabilities"], len(classifier.classes))
    same = classifier.classify(histories, known, "again")
    same_says = _stacked(same.classifications["probabilities"], len(classifier.classes))
    batch = histories.batch.with_columns(objects={"row": np.arange(len(once))})
    recipe = Classifier(args.bundle, period_source="search")
    prepared = recipe.prepare(apply_steps(band_steps(list(classifier.bands)), batch))
    whole = np.full_like(night_says, np.nan)
    whole[prepared.row] = recipe.predict_proba(prepared)
    agree = night_says.argmax(axis=1) == np.nan_to_num(whole, nan=-1).argmax(axis=1)
    return {
        "objects_compared": len(once),
        "rejected_alike": bool((network == np.isfinite(whole[:, 0])).all()),
        "searched_equal_to_the_bit": _equal(night_says, whole, searched),
        "verified_equal_given_the_periods": _equal(night_says, same_says, verified),
        "verified_same_class_as_searched": round(float(agree[verified].mean()), 5),
    }


def _stacked(lists: pa.ChunkedArray, n: int) -> np.ndarray[Any, Any]:
    full = pc.fill_null(lists, pa.scalar([np.nan] * n, lists.type)).combine_chunks()
    return np.asarray(full.flatten().to_numpy()).reshape(-1, n)


def _equal(a: Any, b: Any, which: Any) -> str:
    return f"{int((a[which] == b[which]).all(axis=1).sum())} of {int(which.sum())}"


STAGES = {"make": make, "night": night, "compare": compare}


def main() -> None:
    """Time nights: states are made first, so that the nights can have the machine to themselves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument(
        "--cases",
        nargs="+",
        default=CASES,
        metavar="STARS:NIGHTS:LAST",
        help="stars, nights with the last one, mean visits of the last one",
    )
    parser.add_argument("--visits", type=float, default=0.27, help="mean of a night")
    parser.add_argument("--max-frequency", type=float, default=24.0, help="of the search, per day")
    parser.add_argument("--unknown", type=float, default=0.2)
    parser.add_argument("--batch", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out")
    parser.add_argument("--stage", choices=list(STAGES))
    parser.add_argument("--work", type=Path, help="folder to work in")
    args = parser.parse_args()
    if args.stage:
        stars, nights, last = args.cases[0].split(":")
        args.stars, args.nights, args.last = int(stars), int(nights), float(last)
        print(json.dumps(STAGES[args.stage](args, args.work)))
        return
    work = args.work or Path(tempfile.mkdtemp())
    rows = {case: {"max_frequency": args.max_frequency, "case": case} for case in args.cases}
    for stage in STAGES:
        for case, row in rows.items():
            here = work / case.replace(":", "_")
            here.mkdir(parents=True, exist_ok=True)
            if stage == "make":
                with_frequency(args.bundle, args.max_frequency, here / "bundle.apz")
            words = [*sys.argv[1:], "--work", str(here), "--bundle", str(here / "bundle.apz")]
            words += ["--cases", case, "--stage", stage]  # in a process whose memory is its own
            command = [sys.executable, "-W", "ignore", __file__, *words]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            row |= json.loads(done.stdout.splitlines()[-1])
            print(row, flush=True)
            if stage == "compare":
                shutil.rmtree(here)
    path = record(
        "nightly_throughput", list(rows.values()), args.out, data="simulate_alerts", seed=args.seed
    )
    print(path)


if __name__ == "__main__":
    main()
