"""A replayed night over a state with a history: processor time an alert, memory, and the classes.

Full ZTF packets (three images, 30 days of earlier candidates and of forced photometry) of a
season of simulated stars. The nights before the last are put into a state as stored observations
and the objects as known from them; a share of the objects is made unknown, so that their periods
are searched in full. Then the last night is run, and every changed object is classified once more
from its whole history at once, as `astroprep classify` does.

    python benchmarks/nightly_throughput.py --bundle BUNDLE [--stars 2000]
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from record import record

from astroprep.nightly import NightOptions, current_observations, open_state, run_night
from astroprep.nightly.classify import NightClassifier
from astroprep.nightly.histories import object_histories
from astroprep.nightly.ingest import SURVEYS, AlertReader
from astroprep.nightly.merge import latest_objects, merge_observations
from astroprep.nightly.sources import Message
from astroprep.synthetic import simulate_alerts

BAND = ("ztf_r=V",)
SURVEY = SURVEYS["ztf"]


def history(stars: object, before: int, order: int) -> pa.Table:
    """Stored observations of all visits before a night, made without their packets."""
    from astroprep.integrate import to_bjd_tdb
    from astroprep.nightly.rows import OBSERVATIONS, healpix_pixel

    use = np.flatnonzero(stars.detected & (stars.night < before))
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
    empty = merge_observations(stored.slice(0, 0), stored).current
    names = pc.unique(stored["object_id"].combine_chunks()).sort()
    with open_state(url, write=True, survey="ztf") as state:
        classifier = NightClassifier(bundle, SURVEY, band_map=BAND)
        known = latest_objects(state.read("objects"))
        said = classifier.classify(object_histories(empty, names, SURVEY), known, "before")
        keep = np.random.default_rng(seed).random(len(names)) >= unknown
        objects = said.objects.filter(pa.array(keep))
        state.commit("night", {"observations": stored, "objects": objects}, night="before")


def agreement(url: str, bundle: str, result: object) -> dict[str, float]:
    """Classes of the night against those of the whole histories at once."""
    classifier = NightClassifier(bundle, SURVEY, band_map=BAND)
    with open_state(url) as state:
        names = result.classifications["object_id"].combine_chunks()
        rows = current_observations(state, pc.field("object_id").isin(names))
        none = latest_objects(state.read("objects")).slice(0, 0)
    whole = classifier.classify(object_histories(rows, names, SURVEY), none, "whole")
    a, b = result.classifications, whole.classifications
    both = pc.and_(pc.is_valid(a["class"]), pc.is_valid(b["class"])).to_numpy()
    first, second = (t["class"].to_numpy(zero_copy_only=False)[both] for t in (a, b))
    p, q = (t["period"].to_numpy()[both] for t in (a, b))
    verified = np.isin(
        a["period_origin"].to_numpy(zero_copy_only=False)[both], ("confirmed", "drifted")
    )
    same = first == second
    rejected = [pc.is_null(t["class"]).to_numpy(zero_copy_only=False) for t in (a, b)]
    return {
        "compared": int(both.sum()),
        "rejected_alike": bool((rejected[0] == rejected[1]).all()),
        "same_class": float(same.mean()),
        "same_class_searched": float(same[~verified].mean()) if (~verified).any() else 1.0,
        "same_class_verified": float(same[verified].mean()) if verified.any() else 1.0,
        "same_period": float((np.abs(p / q - 1) < 1e-3).mean()),
    }


def main() -> None:
    """Time a night."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--stars", type=int, default=2000)
    parser.add_argument("--nights", type=int, default=120)
    parser.add_argument("--unknown", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out")
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp())
    stars, nights = simulate_alerts(
        args.stars, args.nights, args.seed, late=0, visits_per_night=1.0, only=args.nights - 1
    )
    last = list(nights)[-1]
    folder = work / "night"
    folder.mkdir()
    for i, packet in enumerate(last.packets):
        (folder / f"{i:06d}.avro").write_bytes(packet)
    size = sum(map(len, last.packets)) / max(len(last.packets), 1)
    n_alerts = len(last.packets)
    AlertReader(SURVEY, 2).read([Message(p, "") for p in last.packets[:5]])  # compiles
    del last.packets[:]
    url = str(work / "state")
    stored = history(stars, last.mjd, 2)
    prepare(url, args.bundle, stored, args.unknown, args.seed)
    shutil.copytree(url, work / "warm")
    run_night(str(work / "warm"), args.bundle, str(folder), NightOptions("warm", band_map=BAND))
    begun = time.perf_counter(), time.process_time()
    result = run_night(url, args.bundle, str(folder), NightOptions("last", band_map=BAND))
    wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
    c = result.counts
    row = {
        "alerts": n_alerts,
        "bytes_a_packet": round(size),
        "stored_observations": stored.num_rows,
        "changed_objects": c["changed"],
        "searched": c["searched"],
        "verified": c["verified"],
        "share_searched": round(c["searched"] / max(c["searched"] + c["verified"], 1), 3),
        "cpu_ms_an_alert": round(1e3 * cpu / n_alerts, 3),
        "wall_ms_an_alert": round(1e3 * wall / n_alerts, 3),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        **agreement(url, args.bundle, result),
    }
    print(row)
    shutil.rmtree(work)
    record("nightly_throughput", [row], args.out, data="simulate_alerts", seed=args.seed)


if __name__ == "__main__":
    main()
