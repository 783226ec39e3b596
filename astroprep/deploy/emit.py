"""Instructions that the vector code of the integer kernel is made of.

Activations lie in quads: four neighbouring channels are the four unsigned bytes of one 32-bit
lane. Written in LLVM's intermediate language through numba, because no loop in Python is compiled
into these instructions.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils as untyped_cgutils

__all__ = [
    "I8",
    "I16",
    "I32",
    "I64",
    "LANES",
    "QUADS",
    "cgutils",
    "constant",
    "dot4",
    "first_lanes",
    "has_vnni",
    "larger",
    "load",
    "pointers",
    "splat",
    "store",
    "wrap",
]

cgutils: Any = untyped_cgutils  # numba carries no types, and not all of it says so
LANES = 16
I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
QUADS = ir.VectorType(I32, LANES)
VNNI = "llvm.x86.avx512.vpdpbusd.512"


def has_vnni(context: Any) -> bool:
    """Whether the processor multiplies and adds four bytes a lane in one instruction."""
    return "+avx512vnni" in context.codegen()._get_host_cpu_features()


def pointers(context: Any, builder: Any, sig: Any, args: Any, places: tuple[int, ...]) -> list[Any]:
    """Where the data of the arrays among the arguments begin."""
    if any(sig.args[i].layout != "C" for i in places):
        raise TypeError("the integer kernel needs contiguous arrays")
    arrays = [context.make_array(sig.args[i])(context, builder, args[i]) for i in places]
    return [array.data for array in arrays]


def load(builder: Any, vector: Any, pointer: Any, at: Any) -> Any:
    """Vector (or number) that begins at an element of an array."""
    place = builder.bitcast(builder.gep(pointer, [at]), vector.as_pointer())
    return builder.load(place, align=1)


def store(builder: Any, value: Any, pointer: Any, at: Any) -> None:
    """Write a vector (or number) from an element of an array on."""
    place = builder.bitcast(builder.gep(pointer, [at]), value.type.as_pointer())
    builder.store(value, place, align=1)


def first_lanes(builder: Any, n: Any) -> Any:
    """Mask of the lanes before the `n`-th."""
    places = ir.Constant(QUADS, list(range(LANES)))
    return builder.icmp_signed("<", places, splat(builder, builder.trunc(n, I32), LANES))


def wrap(builder: Any, arena: Any, at: Any, n_bins: Any, halo: Any) -> None:
    """Repeat the ends of a circle beside it; a halo longer than the circle reads what it wrote."""
    circle = builder.mul(n_bins, I64(4))
    with cgutils.for_range(builder, halo) as loop:
        lane = builder.sub(at, builder.mul(builder.add(loop.index, I64(1)), I64(4)))
        store(builder, load(builder, I32, arena, builder.add(lane, circle)), arena, lane)
    with cgutils.for_range(builder, halo) as loop:
        lane = builder.add(at, builder.mul(loop.index, I64(4)))
        store(builder, load(builder, I32, arena, lane), arena, builder.add(lane, circle))


def splat(builder: Any, value: Any, n: int) -> Any:
    """One number in all lanes."""
    vector = ir.VectorType(value.type, n)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, I32(0))
    zeros = ir.Constant(ir.VectorType(I32, n), [0] * n)
    return builder.shuffle_vector(first, undefined, zeros)


def constant(vector: Any, value: float) -> Any:
    """One known number in all lanes."""
    return ir.Constant(vector, [value] * vector.count)


def dot4(builder: Any, total: Any, x: Any, w: Any, vnni: bool) -> Any:
    """``total`` plus, per lane, the products of four unsigned bytes with four signed ones."""
    if vnni:
        kind = ir.FunctionType(QUADS, [QUADS] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, VNNI)
        return builder.call(function, [total, x, w])
    pairs = ir.VectorType(I16, 2 * LANES)
    wide = ir.VectorType(I32, 2 * LANES)
    eight = constant(pairs, 8)
    x16, w16 = builder.bitcast(x, pairs), builder.bitcast(w, pairs)
    low = (builder.and_(x16, constant(pairs, 255)), builder.ashr(builder.shl(w16, eight), eight))
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


def larger(builder: Any, a: Any, b: Any, *, signed: bool = False) -> Any:
    """The larger of each two."""
    compare = builder.icmp_signed if signed else builder.icmp_unsigned
    return builder.select(compare(">", a, b), a, b)
