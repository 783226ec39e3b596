"""An integer network laid out for the kernel: one program, flat arrays, one arena."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.integer import IntegerLayer, IntegerNetwork
from astroprep.deploy.dense import CHAINS
from astroprep.deploy.emit import LANES

__all__ = ["FIELDS", "LAYOUT", "Packed", "pack_network"]

LANE = 4  # bytes: one quad of channels
GROUP = LANE * LANES
FIELDS = (
    "x",  # byte of the first lane of the first quad
    "first_step",
    "n_steps",
    "first_weight",
    "first_output",
    "out",  # as x
    "bypassed",  # as x
    "has_bypass",
    "n_quads",  # of outputs; of a dense layer, sixteens
    "out_stride",  # bytes from quad to quad
    "bypassed_stride",
    "halo",  # lanes to repeat on either side of the output
)
"""Columns of a program; the first seven are what a tile is given. A dense layer has no steps, its
quads of inputs follow each other, and neither bypass nor strides."""

LAYOUT = (
    *("n_channels", "n_bins", "n_auxiliary", "n_classes"),
    "n_circle",  # layers on the circle
    "n_bytes",  # of the arena
    *("input", "input_stride", "input_halo"),  # byte of the first lane, bytes, lanes
    "auxiliary",  # first byte
    *("mean_multiplier", "mean_shift"),
)
"""What else the kernel has to know."""


@dataclass(frozen=True)
class _Buffer:
    """Where a tensor lies in the arena: quads of lanes, with room on either side for the halo."""

    at: int  # byte of the first lane
    stride: int
    segments: tuple[int, ...]  # channels; each begins a new quad
    halo: int = 0

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
    program : int64 array, shape (n_layers + 1, len(FIELDS))
        The layers on the circle, the pooling over the bins, the dense layers.
    steps : int64 array
        Byte offsets from a layer's input.
    weights : int32 array
        Four bytes each; four outputs a step, sixteen where the layer is dense.
    outputs : int32 array
        Of every quad of outputs four biases, multipliers, shifts and bypass multipliers; of
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
        self.steps: list[NDArray[np.int64]] = []
        self.weights: list[NDArray[np.int32]] = []
        self.outputs: list[NDArray[np.int32]] = []

    def packed(self) -> Packed:
        spec, layers = self.spec, self.network.layers
        fires = spec["fires"]
        source = self._circle((int(spec["n_channels"]),), layers["stem"])
        width = int(spec["stem"])
        split = bool(fires) and width == 2 * fires[0][1]  # so that the bypass finds its channels
        x = self._circle((width // 2, width // 2) if split else (width,))
        program = [self._layer(layers["stem"], source, x)]
        for i, (squeeze, expand, _) in enumerate(fires):
            names = [f"fires.{i}.{part}" for part in ("squeeze", "expand_1", "expand_3")]
            inner = self._circle((squeeze,), layers[names[2]])
            out = self._circle((expand, expand))
            program.append(self._layer(layers[names[0]], x, inner))
            for segment in (0, 1):
                layer = layers[names[1 + segment]]
                program.append(self._layer(layer, inner, out, segment, bypassed=x))
            x = out
        n_circle = len(program)
        joined, auxiliary, dense = self._dense_layers(x)
        pooling = [x.at, 0, self.groups, 0, 0, joined.at, 0, 0, x.n_quads, x.stride, 0, 0]
        layout = [
            *(int(spec[f"n_{kind}"]) for kind in ("channels", "bins", "auxiliary", "classes")),
            *(n_circle, self.end),
            *(source.at, source.stride, source.halo),
            auxiliary.at if auxiliary else 0,
            *(self.network.mean_multiplier, self.network.mean_shift),
        ]
        return Packed(
            np.array([*program, pooling, *dense], np.int64),
            np.concatenate(self.steps).astype(np.int64),
            np.concatenate(self.weights),
            np.concatenate(self.outputs),
            np.array(layout, np.int64),
        )

    def _append(
        self, steps: NDArray[np.int64], weights: NDArray[np.int32], outputs: NDArray[np.int32]
    ) -> list[int]:
        """Where steps, weights and outputs of a layer begin."""
        lists = (self.steps, self.weights, self.outputs)
        first = [sum(part.size for part in parts) for parts in lists]
        self.steps.append(steps.ravel())
        self.weights.append(weights.ravel())
        self.outputs.append(outputs.ravel())
        return first

    def _dense_layers(self, last: _Buffer) -> tuple[_Buffer, _Buffer | None, list[list[int]]]:
        spec, layers = self.spec, self.network.layers
        segments = (*last.segments, *last.segments)  # means, maxima
        auxiliary, dense = None, []
        if "auxiliary" in layers:
            auxiliary = self._block((int(spec["n_auxiliary"]),))
            joined = self._block((*segments, int(spec["auxiliary_width"])))
            dense.append(self._dense(layers["auxiliary"], auxiliary, joined, len(segments)))
        else:
            joined = self._block(segments)
        x = joined
        if "hidden" in layers:
            x = self._block((int(spec["head_width"]),))
            dense.append(self._dense(layers["hidden"], joined, x))
        dense.append(self._dense(layers["head"], x, x))  # its logits go elsewhere
        return joined, auxiliary, dense

    def _circle(self, segments: tuple[int, ...], reader: IntegerLayer | None = None) -> _Buffer:
        """Room for a tensor on the circle, with the halo that its reader needs."""
        halo = 0 if reader is None else reader.dilation * (reader.weight.shape[2] // 2)
        side = -(-halo // LANES) * GROUP
        stride = self.groups * GROUP + 2 * side
        buffer = _Buffer(self.end + side, stride, segments, halo)
        self.end += buffer.n_quads * stride
        return buffer

    def _block(self, segments: tuple[int, ...]) -> _Buffer:
        """Room for a vector, and behind it for what whole sixteens of outputs write too much."""
        buffer = _Buffer(self.end, LANE, segments)
        self.end += -(-buffer.n_quads * LANE // GROUP) * GROUP + GROUP
        return buffer

    def _layer(
        self,
        layer: IntegerLayer,
        x: _Buffer,
        out: _Buffer,
        segment: int = 0,
        bypassed: _Buffer | None = None,
    ) -> list[int]:
        n_out, _, n_taps = layer.weight.shape
        whole = segment == 0 and n_out == sum(out.segments)  # not a part of the output
        slots = out.slots() if whole else np.arange(n_out)
        n_quads = int(slots[-1]) // 4 + 1
        weight = np.zeros((4 * n_quads, n_taps, 4 * x.n_quads), np.int8)
        weight[slots[:, None, None], np.arange(n_taps)[:, None], x.slots()] = (
            layer.weight.transpose(0, 2, 1)
        )
        by_step = weight.reshape(n_quads, 4, n_taps * x.n_quads, 4).transpose(0, 2, 1, 3)
        shifts = (np.arange(n_taps) - n_taps // 2) * layer.dilation * LANE
        steps = shifts[:, None] + np.arange(x.n_quads) * x.stride
        outputs = np.zeros((4, 4 * n_quads), np.int32)
        outputs[2] = 1
        outputs[:, slots] = layer.bias, layer.multiplier, layer.shift, layer.bypass
        by_quad = outputs.reshape(4, n_quads, 4).transpose(1, 0, 2)
        first = self._append(steps, np.ascontiguousarray(by_step).view(np.int32), by_quad)
        skip = bypassed if layer.bypass.any() else None
        return [
            x.at,
            first[0],
            steps.size,
            first[1],
            first[2],
            out.at + out.quads(segment) * out.stride,
            skip.at + skip.quads(segment) * skip.stride if skip else 0,
            int(skip is not None),
            n_quads,
            out.stride,
            skip.stride if skip else 0,
            out.halo,
        ]

    def _dense(self, layer: IntegerLayer, x: _Buffer, out: _Buffer, segment: int = 0) -> list[int]:
        """A layer without bins: sixteen outputs a step in place of four."""
        n_out = len(layer.weight)
        n_groups, n_steps = -(-n_out // LANES), -(-x.n_quads // CHAINS) * CHAINS
        weight = np.zeros((n_groups * LANES, 4 * n_steps), np.int8)
        weight[:n_out, x.slots()] = layer.weight[:, :, 0]
        by_step = weight.reshape(n_groups, LANES, n_steps, 4).transpose(0, 2, 1, 3)
        outputs = np.zeros((3, n_groups * LANES), np.int32)
        outputs[2] = 1
        outputs[:, :n_out] = layer.bias, layer.multiplier, layer.shift
        by_group = outputs.reshape(3, n_groups, LANES).transpose(1, 0, 2)
        nothing = np.zeros(0, np.int64)
        first = self._append(nothing, np.ascontiguousarray(by_step).view(np.int32), by_group)
        place = out.at + out.quads(segment) * LANE
        return [x.at, 0, n_steps, *first[1:], place, 0, 0, n_groups, GROUP // 4, 0, 0]
