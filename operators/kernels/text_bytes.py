"""What kernels share to read texts: code points, line feeds, eight bytes at once. Compiled into every caller.

numba's cache looks at the file of the function that it compiles alone, and would go on with callers of what stood here
before. So each kernel file that imports from here has a line with this file's digest: a change here has to change them
too, and their caches with them. tests/operators/kernels/test_text_bytes.py says which lack it (ADR 0011). For the same
reason nothing of ours is imported here.

Functions take an array of bytes, or the address of one (`..._at`): numba counts references of arrays at every call, and
looks whether an index is negative. No place is checked: the caller sees to it that the bytes are there.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg, var-annotated"

from typing import Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_ONES: Final = np.uint64(0x0101010101010101)
_LINE_FEEDS: Final = np.uint64(0x0A0A0A0A0A0A0A0A)
_HIGH_BITS: Final = np.uint64(0x8080808080808080)


@intrinsic
def eight_bytes(context, data, place):
    """An unaligned load, which numpy has no word for."""

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        word = context.get_value_type(types.uint64).as_pointer()
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), word)
        return builder.load(address, align=1)

    return types.uint64(data, types.int64), generate


@intrinsic
def eight_bytes_at(context, address, place):
    """An unaligned load of the eight bytes so far behind an address."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(builder.add(*arguments), ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(types.int64, types.int64), generate


@intrinsic
def byte_at(context, address, place):
    """The byte so far behind an address."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(builder.add(*arguments), ir.IntType(8).as_pointer())
        return builder.zext(builder.load(pointer), ir.IntType(64))

    return types.int64(types.int64, types.int64), generate


@intrinsic
def prefetch(context, data, place):
    """Have a place of an array brought nearer, and do not wait."""

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), byte)
        builder.call(function, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(data, types.int64), generate


@intrinsic
def trailing_zeros(context, value):
    """The number of zeros below the lowest set bit; 64 for 0."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], context.get_constant(types.boolean, False))

    return types.uint64(types.uint64), generate


@intrinsic
def folded(context, one, other):
    """Both halves of the product of two 64-bit numbers, one xor the other."""

    def generate(context, builder, signature, arguments):
        half, whole = ir.IntType(64), ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, whole) for argument in arguments))
        high = builder.trunc(builder.lshr(product, whole(64)), half)
        return builder.xor(builder.trunc(product, half), high)

    return types.uint64(types.uint64, types.uint64), generate


@njit(inline="always")
def up_to_eight_bytes_at(text, at, high):
    """The eight bytes from a place on, zeros in place of those from `high` on."""
    if at + 8 <= high:
        return eight_bytes_at(text, at)
    word = np.uint64(0)
    for place in range(high - at):
        word |= np.uint64(byte_at(text, at + place)) << np.uint64(8 * place)
    return word


@njit(inline="always")
def code_point(data, at):
    """The code point that begins at a place of valid UTF-8, and where the next one begins."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, at + 1
    if first < 0xE0:
        return (first & 31) << 6 | np.int64(data[at + 1]) & 63, at + 2
    if first < 0xF0:
        return (first & 15) << 12 | (np.int64(data[at + 1]) & 63) << 6 | np.int64(data[at + 2]) & 63, at + 3
    high = (first & 7) << 18 | (np.int64(data[at + 1]) & 63) << 12
    return high | (np.int64(data[at + 2]) & 63) << 6 | np.int64(data[at + 3]) & 63, at + 4


@njit(inline="always")
def code_point_at(text, at):
    """`code_point` of the text that begins at an address."""
    first = byte_at(text, at)
    if first < 0x80:
        return first, at + 1
    if first < 0xE0:
        return (first & 31) << 6 | byte_at(text, at + 1) & 63, at + 2
    if first < 0xF0:
        return (first & 15) << 12 | (byte_at(text, at + 1) & 63) << 6 | byte_at(text, at + 2) & 63, at + 3
    high = (first & 7) << 18 | (byte_at(text, at + 1) & 63) << 12
    return high | (byte_at(text, at + 2) & 63) << 6 | byte_at(text, at + 3) & 63, at + 4


@njit(inline="always")
def num_code_points_at(text, at, high):
    """The code points in [at, high) of the text that begins at an address."""
    points = 0
    while at < high:
        points += byte_at(text, at) & 0xC0 != 0x80
        at += 1
    return points


@njit(inline="always")
def next_line_feed(data, at, high):
    """The first line feed in [at, high), or `high`. Eight bytes at a time: a zero byte is one that borrows."""
    while at + 8 <= high:
        word = eight_bytes(data, at) ^ _LINE_FEEDS
        zeros = (word - _ONES) & ~word & _HIGH_BITS
        if zeros:
            while not zeros & np.uint64(0x80):
                zeros >>= np.uint64(8)
                at += 1
            return at
        at += 8
    while at < high and data[at] != 10:
        at += 1
    return at


@njit(inline="always")
def is_ascii_space(byte):
    """Whether a byte is a space or one of the controls from tab to carriage return."""
    return byte == 32 or 9 <= byte <= 13


@njit(inline="always")
def wide_white(data, at):
    """Bytes of the white space of Python that is not of ASCII and begins at a place; 0 if it is none.

    Negative where it is a line break of `str.splitlines`. The byte there is C2, E1, E2 or E3.
    """
    first, second = data[at], data[at + 1]
    if first == 0xC2:
        return -2 if second == 0x85 else (2 if second == 0xA0 else 0)
    third = data[at + 2]
    if first == 0xE2:
        if second == 0x80:
            if third == 0xA8 or third == 0xA9:
                return -3
            return 3 if third <= 0x8A or third == 0xAF else 0
        return 3 if second == 0x81 and third == 0x9F else 0
    if first == 0xE1:
        return 3 if second == 0x9A and third == 0x80 else 0
    return 3 if second == 0x80 and third == 0x80 else 0
