"""Vector code that makes levels of the inputs, sixteen numbers at a time."""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from astroprep.deploy.emit import (
    I8,
    I16,
    I32,
    I64,
    LANES,
    QUADS,
    cgutils,
    constant,
    first_lanes,
    has_vnni,
    outlined,
    packed,
    pointers,
    splat,
    store,
    wrap,
)

__all__ = ["quantize_circle", "quantize_vector"]

FLOAT = ir.FloatType()
FLOATS = ir.VectorType(FLOAT, LANES)
CONVERT, NEAREST = "llvm.x86.avx512.mask.cvtps2dq.512", 8  # half to even, no exceptions
MASK = ir.VectorType(ir.IntType(1), LANES)


@intrinsic
def quantize_circle(
    typingctx: Any, folded: Any, i: Any, factors: Any, arena: Any, at: Any, size: Any, crowd: Any
) -> Any:
    """Levels of the channels of a crowd from object `i` on, four to a lane, and the halo beside.

    ``at``: tuple of byte of the first lane, bytes from quad to quad, copies beside the circle;
    ``size``: channels, bins, bins of a copy; ``factors``: of each channel the inverse of its step,
    then of each its zero, both filled up to quads; ``crowd``: tuple of objects and bytes of the
    arena from one to the next.
    """
    signature: Signature = types.void(folded, i, factors, arena, at, size, crowd)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, factor, lanes = pointers(context, builder, sig, args, (0, 2, 3))
        numbers = [
            builder.extract_value(args[k], j) for k, n in ((4, 3), (5, 3), (6, 2)) for j in range(n)
        ]
        x = builder.gep(x, [builder.mul(args[1], builder.mul(numbers[3], numbers[4]))])
        lanes = builder.gep(lanes, [numbers[0]])
        vnni = has_vnni(context)
        outlined(
            builder, "quantize_circle", [x, factor, lanes, *numbers[1:]], partial(_circles, vnni)
        )
        return context.get_dummy_value()

    return signature, codegen


def _circles(
    vnni: bool,
    builder: Any,
    x: Any,
    factor: Any,
    lanes: Any,
    stride: Any,
    n_copies: Any,
    n: Any,
    n_bins: Any,
    size: Any,
    n_objects: Any,
    n_bytes: Any,
) -> None:
    """All channels of all objects of a crowd."""
    n_quads = builder.lshr(builder.add(n, I64(3)), I64(2))
    last = builder.sub(n, I64(1))
    all_bins = builder.mul(n, n_bins)
    with cgutils.for_range(builder, n_objects) as objects:
        its = builder.gep(x, [builder.mul(objects.index, all_bins)])
        target = builder.gep(lanes, [builder.mul(objects.index, n_bytes)])
        with cgutils.for_range(builder, n_quads) as quad:
            channel = builder.mul(quad.index, I64(4))
            place = builder.mul(quad.index, stride)
            inverse = builder.gep(factor, [channel])
            zero = builder.gep(inverse, [builder.mul(n_quads, I64(4))])
            rows = []
            for k in range(4):
                # a channel that is missing has factors of zero: any row gives its levels
                row = builder.add(channel, I64(k))
                row = builder.select(builder.icmp_signed("<", row, last), row, last)
                rows.append(builder.gep(its, [builder.mul(row, n_bins)]))
            with cgutils.for_range(builder, _groups(builder, n_bins)) as group:
                lane = builder.mul(group.index, I64(LANES))
                mask = first_lanes(builder, builder.sub(n_bins, lane))
                levels = []
                for k, row in enumerate(rows):
                    here = builder.gep(row, [lane])
                    _prefetch(builder, builder.gep(here, [all_bins]))
                    a, b = (
                        splat(builder, builder.load(builder.gep(p, [I64(k)])), LANES)
                        for p in (inverse, zero)
                    )
                    levels.append(_levels(builder, _masked(builder, here, mask), a, b, vnni))
                quads = packed(builder, levels, vnni)
                store(builder, quads, target, builder.add(place, builder.mul(lane, I64(4))))
            with cgutils.for_range(builder, n_copies) as copy:
                moved = builder.mul(builder.mul(copy.index, size), I64(4))
                wrap(builder, target, place, n_bins, moved)


@intrinsic
def quantize_vector(
    typingctx: Any,
    auxiliary: Any,
    i: Any,
    factors: Any,
    first: Any,
    arena: Any,
    at: Any,
    n: Any,
    crowd: Any,
) -> Any:
    """Levels of the auxiliaries of a crowd from object `i` on; `first` of the factors."""
    signature: Signature = types.void(auxiliary, i, factors, first, arena, at, n, crowd)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, factor, out = pointers(context, builder, sig, args, (0, 2, 4))
        _, i, _, first, _, at, n, crowd = args
        x = builder.gep(x, [builder.mul(i, n)])
        factor = builder.gep(factor, [first])
        out = builder.gep(out, [at])
        counts = [builder.extract_value(crowd, k) for k in range(2)]
        outlined(builder, "quantize_vector", [x, factor, out, n, *counts], _vectors)
        return context.get_dummy_value()

    return signature, codegen


def _vectors(
    builder: Any, x: Any, factor: Any, out: Any, n: Any, n_objects: Any, n_bytes: Any
) -> None:
    """All auxiliaries of all objects of a crowd, one behind the other."""
    n_filled = builder.and_(builder.add(n, I64(3)), I64(-4))
    with cgutils.for_range(builder, n_objects) as objects:
        its = builder.gep(x, [builder.mul(objects.index, n)])
        target = builder.gep(out, [builder.mul(objects.index, n_bytes)])
        with cgutils.for_range(builder, _groups(builder, n)) as group:
            start = builder.mul(group.index, I64(LANES))
            mask = first_lanes(builder, builder.sub(n, start))
            inverse = builder.gep(factor, [start])
            rows = (builder.gep(its, [start]), inverse, builder.gep(inverse, [n_filled]))
            values, inverse, zero = (_masked(builder, row, mask) for row in rows)
            level = _levels(builder, values, inverse, zero, False)
            store(builder, builder.trunc(level, ir.VectorType(I8, LANES)), target, start)


def _prefetch(builder: Any, pointer: Any) -> None:
    """Ask for what will be read soon; an address outside of all memory does no harm."""
    bytewise = builder.bitcast(pointer, I8.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [bytewise.type, I32, I32, I32])
    fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(fetch, [bytewise, I32(0), I32(3), I32(1)])


def _groups(builder: Any, n: Any) -> Any:
    """Sixteens that hold `n`."""
    return builder.sdiv(builder.add(n, I64(LANES - 1)), I64(LANES))


def _masked(builder: Any, pointer: Any, mask: Any) -> Any:
    """Sixteen floats, zeros beyond the mask, where nothing is read."""
    vector = builder.bitcast(pointer, FLOATS.as_pointer())
    kind = ir.FunctionType(FLOATS, [vector.type, I32, MASK, FLOATS])
    load = cgutils.get_or_insert_function(builder.module, kind, "llvm.masked.load.v16f32.p0")
    return builder.call(load, [vector, I32(4), mask, constant(FLOATS, 0.0)])


def _levels(builder: Any, x: Any, inverse: Any, zero: Any, vnni: bool) -> Any:
    """``rint(x * inverse + zero)`` in float32, as int32; between 0 and 255, or with VNNI below 256.

    What is left below zero is for `packed` to clip: there the conversion rounds by itself, and
    only numbers that are too large would come out wrong.
    """
    scaled = builder.fadd(builder.fmul(x, inverse), zero)
    zeros, most = constant(FLOATS, 0.0), constant(FLOATS, 255.0)
    if vnni:
        scaled = builder.select(builder.fcmp_ordered("<", scaled, most), scaled, most)
        kind = ir.FunctionType(QUADS, [FLOATS, QUADS, I16, I32])
        convert = cgutils.get_or_insert_function(builder.module, kind, CONVERT)
        return builder.call(convert, [scaled, constant(QUADS, 0), I16(-1), I32(NEAREST)])
    kind = ir.FunctionType(FLOATS, [FLOATS])
    rint = cgutils.get_or_insert_function(builder.module, kind, "llvm.rint.v16f32")
    level = builder.call(rint, [scaled])
    for order, limit in ((">", zeros), ("<", most)):
        level = builder.select(builder.fcmp_ordered(order, level, limit), level, limit)
    return builder.fptosi(level, QUADS)
