"""Vector code behind the circle: pooling, and dense layers of sixteen outputs at a time.

A dense layer has no bins to fill the lanes with, so its outputs do: a quad of inputs goes to all
lanes, and each lane has its own four weights. One object alone is then no slower than in a crowd.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from astroprep.deploy.emit import (
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
    pointers,
    splat,
    store,
)
from astroprep.deploy.tile import BYTES, N_FIELDS

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
) -> Any:
    """Run one dense layer; its activations go where the program says.

    ``program``: int64 array, of which `row` is the layer; ``weights``: int32 array, four bytes
    each, sixteen outputs a step; ``outputs``: int32 array, sixteen biases, multipliers and shifts.
    See `IntegerLayer`.
    """
    signature: Signature = types.void(arena, program, row, weights, outputs)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        arrays = pointers(context, builder, sig, args, (0, 1, 3, 4))
        for group, total, multiplier, shift, out in _sixteens(
            builder, arrays, args[2], has_vnni(context)
        ):
            positive = larger(builder, total, constant(QUADS, 0), signed=True)
            level = _clipped(builder, _rescaled(builder, positive, multiplier, shift))
            place = builder.add(out, builder.mul(group, I64(LANES)))
            store(builder, level, arrays[0], place)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def head(
    typingctx: Any, arena: Any, program: Any, row: Any, weights: Any, outputs: Any, answer: Any
) -> Any:
    """Run the last layer as `dense`; its sums, negative ones too, go rescaled to an int32 array."""
    signature: Signature = types.void(arena, program, row, weights, outputs, answer)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        *arrays, answer = pointers(context, builder, sig, args, (0, 1, 3, 4, 5))
        for group, total, multiplier, shift, _ in _sixteens(
            builder, arrays, args[2], has_vnni(context)
        ):
            level = _rescaled(builder, total, multiplier, shift)
            store(builder, level, answer, builder.mul(group, I64(LANES)))
        return context.get_dummy_value()

    return signature, codegen


def _sixteens(builder: Any, arrays: list[Any], row: Any, vnni: bool) -> Iterator[tuple[Any, ...]]:
    """Emit the loop over sixteens of outputs; gives its index and what stands in registers."""
    arena, program, weights, outputs = arrays
    first = builder.gep(program, [builder.mul(row, I64(N_FIELDS))])
    x, _, n_steps, weight, output, out, _, _, n_groups = (
        builder.load(builder.gep(first, [I64(k)])) for k in range(9)
    )
    with cgutils.for_range(builder, n_groups) as groups:
        group = groups.index
        tables = builder.add(output, builder.mul(group, I64(3 * LANES)))
        bias, multiplier, shift = (
            load(builder, QUADS, outputs, builder.add(tables, I64(LANES * k))) for k in range(3)
        )
        block = builder.add(weight, builder.mul(group, builder.mul(n_steps, I64(LANES))))
        totals = [cgutils.alloca_once(builder, QUADS) for _ in range(CHAINS)]
        for k, total in enumerate(totals):
            builder.store(constant(QUADS, 0) if k else bias, total)
        with cgutils.for_range(builder, builder.sdiv(n_steps, I64(CHAINS))) as loop:
            for k, total in enumerate(totals):
                step = builder.add(builder.mul(loop.index, I64(CHAINS)), I64(k))
                quad = load(builder, I32, arena, builder.add(x, builder.mul(step, I64(4))))
                place = builder.add(block, builder.mul(step, I64(LANES)))
                w = load(builder, QUADS, weights, place)
                new = dot4(builder, builder.load(total), splat(builder, quad, LANES), w, vnni)
                builder.store(new, total)
        total = builder.load(totals[0])
        for other in totals[1:]:
            total = builder.add(total, builder.load(other))
        yield group, total, multiplier, shift, out


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
def pool(typingctx: Any, arena: Any, program: Any, row: Any, n_bins: Any, rescale: Any) -> Any:
    """Mean and largest level over the bins of every channel, one behind the other.

    ``program``: int64 array, of which `row` says where the quads are and where the means go, the
    peaks behind them; ``rescale``: tuple of multiplier and shift of a mean.
    ``sum * multiplier + 2**(shift - 1)`` stays below 2**31, see `fixed_point`.
    """
    signature: Signature = types.void(arena, program, row, n_bins, rescale)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        arena, program = pointers(context, builder, sig, args, (0, 1))
        n_bins, vnni = args[3], has_vnni(context)
        factor, bits = (
            splat(builder, builder.trunc(builder.extract_value(args[4], k), I32), 4)
            for k in range(2)
        )
        first = builder.gep(program, [builder.mul(args[2], I64(N_FIELDS))])
        x, n_groups, out, n_quads, stride = (
            builder.load(builder.gep(first, [I64(k)])) for k in (0, 2, 5, 8, 9)
        )
        with cgutils.for_range(builder, n_quads) as quads:
            at = builder.add(x, builder.mul(quads.index, stride))
            totals, largest = _sums_and_peak(builder, arena, at, n_groups, n_bins, vnni)
            four = _sum_lanes(builder, totals)
            means = _clipped(builder, _rescaled(builder, four, factor, bits))
            place = builder.add(out, builder.mul(quads.index, I64(4)))
            store(builder, builder.bitcast(means, I32), arena, place)
            place = builder.add(place, builder.mul(n_quads, I64(4)))
            store(builder, _largest(builder, largest), arena, place)
        return context.get_dummy_value()

    return signature, codegen


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
    for n in (LANES // 2, LANES // 4):
        low, high = list(range(n)), list(range(n, 2 * n))
        totals = [builder.add(*_halves(builder, t, t, low, high)) for t in totals]
    a, b = (
        builder.add(*_halves(builder, totals[k], totals[k + 1], [0, 4, 1, 5], [2, 6, 3, 7]))
        for k in (0, 2)
    )
    return builder.add(*_halves(builder, a, b, [0, 1, 4, 5], [2, 3, 6, 7]))
