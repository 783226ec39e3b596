"""The part of a bundle that makes its network an integer one: ranges, and proofs.

The integers themselves are not stored: they follow from the weights and the ranges by arithmetic
that IEEE 754 fixes, and a digest says whether they came out as they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.integer import IntegerNetwork, integer_network
from astroprep.compress.ranges import ActivationRanges
from astroprep.errors import ConfigError, DataError

__all__ = ["IntegerPart", "make_integer_part", "network_digest", "restore_network"]


@dataclass(frozen=True, eq=False)
class IntegerPart:
    """What a bundle says about its integer network.

    Parameters
    ----------
    ranges : ActivationRanges
        Of the activations.
    logits : int32 array, shape (n_golden, n_classes)
        Of the golden inputs, exactly.
    digest : str
        From `network_digest`.
    """

    ranges: ActivationRanges
    logits: NDArray[np.int32]
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values and arrays."""
        return {**self.ranges.to_dict(), "logits": self.logits, "digest": self.digest}

    @classmethod
    def from_dict(
        cls, content: Mapping[str, Any], spec: Mapping[str, Any], source: str
    ) -> IntegerPart:
        """Check what a bundle says.

        Raises
        ------
        DataError
            If something is missing or of the wrong kind.
        """
        logits, digest = content.get("logits"), content.get("digest")
        if not isinstance(logits, np.ndarray) or logits.dtype != np.int32 or logits.ndim != 2:
            raise DataError(f"{source}: logits must be rows of int32")
        if not isinstance(digest, str) or len(digest) != 64:
            raise DataError(f"{source}: digest must be 64 hexadecimal digits")
        return cls(ActivationRanges.from_dict(content, spec, source), logits, digest)


def make_integer_part(
    network: IntegerNetwork, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
) -> IntegerPart:
    """Ranges and proofs of an integer network.

    Parameters
    ----------
    network : IntegerNetwork
        Made of the weights that the bundle holds, as they decode.
    folded : float32 array, shape (n_golden, n_channels, n_bins)
        Golden inputs as the bundle stores them, rounded to float16.
    auxiliary : float32 array, shape (n_golden, n_auxiliary)
        Likewise.

    Returns
    -------
    IntegerPart
        For the bundle.
    """
    logits = network.evaluate(*network.quantize(folded, auxiliary))
    return IntegerPart(network.ranges, logits, network_digest(network))


def network_digest(network: IntegerNetwork) -> str:
    """sha256 of every integer of a network, as hexadecimal digits."""
    digest = hashlib.sha256(
        f"{network.mean_multiplier} {network.mean_shift} {network.logit_scale.hex()}".encode()
    )
    for layer in network.layers.values():
        digest.update(f"{layer.name} {layer.dilation} ".encode())
        digest.update(layer.weight.tobytes())
        for array in (layer.bias, layer.multiplier, layer.shift, layer.bypass):
            digest.update(array.astype("<i4").tobytes())
    return digest.hexdigest()


def restore_network(
    part: IntegerPart,
    spec: Mapping[str, Any],
    tensors: Mapping[str, NDArray[np.float32]],
    source: str,
) -> IntegerNetwork:
    """Integer network of a bundle.

    Parameters
    ----------
    part : IntegerPart
        From the bundle.
    spec : mapping
        Description of the network.
    tensors : mapping of str to float32 array
        The decoded weights.
    source : str
        Named in errors.

    Returns
    -------
    IntegerNetwork
        With the digest that the bundle states.

    Raises
    ------
    DataError
        If weights and ranges make no integer network, or another one than was meant.
    """
    try:
        network = integer_network(spec, tensors, part.ranges)
    except (ConfigError, TypeError, IndexError, OverflowError) as error:
        raise DataError(f"{source}: weights and ranges do not fit together ({error})") from None
    if network_digest(network) != part.digest:
        raise DataError(
            f"{source}: weights and ranges make another integer network than was stored; the "
            "bundle was put together wrongly"
        )
    return network
