"""Vector code of the integer kernel: four outputs of sixteen lanes at a time, in registers.

Activations lie in quads: four neighbouring channels are the four bytes of one 32-bit lane, lanes
are the bins of one circle. So a shift along the circle is a shift of the pointer, the product of
four weights with four channels is one instruction (``vpdpbusd``) where there is AVX-512 VNNI, and
four outputs that are packed into bytes are a quad again. Elsewhere the same sums are made of
products of 16 bits (``vpmaddwd``, ``smull``), which LLVM chooses; both are exact.

Rescaling costs as much as the sums of a small layer, so what it needs stands in registers for all
objects of a crowd, and ReLU is left to the clipping of the bytes wherever that is proved.

Written in LLVM's intermediate language through numba, because no loop in Python is compiled into
these instructions.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from numba import types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from astroprep.deploy.emit import (
    GROUP,
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
    outlined,
    packed,
    pointers,
    shifted,
    splat,
    store,
    wrap,
)

__all__ = ["N_FIELDS", "tile"]

N_FIELDS = 13  # of a row of the program


@intrinsic
def tile(
    typingctx: Any,
    arena: Any,
    program: Any,
    row: Any,
    steps: Any,
    weights: Any,
    outputs: Any,
    circle: Any,
    crowd: Any,
) -> Any:
    """Four outputs of a layer on the circle, for a crowd of objects, and their ends beside them.

    ``arena``: uint8 array; ``program``: int64 array, of which `row` is the tile, see
    `astroprep.deploy.pack.FIELDS`; ``steps``: int64 array of byte offsets from the input;
    ``weights``: int32 array, four bytes each, four outputs a step; ``outputs``: int32 array, four
    biases, multipliers, halves, shifts and bypass multipliers; ``circle``: tuple of bins and bins
    that one copy beside the circle brings; ``crowd``: tuple of objects and bytes of the arena from
    one to the next. See `IntegerLayer`.
    """
    signature: Signature = types.void(arena, program, row, steps, weights, outputs, circle, crowd)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        arrays = pointers(context, builder, sig, args, (0, 1, 3, 4, 5))
        arrays[1] = builder.gep(arrays[1], [builder.mul(args[2], I64(N_FIELDS))])
        numbers = [builder.extract_value(args[k], j) for k in (6, 7) for j in range(2)]
        outlined(builder, "tile", [*arrays, *numbers], partial(_tile, has_vnni(context)))
        return context.get_dummy_value()

    return signature, codegen


def _tile(
    vnni: bool,
    builder: Any,
    arena: Any,
    row: Any,
    steps: Any,
    weights: Any,
    outputs: Any,
    n_bins: Any,
    size: Any,
    n_objects: Any,
    stride: Any,
) -> None:
    """One row of the program for all objects of a crowd."""
    place = [builder.load(builder.gep(row, [I64(k)])) for k in range(9)]
    n_groups = builder.sdiv(builder.add(n_bins, I64(LANES - 1)), I64(LANES))
    is_general = builder.icmp_signed("!=", place[7], I64(0))
    four = _Tile(builder, [steps, weights, outputs], place, vnni)
    with builder.if_else(is_general) as (then, otherwise):
        for branch, general in ((then, True), (otherwise, False)):
            with branch, cgutils.for_range(builder, n_objects) as objects:
                its = builder.gep(arena, [builder.mul(objects.index, stride)])
                four.emit_all(its, n_groups, general)
    with cgutils.for_range(builder, place[8]) as copy:
        moved = builder.mul(builder.mul(copy.index, size), I64(4))
        with cgutils.for_range(builder, n_objects) as objects:
            its = builder.gep(arena, [builder.mul(objects.index, stride)])
            wrap(builder, its, place[5], n_bins, moved)


class _Tile:
    """Emits four outputs of one or several groups of sixteen lanes, in registers.

    Four groups of four outputs fill half the registers of AVX-512.
    """

    def __init__(self, builder: Any, tables: list[Any], place: list[Any], vnni: bool) -> None:
        self.builder, self.vnni = builder, vnni
        self.x, first_step, self.n_steps, first_weight, first_output, self.out = place[:6]
        self.bypassed = place[6]
        self.steps = builder.gep(tables[0], [first_step])
        self.weights = builder.gep(tables[1], [first_weight])
        self.outputs = builder.gep(tables[2], [first_output])

    def emit_all(self, arena: Any, n_groups: Any, general: bool) -> None:
        """All groups of an object, four at a time while there are four.

        Unless `general`, negative sums become bytes of zero without ReLU and nothing is added.
        """
        builder = self.builder
        fours = builder.ashr(n_groups, I64(2))
        with cgutils.for_range(builder, fours) as loop:
            self._emit(arena, builder.mul(loop.index, I64(4 * GROUP)), 4, general)
        with cgutils.for_range(builder, builder.and_(n_groups, I64(3))) as loop:
            group = builder.add(builder.mul(fours, I64(4)), loop.index)
            self._emit(arena, builder.mul(group, I64(GROUP)), 1, general)

    def _emit(self, arena: Any, far: Any, n_groups: int, general: bool) -> None:
        """Some groups, `far` bytes from the first lane."""
        builder = self.builder
        totals = self._totals(arena, far, n_groups)
        factors = [self._factors(k) for k in range(1, 5 if general else 4)]
        for g in range(n_groups):
            here = builder.add(far, I64(GROUP * g))
            before = None
            if general:
                before = load(builder, QUADS, arena, builder.add(self.bypassed, here))
            levels = [
                self._level(builder.load(totals[o][g]), [row[o] for row in factors], before, o)
                for o in range(4)
            ]
            store(builder, packed(builder, levels, self.vnni), arena, builder.add(self.out, here))

    def _level(self, total: Any, factors: list[Any], before: Any, o: int) -> Any:
        """``(total * multiplier + 2**(shift - 1)) >> shift`` of an output, with or without more."""
        builder = self.builder
        multiplier, half, shift, *bypass = factors
        if before is None:
            level = builder.add(builder.mul(total, multiplier), half)
            return shifted(builder, level, shift, self.vnni)
        total = larger(builder, total, constant(QUADS, 0), signed=True)
        level = builder.add(builder.mul(total, multiplier), half)
        byte = builder.and_(builder.lshr(before, constant(QUADS, 8 * o)), constant(QUADS, 255))
        level = builder.add(level, builder.mul(byte, bypass[0]))
        return shifted(builder, level, shift, self.vnni)

    def _factors(self, row: int) -> list[Any]:
        """Four numbers, one an output, each in all lanes."""
        builder = self.builder
        numbers = [load(builder, I32, self.outputs, I64(4 * row + o)) for o in range(4)]
        return [splat(builder, number, LANES) for number in numbers]

    def _totals(self, arena: Any, far: Any, n_groups: int) -> list[list[Any]]:
        """Sums of all steps; kept in registers, because LLVM promotes what stands on the stack."""
        builder, groups = self.builder, range(n_groups)
        totals = [[cgutils.alloca_once(builder, QUADS) for _ in groups] for _ in range(4)]
        for bias, row in zip(self._factors(0), totals, strict=True):
            for total in row:
                builder.store(bias, total)
        x = builder.gep(arena, [builder.add(self.x, far)])
        with cgutils.for_range(builder, self.n_steps) as loop:
            at = builder.load(builder.gep(self.steps, [loop.index]))
            lanes = [load(builder, QUADS, x, builder.add(at, I64(GROUP * g))) for g in groups]
            four = builder.mul(loop.index, I64(4))
            for o, row in enumerate(totals):
                weight = load(builder, I32, self.weights, builder.add(four, I64(o)))
                w = splat(builder, weight, LANES)
                for g, total in enumerate(row):
                    new = dot4(builder, builder.load(total), lanes[g], w, self.vnni)
                    builder.store(new, total)
        return totals
