"""What a process that parses strange files is kept from: the network, other programs, more memory than its share."""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import struct

# Numbers of the system calls that are refused, by machine; the kernel never changes them.
_REFUSED = {
    # socket connect accept sendto bind listen socketpair execve kill ptrace accept4 process_vm_writev execveat io_uring
    "x86_64": (0xC000003E, (41, 42, 43, 44, 49, 50, 53, 59, 62, 101, 288, 311, 322, 425)),
    # ptrace kill socket socketpair bind listen accept connect sendto execve accept4 process_vm_writev execveat io_uring
    "aarch64": (0xC00000B7, (117, 129, 198, 199, 200, 201, 202, 203, 206, 221, 242, 271, 281, 425)),
}
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_KILL, _ALLOW, _REFUSE = 0x80000000, 0x7FFF0000, 0x00050000 | errno.EPERM
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_OFFSET_NUMBER, _OFFSET_MACHINE = 0, 4
_X32_CALLS = 0x40000000  # the same calls under other numbers


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def isolate(memory_bytes: int) -> None:
    """Limit this process for good. Without Linux on x86-64 or ARM64 the network stays open to it.

    Args:
        memory_bytes: of address space.

    Raises:
        OSError: the kernel refuses a filter that it should know.
    """
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if platform.system() == "Linux" and platform.machine() in _REFUSED:
        _install(_filter(*_REFUSED[platform.machine()]))


def _install(code: bytes) -> None:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    program = _Program(len(code) // 8, code)
    for call in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(program), 0, 0),
    ):
        if prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), "the kernel refused a system-call filter")


def _filter(machine: int, refused: tuple[int, ...]) -> bytes:
    """Instructions of the classic Berkeley Packet Filter (code, jump if true, jump if false, value)."""
    count = len(refused)
    instructions = [
        (_LOAD, 0, 0, _OFFSET_MACHINE),
        # Another machine's numbers (32-bit calls on a 64-bit kernel) would mean other calls.
        (_JUMP_EQUAL, 1, 0, machine),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _OFFSET_NUMBER),
        (_JUMP_AT_LEAST, count + 1, 0, _X32_CALLS),
        *((_JUMP_EQUAL, count - i, 0, number) for i, number in enumerate(refused)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
