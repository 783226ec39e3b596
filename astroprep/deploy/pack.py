"""An integer network laid out for the kernel: one program, flat arrays, one arena."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.integer import IntegerLayer, IntegerNetwork
from astroprep.compress.ranges import LEVELS
from astroprep.deploy.dense import CHAINS
from astroprep.deploy.emit import GROUP, LANES

__all__ = ["FIELDS", "LAYOUT", "Packed", "pack_network"]

LANE = 4  # bytes: one quad of channels
FIELDS = (
    "x",  # byte of the first lane of the first quad
    "first_step",
    "n_steps",
    "first_weight",
    "first_output",
    "out",  # as x
    "bypassed",  # as x
    "is_general",  # ReLU cannot be left to the clipping, or the block's input is added
    "n_copies",  # of the ends of the circle to beyond the other end
    "n_quads",  # of pooling; of a dense layer, sixteens of outputs
    "stride",  # of pooling, bytes from quad to quad
    "layer",  # number of the layer, of the later one where a tile belongs to two
    "n_before",  # outputs of the four that belong to the layer before
)
"""Columns of a program; a row on the circle is one tile, four outputs of a layer. A dense layer has
no steps, its quads of inputs follow each other."""

LAYOUT = (
    *("n_channels", "n_bins", "n_auxiliary", "n_classes"),
    "n_tiles",  # on the circle
    "n_bytes",  # of the arena of one object
    *("input", "input_stride", "input_copies"),  # byte of the first lane, bytes, as n_copies
    "auxiliary",  # first byte
    *("mean_multiplier", "mean_shift"),
    "crowd",  # objects at a time
)
"""What else the kernel has to know."""

CROWD = 4  # objects; more leave the first cache, fewer set up each tile more often


@dataclass(frozen=True)
class _Buffer:
    """Where a tensor lies in the arena: quads of lanes, with room on either side for the halo."""

    at: int  # byte of the first lane
    stride: int
    segments: tuple[int, ...]  # channels; each begins a new quad
    copies: int = 0

    def quads(self, segment: int) -> int:
        """Quads before a segment."""
        return sum(-(-n // 4) for n in self.segments[:segment])

    @property
    def n_quads(self) -> int:
        return self.quads(len(self.segments))

    def slots(self) -> NDArray[np.int64]:
        """Place of each channel among the bytes of the quads."""
        starts = [4 * self.quads(k) for k in range(len(self.segments))]
        return np.concatenate(
            [s + np.arange(n) for s, n in zip(starts, self.segments, strict=True)]
        ).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Packed:
    """What the kernel is given.

    Parameters
    ----------
    program : int64 array, shape (n_rows, len(FIELDS))
        The tiles on the circle, the pooling over the bins, the dense layers.
    steps : int64 array
        Byte offsets from a layer's input.
    weights : int32 array
        Four bytes each; four outputs a step, sixteen where the layer is dense.
    outputs : int32 array
        Of every tile four biases, multipliers, halves, shifts and bypass multipliers; of
        sixteen outputs of a dense layer sixteen biases, multipliers and shifts.
    layout : int64 array, shape (len(LAYOUT),)
        See `LAYOUT`.
    """

    program: NDArray[np.int64]
    steps: NDArray[np.int64]
    weights: NDArray[np.int32]
    outputs: NDArray[np.int32]
    layout: NDArray[np.int64]


def pack_network(network: IntegerNetwork) -> Packed:
    """Lay out a network.

    Parameters
    ----------
    network : IntegerNetwork
        Checked: its sums fit 32 bits.

    Returns
    -------
    Packed
        Equal networks give equal arrays.
    """
    return _Packing(network).packed()


class _Packing:
    def __init__(self, network: IntegerNetwork) -> None:
        self.network, self.spec = network, network.spec
        self.n_bins = int(self.spec["n_bins"])
        self.groups = -(-self.n_bins // LANES)
        self.end = 0  # of the arena so far
        self.parts: dict[str, list[NDArray[Any]]] = {}
        self.sizes: dict[str, int] = {}

    def packed(self) -> Packed:
        spec, layers = self.spec, self.network.layers
        numbers = {name: k for k, name in enumerate(layers)}
        source, x, *buffers = self._circles()
        tiles = self._tiles([layers["stem"]], source, x, 0)
        for i, (inner, out) in enumerate(zip(buffers[::2], buffers[1::2], strict=True)):
            names = [f"fires.{i}.{part}" for part in ("squeeze", "expand_1", "expand_3")]
            squeeze, *both = (layers[name] for name in names)
            tiles += self._tiles([squeeze], x, inner, numbers[names[0]])
            tiles += self._tiles(both, inner, out, numbers[names[1]], x)
            x = out
        joined, auxiliary, dense = self._dense_layers(x)
        pooling = [x.at, 0, self.groups, 0, 0, joined.at, 0, 0, 0, x.n_quads, x.stride, -1, 0]
        layout = [
            *(int(spec[f"n_{kind}"]) for kind in ("channels", "bins", "auxiliary", "classes")),
            *(len(tiles), self.end),
            *(source.at, source.stride, source.copies),
            auxiliary.at if auxiliary else 0,
            *(self.network.mean_multiplier, self.network.mean_shift),
            CROWD,
        ]
        return Packed(
            np.array([*tiles, pooling, *dense], np.int64),
            np.concatenate(self.parts["steps"]),
            np.concatenate(self.parts["weights"]),
            np.concatenate(self.parts["outputs"]),
            np.array(layout, np.int64),
        )

    def _append(self, kind: str, values: NDArray[Any]) -> int:
        """Where values begin that are put behind those of their kind."""
        first = self.sizes.get(kind, 0)
        self.parts.setdefault(kind, []).append(values.ravel())
        self.sizes[kind] = first + values.size
        return first

    def _dense_layers(self, last: _Buffer) -> tuple[_Buffer, _Buffer | None, list[list[int]]]:
        spec, layers = self.spec, self.network.layers
        segments = (*last.segments, *last.segments)  # means, maxima
        auxiliary, dense = None, []
        if "auxiliary" in layers:
            auxiliary = self._block((int(spec["n_auxiliary"]),))
            joined = self._block((*segments, int(spec["auxiliary_width"])))
            dense.append(self._dense("auxiliary", auxiliary, joined, len(segments)))
        else:
            joined = self._block(segments)
        x = joined
        if "hidden" in layers:
            x = self._block((int(spec["head_width"]),))
            dense.append(self._dense("hidden", joined, x))
        dense.append(self._dense("head", x, x))  # its logits go elsewhere
        return joined, auxiliary, dense

    def _circles(self) -> list[_Buffer]:
        """Room for the input, the stem's output, and of every block the squeezed and the output.

        A block reads its input only, so outputs take turns in two regions and the first cache
        holds more objects.
        """
        spec, layers = self.spec, self.network.layers
        wanted = [(1, int(spec["n_channels"]), layers["stem"]), (0, int(spec["stem"]), None)]
        for i, (squeeze, expand, _) in enumerate(spec["fires"]):
            wanted += [(2, squeeze, layers[f"fires.{i}.expand_3"]), ((i + 1) % 2, 2 * expand, None)]
        buffers = [self._circle(n_channels, reader) for _, n_channels, reader in wanted]
        size = [0, 0, 0]
        for (region, _, _), buffer in zip(wanted, buffers, strict=True):
            size[region] = max(size[region], buffer.n_quads * buffer.stride)
        start = [0, size[0], size[0] + size[1]]
        self.end = sum(size)
        return [
            replace(buffer, at=start[region] + buffer.at)
            for (region, _, _), buffer in zip(wanted, buffers, strict=True)
        ]

    def _circle(self, n_channels: int, reader: IntegerLayer | None) -> _Buffer:
        """A tensor on the circle, and on either side the halo that its reader needs.

        A copy beside the circle is of sixteen lanes, of which no more are right than the circle
        has bins; so short a circle has room for the others.
        """
        halo = 0 if reader is None else reader.dilation * (reader.weight.shape[2] // 2)
        copies = -(-halo // min(self.n_bins, LANES))
        side = -(-halo // LANES) * GROUP + GROUP * (copies > 0 and self.n_bins < LANES)
        return _Buffer(side, self.groups * GROUP + 2 * side, (n_channels,), copies)

    def _block(self, segments: tuple[int, ...]) -> _Buffer:
        """Room for a vector, and behind it for what whole sixteens of outputs write too much."""
        buffer = _Buffer(self.end, LANE, segments)
        self.end += -(-buffer.n_quads * LANE // GROUP) * GROUP + GROUP
        return buffer

    def _tiles(
        self,
        layers: list[IntegerLayer],
        x: _Buffer,
        out: _Buffer,
        number: int,
        bypassed: _Buffer | None = None,
    ) -> list[list[int]]:
        """Rows of one or two layers that read the same; the outputs of the second follow.

        A tile may hold outputs of both, so that widths that are no multiple of four leave no gap;
        those of the first layer alone do with its tap.
        """
        n_in, n_taps = layers[-1].weight.shape[1:]
        n_first = len(layers[0].weight)
        weight = np.zeros((4 * out.n_quads, n_taps, 4 * x.n_quads), np.int8)
        outputs = np.zeros((5, 4 * out.n_quads), np.int64)
        outputs[3] = 1
        for start, layer in zip((0, n_first), layers, strict=False):
            end, side = start + len(layer.weight), (n_taps - layer.weight.shape[2]) // 2
            weight[start:end, side : n_taps - side, :n_in] = layer.weight.transpose(0, 2, 1)
            half = np.int64(1) << (layer.shift.astype(np.int64) - 1)
            rows = (layer.bias, layer.multiplier, half, layer.shift, layer.bypass)
            outputs[:, start:end] = rows
        # a product that could wrap around must not become positive: ReLU comes first
        low = np.minimum(outputs[0], 0) + LEVELS * np.minimum(weight, 0).sum(axis=(1, 2), dtype=int)
        skip = bypassed if outputs[4].any() else None
        is_general = (low * outputs[1] < -(2**31)) | (skip is not None)
        by_tile = weight.reshape(out.n_quads, 4, n_taps, x.n_quads, 4).transpose(0, 2, 3, 1, 4)
        shifts = (np.arange(n_taps) - n_taps // 2) * layers[-1].dilation * LANE
        steps = shifts[:, None] + np.arange(x.n_quads) * x.stride
        n_pure = n_first // 4 if len(layers) > 1 else 0  # tiles of the first layer alone
        middle = slice(n_taps // 2, n_taps // 2 + 1)
        kinds = ((slice(n_pure), middle), (slice(n_pure, None), slice(None)))
        chosen = [np.ascontiguousarray(by_tile[kind]).view(np.int32) for kind in kinds]
        first_weight = [self._append("weights", weights) for weights in chosen]
        first_step = [self._append("steps", steps[taps]) for _, taps in kinds]
        by_quad = outputs.reshape(5, out.n_quads, 4).transpose(1, 0, 2)
        first_output = self._append("outputs", by_quad.astype(np.int32))
        tiles = []
        for quad in range(out.n_quads):
            later = int(quad >= n_pure)
            size = chosen[later][0].size
            tiles.append(
                [
                    x.at,
                    first_step[later],
                    size // 4,
                    first_weight[later] + (quad - later * n_pure) * size,
                    first_output + 20 * quad,
                    out.at + quad * out.stride,
                    skip.at + quad * skip.stride if skip else x.at,
                    int(is_general[4 * quad : 4 * quad + 4].any()),
                    out.copies,
                    0,
                    0,
                    number + later * (len(layers) - 1),
                    max(0, n_first - 4 * quad) if later and len(layers) > 1 else 0,
                ]
            )
        return tiles

    def _dense(self, name: str, x: _Buffer, out: _Buffer, segment: int = 0) -> list[int]:
        """A layer without bins: sixteen outputs a step in place of four."""
        layer, number = self.network.layers[name], list(self.network.layers).index(name)
        n_out = len(layer.weight)
        n_groups, n_steps = -(-n_out // LANES), -(-x.n_quads // CHAINS) * CHAINS
        weight = np.zeros((n_groups * LANES, 4 * n_steps), np.int8)
        weight[:n_out, x.slots()] = layer.weight[:, :, 0]
        by_step = weight.reshape(n_groups, LANES, n_steps, 4).transpose(0, 2, 1, 3)
        outputs = np.zeros((3, n_groups * LANES), np.int32)
        outputs[2] = 1
        outputs[:, :n_out] = layer.bias, layer.multiplier, layer.shift
        by_group = outputs.reshape(3, n_groups, LANES).transpose(1, 0, 2)
        block = self._append("weights", np.ascontiguousarray(by_step).view(np.int32))
        first = block, self._append("outputs", by_group)
        place = out.at + out.quads(segment) * LANE
        return [x.at, 0, n_steps, *first, place, 0, 0, 0, n_groups, 0, number, 0]
