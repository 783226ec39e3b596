"""Train one network by several processes, each with a part of every batch.

What is divided is said by ``TrainSettings.parallel``:

- ``"data"``: the objects of a batch. Every process has the whole network.
- ``"region"``: the circle of phase bins, see `astroprep.model.parallel_regions`.
- ``"output"``: the dense layers, by their outputs, see `astroprep.model.parallel_dense`.

Division by layer is `astroprep.model.parallel_layers.LayerPipeline`. In all of them every update is
synchronous: losses and weights are those of one process, but for rounding.
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn

from astroprep.errors import ConfigError
from astroprep.model.checkpoint import Augment
from astroprep.model.firenet import FireNet, build_network
from astroprep.model.parallel_collectives import Team
from astroprep.model.parallel_data import Replicated
from astroprep.model.parallel_dense import check_outputs, divide_dense, joined_state
from astroprep.model.parallel_processes import TIMEOUT, launch, report
from astroprep.model.parallel_regions import check_regions, divide_circle, region_of
from astroprep.model.train import History, TrainingArrays, TrainSettings, fit_network

__all__ = ["fit_in_team", "fit_parallel"]


def fit_in_team(
    net: FireNet,
    arrays: TrainingArrays,
    settings: TrainSettings,
    team: Team,
    *,
    progress: Callable[[dict[str, float]], None] | None = None,
    checkpoint: Path | None = None,
) -> History:
    """`fit_network` in every process of a group, such as ``torchrun`` starts.

    Parameters
    ----------
    net : FireNet
        The same in every process; afterwards every process has the whole trained network.
    arrays : TrainingArrays
        The same in every process; for ``"region"`` ``arrays.folded`` may already be the bins of
        `region_of` alone.
    settings : TrainSettings
        ``settings.parallel`` says what is divided.
    team : Team
        From `astroprep.model.parallel_processes.process_group`.
    progress : callable, optional
        As in `fit_network`; called in the first process.
    checkpoint : Path, optional
        As in `fit_network`, for ``"data"``; on a file system that all processes see.

    Returns
    -------
    History
        With ``bytes_per_step``.

    Raises
    ------
    ConfigError, DataError
        As `fit_network`; or if the network cannot be divided among so many processes, or a
        checkpoint is asked for where it is not for ``"data"``.

    Notes
    -----
    The first process alone writes the checkpoint; each takes up a copy of it.

    References
    ----------
    .. [1] Li et al. 2020, "PyTorch distributed", VLDB 13, 3005, doi:10.14778/3415478.3415530
    """
    if checkpoint is not None and settings.parallel != "data":
        raise ConfigError(f"a checkpoint needs parallel = 'data', not {settings.parallel!r}")
    before, n_epochs = team.n_bytes.copy(), 0

    def seen(row: dict[str, float]) -> None:
        nonlocal n_epochs  # of this call: a checkpoint brings others
        n_epochs += 1
        if progress is not None and team.rank == 0:
            progress(row)

    divided, arrays = _divided(net, arrays, settings.parallel, team)
    threads = max(1, settings.n_threads // team.size)
    with tempfile.TemporaryDirectory() as folder:
        if checkpoint is not None:
            checkpoint = _own_checkpoint(checkpoint, Path(folder), team)
        history = fit_network(
            divided,
            arrays,
            replace(settings, n_threads=threads, processes=1),
            progress=seen,
            checkpoint=checkpoint,
        )
    learned = int((~arrays.is_validation).sum())
    steps = max(1, n_epochs) * max(1, learned // settings.batch_size)
    handed = team.n_bytes - before
    history.bytes_per_step = {name: n / steps for name, n in sorted(handed.items())}
    whole = joined_state(divided, team) if settings.parallel == "output" else divided.state_dict()
    net.load_state_dict(whole)
    net.eval()
    return history


def _divided(
    net: FireNet, arrays: TrainingArrays, parallel: str, team: Team
) -> tuple[nn.Module, TrainingArrays]:
    """A copy of the network that shares the work, and what this process feeds it."""
    if parallel == "data":
        return Replicated(copy.deepcopy(net), team), arrays
    if parallel == "output":
        return divide_dense(net, team), arrays
    n_bins = int(net.spec["n_bins"])
    mine = region_of(n_bins, team)
    if arrays.folded.shape[2] == n_bins:
        arrays = replace(arrays, folded=np.ascontiguousarray(arrays.folded[:, :, mine]))
    return Replicated(divide_circle(net, team), team, by_rows=False), arrays


def _own_checkpoint(checkpoint: Path, folder: Path, team: Team) -> Path:
    """Where this process writes; all begin with the state that the first one left."""
    own = checkpoint if team.rank == 0 else folder / "training.pt"
    if team.rank and checkpoint.exists():
        shutil.copyfile(checkpoint, own)
    distributed.barrier()  # before the first one writes again
    return own


def fit_parallel(
    net: FireNet,
    arrays: TrainingArrays,
    settings: TrainSettings,
    *,
    augment: Augment | None = None,
    progress: Callable[[dict[str, float]], None] | None = None,
    checkpoint: Path | None = None,
    timeout: float = TIMEOUT,
) -> History:
    """`fit_network`, by as many processes as ``settings.processes`` says.

    Parameters
    ----------
    net : FireNet
        Trained in place, left in evaluation mode with its best weights.
    arrays : TrainingArrays
        Written to a temporary folder once, which all processes read.
    settings : TrainSettings
        ``processes``, and ``parallel``: what is divided among them.
    augment : Augment, optional
        As in `fit_network`; for one process only.
    progress : callable, optional
        As in `fit_network`.
    checkpoint : Path, optional
        As in `fit_network`; with several processes for ``parallel="data"`` only, elsewhere an
        interrupted training starts anew.
    timeout : float, default 300
        Seconds after which a process that waits for another gives up.

    Returns
    -------
    History
        With several processes with ``bytes_per_step``.

    Raises
    ------
    ConfigError, DataError
        As `fit_network`; or if the network cannot be divided among so many processes; or augmented
        curves, low precision or another device together with several processes.
    ProcessError
        If a process was killed, failed or fell silent; all have then been ended.

    Notes
    -----
    Losses are those of one process but for rounding, because batch norm, class weights and the
    order of objects are those of the whole batch. As in one process, the same call on the same
    machine gives the same weights. Every process holds the arrays in memory, for ``"region"``
    its bins of the folds.
    """
    if settings.processes == 1:
        return fit_network(
            net, arrays, settings, augment=augment, progress=progress, checkpoint=checkpoint
        )
    if augment is not None or settings.precision != "float32" or settings.device != "cpu":
        raise ConfigError(
            "several processes train in float32 on the processor, on curves as they are: leave "
            "out augmentation, precision and device, or set processes = 1"
        )
    if net.n_periods > 1 and settings.parallel != "data":
        raise ConfigError('a network of several periods is divided by objects: parallel = "data"')
    if settings.parallel != "data":
        check = check_regions if settings.parallel == "region" else check_outputs
        check(net, settings.processes)
    with tempfile.TemporaryDirectory(prefix="astroprep-") as name:
        folder = Path(name)
        job = {
            "spec": net.spec,
            "settings": asdict(settings),
            "checkpoint": str(checkpoint.resolve())
            if checkpoint is not None and settings.parallel == "data"
            else None,
        }
        (folder / "job.json").write_text(json.dumps(job))
        torch.save(net.state_dict(), folder / "net.pt")
        for column in fields(arrays):
            value = getattr(arrays, column.name)
            if value is not None:
                np.save(folder / f"{column.name}.npy", np.asarray(value))
        target = f"{__name__}:_fit_from_files"
        launch(target, folder, settings.processes, timeout=timeout, progress=progress)
        net.load_state_dict(torch.load(folder / "trained.pt", weights_only=True))
        net.eval()
        return History(**json.loads((folder / "history.json").read_text()))


def _fit_from_files(team: Team, folder: Path) -> None:
    """What `fit_parallel` runs in each process."""
    job = json.loads((folder / "job.json").read_text())
    net = build_network(job["spec"])
    net.load_state_dict(torch.load(folder / "net.pt", weights_only=True))
    columns = {
        path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in folder.glob("*.npy")
    }
    checkpoint = Path(job["checkpoint"]) if job["checkpoint"] else None
    history = fit_in_team(
        net,
        TrainingArrays(**columns),
        TrainSettings(**job["settings"]),
        team,
        progress=report,
        checkpoint=checkpoint,
    )
    if team.rank == 0:
        torch.save(net.state_dict(), folder / "trained.pt")
        (folder / "history.json").write_text(json.dumps(asdict(history)))
