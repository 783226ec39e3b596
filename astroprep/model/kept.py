"""A training that is one of several: finished once, taken up by whoever asks again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from torch import nn

from astroprep.model.checkpoint import Augment, fingerprint_of, read_checkpoint, write_checkpoint
from astroprep.model.settings import History, TrainingArrays, TrainSettings
from astroprep.model.train import fit_network

__all__ = ["fit_kept"]


def fit_kept(
    net: nn.Module,
    arrays: TrainingArrays,
    settings: TrainSettings,
    kept: Path | None,
    *,
    augment: Augment | None = None,
    after_step: Callable[[nn.Module], None] | None = None,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> History:
    """Train a network in place, or take up what an earlier call with the same everything left.

    Parameters
    ----------
    net, arrays, settings, augment, after_step, progress
        As for `fit_network`.
    kept : Path or None
        Where the finished training is kept, and beside it (``.unfinished``) its state after
        every epoch: what comes after a training of an hour can fail without costing that hour.
        None keeps nothing.

    Returns
    -------
    History
        Of the training, whenever it happened.

    Raises
    ------
    DataError, ConfigError
        As `fit_network` for its checkpoint: damaged, or of another network, data or settings, or
        it cannot be written.
    """
    if kept is None:
        return fit_network(
            net, arrays, settings, augment=augment, after_step=after_step, progress=progress
        )
    # not the name of its unfinished state, which would pass for the end of the training
    name = "finished " + fingerprint_of(net, arrays, settings, augment)
    if kept.exists():
        state = read_checkpoint(kept, name, net)
        net.load_state_dict(state["net"])
        net.eval()
        return History(**state["history"])
    history = fit_network(
        net,
        arrays,
        settings,
        augment=augment,
        after_step=after_step,
        progress=progress,
        checkpoint=kept.with_suffix(".unfinished"),
    )
    write_checkpoint(kept, name, net, {"net": net.state_dict(), "history": asdict(history)})
    return history
