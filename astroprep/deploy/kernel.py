"""The integer network in numba: one call for any number of objects, the same bits everywhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.compress.integer import IntegerNetwork
from astroprep.deploy.pack import Packed, pack_network
from astroprep.deploy.tile import LANES, make_tile, peak

__all__ = ["IntegerKernel"]

_tile_4 = make_tile(4, rescale=True)
_tile_4_bypass = make_tile(4, rescale=True, bypass=True)
_tile_1 = make_tile(1, rescale=True)
_tile_1_bypass = make_tile(1, rescale=True, bypass=True)
_sums = make_tile(1, rescale=False)
_peak: Any = peak  # called without the typing context that its signature begins with

GROUP = 4 * LANES


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
        _run(folded, auxiliary, *fixed, 0, len(folded))

    def _run(
        self,
        folded: NDArray[np.float32],
        auxiliary: NDArray[np.float32],
        factors: NDArray[np.float32],
    ) -> NDArray[np.int32]:
        p, n = self.packed, len(folded)
        logits = np.empty((n, int(p.layout[3])), np.int32)
        fixed = (factors, p.program, p.steps, p.weights, p.outputs, p.layout, logits)

        def part(start: int, end: int) -> None:
            _run(folded, auxiliary, *fixed, start, end)

        if self.n_threads == 1 or n < 2 * LANES * self.n_threads:
            part(0, n)
            return logits
        size = -(-n // (self.n_threads * LANES)) * LANES
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


@njit(inline="always")
def _level(x, inverse, zero):  # type: ignore[no-untyped-def]
    scaled = np.rint(x * inverse + zero)
    return np.int32(min(max(scaled, np.float32(0.0)), np.float32(255.0)))


@njit(inline="always")
def _wrap(lanes, at, n_bins, halo):  # type: ignore[no-untyped-def]
    """Repeat the ends of a circle beside it; the left one first, as it reads what is written."""
    for h in range(halo):
        lanes[at - 1 - h] = lanes[at + n_bins - 1 - h % n_bins]
    for h in range(halo):
        lanes[at + n_bins + h] = lanes[at + h % n_bins]


@njit(inline="always")
def _quantize(x, first, n, factors, lanes, at, stride, n_lanes):  # type: ignore[no-untyped-def]
    """Levels of the channels of `x`, four to a lane; missing channels are zero."""
    n_filled = (n + 3) // 4 * 4
    for a in range(0, n, 4):
        b, c, d = min(a + 1, n - 1), min(a + 2, n - 1), min(a + 3, n - 1)
        f = factors[first + a : first + a + 4]
        z = factors[first + n_filled + a : first + n_filled + a + 4]
        for k in range(n_lanes):
            lanes[at + k] = (
                _level(x[a, k], f[0], z[0])
                | _level(x[b, k], f[1], z[1]) << 8
                | _level(x[c, k], f[2], z[2]) << 16
                | _level(x[d, k], f[3], z[3]) << 24
            )
        at += stride


@njit(inline="always")
def _layer(arena, lanes, p, steps, weights, outputs, n_groups, n_lanes):  # type: ignore[no-untyped-def]
    """All quads of one layer, four groups of lanes at a time while there are four."""
    for quad in range(p[8]):
        out, skipped = p[5] + quad * p[9], p[6] + quad * p[10]
        weight, output = p[3] + quad * 4 * p[2], p[4] + 16 * quad
        g = 0
        while g < n_groups:
            whole = n_groups - g >= 4
            far = g * GROUP
            where = (p[0] + far, p[1], p[2], weight, output, out + far, skipped + far)
            if p[7] == 0:
                if whole:
                    _tile_4(arena, where, steps, weights, outputs, arena)
                else:
                    _tile_1(arena, where, steps, weights, outputs, arena)
            elif whole:
                _tile_4_bypass(arena, where, steps, weights, outputs, arena)
            else:
                _tile_1_bypass(arena, where, steps, weights, outputs, arena)
            g += 4 if whole else 1
        _wrap(lanes, out // 4, n_lanes, p[11])


@njit(inline="always")
def _pool(arena, lanes, p, steps, weights, outputs, sums, layout, column):  # type: ignore[no-untyped-def]
    """Mean and largest level of every channel, into one column of the joined vectors."""
    n_bins, n_groups = layout[1], p[2]
    half = np.int64(1) << (layout[12] - 1)
    for quad in range(p[8]):
        x = p[0] + quad * p[9]
        lanes[x // 4 + n_bins : x // 4 + n_groups * LANES] = 0
        where = (x, p[1], n_groups, p[3], p[4], 0, 0)
        _sums(arena, where, steps, weights, outputs, sums.view(np.uint8))
        packed = np.int64(0)
        for o in range(4):
            total = np.int64(0)
            for k in range(o * LANES, (o + 1) * LANES):
                total += sums[k]
            packed |= min((total * layout[11] + half) >> layout[12], 255) << (8 * o)
        at = layout[9] // 4 + quad * LANES + column
        lanes[at] = packed
        lanes[at + p[8] * LANES] = _peak(arena, x, n_groups)


@njit(inline="always")
def _head(arena, p, steps, weights, outputs, sums, logits, n_filled):  # type: ignore[no-untyped-def]
    """Rescale the sums of the last layer into logits."""
    for quad in range(p[8]):
        output = p[4] + 16 * quad
        where = (p[0], p[1], p[2], p[3] + quad * 4 * p[2], output, 0, 0)
        _sums(arena, where, steps, weights, outputs, sums.view(np.uint8))
        for o in range(min(4, logits.shape[1] - 4 * quad)):
            factor, shift = np.int64(outputs[output + 4 + o]), np.int64(outputs[output + 8 + o])
            half = np.int64(1) << (shift - 1)
            for k in range(n_filled):
                total = np.int64(sums[o * LANES + k])
                logits[k, 4 * quad + o] = (total * factor + half) >> shift


@njit(cache=True, nogil=True)
def _run(
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
) -> None:
    """Objects `start` to `end`: the circle one object at a time, the head sixteen at a time.

    One object at a time keeps all activations in the first cache, and serves a single object as
    well as thousands.
    """
    n_channels, n_bins, n_auxiliary, n_circle = layout[0], layout[1], layout[2], layout[4]
    room = np.zeros(layout[5] + GROUP, np.uint8)
    shift = -room.ctypes.data % GROUP
    arena = room[shift : shift + layout[5]]
    lanes = arena.view(np.int32)
    sums = np.empty(GROUP, np.int32)
    n_groups = (n_bins + LANES - 1) // LANES
    second = (n_channels + 3) // 4 * 8
    for i in range(start, end):
        column = (i - start) % LANES
        _quantize(folded[i], 0, n_channels, factors, lanes, layout[6] // 4, layout[7] // 4, n_bins)
        for quad in range((n_channels + 3) // 4):
            _wrap(lanes, (layout[6] + quad * layout[7]) // 4, n_bins, layout[8])
        for k in range(n_circle):
            _layer(arena, lanes, program[k], steps, weights, outputs, n_groups, n_bins)
        _pool(arena, lanes, program[n_circle], steps, weights, outputs, sums, layout, column)
        if column < LANES - 1 and i < end - 1:
            continue
        n_filled, first = column + 1, i - column
        block = auxiliary[first : i + 1].T
        _quantize(block, second, n_auxiliary, factors, lanes, layout[10] // 4, LANES, n_filled)
        for k in range(n_circle + 1, len(program) - 1):
            _layer(arena, lanes, program[k], steps, weights, outputs, 1, LANES)
        rows = logits[first : i + 1]
        _head(arena, program[len(program) - 1], steps, weights, outputs, sums, rows, n_filled)
