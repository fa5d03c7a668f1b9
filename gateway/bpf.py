"""Steps of classic BPF, the small programs that the kernel runs on each datagram; linux/bpf_common.h, socket(7)."""

import struct

LOAD_LENGTH, LOAD_WORD, LOAD_WORD_AT_X, LOAD_BYTE, LOAD_BYTE_AT_X = 0x80, 0x20, 0x40, 0x30, 0x50
STORE, LOAD_X, COPY_TO_X = 0x02, 0x61, 0x07
ADD, ADD_X, MULTIPLY, MODULO = 0x04, 0x0C, 0x24, 0x94
JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, JUMP_IF_AT_LEAST_X = 0x15, 0x35, 0x3D
RETURN, RETURN_A = 0x06, 0x16

STEPS_TO_JUMP = 255
"""No condition leads farther."""

# struct sock_filter: | code: 2 | steps to jump if true: 1 | if false: 1 | k: 4 |
_FILTER = struct.Struct("=HBBI")


def step(code: int, if_true: int = 0, if_false: int = 0, number: int = 0) -> bytes:
    """Return one step of a program, as the kernel reads it.

    Args:
        code: what to do, one of the above.
        if_true: steps to pass over if its condition holds, at most `STEPS_TO_JUMP`.
        if_false: the same if it does not.
        number: what it is done with.
    """
    return _FILTER.pack(code, if_true, if_false, number)
