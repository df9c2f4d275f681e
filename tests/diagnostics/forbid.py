"""Run a command whose system calls of some names fail, as in a container or on a disk.

usage: forbid.py NAME=ERRNO ... -- COMMAND ...
"""

import ctypes
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {"flock": 73, "process_vm_readv": 310},
    "aarch64": {"flock": 32, "process_vm_readv": 270},
}[platform.machine()]
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # linux/seccomp.h
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2


def main():
    cut = sys.argv.index("--")
    program = [struct.pack("HBBI", LOAD, 0, 0, 0)]  # the number of the call
    for word in sys.argv[1:cut]:
        name, _, error = word.partition("=")
        program.append(struct.pack("HBBI", JUMP_IF_EQUAL, 0, 1, NUMBERS[name]))
        program.append(struct.pack("HBBI", RETURN, 0, 0, ERRNO | int(error)))
    program.append(struct.pack("HBBI", RETURN, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.c_char_p(header)) == 0
    os.execvp(sys.argv[cut + 1], sys.argv[cut + 1 :])


main()
