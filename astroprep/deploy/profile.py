"""Where the time of a bundle's network goes: layer by layer, and what bounds each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.integer import IntegerNetwork
from astroprep.deploy.bundle import Bundle
from astroprep.deploy.emit import LANES
from astroprep.deploy.kernel import IntegerKernel
from astroprep.deploy.pack import FIELDS, LAYOUT
from astroprep.deploy.runtime import Runtime

__all__ = ["LayerTime", "Speed", "layer_times", "runtime_speeds"]

REPEATS = 32  # of one layer in a row, so that the rest of a call hardly counts
LEAST_SECONDS = 0.05
BLOCK = 16  # objects of a call


@dataclass(frozen=True)
class LayerTime:
    """One layer of an integer network.

    Parameters
    ----------
    name : str
        Of the layer; ``"input, pooling, head"`` is the rest.
    microseconds : float
        For one object, by the clock of the process.
    macs : int
        Multiplications and additions that the network needs.
    padded_macs : int
        Those that are done, channels and bins filled up to whole vectors.
    n_bytes : int
        Weights, input and output, read or written once.
    bound : {"arithmetic", "bandwidth", "latency"}
        What takes the largest part of the time: products at the highest rate seen on this
        machine, bytes at the rate of a copy inside the second cache, or neither, which leaves
        rescaling, loops and waiting.
    """

    name: str
    microseconds: float
    macs: int
    padded_macs: int
    n_bytes: int
    bound: str


@dataclass(frozen=True)
class Speed:
    """How fast an engine answers.

    Parameters
    ----------
    engine : str
        ``"integer"`` or ``"float"``.
    batch : int
        Objects in a call.
    objects_per_second : float
        One thread, from folded curves to logits, checks of the input included.
    """

    engine: str
    batch: int
    objects_per_second: float


def runtime_speeds(bundle: Bundle, batches: tuple[int, ...] = (1, 256)) -> list[Speed]:
    """Objects a second of every engine that a bundle can run on.

    Parameters
    ----------
    bundle : Bundle
        Opened.
    batches : tuple of int, default (1, 256)
        Objects in a call.

    Returns
    -------
    list of Speed
        Engine by engine, batch by batch.
    """
    out = []
    for engine in ("integer", "float") if bundle.integer is not None else ("float",):
        runtime = Runtime(bundle, engine=engine)
        for batch in batches:
            inputs = _inputs(bundle.network, batch)
            seconds = _seconds(lambda r=runtime, i=inputs: r.logits(*i))  # type: ignore[misc]
            out.append(Speed(engine, batch, batch / seconds))
    return out


def layer_times(network: IntegerNetwork) -> list[LayerTime]:
    """Time of every layer of an integer network, one thread.

    Parameters
    ----------
    network : IntegerNetwork
        What runs.

    Returns
    -------
    list of LayerTime
        In the order of the network, the rest last; times add up to those of whole objects.
    """
    kernel = IntegerKernel(network)
    program, names = kernel.packed.program, list(network.layers)
    n_tiles = int(kernel.packed.layout[LAYOUT.index("n_tiles")])
    inputs = _inputs(network.spec, BLOCK)
    whole = _program_seconds(kernel, program[:n_tiles], program[n_tiles + 1 : -1], inputs)
    seconds, padded = np.zeros(len(names)), np.zeros(len(names))
    number, before = (program[:-1, FIELDS.index(key)] for key in ("layer", "n_before"))
    for layer, shared in sorted({*zip(number.tolist(), before.tolist(), strict=True)}):
        if layer >= 0:  # pooling is none
            rows = program[:-1][(number == layer) & (before == shared)]
            share = np.array([4 - shared, shared]) / 4  # of this layer, of the one before
            at = [layer, layer - 1]
            seconds[at] += share * _rows_seconds(kernel, rows, names[layer], inputs)
            padded[at] += share * _padded(network, names[layer], rows)
    peak, copy = _peak_rate(), _copy_rate()
    out = [
        _layer_time(network, name, seconds[k], padded[k], peak, copy)
        for k, name in enumerate(names)
        if name != "head"
    ]
    rest = whole / BLOCK * 1e6 - sum(layer.microseconds for layer in out)
    macs = network.layers["head"].weight.size
    out.append(LayerTime("input, pooling, head", max(rest, 0.0), macs, macs, macs, "latency"))
    return out


def _on_circle(name: str) -> bool:
    return name == "stem" or name.startswith("fires.")


def _rows_seconds(
    kernel: IntegerKernel,
    rows: NDArray[np.int64],
    name: str,
    inputs: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> float:
    """Time of some rows of one layer for one object."""
    many = np.tile(rows, (REPEATS, 1))
    parts = (many, many[:0]) if _on_circle(name) else (many[:0], many)
    empty = _program_seconds(kernel, many[:0], many[:0], inputs)
    return max(_program_seconds(kernel, *parts, inputs) - empty, 0.0) / REPEATS / BLOCK


def _padded(network: IntegerNetwork, name: str, rows: NDArray[np.int64]) -> int:
    """Multiplications and additions of some rows of one layer."""
    n_steps = rows[:, FIELDS.index("n_steps")]
    if _on_circle(name):
        return int(16 * n_steps.sum()) * -(-int(network.spec["n_bins"]) // LANES) * LANES
    return int(64 * (n_steps * rows[:, FIELDS.index("n_quads")]).sum())  # sixteen outputs for four


def _layer_time(
    network: IntegerNetwork, name: str, seconds: float, padded: float, peak: float, copy: float
) -> LayerTime:
    n_out, n_in, n_taps = network.layers[name].weight.shape
    n_bins = int(network.spec["n_bins"]) if _on_circle(name) else 1
    macs = n_out * n_in * n_taps * n_bins
    n_bytes = n_out * n_in * n_taps + (n_in + n_out) * n_bins
    shares = {"arithmetic": padded / peak, "bandwidth": n_bytes / copy}
    shares["latency"] = max(seconds - max(shares.values()), 0.0)
    bound = max(shares, key=lambda kind: shares[kind])
    return LayerTime(name, seconds * 1e6, macs, round(padded), n_bytes, bound)


def _program_seconds(
    kernel: IntegerKernel,
    circle: NDArray[np.int64],
    dense: NDArray[np.int64],
    inputs: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> float:
    """Time of a call with other layers in place of the network's."""
    packed = kernel.packed
    n_tiles = LAYOUT.index("n_tiles")
    pooling = packed.program[packed.layout[n_tiles] :][:1]
    program = np.concatenate([circle, pooling, dense, packed.program[-1:]])
    layout = packed.layout.copy()
    layout[n_tiles] = len(circle)
    return _seconds(lambda: kernel.run_program(program, layout, *inputs))


def _seconds(call: Callable[[], object]) -> float:
    """Least time of a call, by the clock of the process, of several groups of calls."""
    call()
    n, least = 1, np.inf
    for _ in range(5):
        spent = 0.0
        while True:
            start = time.process_time()
            for _ in range(n):
                call()
            spent = time.process_time() - start
            if spent > LEAST_SECONDS / 5:
                break
            n *= 2
        least = min(least, spent / n)
    return float(least)


def _inputs(spec: object, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    assert isinstance(spec, dict)
    rng = np.random.default_rng(0)
    shape = (n, int(spec["n_channels"]), int(spec["n_bins"]))
    extra = (n, int(spec["n_auxiliary"]))
    return rng.normal(size=shape).astype(np.float32), rng.normal(size=extra).astype(np.float32)


def _peak_rate() -> float:
    """Products a second of the kernel on a layer that suits it: 64 channels, 64 bins, 3 taps."""
    from astroprep.compress.integer import integer_network
    from astroprep.compress.ranges import ActivationRanges, range_names

    spec = {
        "format": "firenet-1",
        "n_channels": 4,
        "n_bins": 64,
        "n_auxiliary": 0,
        "n_classes": 2,
        "batch_norm": False,
        "stem": 4,
        "fires": [[128, 64, 1]],
        "auxiliary_width": 0,
        "head_width": 0,
    }
    shapes: dict[str, tuple[int, ...]] = {
        "stem.conv": (4, 4, 5),
        "fires.0.squeeze.conv": (128, 4, 1),
        "fires.0.expand_1.conv": (64, 128, 1),
        "fires.0.expand_3.conv": (64, 128, 3),
        "head": (2, 256),
    }
    rng = np.random.default_rng(0)
    tensors = {}
    for name, shape in shapes.items():
        tensors[f"{name}.weight"] = rng.normal(size=shape).astype(np.float32)
        tensors[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    none = np.zeros(0)
    ranges = ActivationRanges(
        np.full(4, -3.0), np.full(4, 3.0), none, none, dict.fromkeys(range_names(spec), 30.0)
    )
    kernel = IntegerKernel(integer_network(spec, tensors, ranges))
    program = kernel.packed.program
    number = list(kernel.network.layers).index("fires.0.expand_3")
    last = program[program[:, FIELDS.index("layer")] == number]
    seconds = _rows_seconds(kernel, last, "fires.0.expand_3", _inputs(spec, BLOCK))
    return 64 * 128 * 3 * 64 / seconds


def _copy_rate() -> float:
    """Bytes read and written a second by a copy of 256 KiB, which the second cache holds."""
    source = np.ones(1 << 18, np.uint8)
    target = np.empty_like(source)
    return 2 * source.size / _seconds(lambda: np.copyto(target, source))
