"""The integer kernel on random networks, and on those that reach the ends of what is proved."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from astroprep.compress.integer import (
    MAX_INT32,
    IntegerLayer,
    IntegerNetwork,
    _prove,
    integer_network,
)
from astroprep.compress.ranges import LEVELS, ActivationRanges, range_names
from astroprep.deploy.kernel import IntegerKernel
from astroprep.errors import ConfigError

BINS = (1, 2, 3, 5, 13, 15, 16, 17, 31, 33, 48, 63, 64, 65, 97, 130)
SHIFTS = (1, 2, 5, 12, 20, 28, 30, 31)
N_NETWORKS = 60


def random_spec(rng: np.random.Generator) -> dict[str, Any]:
    """Any widths; half of the modules add their input, dilations reach around the circle."""
    n_bins = int(rng.choice(BINS))
    stem = width = int(rng.integers(1, 20))
    fires = []
    for _ in range(rng.integers(0, 5)):
        expand = width // 2 if width % 2 == 0 and rng.random() < 0.5 else int(rng.integers(1, 20))
        dilation = int(rng.choice([1, 2, 8, n_bins, n_bins + 1, 2 * n_bins + 3, 40]))
        fires.append([int(rng.integers(1, 20)), expand, dilation])
        width = 2 * expand
    return {
        "format": "firenet-1",
        "batch_norm": False,
        "n_channels": int(rng.integers(1, 10)),
        "n_bins": n_bins,
        "n_auxiliary": int(rng.choice([0, 1, 4, 5, 16, 45])),
        "n_classes": int(rng.integers(2, 41)),
        "stem": stem,
        "fires": fires,
        "auxiliary_width": int(rng.integers(1, 70)),
        "head_width": int(rng.choice([0, 1, 16, 17, 33, 96])),
    }


def shapes(spec: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Of the weights of all layers."""
    width = spec["stem"]
    out: dict[str, tuple[int, ...]] = {"stem.conv": (width, spec["n_channels"], 5)}
    for i, (squeeze, expand, _) in enumerate(spec["fires"]):
        out[f"fires.{i}.squeeze.conv"] = (squeeze, width, 1)
        out[f"fires.{i}.expand_1.conv"] = (expand, squeeze, 1)
        out[f"fires.{i}.expand_3.conv"] = (expand, squeeze, 3)
        width = 2 * expand
    n_joined = 2 * width
    if spec["n_auxiliary"]:
        out["auxiliary"] = (spec["auxiliary_width"], spec["n_auxiliary"])
        n_joined += spec["auxiliary_width"]
    if spec["head_width"]:
        out["hidden"] = (spec["head_width"], n_joined)
        n_joined = spec["head_width"]
    return {**out, "head": (spec["n_classes"], n_joined)}


def random_network(rng: np.random.Generator) -> IntegerNetwork:
    """Sparse, of one sign or empty layers, biases from none to far larger than the sums."""
    spec = random_spec(rng)
    tensors = {}
    for name, shape in shapes(spec).items():
        weight = rng.normal(size=shape) * rng.choice([0.01, 1, 30]) / np.sqrt(np.prod(shape[1:]))
        kind = rng.integers(0, 8)
        weight = {0: np.abs(weight), 1: -np.abs(weight), 2: np.sign(weight), 3: 0 * weight}.get(
            int(kind), weight
        )
        weight *= rng.random(shape) < rng.choice([1.0, 0.5, 0.1])
        bias = rng.normal(size=shape[0]) * rng.choice([0, 0.1, 1, 100])
        tensors[f"{name}.weight"] = weight.astype(np.float32)
        tensors[f"{name}.bias"] = bias.astype(np.float32)
    sizes = (spec["n_channels"], spec["n_auxiliary"])
    ends = [rng.uniform(0, 4, n) * rng.choice([0, 1, 1e-35, 1e3], n) for n in sizes for _ in "ab"]
    ranges = ActivationRanges(
        -ends[0],
        ends[1],
        -ends[2],
        ends[3],
        {name: float(rng.uniform(0.1, 4) * rng.choice([0, 1, 30])) for name in range_names(spec)},
    )
    return integer_network(spec, tensors, ranges)


def at_the_ends(rng: np.random.Generator, layer: IntegerLayer) -> IntegerLayer:
    """Weights of 127, sums up to 2**31 - 1 of both signs, the largest multipliers and shifts."""
    n_out = len(layer.weight)
    weight = rng.integers(-127, 128, layer.weight.shape)
    kind = rng.integers(0, 5, n_out)
    for k, value in enumerate((127, -127, 0)):
        weight[kind == k] = value
    shift, bypass = rng.choice(SHIFTS, n_out), np.zeros(n_out, np.int64)
    multiplier, bias = np.ones(n_out, np.int64), np.zeros(n_out, np.int64)
    for o, row in enumerate(weight.reshape(n_out, -1)):
        high, low = LEVELS * int(row.clip(0).sum()), LEVELS * int(row.clip(None, 0).sum())
        room = MAX_INT32 - (1 << int(shift[o]) - 1)
        if layer.bypass.any() and rng.random() < 0.8:
            bypass[o] = rng.integers(0, room // (2 * LEVELS) + 1)
            room -= LEVELS * int(bypass[o])
        most = max(1, min(room, MAX_INT32) // max(high, -low if layer.name == "head" else 1, 1))
        multiplier[o] = rng.choice([1, most, rng.integers(1, most + 1)])
        top = room // int(multiplier[o]) - high
        bottom = -(MAX_INT32 // (int(multiplier[o]) if layer.name == "head" else 1)) - low
        bias[o] = rng.choice([top, bottom, 0])
    numbers = (a.astype(np.int32) for a in (bias, multiplier, shift, bypass))
    names = ("bias", "multiplier", "shift", "bypass")
    out = dataclasses.replace(
        layer, weight=weight.astype(np.int8), **dict(zip(names, numbers, strict=True))
    )
    _prove(out, bias)
    return out


def random_floats(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """From denormal to nearly the largest, and halves, which lie between two levels."""
    x = rng.normal(size=shape) * rng.choice([1e-40, 1, 1e3, 3e37], size=shape)
    return np.where(rng.random(shape) < 0.1, np.rint(x) + 0.5, x).astype(np.float32)


@pytest.mark.parametrize("extreme", [False, True])
def test_equals_the_definition_on_random_networks(extreme: bool) -> None:
    done = 0
    for seed in range(N_NETWORKS):
        rng = np.random.default_rng([seed, extreme])
        try:
            network = random_network(rng)
        except ConfigError:  # out of proportion: refused by the proof
            continue
        if extreme:
            layers = {name: at_the_ends(rng, layer) for name, layer in network.layers.items()}
            network = dataclasses.replace(network, layers=layers)
        spec, n = network.spec, int(rng.integers(1, 10))
        inner = (spec["n_channels"], spec["n_bins"]), (spec["n_auxiliary"],)
        most = rng.choice([2, 256])
        levels = [
            (rng.integers(0, most, (n, *s)) * (255 // (most - 1))).astype("u1") for s in inner
        ]
        floats = [random_floats(rng, (n, *s)) for s in inner]
        kernel = IntegerKernel(network)

        expected = network.evaluate(levels[0], levels[1])
        found = kernel.logits_of_levels(levels[0], levels[1])
        np.testing.assert_array_equal(found, expected, str(spec))
        expected = network.evaluate(*network.quantize(floats[0], floats[1]))
        np.testing.assert_array_equal(kernel.logits(floats[0], floats[1]), expected, str(spec))
        done += 1
    assert done > N_NETWORKS / 2
