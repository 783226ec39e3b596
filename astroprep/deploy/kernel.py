"""The integer network in numba: one call for any number of objects, the same bits everywhere."""

from __future__ import annotations

import functools
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from astroprep.compress.integer import IntegerNetwork
from astroprep.deploy import dense, emit, levels, tile
from astroprep.deploy.emit import GROUP, LANES
from astroprep.deploy.pack import Packed, pack_network
from astroprep.errors import DataError

__all__ = ["IntegerKernel"]

# called without the typing context that their signatures begin with
_quantize_circle: Any = levels.quantize_circle
_quantize_vector: Any = levels.quantize_vector
_tile: Any = tile.tile
_pool: Any = dense.pool
_dense: Any = dense.dense
_head: Any = dense.head


FEW = 32  # objects that are not worth a thread


def _read(kind: Any, n_axes: int) -> Any:
    """Contiguous array that may be read-only."""
    return types.Array(kind, n_axes, "C", readonly=True)


_SIGNATURE = types.int64(
    *(_read(types.float32, 3), _read(types.float32, 2), _read(types.float32, 1)),
    *(_read(types.int64, 2), _read(types.int64, 1)),
    *(_read(types.int32, 1), _read(types.int32, 1), _read(types.int64, 1)),
    types.int32[:, ::1],
    *(types.int64, types.int64),
)


class IntegerKernel:
    """An integer network, ready to run.

    Parameters
    ----------
    network : IntegerNetwork
        Checked by `integer_network`: its sums fit 32 bits.
    n_threads : int, default 1
        Ranges of objects that run at the same time.
    """

    def __init__(self, network: IntegerNetwork, n_threads: int = 1) -> None:
        self.network = network
        self.packed: Packed = pack_network(network)
        self.n_threads = n_threads
        factors = network.ranges.input_factors()
        self._factors = _filled(factors)
        self._plain = _filled([(np.ones_like(a), np.zeros_like(b)) for a, b in factors])

    def logits(
        self, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
    ) -> NDArray[np.int32]:
        """Quantize the inputs and run the network.

        Parameters
        ----------
        folded : float32 array, shape (n, n_channels, n_bins)
            Finite, contiguous.
        auxiliary : float32 array, shape (n, n_auxiliary)
            Finite, contiguous.

        Returns
        -------
        int32 array, shape (n, n_classes)
            Times ``network.logit_scale`` the logits.

        Raises
        ------
        DataError
            If a shape is not the network's.
        TypeError
            If an array is of another type, or not contiguous.
        """
        return self._run(folded, auxiliary, self._factors)

    def logits_of_levels(
        self, folded: NDArray[np.uint8], auxiliary: NDArray[np.uint8]
    ) -> NDArray[np.int32]:
        """Run the network on inputs that are quantized already, see `IntegerNetwork.quantize`."""
        levels = folded.astype(np.float32), auxiliary.astype(np.float32)
        return self._run(*levels, self._plain)

    def run_program(
        self,
        program: NDArray[np.int64],
        layout: NDArray[np.int64],
        folded: NDArray[np.float32],
        auxiliary: NDArray[np.float32],
    ) -> None:
        """Run other layers in place of the network's, for timing; see `astroprep.deploy.profile`.

        Parameters
        ----------
        program, layout : int64 array
            Rows of the network's own, see `Packed`.
        folded, auxiliary : float32 array
            As for `logits`.
        """
        p = self.packed
        logits = np.empty((len(folded), int(layout[3])), np.int32)
        fixed = (self._factors, program, p.steps, p.weights, p.outputs, layout, logits)
        _compiled()(folded, auxiliary, *fixed, 0, len(folded))

    def _run(
        self,
        folded: NDArray[np.float32],
        auxiliary: NDArray[np.float32],
        factors: NDArray[np.float32],
    ) -> NDArray[np.int32]:
        p, n = self.packed, len(folded)
        logits = np.empty((n, int(p.layout[3])), np.int32)
        fixed = (factors, p.program, p.steps, p.weights, p.outputs, p.layout, logits)

        run = _compiled()

        def part(start: int, end: int) -> None:
            run(folded, auxiliary, *fixed, start, end)

        if self.n_threads == 1 or n < FEW * self.n_threads:
            part(0, n)
            return logits
        size = -(-n // self.n_threads)
        starts = range(0, n, size)
        with ThreadPoolExecutor(self.n_threads) as pool:
            list(pool.map(lambda start: part(start, min(start + size, n)), starts))
        return logits


def _filled(
    factors: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> NDArray[np.float32]:
    """Factors in one array, each filled up to quads with zeros, which make levels of zero."""
    parts = [np.append(a, np.zeros(-a.size % 4)) for pair in factors for a in pair]
    return np.concatenate(parts).astype(np.float32)


def _sources() -> int:
    """Digest of the files that the machine code is written by."""
    digest = hashlib.sha256()
    for module in (emit, tile, dense, levels):
        path = Path(str(module.__file__))
        digest.update(path.read_bytes() if path.is_file() else b"")
    return int.from_bytes(digest.digest()[:7], "big")


@functools.cache
def _compiled() -> Any:
    """The kernel.

    Numba keeps machine code until this file changes or what the function closes over, and knows
    nothing of the files that write the instructions: `written_by` tells it. Types are stated so
    that arrays of another kind are refused, and read-only ones are not compiled for once more.
    """
    written_by = _sources()

    @njit(_SIGNATURE, cache=True, nogil=True)
    def run(
        folded: NDArray[np.float32],
        auxiliary: NDArray[np.float32],
        factors: NDArray[np.float32],
        program: NDArray[np.int64],
        steps: NDArray[np.int64],
        weights: NDArray[np.int32],
        outputs: NDArray[np.int32],
        layout: NDArray[np.int64],
        logits: NDArray[np.int32],
        start: int,
        end: int,
    ) -> int:
        """Objects `start` to `end`, a crowd of some at a time.

        As many as the first cache holds the activations of: each tile of a layer is set up once
        for all of them, and what one object waits for does not stop the others.
        """
        n_channels, n_bins, n_auxiliary, n_tiles = layout[0], layout[1], layout[2], layout[4]
        if folded.shape[1:] != (n_channels, n_bins) or auxiliary.shape != (
            len(folded),
            n_auxiliary,
        ):
            raise DataError("the integer kernel: inputs have another shape than the network's")
        n_bytes = layout[5]
        size = min(layout[12], max(end - start, 1))
        room = np.zeros(size * n_bytes + GROUP, np.uint8)
        shift = -room.ctypes.data % GROUP
        arena = room[shift : shift + size * n_bytes]
        last = len(program) - 1
        mean = layout[10], layout[11]
        source, circle = (layout[6], layout[7], layout[8]), (n_bins, min(n_bins, LANES))
        first = (n_channels + 3) // 4 * 8  # factor of the auxiliaries
        for i in range(start, end, size):
            crowd = min(size, end - i), n_bytes
            _quantize_circle(folded, i, factors, arena, source, (n_channels, *circle), crowd)
            _quantize_vector(auxiliary, i, factors, first, arena, layout[9], n_auxiliary, crowd)
            for k in range(n_tiles):
                _tile(arena, program, k, steps, weights, outputs, circle, crowd)
            _pool(arena, program, n_tiles, n_bins, mean, crowd)
            for k in range(n_tiles + 1, last):
                _dense(arena, program, k, weights, outputs, crowd)
            shape = i, logits.shape[1]
            _head(arena, program, last, weights, outputs, logits, shape, crowd)
        return written_by

    return run
