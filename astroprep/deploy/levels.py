"""Vector code that makes levels of the inputs, sixteen numbers at a time."""

from __future__ import annotations

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
    first_lanes,
    pointers,
    splat,
    store,
    wrap,
)

__all__ = ["quantize_circle", "quantize_vector"]

FLOAT = ir.FloatType()
FLOATS = ir.VectorType(FLOAT, LANES)
MASK = ir.VectorType(ir.IntType(1), LANES)


@intrinsic
def quantize_circle(
    typingctx: Any, folded: Any, i: Any, factors: Any, arena: Any, at: Any, size: Any
) -> Any:
    """Levels of the channels of object `i`, four to a lane, and the halo beside them.

    ``at``: tuple of byte of the first lane, bytes from quad to quad, lanes of the halo; ``size``:
    channels, bins; ``factors``: of each channel the inverse of its step, then of each its zero,
    both filled up to quads.
    """
    signature: Signature = types.void(folded, i, factors, arena, at, size)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, factor, lanes = pointers(context, builder, sig, args, (0, 2, 3))
        first, stride, halo = (builder.extract_value(args[4], k) for k in range(3))
        n, n_bins = (builder.extract_value(args[5], k) for k in range(2))
        x = builder.gep(x, [builder.mul(args[1], builder.mul(n, n_bins))])
        n_quads = builder.lshr(builder.add(n, I64(3)), I64(2))
        last = builder.sub(n, I64(1))
        with cgutils.for_range(builder, n_quads) as quad:
            channel = builder.mul(quad.index, I64(4))
            place = builder.add(first, builder.mul(quad.index, stride))
            with cgutils.for_range(builder, _groups(builder, n_bins)) as group:
                lane = builder.mul(group.index, I64(LANES))
                mask = first_lanes(builder, builder.sub(n_bins, lane))
                packed = constant(QUADS, 0)
                for k in range(4):
                    one = builder.add(channel, I64(k))
                    inverse = builder.gep(factor, [one])
                    zero = builder.gep(inverse, [builder.mul(n_quads, I64(4))])
                    # a channel that is missing has factors of zero: any row gives its levels
                    row = builder.select(builder.icmp_signed("<", one, last), one, last)
                    start = builder.add(builder.mul(row, n_bins), lane)
                    values = _masked(builder, builder.gep(x, [start]), mask)
                    level = _levels(
                        builder,
                        values,
                        splat(builder, builder.load(inverse), LANES),
                        splat(builder, builder.load(zero), LANES),
                    )
                    packed = builder.or_(packed, builder.shl(level, constant(QUADS, 8 * k)))
                store(builder, packed, lanes, builder.add(place, builder.mul(lane, I64(4))))
            wrap(builder, lanes, place, n_bins, halo)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def quantize_vector(
    typingctx: Any, auxiliary: Any, i: Any, factors: Any, first: Any, arena: Any, at: Any, n: Any
) -> Any:
    """Levels of the auxiliaries of object `i`, one behind the other; `first` of the factors."""
    signature: Signature = types.void(auxiliary, i, factors, first, arena, at, n)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, factor, out = pointers(context, builder, sig, args, (0, 2, 4))
        _, i, _, first, _, at, n = args
        x = builder.gep(x, [builder.mul(i, n)])
        n_filled = builder.and_(builder.add(n, I64(3)), I64(-4))
        with cgutils.for_range(builder, _groups(builder, n)) as group:
            start = builder.mul(group.index, I64(LANES))
            mask = first_lanes(builder, builder.sub(n, start))
            inverse = builder.gep(factor, [builder.add(first, start)])
            rows = (builder.gep(x, [start]), inverse, builder.gep(inverse, [n_filled]))
            level = _levels(builder, *(_masked(builder, row, mask) for row in rows))
            store(
                builder, builder.trunc(level, ir.VectorType(I8, LANES)), out, builder.add(at, start)
            )
        return context.get_dummy_value()

    return signature, codegen


def _groups(builder: Any, n: Any) -> Any:
    """Sixteens that hold `n`."""
    return builder.sdiv(builder.add(n, I64(LANES - 1)), I64(LANES))


def _masked(builder: Any, pointer: Any, mask: Any) -> Any:
    """Sixteen floats, zeros beyond the mask, where nothing is read."""
    vector = builder.bitcast(pointer, FLOATS.as_pointer())
    kind = ir.FunctionType(FLOATS, [vector.type, I32, MASK, FLOATS])
    load = cgutils.get_or_insert_function(builder.module, kind, "llvm.masked.load.v16f32.p0")
    return builder.call(load, [vector, I32(4), mask, constant(FLOATS, 0.0)])


def _levels(builder: Any, x: Any, inverse: Any, zero: Any) -> Any:
    """``rint(x * inverse + zero)`` in float32, between 0 and 255, as int32."""
    scaled = builder.fadd(builder.fmul(x, inverse), zero)
    kind = ir.FunctionType(FLOATS, [FLOATS])
    rint = cgutils.get_or_insert_function(builder.module, kind, "llvm.rint.v16f32")
    level = builder.call(rint, [scaled])
    for order, limit in ((">", constant(FLOATS, 0.0)), ("<", constant(FLOATS, 255.0))):
        level = builder.select(builder.fcmp_ordered(order, level, limit), level, limit)
    return builder.fptosi(level, QUADS)
