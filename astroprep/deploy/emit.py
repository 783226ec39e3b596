"""Instructions that the vector code of the integer kernel is made of.

Activations lie in quads: four neighbouring channels are the four unsigned bytes of one 32-bit
lane. Written in LLVM's intermediate language through numba, because no loop in Python is compiled
into these instructions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils as untyped_cgutils

__all__ = [
    "BYTES",
    "GROUP",
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
    "outlined",
    "packed",
    "pointers",
    "shifted",
    "splat",
    "store",
    "wrap",
]

cgutils: Any = untyped_cgutils  # numba carries no types, and not all of it says so
LANES = 16
I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
QUADS = ir.VectorType(I32, LANES)
GROUP = 4 * LANES  # bytes
BYTES = ir.VectorType(I8, GROUP)
SHIFT = "llvm.x86.avx512.psrav.d.512"
VNNI = "llvm.x86.avx512.vpdpbusd.512"
PACK_WORDS, PACK_BYTES = "llvm.x86.avx512.packssdw.512", "llvm.x86.avx512.packuswb.512"


def has_vnni(context: Any) -> bool:
    """Whether the processor multiplies and adds four bytes a lane in one instruction.

    And narrows vectors of 16-bit lanes, see `packed`. Whatever multiplies so has that too, but a
    virtual machine or a setting may hide it, and LLVM ends the process over what it cannot write.
    """
    features = context.codegen()._get_host_cpu_features().split(",")
    return {"+avx512vnni", "+avx512bw"} <= set(features)


def pointers(context: Any, builder: Any, sig: Any, args: Any, places: tuple[int, ...]) -> list[Any]:
    """Where the data of the arrays among the arguments begin."""
    if any(sig.args[i].layout != "C" for i in places):
        raise TypeError("the integer kernel needs contiguous arrays")
    arrays = [context.make_array(sig.args[i])(context, builder, args[i]) for i in places]
    return [array.data for array in arrays]


def outlined(builder: Any, name: str, values: list[Any], emit: Callable[..., None]) -> None:
    """Call a function of its own that `emit` writes, given a builder and the values.

    Within one large function the loops would share the registers, and most addresses would live
    on the stack.
    """
    kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
    function = ir.Function(builder.module, kind, builder.module.get_unique_name(name))
    function.linkage = "internal"
    function.attributes.add("noinline")
    inner = ir.IRBuilder(function.append_basic_block("entry"))
    emit(inner, *function.args)
    inner.ret_void()
    builder.call(function, values)


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


def wrap(builder: Any, arena: Any, at: Any, n_bins: Any, moved: Any) -> None:
    """Copy sixteen lanes from the ends of a circle to beyond the other end, `moved` bytes on.

    A halo longer than sixteen lanes, or than the circle, is copied in turns that move by as many
    lanes as a copy makes true, see `_Packing._circle`.
    """
    circle = builder.mul(n_bins, I64(4))
    left = builder.sub(builder.sub(at, I64(GROUP)), moved)
    right = builder.add(at, moved)
    store(builder, load(builder, QUADS, arena, builder.add(left, circle)), arena, left)
    store(builder, load(builder, QUADS, arena, right), arena, builder.add(right, circle))


def packed(builder: Any, levels: list[Any], vnni: bool) -> Any:
    """Four vectors of signed lanes, clipped to bytes, as one vector of quads."""
    if vnni:  # clip and narrow in one instruction, twice
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
    quads, most = constant(QUADS, 0), constant(QUADS, 255)
    for o, level in enumerate(levels):
        clipped = larger(builder, level, constant(QUADS, 0), signed=True)
        clipped = builder.select(builder.icmp_signed("<", clipped, most), clipped, most)
        quads = builder.or_(quads, builder.shl(clipped, constant(QUADS, 8 * o)))
    return quads


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


def shifted(builder: Any, value: Any, bits: Any, vnni: bool) -> Any:
    """``value >> bits`` with a shift for every lane.

    Where all are equal LLVM takes the instruction of one shift, which on AMD's Zen 5 waits for the
    ports of the products; that of sixteen does not.
    """
    if not vnni:
        return builder.ashr(value, bits)
    kind = ir.FunctionType(QUADS, [QUADS] * 2)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, SHIFT), [value, bits])


def larger(builder: Any, a: Any, b: Any, *, signed: bool = False) -> Any:
    """The larger of each two."""
    compare = builder.icmp_signed if signed else builder.icmp_unsigned
    return builder.select(compare(">", a, b), a, b)
