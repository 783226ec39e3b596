"""What two processes gain over one, what they send each other, and what many would.

    python benchmarks/classify_parallel.py [--preset small] [--batch 512] [--steps 30]
        [--rounds 3] [--data DATA/] [--out FILE]

Measured: a training step (forward, backward, AdamW) on random arrays of the shape of CRTS South
(6 channels, 64 bins, 45 auxiliaries, 11 classes) in one process of one thread, by two processes of
one thread each (gloo), and by the peer, torch's own two threads in one process; medians over the
steps, the best round of each. ``cpu`` is the processor time of all processes together, which other
load on the machine disturbs less than the wall clock. The all-reduces of two processes give the
latency and bandwidth of the model.

Modelled: 8 to 1,024 processes from those figures. An all-reduce of n bytes among p costs
2 log2(p) a + 2 n (p - 1) / (p b), an all-gather log2(p) a + n (p - 1) / b for n bytes each (Thakur,
Rabenseifner & Gropp 2005, doi:10.1177/1094342005051521), a halo a + n / b.

With --data: FireNetClassifier on stars of the train split of CRTS South, catalogue periods, one
process against two; a fifth of the stars is held out. The published test split is not read.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time as clock
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
import torch
from record import record
from torch import nn
from torch.nn import functional

from astroprep.model.firenet import FireNet, build_network, count_macs, firenet_spec
from astroprep.model.parallel_collectives import Team
from astroprep.model.parallel_data import Replicated
from astroprep.model.parallel_dense import divide_dense
from astroprep.model.parallel_layers import LayerPipeline
from astroprep.model.parallel_processes import launch
from astroprep.model.parallel_regions import check_regions, divide_circle, region_of

SHAPE = {"n_channels": 6, "n_bins": 64, "n_auxiliary": 45, "n_classes": 11}
KINDS = ("data", "region", "output", "layer")
SIZES = (1, 1024, 16384, 131072, 1048576)  # float32 numbers of the all-reduces
NETWORK = {"latency": 30e-6, "bandwidth": 25e9 / 8}  # assumed: 25 Gbit/s Ethernet
PROCESSES = (2, 8, 64, 256, 1024)


def arrays(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random folds, auxiliaries and targets."""
    generator = torch.Generator().manual_seed(20261130)
    folded = torch.randn(n, SHAPE["n_channels"], SHAPE["n_bins"], generator=generator)
    auxiliary = torch.randn(n, SHAPE["n_auxiliary"], generator=generator)
    label = torch.randint(0, SHAPE["n_classes"], (n,), generator=generator)
    return folded, auxiliary, functional.one_hot(label, SHAPE["n_classes"]).float()


def make_step(kind: str, net: FireNet, team: Team, n: int) -> Callable[[], float]:
    """A step of training in one of the ways; gives the loss."""
    folded, auxiliary, target = arrays(n)
    if kind == "layer":
        pipeline = LayerPipeline(net, team, n_micro=4)
        optimizer = torch.optim.AdamW(pipeline.parameters(), lr=1e-3)

        def flow() -> float:
            optimizer.zero_grad()
            loss = pipeline.step(folded, auxiliary, target, torch.ones(n))
            optimizer.step()
            return loss

        return flow
    divided: nn.Module = net
    if kind == "data":
        divided = Replicated(net, team)
    elif kind == "region":
        divided = Replicated(divide_circle(net, team), team, by_rows=False)
        folded = folded[..., region_of(SHAPE["n_bins"], team)].contiguous()
    elif kind == "output":
        divided = divide_dense(net, team)
    optimizer = torch.optim.AdamW(divided.parameters(), lr=1e-3)

    def step() -> float:
        optimizer.zero_grad()
        loss = functional.cross_entropy(divided(folded, auxiliary), target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(loss.detach())

    return step


def timed(team: Team, folder: Path) -> None:
    """Steps of every kind in one process of a group, and the all-reduces."""
    job = json.loads((folder / "job.json").read_text())
    torch.set_num_threads(job["threads"])
    rows = []
    for kind in job["kinds"]:
        net = build_network(firenet_spec(job["preset"], **SHAPE), 1)
        step = make_step(kind, net, team, job["batch"])
        losses = [step() for _ in range(5)]
        team.n_bytes.clear()
        team.n_calls.clear()
        cpu, walls = clock.process_time(), []
        for _ in range(job["steps"]):
            start = clock.perf_counter()
            step()
            walls.append(clock.perf_counter() - start)
        rows.append(
            {
                "kind": kind,
                "loss": losses[-1],
                "wall_ms": 1e3 * median(walls),
                "cpu_ms": 1e3 * (clock.process_time() - cpu) / job["steps"],
                "bytes": {k: v / job["steps"] for k, v in sorted(team.n_bytes.items())},
                "calls": {k: v / job["steps"] for k, v in sorted(team.n_calls.items())},
            }
        )
    times = []
    for size in SIZES if team.size > 1 else ():
        tensor, seconds = torch.zeros(size), []
        for _ in range(30):
            start = clock.perf_counter()
            team.sum(tensor, "ping")
            seconds.append(clock.perf_counter() - start)
        times.append((4 * size, min(seconds)))
    (folder / f"told-{team.rank}.json").write_text(json.dumps({"rows": rows, "times": times}))


def run(processes: int, threads: int, kinds: tuple[str, ...], options: Any) -> dict[str, Any]:
    """Figures of one group: wall of the first process, processor time of all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = {"threads": threads, "kinds": kinds, "preset": options.preset}
        job |= {"batch": options.batch, "steps": options.steps}
        (folder / "job.json").write_text(json.dumps(job))
        launch("classify_parallel:timed", folder, processes)
        told = [json.loads((folder / f"told-{i}.json").read_text()) for i in range(processes)]
    for i, row in enumerate(told[0]["rows"]):
        row["cpu_ms"] = sum(one["rows"][i]["cpu_ms"] for one in told)
    return dict(told[0])


def measured(options: Any) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Rows of all kinds, and latency and bandwidth of an all-reduce of two."""
    best: dict[str, dict[str, Any]] = {}
    links = []
    for _ in range(options.rounds):
        for name, (processes, threads, kinds) in {
            "one process": (1, 1, ("one process",)),
            "two threads": (1, 2, ("two threads",)),
            "two processes": (2, 1, KINDS),
        }.items():
            told = run(processes, threads, kinds, options)
            for row in told["rows"]:
                kept = best.setdefault(row["kind"], row)
                kept["wall_ms"] = min(kept["wall_ms"], row["wall_ms"])
                kept["cpu_ms"] = min(kept["cpu_ms"], row["cpu_ms"])
            if name == "two processes":
                links.append(told["times"])
    alone = best["one process"]
    for row in best.values():
        n = 1 if row["kind"] == "one process" else 2
        row["speed_up"] = alone["wall_ms"] / row["wall_ms"]
        row["efficiency"] = row["speed_up"] / n
        row["cpu_efficiency"] = alone["cpu_ms"] / row["cpu_ms"]
        row["loss_difference"] = abs(row["loss"] - alone["loss"])
    sizes = np.array([size for size, _ in links[0]], dtype=np.float64)
    seconds = np.array([[s for _, s in link] for link in links]).min(axis=0)
    # relative errors: small messages are as well known as large ones
    design = np.stack([np.full(sizes.size, 2.0), sizes], axis=1) / seconds[:, None]
    latency, inverse = np.linalg.lstsq(design, np.ones(sizes.size), rcond=None)[0]
    return list(best.values()), {"latency": float(latency), "bandwidth": float(1 / inverse)}


def all_reduce(n: float, p: int, link: dict[str, float]) -> float:
    """Seconds of an all-reduce of n bytes among p."""
    return 2 * math.log2(p) * link["latency"] + 2 * n * (p - 1) / p / link["bandwidth"]


def all_gather(n: float, p: int, link: dict[str, float]) -> float:
    """Seconds of an all-gather of n bytes each among p."""
    return math.log2(p) * link["latency"] + n * (p - 1) / link["bandwidth"]


def modelled(
    rows: list[dict[str, Any]], link: dict[str, float], options: Any
) -> list[dict[str, Any]]:
    """Efficiency of p processes, from the bytes and calls of two and the time of one."""
    kinds = {row["kind"]: row for row in rows}
    alone = kinds["one process"]["cpu_ms"] / 1e3  # other load does not lengthen it
    net = build_network(firenet_spec(options.preset, **SHAPE), 1)
    dense = [m for m in net.modules() if isinstance(m, nn.Linear)]
    dense_share = sum(m.weight.numel() for m in dense) / count_macs(net)
    n_layers, found = 1 + len(net.fires), []
    for p in PROCESSES:
        row: dict[str, Any] = {"processes": p}
        data = kinds["data"]
        norm = data["calls"]["norm"] / 2  # forward all-gathers, backward all-reduces
        each = data["bytes"]["norm"] / data["calls"]["norm"]
        shared = norm * (all_gather(each, p, link) + all_reduce(each, p, link))
        shared += data["calls"]["gradients"] * all_reduce(
            data["bytes"]["gradients"] / data["calls"]["gradients"], p, link
        )
        logits = 2 * data["bytes"]["rows"]  # of the whole batch
        row["data, same batch"] = alone / p / (alone / p + shared + all_gather(logits / p, p, link))
        row["data, batch grows"] = alone / (alone + shared + all_gather(logits, p, link))
        region = kinds["region"]
        try:
            check_regions(net, p)
            halos = region["calls"]["halo"] * link["latency"]
            halos += region["bytes"]["halo"] / link["bandwidth"]
            pools = 2 * all_reduce(region["bytes"]["pool"] / region["calls"]["pool"], p, link)
            row["region"] = alone / p / (alone / p + shared + halos + pools)
        except ValueError:
            row["region"] = None
        output = kinds["output"]
        moved = output["calls"]["activations"] * all_reduce(
            output["bytes"]["activations"] / output["calls"]["activations"], p, link
        )
        narrowest = min(m.out_features for m in dense if m is not net.head)
        row["output"] = (
            1 / p / (1 - dense_share + dense_share / p + moved / alone) if p <= narrowest else None
        )
        row["layer"] = 16 / (16 + p - 1) if p <= n_layers else None  # 16 micro-batches, no messages
        found.append(row)
    return found


def learned(data: Path, n_objects: int, seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """Balanced accuracy on held-out stars of the train split, one process and two."""
    from features_learned import catalina

    from astroprep.integrate.redundancy import twins
    from astroprep.model.classifier import FireNetClassifier
    from astroprep.model.evaluate import balanced_accuracy, split_validation
    from astroprep.represent import FoldedChannels

    batch = catalina(data, n_objects, np.random.default_rng(20261130))
    batch = FoldedChannels(on_bad="reject").fit(batch).transform(batch)
    label = batch.objects["label"]
    group = twins(batch.objects["ra"], batch.objects["dec"], radius=6.0)
    out, rows = split_validation(label, group, fraction=0.2, seed=99), []
    for seed in seeds:
        histories = []
        for processes in (1, 2):
            model = FireNetClassifier(
                "micro", max_epochs=8, seed=seed, n_threads=processes, processes=processes
            )
            start = clock.perf_counter()
            model.fit(batch[~out])
            seconds = clock.perf_counter() - start
            predicted = model.predict(batch[out]).astype(str)
            score = balanced_accuracy(label[out].astype(str), predicted, list(model.classes_))
            histories.append([row["loss"] for row in model.history_.epochs])
            rows.append(
                {
                    "seed": seed,
                    "processes": processes,
                    "stars": len(batch),
                    "held_out": int(out.sum()),
                    "balanced_accuracy": score,
                    "seconds": seconds,
                    "bytes_per_step": model.history_.bytes_per_step,
                    "largest_loss_difference": float(np.abs(np.subtract(*histories)).max())
                    if processes == 2
                    else 0.0,
                }
            )
            print(rows[-1])
    return rows


def main() -> None:
    """Measure, model, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="small")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--objects", type=int, default=3000)
    parser.add_argument("--out")
    options = parser.parse_args()
    rows, link = measured(options)
    for row in rows:
        print(row)
    print(link)
    models = {
        name: modelled(rows, one, options)
        for name, one in {"measured link": link, "25 Gbit/s, 30 us": NETWORK}.items()
    }
    for name, found in models.items():
        for row in found:
            print(
                name,
                {k: v if v is None or k == "processes" else round(v, 3) for k, v in row.items()},
            )
    accuracy = learned(options.data, options.objects, (0, 1, 2)) if options.data else []
    record(
        "classify_parallel",
        rows,
        options.out,
        preset=options.preset,
        batch=options.batch,
        cores=len(os.sched_getaffinity(0)),
        load_average=os.getloadavg()[0],
        link=link,
        model=models,
        accuracy=accuracy,
    )


if __name__ == "__main__":
    main()
