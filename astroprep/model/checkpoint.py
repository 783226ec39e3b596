"""The state of a training on disk, and the refusal of any other state."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from astroprep.errors import ConfigError, DataError
from astroprep.io import replaced
from astroprep.model.settings import TrainingArrays, TrainSettings

__all__ = ["Augment", "fingerprint_of", "read_checkpoint", "write_checkpoint"]

DIGEST_BYTES = 32  # sha256 of all before it, at the end of the file


class Augment(Protocol):
    """What folds the training objects anew for every epoch."""

    def __call__(self, rows: NDArray[np.intp], epoch: int) -> NDArray[np.float32]:
        """Folded channels of some objects, the same for the same epoch."""
        ...

    def fingerprint(self) -> str:
        """Name of the exact augmentation: settings and light curves."""
        ...


def fingerprint_of(
    net: nn.Module, arrays: TrainingArrays, settings: TrainSettings, augment: Augment | None
) -> str:
    """Name of the exact training: settings, data, initial weights and augmentation."""
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for column in (arrays.folded, arrays.auxiliary, arrays.label, arrays.is_validation):
        digest.update(np.ascontiguousarray(column).tobytes())
    for optional in (arrays.weight, arrays.teacher):
        digest.update(b"-" if optional is None else np.ascontiguousarray(optional).tobytes())
    for name, tensor in net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    digest.update(b"-" if augment is None else augment.fingerprint().encode())
    return digest.hexdigest()


def _architecture(net: nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in net.state_dict().items()}


def write_checkpoint(
    path: Path, fingerprint: str, net: nn.Module, state: Mapping[str, Any]
) -> None:
    """Store the state of a training; a crash leaves the file as it was or as it is to be.

    Raises
    ------
    DataError
        If the system refuses: a full disk, a folder that is not to be written to.
    """
    content = {"fingerprint": fingerprint, "architecture": _architecture(net), **state}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getvalue()
    with replaced(path) as partial:
        partial.write_bytes(data + hashlib.sha256(data).digest())  # torch checks no sum of its own


def read_checkpoint(path: Path, fingerprint: str, net: nn.Module) -> dict[str, Any]:
    """State of a training, as `write_checkpoint` stored it.

    Raises
    ------
    DataError
        If the file is damaged or no checkpoint.
    ConfigError
        If it is of another network, or of another training of this network.
    """
    try:
        whole = path.read_bytes()
        data = whole[:-DIGEST_BYTES]
        if hashlib.sha256(data).digest() != whole[-DIGEST_BYTES:]:
            raise EOFError("checksum")
        state = torch.load(io.BytesIO(data), weights_only=True)
        theirs, name = state["architecture"], state["fingerprint"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{path} is damaged or no checkpoint of a training; remove it to start anew"
        ) from error
    mine = _architecture(net)
    if theirs != mine:
        odd = next(
            (key for key in [*mine, *theirs] if mine.get(key) != theirs.get(key)), "the order"
        )
        raise ConfigError(
            f"{path} belongs to another network: {odd} is {theirs.get(odd)} there and "
            f"{mine.get(odd)} here; remove it to start anew"
        )
    if name != fingerprint:
        raise ConfigError(
            f"{path} belongs to another training (other settings, data or initial "
            "weights); remove it to start anew"
        )
    return dict(state)
