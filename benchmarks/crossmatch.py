"""Cross-matches with known answers, chance rates, injected stars, and speed beside astropy.

    python benchmarks/crossmatch.py --data DATA/

(a) 5,553 positions whose 5,440 AllWISE partners and distances were published, hidden among a
million decoys at the density of AllWISE in the Galactic plane: decoys uniform in patches of sky
around each position. (b) Variable-star catalogues against each other, beside the same with one
side shifted by 0.1 to 0.3 degrees: the excess is real. (c) Injected proper motions and unequal
errors: recall at equal share of false matches, plain radius against probability, on seeds that
nothing was tuned on. (d) A million against a million beside astropy's `match_to_catalog_sky`, one
thread, best of runs, partners compared. (e) A HATS catalogue whose cross-match comes with it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray
from record import record

from astroprep.integrate import Catalogue, crossmatch, propagate
from astroprep.integrate.sexagesimal import angles_of_text

DECOYS = 1_000_000
PLANE = 4.0e4  # AllWISE sources per square degree near the plane, about 750 million / 41,253 x 2
SEEDS = (501, 502, 503, 504, 505)
RADIUS = 3.0  # arcseconds, of the published matches

Sky = tuple[NDArray[np.float64], NDArray[np.float64]]


def published(data: Path) -> dict[str, Any]:
    """(a) Known partners among a million decoys."""
    folder = data / "catalogs"
    left = pd.read_csv(folder / "ztf_alerce_xmatch_input.csv")
    known = pd.read_csv(folder / "ztf_x_allwise_response.csv")
    rng = np.random.default_rng(1)
    centre = rng.integers(0, len(left), DECOYS)
    patch = len(left) / DECOYS * PLANE  # decoys fill this density
    side = 1 / np.sqrt(patch)  # degrees
    dec = left["dec"].to_numpy()[centre] + side * rng.uniform(-0.5, 0.5, DECOYS)
    step = side * rng.uniform(-0.5, 0.5, DECOYS) / np.cos(np.deg2rad(dec))
    ra = (left["ra"].to_numpy()[centre] + step) % 360
    n = len(known)
    right = np.append(known["RAJ2000"], ra), np.append(known["DEJ2000"], dec)
    truth = np.full(len(left), -1)
    where = {name: i for i, name in enumerate(left["id"].astype(str))}
    truth[[where[str(name)] for name in known["id_in"]]] = np.arange(n)
    sky = left["ra"].to_numpy(), left["dec"].to_numpy()
    alone = crossmatch(sky, (right[0][:n], right[1][:n]), radius=RADIUS, kind="one-to-one")
    distance = np.abs(alone.separation[truth >= 0] - known["angDist"].to_numpy()[truth[truth >= 0]])
    listed = crossmatch(sky, right, radius=RADIUS, kind="all", keep="matched")
    own = listed.right_row == truth[listed.left_row]
    expected = len(left) * np.pi * (RADIUS / 3600) ** 2 * PLANE
    found = crossmatch(sky, right, radius=RADIUS)
    result = {
        "what": "published AllWISE partners",
        "partners": int((truth >= 0).sum()),
        "found_alone": int((alone.right_row[truth >= 0] == truth[truth >= 0]).sum()),
        "others_alone": int(alone.is_matched[truth < 0].sum()),
        "largest_difference_arcsec": float(distance.max()),
        "among_decoys_candidates_that_are_partners": int(own.sum()),
        "false_candidates": int((~own).sum()),
        "false_expected_by_chance": round(float(expected), 1),
        "among_decoys_nearest_right": int((found.right_row[truth >= 0] == truth[truth >= 0]).sum()),
        "among_decoys_false_nearest_without_partner": int(found.is_matched[truth < 0].sum()),
        "among_decoys_expected_without_partner": round(
            float((truth < 0).sum() * (1 - np.exp(-expected / len(left)))), 2
        ),
    }
    # AllWISE errors are near 0.05 arcsec where bright; the scatter of the pairs says what both are
    sigma = float(np.median(known["angDist"]) / 1.1774 / np.sqrt(2))
    by_error = crossmatch(
        Catalogue.of(*sky, error=sigma), Catalogue.of(*right, error=sigma),
        method="bayes", radius=RADIUS,
    )  # fmt: skip
    result["bayes_right"] = int((by_error.right_row[truth >= 0] == truth[truth >= 0]).sum())
    result["bayes_false"] = int(
        (by_error.is_matched & (by_error.right_row != truth[by_error.left_row])).sum()
    )
    result["bayes_share_estimated"] = round(by_error.about["completeness"], 4)
    result["share_true"] = round(float((truth >= 0).mean()), 4)
    return result


def surveys(data: Path) -> dict[str, Sky]:
    """Variable stars of four catalogues."""
    folder = data / "catalogs"
    gcvs = pq.read_table(folder / "gcvs.parquet", columns=["ra", "dec"]).to_pandas()
    acvs = json.loads(gzip.decompress((folder / "acvs_eclipsing_11062.json.gz").read_bytes()))
    sky = {
        "GCVS": (gcvs["ra"].to_numpy(), gcvs["dec"].to_numpy()),
        "ACVS": (
            angles_of_text([x["ra"] for x in acvs], hours=True, what="ACVS ra"),
            angles_of_text([x["dec"] for x in acvs], hours=False, what="ACVS dec"),
        ),
    }
    for name, file in (("CRTS South", "crts_south.parquet"), ("ASAS", "asas_south.parquet")):
        table = pq.read_table(data / file, columns=["ra", "dec"]).to_pandas()
        sky[name] = table["ra"].to_numpy(), table["dec"].to_numpy()
    return sky


def against_chance(data: Path) -> list[dict[str, Any]]:
    """(b) Pairs of catalogues, and the same with one side shifted."""
    sky, rows = surveys(data), []
    names = list(sky)
    for i, one in enumerate(names):
        for two in names[i + 1 :]:
            radius = 15.0 if "ACVS" in (one, two) or "ASAS" in (one, two) else 5.0
            found = crossmatch(sky[one], sky[two], radius=radius, kind="one-to-one")
            shifted = []
            for shift in (-0.3, -0.2, -0.1, 0.1, 0.2, 0.3):
                moved = sky[one][0], np.clip(sky[one][1] + shift, -90, 90)
                by_chance = crossmatch(moved, sky[two], radius=radius, kind="one-to-one")
                shifted.append(int(by_chance.is_matched.sum()))
            rows.append(
                {
                    "what": f"{one} x {two}",
                    "radius_arcsec": radius,
                    "matched": int(found.is_matched.sum()),
                    "by_chance_mean": round(float(np.mean(shifted)), 2),
                    "by_chance_each": shifted,
                    "median_separation": round(float(np.nanmedian(found.separation)), 3),
                    "reasons": found.counts(),
                }
            )
    return rows


def injected(seed: int) -> dict[str, Any]:
    """(c) One field: a share with counterparts 16 years earlier, moved and with unequal errors."""
    rng = np.random.default_rng(seed)
    n, share, size, crowd = 20_000, 0.7, 0.6, 0.01
    ra, dec = 80 + rng.uniform(0, size, n), 20 + rng.uniform(0, size, n)
    pm = rng.normal(0, 40, (2, n))
    s1, s2 = 10 ** rng.uniform(-1.3, 0.3, (2, n))
    has = np.flatnonzero(rng.random(n) < share)
    then = propagate(ra, dec, *pm, -16.0)
    scatter = np.hypot(s1, s2) / 3600
    seen = (
        then.ra + scatter * rng.normal(size=n) / np.cos(np.deg2rad(dec)),
        then.dec + scatter * rng.normal(size=n),
    )
    m = rng.poisson(crowd * (size * 3600) ** 2 * np.cos(np.deg2rad(20.3)))
    right = (
        np.append(seen[0][has], 80 + rng.uniform(0, size, m)),
        np.append(seen[1][has], 20 + rng.uniform(0, size, m)),
    )
    e2 = np.append(s2[has], 10 ** rng.uniform(-1.3, 0.3, m))
    truth = np.full(n, -1)
    truth[has] = np.arange(has.size)
    new = Catalogue.of(ra, dec, error=s1, epoch=2016.0, pm_ra=pm[0], pm_dec=pm[1], name="new")
    old = Catalogue.of(*right, error=e2, epoch=2000.0, name="old")
    wide = {"radius": 15.0, "kind": "nearest"}
    curves = {
        "radius": roc(crossmatch((ra, dec), right, **wide), truth),
        "radius, moved": roc(crossmatch(new, old, **wide), truth),
        "bayes, moved": roc(
            crossmatch(new, old, method="bayes", min_probability=1e-6, **wide), truth
        ),
    }
    return {"seed": seed, **curves}


def roc(found: Any, truth: NDArray[np.int64]) -> dict[str, float]:
    """Recall at given shares of false matches among all matches, best first."""
    use = found.is_matched
    rank = -found.probability if np.isfinite(found.probability[use]).all() else found.separation
    order = np.argsort(rank[use], kind="stable")
    real = (found.right_row[use] == truth[found.left_row[use]])[order]
    right, n = np.cumsum(real), np.arange(1, real.size + 1)
    false = 1 - right / n
    total = np.count_nonzero(truth >= 0)
    return {
        f"recall at {limit:.0%} false": round(
            float(right[false <= limit].max(initial=0) / total), 4
        )
        for limit in (0.01, 0.02, 0.05)
    }


def best(call: Callable[[], Any], runs: int) -> tuple[Any, float]:
    """Result and the shortest time, seconds."""
    result, times = None, []
    for _ in range(runs):
        begin = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - begin)
    return result, min(times)


def speed(n: int, runs: int, where: str) -> dict[str, Any]:
    """(d) Beside astropy: the same partners, and how long."""
    rng = np.random.default_rng(7)
    if where == "sky":
        ra, dec = rng.uniform(0, 360, n), np.rad2deg(np.arcsin(rng.uniform(-1, 1, n)))
    else:  # a dense field: 1 per 47 square arcseconds
        ra, dec = 266 + rng.uniform(0, 2, n), -29 + rng.uniform(0, 2, n)
    order = rng.permutation(n)
    there = (ra + rng.normal(0, 0.3, n) / 3600 / np.cos(np.deg2rad(dec)))[order] % 360
    right = there, np.clip(dec + rng.normal(0, 0.3, n) / 3600, -90, 90)[order]
    a, b = SkyCoord(ra, dec, unit="deg"), SkyCoord(*right, unit="deg")
    errors = Catalogue.of(ra, dec, error=0.2), Catalogue.of(*right, error=0.22)

    def astropy() -> Any:
        for frame in (a, b):  # it keeps its tree otherwise
            frame.cache.clear()
        return a.match_to_catalog_sky(b)

    (j, apart, _), reference = best(astropy, runs)
    row: dict[str, Any] = {"what": f"{n:,} x {n:,}, {where}", "astropy_s": round(reference, 2)}
    work = {
        "plain": lambda: crossmatch((ra, dec), right, radius=2.0),
        "one-to-one": lambda: crossmatch((ra, dec), right, radius=2.0, kind="one-to-one"),
        "bayes": lambda: crossmatch(*errors, radius=2.0, method="bayes"),
    }
    for name, call in work.items():
        found, seconds = best(call, runs)
        row[f"{name}_s"] = round(seconds, 2)
        row[f"{name}_over_astropy"] = round(seconds / reference, 3)
        if name == "plain":
            near = apart.arcsec <= 2.0
            row["same_partners"] = bool(
                np.array_equal(found.is_matched, near)
                and np.array_equal(found.right_row[near], j[near])
            )
            row["largest_difference_arcsec"] = float(
                np.abs(found.separation[near] - apart.arcsec[near]).max()
            )
    return row


def hats(data: Path) -> dict[str, Any]:
    """(e) The expected cross-match of the HATS test catalogues."""
    base = data / "hats"

    def leaves(folder: Path) -> pd.DataFrame:
        files = sorted(folder.rglob("Npix=*.parquet"))
        return pd.concat([pq.ParquetFile(f).read().to_pandas() for f in files], ignore_index=True)

    left = leaves(base / "small_sky_order1_collection" / "small_sky_order1")
    right = leaves(base / "small_sky_xmatch")
    found = crossmatch(
        Catalogue.of(left["ra"], left["dec"], ids=left["id"], ra_unit="degree"),
        Catalogue.of(right["ra"], right["dec"], ids=right["id"], ra_unit="degree"),
        radius=36_000.0, kind="all", keep="matched",
    )  # fmt: skip
    expected = right["calculated_dist"].to_numpy()
    nearest = np.full(len(right), np.nan)
    order = np.argsort(-found.separation)
    nearest[found.right_row[order]] = found.separation[order] / 3600
    return {
        "what": "HATS small_sky_order1 x small_sky_xmatch",
        "objects": len(right),
        "largest_difference_deg": float(np.nanmax(np.abs(nearest - expected))),
        "without_partner": int(np.isnan(nearest).sum()),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of real surveys")
    parser.add_argument("--objects", type=int, default=1_000_000, help="of the speed test")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", help="another file for the results")
    options = parser.parse_args()
    speed(2000, 1, "field")  # compiled before anything is timed
    rows = [published(options.data), *against_chance(options.data), hats(options.data)]
    fields = [injected(seed) for seed in SEEDS]
    for name in ("radius", "radius, moved", "bayes, moved"):
        each = {key: [f[name][key] for f in fields] for key in fields[0][name]}
        rows.append(
            {"what": f"injected stars: {name}"}
            | {key: round(float(np.mean(values)), 4) for key, values in each.items()}
            | {f"{key}, spread": round(float(np.std(v)), 4) for key, v in each.items()}
        )
    rows += [speed(options.objects, options.runs, where) for where in ("sky", "field")]
    for row in rows:
        print(json.dumps(row))
    print(record("crossmatch", rows, options.out, threads=1, seeds=list(SEEDS), decoys=DECOYS))


if __name__ == "__main__":
    main()
