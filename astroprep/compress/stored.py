"""A network as it is deployed: its file, and the weights that the file decodes to."""

from __future__ import annotations

import copy
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from astroprep.compress.encode import StoredTensor, encode_weights, stored_tensors
from astroprep.compress.ranges import ActivationRanges
from astroprep.compress.tensors import Tensor
from astroprep.compress.weights import decode_weights
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.train import History

__all__ = ["CompressedNetwork", "Progress", "store_network", "store_tensors"]

Progress = Callable[[dict[str, float]], None]
"""Given each new row of the history of whatever pass is training."""


@dataclass(frozen=True, eq=False)
class CompressedNetwork:
    """A network as it is deployed.

    Parameters
    ----------
    net : FireNet
        Batch norms folded, evaluation mode, holding exactly the weights that ``data`` decodes to.
    spec : dict
        Its description.
    data : bytes
        The weights file.
    tensors : dict of str to Tensor
        In the forms that the file holds, in its order.
    weights : dict of str to float32 array
        Decoded from ``data``, likewise.
    stored : list of StoredTensor
        Per tensor: size, zeros, values, bits.
    n_parameters : int
        Weights and biases.
    sparsity : float
        Share of zeros among all weights and biases.
    histories : dict of str to History
        Training after each pass, by its name.
    ranges : ActivationRanges, optional
        Of the activations, where the network computes in 8-bit integers.
    """

    net: FireNet
    spec: dict[str, Any]
    data: bytes
    tensors: dict[str, Tensor]
    weights: dict[str, NDArray[np.float32]]
    stored: list[StoredTensor]
    n_parameters: int
    sparsity: float
    histories: dict[str, History] = field(default_factory=dict)
    ranges: ActivationRanges | None = None

    @property
    def data_type(self) -> str:
        """In which it computes."""
        return "float32" if self.ranges is None else "int8"

    @property
    def n_bytes(self) -> int:
        """What deploying it takes: the weights file and, deflated, the ranges."""
        if self.ranges is None:
            return len(self.data)
        ranges = json.dumps(self.ranges.to_plain()).encode()
        return len(self.data) + len(zlib.compress(ranges, 9))

    @property
    def ratio(self) -> float:
        """Four bytes a parameter against the bytes of the weights file, headers included."""
        return 4 * self.n_parameters / len(self.data)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor by name, in the order of the file."""
        return {name: array.shape for name, array in self.weights.items()}


def store_network(net: FireNet, histories: dict[str, History] | None = None) -> CompressedNetwork:
    """Code a network as it is, in float32: the reference to compare with.

    Parameters
    ----------
    net : FireNet
        Trained, batch norms folded or not; it is not changed.
    histories : dict of str to History, optional
        To carry along.

    Returns
    -------
    CompressedNetwork
        Of the same weights, batch norms folded.
    """
    folded = fold_batchnorm(net)
    tensors: dict[str, Tensor] = {
        name: array.detach().cpu().numpy().astype(np.float32)
        for name, array in folded.state_dict().items()
    }
    return store_tensors(folded, tensors, histories)


def store_tensors(
    folded: FireNet, tensors: Mapping[str, Tensor], histories: dict[str, History] | None = None
) -> CompressedNetwork:
    """Encode, decode, and load what was decoded.

    Parameters
    ----------
    folded : FireNet
        Of the shapes of the tensors; it is not changed.
    tensors : mapping of str to Tensor
        From `stored_form`, or plain arrays.
    histories : dict of str to History, optional
        To carry along.

    Returns
    -------
    CompressedNetwork
        Holding exactly what its bytes decode to.
    """
    data = encode_weights(tensors)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    weights = decode_weights(data, shapes)
    net = copy.deepcopy(folded)
    net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    n_parameters = sum(array.size for array in weights.values())
    n_nonzero = sum(int(np.count_nonzero(array)) for array in weights.values())
    return CompressedNetwork(
        net=net.eval(),
        spec=dict(net.spec),
        data=data,
        tensors=dict(tensors),
        weights=weights,
        stored=stored_tensors(tensors),
        n_parameters=n_parameters,
        sparsity=1.0 - n_nonzero / n_parameters,
        histories=histories or {},
    )
