"""Numbers side by side in vector registers, for compiled kernels.

Compilers vectorize the filters' recursions and the textures' compares badly or not at all, because they cannot tell
that arrays do not overlap. These intrinsics say it: each is one vector instruction, or a few, of any width the
processor has, and computes element by element what a plain loop would, to the last bit.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic, overload, register_model
from numpy.typing import NDArray

LANES = 32
"""Doubles a recursion runs on at once: enough to hide the latency of one behind the others."""
TILE = 8
"""Rows and columns that are transposed at once."""


class Lanes(types.Type):  # type: ignore[misc]
    """Numba's type of `LANES` doubles in registers."""

    def __init__(self) -> None:
        super().__init__("lanes")


lanes = Lanes()
_INT32 = ir.IntType(32)
_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)


@register_model(Lanes)
class _LanesModel(PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Lanes) -> None:
        super().__init__(dmm, fe_type, _DOUBLES)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, place: Any, kind: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [place]), kind.as_pointer())


def _converted(builder: Any, values: Any, numba_type: Any, kind: Any) -> Any:
    """Returns a vector of integers or floats of a type as one of floats at least as wide, or of narrower floats."""
    if isinstance(numba_type, types.Integer):
        return builder.sitofp(values, kind) if numba_type.signed else builder.uitofp(values, kind)
    if values.type == kind:
        return values
    return builder.fpext(values, kind) if kind.element == ir.DoubleType() else builder.fptrunc(values, kind)


def _bytes(numba_type: Any) -> int:
    return max(numba_type.bitwidth // 8, 1)


@intrinsic
def load(typingctx, array, place):  # type: ignore[no-untyped-def]
    """Returns the doubles of `LANES` consecutive items from a place, counted in items from the array's first."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.VectorType(context.get_data_type(array.dtype), LANES)
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], kind)
        return _converted(builder, builder.load(pointer, align=_bytes(array.dtype)), array.dtype, _DOUBLES)

    return lanes(array, place), codegen


@intrinsic
def store(typingctx, array, place, values):  # type: ignore[no-untyped-def]
    """Writes `LANES` doubles to an array of floats, rounded to its type."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.VectorType(context.get_data_type(array.dtype), LANES)
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], kind)
        builder.store(_converted(builder, arguments[2], types.float64, kind), pointer, align=_bytes(array.dtype))
        return context.get_dummy_value()

    return types.void(array, place, values), codegen


@intrinsic
def everywhere(typingctx, value):  # type: ignore[no-untyped-def]
    """Returns one double in every lane."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        empty = ir.Constant(_DOUBLES, ir.Undefined)
        first = builder.insert_element(empty, arguments[0], ir.Constant(_INT32, 0))
        return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_INT32, LANES), None))

    return lanes(types.float64), codegen


def _operator(python_operator: Any, instruction: str) -> None:
    @intrinsic
    def combined(typingctx, first, second):  # type: ignore[no-untyped-def]
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments)

        return lanes(lanes, lanes), codegen

    @overload(python_operator)
    def chosen(first, second):  # type: ignore[no-untyped-def]  # numba compares argument lists with annotations
        if isinstance(first, Lanes) and isinstance(second, Lanes):
            return lambda first, second: combined(first, second)
        return None


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")


@intrinsic
def larger(typingctx, first, second):  # type: ignore[no-untyped-def]
    """Returns the larger double of each lane; neither may be NaN."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return lanes(lanes, lanes), codegen


@intrinsic
def transpose_tile(  # type: ignore[no-untyped-def]
    typingctx, source, source_place, source_step, target, target_place, target_step
):
    """Copies 8 rows of 8 items, a step apart, as 8 columns; the target's floats must hold the source's numbers."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.VectorType(context.get_data_type(source.dtype), TILE)
        wide = ir.VectorType(context.get_data_type(target.dtype), TILE)

        def pointer(which: int, row: int, item: Any) -> Any:
            array, place, step = arguments[which : which + 3]
            at = builder.add(place, builder.mul(step, ir.Constant(step.type, row)))
            return _pointer(context, builder, signature.args[which], array, at, item)

        rows = [builder.load(pointer(0, row, kind), align=_bytes(source.dtype)) for row in range(TILE)]
        rows = [_converted(builder, row, source.dtype, wide) for row in rows]
        for column, values in enumerate(_transposed(builder, rows)):
            builder.store(values, pointer(3, column, wide), align=_bytes(target.dtype))
        return context.get_dummy_value()

    return types.void(source, source_place, source_step, target, target_place, target_step), codegen


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Returns the columns of a square tile: blocks of 4, 2 and 1 change sides across its diagonal."""
    for half in (4, 2, 1):
        first = [i if not i & half else TILE + i - half for i in range(TILE)]
        second = [i + half if not i & half else TILE + i for i in range(TILE)]
        masks = [ir.Constant(ir.VectorType(_INT32, TILE), mask) for mask in (first, second)]
        changed = list(rows)
        for low in (i for i in range(TILE) if not i & half):
            pair = rows[low], rows[low + half]
            changed[low], changed[low + half] = (builder.shuffle_vector(*pair, mask) for mask in masks)
        rows = changed
    return rows


def exact_floats(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """Returns the narrowest type of floats that holds every number of a type."""
    return np.float32 if np.can_cast(dtype, np.float32) else np.float64


def padded(voxels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Returns a volume with at least `LANES` voxels along its last two axes, zeros added behind."""
    missing = [max(LANES - size, 0) for size in voxels.shape[1:]]
    return np.pad(voxels, [(0, 0), *((0, n) for n in missing)]) if any(missing) else voxels
