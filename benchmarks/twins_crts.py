"""The twins of Catalina South: every pair within 6 arcsec, with a verdict and its evidence.

    python benchmarks/twins_crts.py --data DATA/

Periods are our own; the catalogue's serve for scoring alone: a pair is one star by them where they
agree within 1 in 1,000. The peer is the plain radius (`twins`), which calls all pairs one star. The
train twin of a test star is set aside by `astroprep.pipeline.split.assign_roles`, counted here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from record import record

from astroprep.clean import FlagBad
from astroprep.data import LightCurveBatch
from astroprep.integrate import find_same_stars, twins, with_periods
from astroprep.io import ColumnNames, open_survey
from astroprep.pipeline.recipe import SplitTable
from astroprep.pipeline.split import assign_roles

RADIUS = 6.0


def main() -> None:
    """List the pairs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", default=None)
    given = parser.parse_args()
    with open_survey(given.data / "crts_south.parquet", ColumnNames(period="period")) as survey:
        parts = list(survey.iter_batches())
    objects = {
        name: np.concatenate([part.objects[name] for part in parts])
        for name in ("id", "ra", "dec", "label", "split")
    }
    group = twins(objects["ra"], objects["dec"], radius=RADIUS)
    size = np.bincount(group, minlength=group.size)[group]
    first = np.cumsum([0, *(len(part) for part in parts)])
    chosen = [
        part[np.flatnonzero(size[first[k] : first[k + 1]] > 1)] for k, part in enumerate(parts)
    ]
    few = FlagBad().fit_transform(LightCurveBatch.concat(chosen))
    catalogue = few.objects["catalogue_period"]
    # labels would give the answer away: pairs are judged by place and light
    hidden = {k: v for k, v in few.objects.items() if k in ("id", "row", "ra", "dec")}
    few = with_periods(
        LightCurveBatch(
            few.time, few.value, few.error, few.offsets, few.flags, few.weight,
            objects=hidden, meta=few.meta,
        )
    )  # fmt: skip
    found = find_same_stars(few, radius=RADIUS, position_error=1.0)
    table = found.table()
    row = few.objects["row"]
    ratio = catalogue[found.left] / catalogue[found.right]
    table["one_catalogue_period"] = np.abs(ratio - 1) < 1e-3
    crosses = objects["split"][row[found.left]] != objects["split"][row[found.right]]
    table["crosses_split"] = crosses
    table["labels"] = [
        f"{objects['label'][row[a]]} {objects['label'][row[b]]}"
        for a, b in zip(found.left, found.right, strict=True)
    ]
    shown = ["left_id", "right_id", "separation", "verdict", "one_catalogue_period", "labels"]
    print(table[[*shown, "reason"]].to_string(max_colwidth=90))
    counts = table.groupby(["one_catalogue_period", "verdict"]).size()
    print(counts.to_string())
    roles = assign_roles(objects, SplitTable(twin_radius=RADIUS), 0, given=True)
    print(
        f"{len(table)} pairs, {int(table['one_catalogue_period'].sum())} of one catalogue period, "
        f"{int(crosses.sum())} across the split; "
        f"{roles.notes['train_twins_of_test']} train twins of test stars set aside"
    )
    record(
        "twins_crts", table.drop(columns=["left", "right", "label"]).to_dict("records"), given.out,
        radius=RADIUS, train_twins_set_aside=roles.notes["train_twins_of_test"],
    )  # fmt: skip


if __name__ == "__main__":
    main()
