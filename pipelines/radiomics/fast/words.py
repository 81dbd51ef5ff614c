"""Compares of small integers side by side, 64 at once, as the bits of one word.

See `lanes` for why these are intrinsics.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

WORD = 64
"""Items that are compared at once; arrays need as many to spare behind their last one."""
_BITS = ir.IntType(WORD)
_FLAGS = ir.VectorType(ir.IntType(1), WORD)
_PLACES = ir.VectorType(ir.IntType(32), WORD)


def _vector(context: Any, builder: Any, array_type: Any, array: Any, place: Any) -> tuple[Any, int]:
    """Returns a pointer to `WORD` items from a place, and the bytes of one."""
    kind = ir.VectorType(context.get_data_type(array_type.dtype), WORD)
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [place]), kind.as_pointer()), array_type.dtype.bitwidth // 8


def _loaded(context: Any, builder: Any, array_type: Any, array: Any, place: Any) -> Any:
    pointer, n_bytes = _vector(context, builder, array_type, array, place)
    return builder.load(pointer, align=n_bytes)


@intrinsic
def equal_bits(typingctx, array, first, second):  # type: ignore[no-untyped-def]
    """Returns which of the items from one place equal those from another, the first in the lowest bit."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, *places = arguments
        one, other = (_loaded(context, builder, signature.args[0], array, place) for place in places)
        return builder.bitcast(builder.icmp_unsigned("==", one, other), _BITS)

    return types.uint64(array, first, second), codegen


@intrinsic
def filled_bits(typingctx, array, place):  # type: ignore[no-untyped-def]
    """Returns which of the items from a place are not 0."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        items = _loaded(context, builder, signature.args[0], *arguments)
        return builder.bitcast(builder.icmp_unsigned("!=", items, ir.Constant(items.type, None)), _BITS)

    return types.uint64(array, place), codegen


@intrinsic
def add_where(typingctx, array, place, bits, value):  # type: ignore[no-untyped-def]
    """Adds a number to those of the items from a place whose bit is set."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place, bits, value = arguments
        pointer, n_bytes = _vector(context, builder, signature.args[0], array, place)
        items = builder.load(pointer, align=n_bytes)
        value = context.cast(builder, value, signature.args[3], signature.args[0].dtype)
        empty = ir.Constant(items.type, ir.Undefined)
        first = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
        everywhere = builder.shuffle_vector(first, empty, ir.Constant(_PLACES, None))
        added = builder.select(builder.bitcast(bits, _FLAGS), everywhere, ir.Constant(items.type, None))
        builder.store(builder.add(items, added), pointer, align=n_bytes)
        return context.get_dummy_value()

    return types.void(array, place, types.uint64, value), codegen


@intrinsic
def count_on(typingctx, array, place, before, bits):  # type: ignore[no-untyped-def]
    """Sets the items from a place to one more than those from another where their bit is set, else to 0."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place, before, bits = arguments
        items = _loaded(context, builder, signature.args[0], array, before)
        one = ir.Constant(items.type, [1] * WORD)
        longer = builder.select(builder.bitcast(bits, _FLAGS), builder.add(items, one), ir.Constant(items.type, None))
        pointer, n_bytes = _vector(context, builder, signature.args[0], array, place)
        builder.store(longer, pointer, align=n_bytes)
        return context.get_dummy_value()

    return types.void(array, place, before, types.uint64), codegen


@intrinsic
def lowest_bit(typingctx, bits):  # type: ignore[no-untyped-def]
    """Returns the place of the lowest bit that is set; `WORD` when none is."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen
