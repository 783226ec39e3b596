"""Vector code behind the circle: pooling, and dense layers of sixteen outputs at a time.

A dense layer has no bins to fill the lanes with, so its outputs do: a quad of inputs goes to all
lanes, and each lane has its own four weights. One object alone is then no slower than in a crowd.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from astroprep.deploy.emit import (
    BYTES,
    I8,
    I32,
    I64,
    LANES,
    QUADS,
    cgutils,
    constant,
    dot4,
    first_lanes,
    has_vnni,
    larger,
    load,
    outlined,
    pointers,
    splat,
    store,
)
from astroprep.deploy.tile import N_FIELDS

__all__ = ["dense", "head", "pool"]

CHAINS = 2  # sums side by side, so that one product need not wait for the one before


@intrinsic
def dense(
    typingctx: Any,
    arena: Any,
    program: Any,
    row: Any,
    weights: Any,
    outputs: Any,
    crowd: Any,
) -> Any:
    """Run one dense layer for a crowd; its activations go where the program says.

    ``program``: int64 array, of which `row` is the layer; ``weights``: int32 array, four bytes
    each, sixteen outputs a step; ``outputs``: int32 array, sixteen biases, multipliers and shifts;
    ``crowd``: tuple of objects and bytes of the arena from one to the next. See `IntegerLayer`.
    """
    signature: Signature = types.void(arena, program, row, weights, outputs, crowd)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        arrays = _at_row(builder, pointers(context, builder, sig, args, (0, 1, 3, 4)), args[2])
        counts = [builder.extract_value(args[5], k) for k in range(2)]
        outlined(builder, "dense", [*arrays, *counts], partial(_dense, has_vnni(context)))
        return context.get_dummy_value()

    return signature, codegen


def _dense(vnni: bool, builder: Any, *args: Any) -> None:
    """All outputs of all objects of a crowd; arguments as of `_sixteens`."""
    for its, group, total, multiplier, shift, out in _sixteens(builder, args, vnni):
        positive = larger(builder, total, constant(QUADS, 0), signed=True)
        level = _clipped(builder, _rescaled(builder, positive, multiplier, shift))
        store(builder, level, its[0], builder.add(out, group))


@intrinsic
def head(
    typingctx: Any,
    arena: Any,
    program: Any,
    row: Any,
    weights: Any,
    outputs: Any,
    logits: Any,
    shape: Any,
    crowd: Any,
) -> Any:
    """Run the last layer as `dense`; its sums, negative ones too, go rescaled to an int32 array.

    ``shape``: tuple of the first object, whose row of the array it is, and columns.
    """
    signature: Signature = types.void(arena, program, row, weights, outputs, logits, shape, crowd)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        *arrays, logits = pointers(context, builder, sig, args, (0, 1, 3, 4, 5))
        arrays = _at_row(builder, arrays, args[2])
        first, n = (builder.extract_value(args[6], k) for k in range(2))
        logits = builder.gep(logits, [builder.mul(first, n)])
        counts = [builder.extract_value(args[7], k) for k in range(2)]
        emit = partial(_head, has_vnni(context))
        outlined(builder, "head", [logits, n, *arrays, *counts], emit)
        return context.get_dummy_value()

    return signature, codegen


def _head(vnni: bool, builder: Any, logits: Any, n: Any, *args: Any) -> None:
    """All logits of all objects of a crowd; other arguments as of `_sixteens`."""
    for its, group, total, multiplier, shift, _ in _sixteens(builder, args, vnni):
        level = _rescaled(builder, total, multiplier, shift)
        place = builder.gep(logits, [builder.add(builder.mul(its[1], n), group)])
        _masked_store(builder, level, place, first_lanes(builder, builder.sub(n, group)))


def _at_row(builder: Any, arrays: list[Any], row: Any) -> list[Any]:
    """Arena, row of the program, and the other arrays."""
    return [arrays[0], builder.gep(arrays[1], [builder.mul(row, I64(N_FIELDS))]), *arrays[2:]]


def _masked_store(builder: Any, vector: Any, pointer: Any, mask: Any) -> None:
    """Write the lanes of the mask."""
    place = builder.bitcast(pointer, vector.type.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [vector.type, place.type, I32, mask.type])
    write = cgutils.get_or_insert_function(builder.module, kind, "llvm.masked.store.v16i32.p0")
    builder.call(write, [vector, place, I32(4), mask])


def _sixteens(builder: Any, args: Any, vnni: bool) -> Iterator[tuple[Any, ...]]:
    """Emit the loops over sixteens of outputs and objects.

    Gives the arena of the object and its number, the first of the outputs, and registers.
    """
    arena, row, weights, outputs, n_objects, n_bytes = args
    x, n_steps, weight, output, out, n_groups = (
        builder.load(builder.gep(row, [I64(k)])) for k in (0, 2, 3, 4, 5, 9)
    )
    with cgutils.for_range(builder, n_groups) as groups:
        group = builder.mul(groups.index, I64(LANES))
        tables = builder.add(output, builder.mul(group, I64(3)))
        bias, multiplier, shift = (
            load(builder, QUADS, outputs, builder.add(tables, I64(LANES * k))) for k in range(3)
        )
        block = builder.gep(weights, [builder.add(weight, builder.mul(group, n_steps))])
        with cgutils.for_range(builder, n_objects) as objects:
            its = builder.gep(arena, [builder.mul(objects.index, n_bytes)])
            total = _products(builder, builder.gep(its, [x]), block, n_steps, bias, vnni)
            yield (its, objects.index), group, total, multiplier, shift, out


def _products(builder: Any, x: Any, block: Any, n_steps: Any, bias: Any, vnni: bool) -> Any:
    """Sums of sixteen outputs of one object."""
    totals = [cgutils.alloca_once(builder, QUADS) for _ in range(CHAINS)]
    for k, total in enumerate(totals):
        builder.store(constant(QUADS, 0) if k else bias, total)
    with cgutils.for_range(builder, builder.sdiv(n_steps, I64(CHAINS))) as loop:
        for k, total in enumerate(totals):
            step = builder.add(builder.mul(loop.index, I64(CHAINS)), I64(k))
            quad = load(builder, I32, x, builder.mul(step, I64(4)))
            w = load(builder, QUADS, block, builder.mul(step, I64(LANES)))
            new = dot4(builder, builder.load(total), splat(builder, quad, LANES), w, vnni)
            builder.store(new, total)
    first, *others = (builder.load(total) for total in totals)
    for other in others:
        first = builder.add(first, other)
    return first


def _rescaled(builder: Any, total: Any, multiplier: Any, shift: Any) -> Any:
    """``(total * multiplier + 2**(shift - 1)) >> shift``, the floor of a negative number."""
    one = constant(total.type, 1)
    half = builder.shl(one, builder.sub(shift, one))
    return builder.ashr(builder.add(builder.mul(total, multiplier), half), shift)


def _clipped(builder: Any, level: Any) -> Any:
    """Lanes that are not negative, as bytes."""
    most = constant(level.type, 255)
    level = builder.select(builder.icmp_unsigned("<", level, most), level, most)
    return builder.trunc(level, ir.VectorType(I8, level.type.count))


@intrinsic
def pool(
    typingctx: Any, arena: Any, program: Any, row: Any, n_bins: Any, rescale: Any, crowd: Any
) -> Any:
    """Mean and largest level over the bins of every channel, one behind the other, for a crowd.

    ``program``: int64 array, of which `row` says where the quads are and where the means go, the
    peaks behind them; ``rescale``: tuple of multiplier and shift of a mean.
    ``sum * multiplier + 2**(shift - 1)`` stays below 2**31, see `fixed_point`.
    """
    signature: Signature = types.void(arena, program, row, n_bins, rescale, crowd)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        arrays = _at_row(builder, pointers(context, builder, sig, args, (0, 1)), args[2])
        numbers = [builder.extract_value(args[k], j) for k in (4, 5) for j in range(2)]
        emit = partial(_pool, has_vnni(context))
        outlined(builder, "pool", [*arrays, args[3], *numbers], emit)
        return context.get_dummy_value()

    return signature, codegen


def _pool(
    vnni: bool,
    builder: Any,
    arena: Any,
    row: Any,
    n_bins: Any,
    multiplier: Any,
    shift: Any,
    n_objects: Any,
    n_bytes: Any,
) -> None:
    """All quads of all objects of a crowd."""
    factor, bits = (splat(builder, builder.trunc(v, I32), 4) for v in (multiplier, shift))
    x, n_groups, out, n_quads, stride = (
        builder.load(builder.gep(row, [I64(k)])) for k in (0, 2, 5, 9, 10)
    )
    with cgutils.for_range(builder, n_objects) as objects:
        its = builder.gep(arena, [builder.mul(objects.index, n_bytes)])
        with cgutils.for_range(builder, n_quads) as quads:
            at = builder.add(x, builder.mul(quads.index, stride))
            totals, largest = _sums_and_peak(builder, its, at, n_groups, n_bins, vnni)
            four = _sum_lanes(builder, totals)
            means = _clipped(builder, _rescaled(builder, four, factor, bits))
            place = builder.add(out, builder.mul(quads.index, I64(4)))
            store(builder, builder.bitcast(means, I32), its, place)
            place = builder.add(place, builder.mul(n_quads, I64(4)))
            store(builder, _largest(builder, largest), its, place)


def _sums_and_peak(
    builder: Any, arena: Any, at: Any, n_groups: Any, n_bins: Any, vnni: bool
) -> tuple[list[Any], Any]:
    """Sums of four channels over groups of lanes, and the largest bytes, lane by lane."""
    sums = [cgutils.alloca_once(builder, QUADS) for _ in range(4)]
    peak = cgutils.alloca_once(builder, BYTES)
    for total in sums:
        builder.store(constant(QUADS, 0), total)
    builder.store(constant(BYTES, 0), peak)
    with cgutils.for_range(builder, n_groups) as loop:
        lane = builder.mul(loop.index, I64(LANES))
        quads = load(builder, QUADS, arena, builder.add(at, builder.mul(lane, I64(4))))
        mask = first_lanes(builder, builder.sub(n_bins, lane))
        quads = builder.select(mask, quads, constant(QUADS, 0))
        for o, total in enumerate(sums):
            one = constant(QUADS, 1 << 8 * o)
            builder.store(dot4(builder, builder.load(total), quads, one, vnni), total)
        seen = larger(builder, builder.load(peak), builder.bitcast(quads, BYTES))
        builder.store(seen, peak)
    return [builder.load(total) for total in sums], builder.load(peak)


def _halves(builder: Any, a: Any, b: Any, low: list[int], high: list[int]) -> list[Any]:
    """Two choices of the lanes of two vectors."""
    masks = [ir.Constant(ir.VectorType(I32, len(m)), m) for m in (low, high)]
    return [builder.shuffle_vector(a, b, mask) for mask in masks]


def _largest(builder: Any, m: Any) -> Any:
    """Largest of all lanes, for each of the four bytes of a lane."""
    size = m.type.count
    while size > 4:
        size //= 2
        low, high = list(range(size)), list(range(size, 2 * size))
        m = larger(builder, *_halves(builder, m, m, low, high))
    return builder.bitcast(m, I32)


def _sum_lanes(builder: Any, totals: list[Any]) -> Any:
    """Sums over the lanes of four vectors, as one vector of four."""
    fours = range(0, LANES, 4)  # the vectors meet before the lanes do, so fewer are left to add
    for pair in ([0, 16, 1, 17], [0, 1, 16, 17]):
        low, high = ([k + f for f in fours for k in [p + step for p in pair]] for step in (0, 2))
        totals = [
            builder.add(*_halves(builder, totals[k], totals[k + 1], low, high))
            for k in range(0, len(totals), 2)
        ]
    (total,) = totals
    for n in (LANES // 2, LANES // 4):
        low, high = list(range(n)), list(range(n, 2 * n))
        total = builder.add(*_halves(builder, total, total, low, high))
    return total
