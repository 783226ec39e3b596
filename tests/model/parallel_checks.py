"""What the processes of `test_parallel` and `test_parallel_processes` do, and the same alone."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time as clock
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from astroprep.errors import DataError
from astroprep.model.firenet import FireNet, build_network, firenet_spec
from astroprep.model.parallel import fit_in_team
from astroprep.model.parallel_collectives import Team
from astroprep.model.parallel_data import Replicated
from astroprep.model.parallel_dense import divide_dense, joined_state
from astroprep.model.parallel_layers import LayerPipeline
from astroprep.model.parallel_processes import process_group
from astroprep.model.parallel_regions import divide_circle, region_of
from astroprep.model.train import TrainingArrays, TrainSettings

N_BINS = 17  # no number of processes divides it
BATCHES = (12, 12, 7, 2, 12, 9)  # the last ones of an epoch are short
KINDS = ("data", "region", "output")
QUICK = TrainSettings(
    max_epochs=4, batch_size=16, learning_rate=1e-2, averaging=0.9, n_threads=1, class_power=0.5
)


def make_net(preset: str = "micro", dtype: torch.dtype = torch.float64) -> FireNet:
    spec = firenet_spec(preset, n_channels=2, n_bins=N_BINS, n_auxiliary=3, n_classes=3)
    return build_network(spec, 5).to(dtype)


def make_arrays(n: int = 93) -> TrainingArrays:
    """Waves of one, two or three cycles, few of the third kind; 75 to learn for n = 93."""
    rng = np.random.default_rng(7)
    label = rng.choice(3, n, p=[0.5, 0.4, 0.1])
    phase = np.arange(N_BINS) / N_BINS + rng.random((n, 1))
    wave = np.sin(2 * np.pi * phase * (1 + label[:, None])) + rng.normal(0, 0.3, (n, N_BINS))
    return TrainingArrays(
        folded=np.stack([wave, np.abs(wave)], axis=1).astype(np.float32),
        auxiliary=rng.normal(size=(n, 3)).astype(np.float32),
        label=label.astype(np.int64),
        is_validation=np.arange(n) % 5 == 0,
        weight=rng.uniform(0.5, 1.5, n).astype(np.float32),
    )


def batches() -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
    arrays, start, found = make_arrays(), 0, []
    for n in BATCHES:
        rows = slice(start, start + n)
        found.append(
            (
                torch.tensor(arrays.folded[rows]).double(),
                torch.tensor(arrays.auxiliary[rows]).double(),
                functional.one_hot(torch.tensor(arrays.label[rows]), 3).double(),
                torch.tensor(arrays.weight[rows]).double(),
            )
        )
        start += n
    return found


def learn(net: nn.Module, region: slice = slice(None), n_micro: int = 1) -> list[float]:
    """Losses of the steps of AdamW in float64, each over `n_micro` micro-batches at most."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    net.train()
    losses = []
    for folded, auxiliary, target, weight in batches():
        optimizer.zero_grad()
        n, total = len(folded), 0.0
        pieces = max(k for k in range(1, n_micro + 1) if n % k == 0)
        for rows in torch.arange(n).chunk(pieces):
            logits = net(folded[rows][..., region], auxiliary[rows])
            entropy = functional.cross_entropy(logits, target[rows], reduction="none")
            loss = (entropy * weight[rows]).sum() / n
            loss.backward()
            total += float(loss.detach())
        optimizer.step()
        losses.append(total)
    return losses


def learn_by_layer(pipeline: LayerPipeline) -> list[float]:
    optimizer = torch.optim.AdamW(pipeline.parameters(), lr=1e-2)
    pipeline.stage.train()
    losses = []
    for batch in batches():
        optimizer.zero_grad()
        losses.append(pipeline.step(*batch))
        optimizer.step()
    return losses


def shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(p.shape) for name, p in net.named_parameters()}


def watch(net: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of what goes into each convolution at the next call, by its name."""
    seen: dict[str, tuple[int, ...]] = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv1d):
            module.register_forward_pre_hook(
                lambda _, inputs, name=name: seen.update({name: tuple(inputs[0].shape)})
            )
    return seen


def every_kind(team: Team, folder: Path) -> None:
    """Train a few steps in every way; each process writes down what it saw and held."""
    torch.set_num_threads(1)
    told: dict[str, object] = {"rank": team.rank}

    net = Replicated(make_net(), team)
    told["data"] = {"losses": learn(net), "state": net.state_dict()}
    told["gradient_bytes"] = team.n_bytes["gradients"] / len(BATCHES)

    mine = region_of(N_BINS, team)
    net = Replicated(divide_circle(make_net(), team), team, by_rows=False)
    seen = watch(net)
    told["region"] = {"losses": learn(net, mine), "state": net.state_dict()}
    told["seen"], told["bins"] = seen, mine.stop - mine.start

    for preset in ("nano", "micro"):
        net = divide_dense(make_net(preset), team)
        told[f"output {preset}"] = {"losses": learn(net), "state": joined_state(net, team)}
        told[f"shapes {preset}"] = shapes(net)

    for schedule, n_micro in (("gpipe", 4), ("1f1b", 4), ("1f1b", 1)):
        pipeline = LayerPipeline(make_net(), team, n_micro=n_micro, schedule=schedule)
        losses = learn_by_layer(pipeline)
        told[f"layer {schedule} {n_micro}"] = {"losses": losses, "state": pipeline.joined_state()}
        told["layers"] = shapes(pipeline.stage)

    for kind in KINDS:
        told[f"fit {kind}"] = fitted(kind, team)
    told["resumed"], told["epochs_resumed"] = stopped_and_resumed(team, folder)
    torch.save(told, folder / f"told-{team.rank}.pt")


def fitted(
    kind: str,
    team: Team,
    checkpoint: Path | None = None,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, object]:
    net = make_net(dtype=torch.float32)
    settings = TrainSettings(**{**asdict(QUICK), "parallel": kind})
    history = fit_in_team(
        net, make_arrays(), settings, team, progress=progress, checkpoint=checkpoint
    )
    return {"history": asdict(history), "state": net.state_dict()}


def stopped_and_resumed(team: Team, folder: Path) -> tuple[dict[str, object], list[float]]:
    """Training taken up from what the first process had stored after its second epoch."""
    path, kept, epochs = folder / "training.pt", folder / "kept.pt", []

    def keep(row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            shutil.copyfile(path, kept)

    fitted("data", team, path, keep)
    return fitted("data", team, kept, lambda row: epochs.append(row["epoch"])), epochs


def one_fails(team: Team, folder: Path) -> None:
    if team.rank == 1:
        raise DataError("star 17 is bad")
    team.sum(torch.zeros(1), "wait")


def one_fails_unforeseen(team: Team, folder: Path) -> None:
    if team.rank == 1:
        raise ZeroDivisionError("nobody thought of that")
    team.sum(torch.zeros(1), "wait")


def one_is_killed(team: Team, folder: Path) -> None:
    if team.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    team.sum(torch.zeros(1), "wait")


def one_is_silent(team: Team, folder: Path) -> None:
    if team.rank == 1:
        clock.sleep(600)
    team.sum(torch.zeros(1), "wait")


def all_sleep(team: Team, folder: Path) -> None:
    (folder / f"pid-{team.rank}").write_text(str(os.getpid()))
    clock.sleep(600)


def from_torchrun(folder: Path) -> None:
    with process_group(timeout=60) as team:
        torch.save(fitted("data", team), folder / f"told-{team.rank}.pt")


if __name__ == "__main__":
    from_torchrun(Path(sys.argv[1]))
