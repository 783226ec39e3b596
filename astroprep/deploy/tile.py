"""Vector code of the integer kernel: four outputs of sixteen lanes at a time, in registers.

Activations lie in quads: four neighbouring channels are the four bytes of one 32-bit lane, lanes
are the bins of one circle (or the objects of a block, in dense layers). So a shift along the
circle is a shift of the pointer, the product of four weights with four channels is one
instruction (``vpdpbusd``) where there is AVX-512 VNNI, and four outputs that are packed into
bytes are a quad again. Elsewhere the same sums are made of products of 16-bit pairs
(``vpmaddwd``, ``smlal``), which LLVM chooses; both are exact.

Written in LLVM's intermediate language through numba, because no loop in Python is compiled into
these instructions.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils as untyped_cgutils
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

__all__ = ["LANES", "make_tile", "peak"]

cgutils: Any = untyped_cgutils  # numba carries no types, and not all of it says so
LANES = 16
I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
QUADS = ir.VectorType(I32, LANES)
VNNI = "llvm.x86.avx512.vpdpbusd.512"


def _splat(builder: Any, value: Any, n: int) -> Any:
    vector = ir.VectorType(value.type, n)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, I32(0))
    zeros = ir.Constant(ir.VectorType(I32, n), [0] * n)
    return builder.shuffle_vector(first, undefined, zeros)


def _constant(vector: Any, value: int) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def _dot4(builder: Any, total: Any, x: Any, w: Any, has_vnni: bool) -> Any:
    """``total`` plus, per lane, the products of four unsigned bytes with four signed ones."""
    if has_vnni:
        kind = ir.FunctionType(QUADS, [QUADS] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, VNNI)
        return builder.call(function, [total, x, w])
    pairs = ir.VectorType(I16, 2 * LANES)
    wide = ir.VectorType(I32, 2 * LANES)
    eight = _constant(pairs, 8)
    x16, w16 = builder.bitcast(x, pairs), builder.bitcast(w, pairs)
    low = (builder.and_(x16, _constant(pairs, 255)), builder.ashr(builder.shl(w16, eight), eight))
    high = (builder.lshr(x16, eight), builder.ashr(w16, eight))
    masks = [
        ir.Constant(ir.VectorType(I32, LANES), list(range(start, 2 * LANES, 2))) for start in (0, 1)
    ]
    for a, b in (low, high):  # even bytes, odd bytes
        product = builder.mul(builder.sext(a, wide), builder.sext(b, wide))
        for mask in masks:
            part = builder.shuffle_vector(product, ir.Constant(wide, ir.Undefined), mask)
            total = builder.add(total, part)
    return total


def _larger(builder: Any, a: Any, b: Any, *, signed: bool = False) -> Any:
    compare = builder.icmp_signed if signed else builder.icmp_unsigned
    return builder.select(compare(">", a, b), a, b)


def make_tile(n_groups: int, *, rescale: bool, bypass: bool = False) -> Any:
    """Intrinsic that computes four outputs of ``n_groups`` times sixteen lanes.

    Parameters
    ----------
    n_groups : int
        Groups of sixteen lanes; 4 times 4 outputs fill half the registers of AVX-512.
    rescale : bool
        Write activations, a quad of bytes a lane; otherwise the sums, four times sixteen int32.
    bypass : bool
        Add the block's input.

    Returns
    -------
    intrinsic
        ``tile(arena, at, steps, weights, outputs, out)``: ``arena`` uint8 array; ``at`` tuple of
        int64: input byte, first step, number of steps, first weight, first output, output byte,
        bypassed byte; ``steps`` int64 array of byte offsets from the input; ``weights`` int32
        array, four bytes each, four outputs a step; ``outputs`` int32 array, four biases,
        multipliers, shifts and bypass multipliers; ``out`` uint8 array. See `IntegerLayer`.
    """

    @intrinsic
    def tile(
        typingctx: Any, arena: Any, at: Any, steps: Any, weights: Any, outputs: Any, out: Any
    ) -> Any:
        signature: Signature = types.void(arena, at, steps, weights, outputs, out)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = [
                None if i == 1 else context.make_array(sig.args[i])(context, builder, a).data
                for i, a in enumerate(args)
            ]
            numbers = [builder.extract_value(args[1], k) for k in range(7)]
            has_vnni = "+avx512vnni" in context.codegen()._get_host_cpu_features()
            _Tile(builder, pointer, numbers, n_groups, has_vnni).emit(rescale, bypass)
            return context.get_dummy_value()

        return signature, codegen

    return tile


class _Tile:
    """Emits the instructions of one tile."""

    def __init__(
        self, builder: Any, pointer: list[Any], numbers: list[Any], n_groups: int, has_vnni: bool
    ) -> None:
        self.builder, self.pointer, self.n_groups, self.has_vnni = (
            builder,
            pointer,
            n_groups,
            has_vnni,
        )
        self.x, self.first_step, self.n_steps, self.first_weight, self.first_output = numbers[:5]
        self.out, self.bypassed = numbers[5:]

    def emit(self, rescale: bool, bypass: bool) -> None:
        builder = self.builder
        totals = self._totals()
        if not rescale:
            for o in range(4):
                self._store(builder.load(totals[o][0]), o)
            return
        multiplier, shift, factor = (self._factors(k) for k in (4, 8, 12))
        for g in range(self.n_groups):
            before = self._load(0, self.bypassed, g) if bypass else None
            packed = _constant(QUADS, 0)
            for o in range(4):
                level = self._rescaled(builder.load(totals[o][g]), multiplier[o], shift[o])
                if before is not None:
                    byte = builder.lshr(before, _constant(QUADS, 8 * o))
                    byte = builder.and_(byte, _constant(QUADS, 255))
                    added = builder.mul(byte, _splat(builder, factor[o], LANES))
                    level = builder.add(level, added)
                level = builder.lshr(level, _splat(builder, shift[o], LANES))
                level = builder.select(
                    builder.icmp_unsigned("<", level, _constant(QUADS, 255)),
                    level,
                    _constant(QUADS, 255),
                )
                packed = builder.or_(packed, builder.shl(level, _constant(QUADS, 8 * o)))
            self._store(packed, g)

    def _rescaled(self, total: Any, multiplier: Any, shift: Any) -> Any:
        """``max(total, 0) * multiplier + 2**(shift - 1)``."""
        builder = self.builder
        half = builder.shl(I32(1), builder.sub(shift, I32(1)))
        positive = _larger(builder, total, _constant(QUADS, 0), signed=True)
        product = builder.mul(positive, _splat(builder, multiplier, LANES))
        return builder.add(product, _splat(builder, half, LANES))

    def _totals(self) -> list[list[Any]]:
        """Sums of all steps; kept in registers, because LLVM promotes what stands on the stack."""
        builder, groups = self.builder, range(self.n_groups)
        totals = [[cgutils.alloca_once(builder, QUADS) for _ in groups] for _ in range(4)]
        for bias, row in zip(self._factors(0), totals, strict=True):
            for total in row:
                builder.store(_splat(builder, bias, LANES), total)
        with cgutils.for_range(builder, self.n_steps) as loop:
            step = builder.gep(self.pointer[2], [builder.add(self.first_step, loop.index)])
            at = builder.add(self.x, builder.load(step))
            x = [self._load(0, at, g) for g in groups]
            four = builder.add(self.first_weight, builder.mul(loop.index, I64(4)))
            for o, row in enumerate(totals):
                weight = builder.gep(self.pointer[3], [builder.add(four, I64(o))])
                w = _splat(builder, builder.load(weight, align=4), LANES)
                for g, total in enumerate(row):
                    new = _dot4(builder, builder.load(total), x[g], w, self.has_vnni)
                    builder.store(new, total)
        return totals

    def _factors(self, first: int) -> list[Any]:
        """Four numbers, one an output."""
        builder, outputs = self.builder, self.pointer[4]
        places = [builder.add(self.first_output, I64(first + o)) for o in range(4)]
        return [builder.load(builder.gep(outputs, [place]), align=4) for place in places]

    def _vector(self, pointer: Any, at: Any, group: int) -> Any:
        builder = self.builder
        byte = builder.gep(
            builder.bitcast(self.pointer[pointer], I8.as_pointer()),
            [builder.add(at, I64(4 * LANES * group))],
        )
        return builder.bitcast(byte, QUADS.as_pointer())

    def _load(self, pointer: int, at: Any, group: int) -> Any:
        return self.builder.load(self._vector(pointer, at, group), align=1)

    def _store(self, vector: Any, group: int) -> None:
        builder = self.builder
        builder.store(vector, self._vector(5, self.out, group), align=1)


@intrinsic
def peak(typingctx: Any, arena: Any, at: Any, n_groups: Any) -> Any:
    """Largest byte of each of the four channels of a quad, over groups of sixteen lanes."""
    signature: Signature = types.uint32(arena, at, n_groups)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        size = 4 * LANES
        vector = ir.VectorType(I8, size)
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        data = builder.bitcast(data, I8.as_pointer())
        largest = cgutils.alloca_once(builder, vector)
        builder.store(_constant(vector, 0), largest)

        with cgutils.for_range(builder, args[2]) as loop:
            byte = builder.gep(data, [builder.add(args[1], builder.mul(loop.index, I64(size)))])
            x = builder.load(builder.bitcast(byte, vector.as_pointer()), align=1)
            builder.store(_larger(builder, builder.load(largest), x), largest)
        m = builder.load(largest)
        while size > 4:
            size //= 2
            halves = [
                builder.shuffle_vector(
                    m,
                    ir.Constant(m.type, ir.Undefined),
                    ir.Constant(ir.VectorType(I32, size), list(range(start, start + size))),
                )
                for start in (0, size)
            ]
            m = _larger(builder, *halves)
        return builder.bitcast(m, I32)

    return signature, codegen
