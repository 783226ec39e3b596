"""Vector code of the integer kernel: four outputs of sixteen lanes at a time, in registers.

Activations lie in quads: four neighbouring channels are the four bytes of one 32-bit lane, lanes
are the bins of one circle. So a shift along the circle is a shift of the pointer, the product of
four weights with four channels is one instruction (``vpdpbusd``) where there is AVX-512 VNNI, and
four outputs that are packed into bytes are a quad again. Elsewhere the same sums are made of
products of 16-bit pairs (``vpmaddwd``, ``smlal``), which LLVM chooses; both are exact.

Written in LLVM's intermediate language through numba, because no loop in Python is compiled into
these instructions.
"""

from __future__ import annotations

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
    dot4,
    has_vnni,
    larger,
    load,
    pointers,
    splat,
    store,
    wrap,
)

__all__ = ["N_FIELDS", "layer"]

N_FIELDS = 12  # of a row of the program
GROUP = 4 * LANES  # bytes
BYTES = ir.VectorType(I8, GROUP)
PACK_WORDS, PACK_BYTES = "llvm.x86.avx512.packssdw.512", "llvm.x86.avx512.packuswb.512"


def _packed(builder: Any, levels: list[Any], vnni: bool) -> Any:
    """Four vectors of lanes below 2**31, clipped to bytes, as one vector of quads."""
    if vnni:  # whoever has it has these too: clip and narrow in one instruction, twice
        words = ir.VectorType(I16, 2 * LANES)
        kind = ir.FunctionType(words, [QUADS] * 2)
        narrow = cgutils.get_or_insert_function(builder.module, kind, PACK_WORDS)
        low, high = (builder.call(narrow, levels[k : k + 2]) for k in (0, 2))
        kind = ir.FunctionType(BYTES, [words] * 2)
        narrow = cgutils.get_or_insert_function(builder.module, kind, PACK_BYTES)
        rows = builder.call(narrow, [low, high])  # in sixteens of bytes: output, lane
        order = [16 * k + 4 * o + i for k in range(4) for i in range(4) for o in range(4)]
        mask = ir.Constant(ir.VectorType(I32, 4 * LANES), order)
        return builder.bitcast(builder.shuffle_vector(rows, rows, mask), QUADS)
    packed, most = constant(QUADS, 0), constant(QUADS, 255)
    for o, level in enumerate(levels):
        clipped = builder.select(builder.icmp_unsigned("<", level, most), level, most)
        packed = builder.or_(packed, builder.shl(clipped, constant(QUADS, 8 * o)))
    return packed


@intrinsic
def layer(
    typingctx: Any,
    arena: Any,
    program: Any,
    row: Any,
    steps: Any,
    weights: Any,
    outputs: Any,
    n_bins: Any,
) -> Any:
    """Run one layer on the circle, and repeat the ends of its output beside it.

    ``arena``: uint8 array; ``program``: int64 array, of which `row` is the layer, see
    `astroprep.deploy.pack.FIELDS`; ``steps``: int64 array of byte offsets from the input;
    ``weights``: int32 array, four bytes each, four outputs a step; ``outputs``: int32 array, four
    biases, multipliers, shifts and bypass multipliers a quad. See `IntegerLayer`.
    """
    signature: Signature = types.void(arena, program, row, steps, weights, outputs, n_bins)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        arena, program, *tables = pointers(context, builder, sig, args, (0, 1, 3, 4, 5))
        first = builder.gep(program, [builder.mul(args[2], I64(N_FIELDS))])
        p = [builder.load(builder.gep(first, [I64(k)])) for k in range(N_FIELDS)]
        n_bins = args[6]
        n_groups = builder.sdiv(builder.add(n_bins, I64(LANES - 1)), I64(LANES))
        bypasses = builder.icmp_signed("!=", p[7], I64(0))
        vnni = has_vnni(context)
        with cgutils.for_range(builder, p[8]) as quad:
            place = [
                p[0],
                p[1],
                p[2],
                builder.add(p[3], builder.mul(quad.index, builder.mul(p[2], I64(4)))),
                builder.add(p[4], builder.mul(quad.index, I64(16))),
                builder.add(p[5], builder.mul(quad.index, p[9])),
                builder.add(p[6], builder.mul(quad.index, p[10])),
            ]
            tile = _Tile(builder, arena, tables, place, vnni)
            with builder.if_else(bypasses) as (then, otherwise):
                for branch, bypass in ((then, True), (otherwise, False)):
                    with branch:
                        tile.emit_all(n_groups, bypass)
            wrap(builder, arena, place[5], n_bins, p[11])
        return context.get_dummy_value()

    return signature, codegen


class _Tile:
    """Emits four outputs of one or several groups of sixteen lanes, in registers.

    Four groups of four outputs fill half the registers of AVX-512.
    """

    def __init__(
        self, builder: Any, arena: Any, tables: list[Any], place: list[Any], vnni: bool
    ) -> None:
        self.builder, self.arena, self.vnni = builder, arena, vnni
        self.steps, self.weights, self.outputs = tables
        self.x, self.first_step, self.n_steps, self.first_weight, self.first_output = place[:5]
        self.out, self.bypassed = place[5:]

    def emit_all(self, n_groups: Any, bypass: bool) -> None:
        """All groups, four at a time while there are four."""
        builder = self.builder
        fours = builder.ashr(n_groups, I64(2))
        with cgutils.for_range(builder, fours) as loop:
            self._emit(builder.mul(loop.index, I64(4 * GROUP)), 4, bypass)
        with cgutils.for_range(builder, builder.and_(n_groups, I64(3))) as loop:
            group = builder.add(builder.mul(fours, I64(4)), loop.index)
            self._emit(builder.mul(group, I64(GROUP)), 1, bypass)

    def _emit(self, far: Any, n_groups: int, bypass: bool) -> None:
        """Some groups, `far` bytes from the first lane."""
        builder = self.builder
        totals = self._totals(far, n_groups)
        multiplier, shift, factor = (self._factors(k) for k in (4, 8, 12))
        for g in range(n_groups):
            here = builder.add(far, I64(GROUP * g))
            before = None
            if bypass:
                before = load(builder, QUADS, self.arena, builder.add(self.bypassed, here))
            levels = []
            for o in range(4):
                level = self._rescaled(builder.load(totals[o][g]), multiplier[o], shift[o])
                if before is not None:
                    byte = builder.lshr(before, constant(QUADS, 8 * o))
                    byte = builder.and_(byte, constant(QUADS, 255))
                    added = builder.mul(byte, splat(builder, factor[o], LANES))
                    level = builder.add(level, added)
                levels.append(builder.lshr(level, splat(builder, shift[o], LANES)))
            packed = _packed(builder, levels, self.vnni)
            store(builder, packed, self.arena, builder.add(self.out, here))

    def _rescaled(self, total: Any, multiplier: Any, shift: Any) -> Any:
        """``max(total, 0) * multiplier + 2**(shift - 1)``."""
        builder = self.builder
        half = builder.shl(I32(1), builder.sub(shift, I32(1)))
        positive = larger(builder, total, constant(QUADS, 0), signed=True)
        product = builder.mul(positive, splat(builder, multiplier, LANES))
        return builder.add(product, splat(builder, half, LANES))

    def _totals(self, far: Any, n_groups: int) -> list[list[Any]]:
        """Sums of all steps; kept in registers, because LLVM promotes what stands on the stack."""
        builder, groups = self.builder, range(n_groups)
        totals = [[cgutils.alloca_once(builder, QUADS) for _ in groups] for _ in range(4)]
        for bias, row in zip(self._factors(0), totals, strict=True):
            for total in row:
                builder.store(splat(builder, bias, LANES), total)
        with cgutils.for_range(builder, self.n_steps) as loop:
            step = builder.gep(self.steps, [builder.add(self.first_step, loop.index)])
            at = builder.add(builder.add(self.x, far), builder.load(step))
            x = [load(builder, QUADS, self.arena, builder.add(at, I64(GROUP * g))) for g in groups]
            four = builder.add(self.first_weight, builder.mul(loop.index, I64(4)))
            for o, row in enumerate(totals):
                weight = load(builder, I32, self.weights, builder.add(four, I64(o)))
                w = splat(builder, weight, LANES)
                for g, total in enumerate(row):
                    new = dot4(builder, builder.load(total), x[g], w, self.vnni)
                    builder.store(new, total)
        return totals

    def _factors(self, first: int) -> list[Any]:
        """Four numbers, one an output."""
        builder = self.builder
        places = [builder.add(self.first_output, I64(first + o)) for o in range(4)]
        return [load(builder, I32, self.outputs, place) for place in places]
