"""Eight float32 numbers as one value inside numba kernels.

LLVM does not vectorise the butterflies and filters of `spectrum` by itself (too many arrays that
might overlap), so those kernels say it: a `load` takes eight neighbours of an array, the
arithmetic operators work on all eight, `store` puts them back. On a processor with narrower
registers LLVM splits the value.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic, models, overload, register_model

__all__ = [
    "LANES",
    "above",
    "broadcast",
    "evens",
    "interleave_high",
    "interleave_low",
    "lane",
    "load",
    "lower",
    "odds",
    "reverse",
    "store",
]

LANES = 8


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name="float32x8")


float32x8 = _Lanes()
_VECTOR = ir.VectorType(ir.FloatType(), LANES)


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VECTOR)  # type: ignore[no-untyped-call]


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic
def _load(typingctx: Any, array: Any, index: Any) -> Any:
    """Eight neighbours ``array[index:index + 8]`` of a contiguous float32 array, unchecked."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, signature.args[0], *args), align=4)

    return float32x8(array, types.intp), codegen


@intrinsic
def _store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write eight neighbours ``array[index:index + 8]`` of a contiguous float32 array."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target = _address(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], target, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, float32x8), codegen


@intrinsic
def _broadcast(typingctx: Any, number: Any) -> Any:
    """One float32 number in all eight places."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(undefined, args[0], ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(first, undefined, mask)

    return float32x8(types.float32), codegen


@intrinsic
def _lane(typingctx: Any, value: Any, place: Any) -> Any:
    """The number at one place, 0 to 7, of the eight."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place32 = builder.trunc(args[1], ir.IntType(32))
        return builder.extract_element(args[0], place32)

    return types.float32(float32x8, types.intp), codegen


def _shuffle(places: list[int], what: str) -> Any:
    """Two values in, eight of their sixteen numbers out."""

    @intrinsic
    def shuffle(typingctx: Any, left: Any, right: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), places)
            return builder.shuffle_vector(args[0], args[1], mask)

        return float32x8(float32x8, float32x8), codegen

    shuffle.__doc__ = what
    return shuffle


@intrinsic
def _above(typingctx: Any, left: Any, right: Any, yes: Any, no: Any) -> Any:
    """`yes` in the places where ``left > right``, `no` elsewhere and where either is NaN."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return float32x8(float32x8, float32x8, float32x8, float32x8), codegen


@intrinsic
def _lower(typingctx: Any, left: Any, right: Any) -> Any:
    """The smaller of the two in every place; `right` where either is NaN."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[0], args[1])

    return float32x8(float32x8, float32x8), codegen


# numba finds the intrinsics under these names; Any, because their Python signatures differ
above: Any = _above
lower: Any = _lower
interleave_low: Any = _shuffle([0, 8, 1, 9, 2, 10, 3, 11], "First halves, taking turns.")
interleave_high: Any = _shuffle([4, 12, 5, 13, 6, 14, 7, 15], "Second halves, taking turns.")
evens: Any = _shuffle([0, 2, 4, 6, 8, 10, 12, 14], "Places 0, 2, 4, ... of the sixteen.")
reverse: Any = _shuffle([7, 6, 5, 4, 3, 2, 1, 0], "The first value, last place first.")
odds: Any = _shuffle([1, 3, 5, 7, 9, 11, 13, 15], "Places 1, 3, 5, ... of the sixteen.")
load: Any = _load
store: Any = _store
broadcast: Any = _broadcast
lane: Any = _lane


def _arithmetic(operation: Any, instruction: str) -> None:
    @intrinsic
    def apply(typingctx: Any, left: Any, right: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            # "contract" lets a product and a sum become one fused instruction where there is one
            return getattr(builder, instruction)(args[0], args[1], flags=("contract",))

        return float32x8(float32x8, float32x8), codegen

    instruction_of: Any = apply

    @overload(operation)
    def on_lanes(left: Any, right: Any) -> Any:
        if left is not float32x8 or right is not float32x8:
            return None

        def both(left: Any, right: Any) -> Any:
            return instruction_of(left, right)

        return both


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
_arithmetic(operator.truediv, "fdiv")
