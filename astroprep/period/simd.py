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

__all__ = ["LANES", "broadcast", "lane", "load", "store"]

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


# numba finds the intrinsics under these names; Any, because their Python signatures differ
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
