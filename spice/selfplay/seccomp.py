"""A system-call filter for a process that runs code nobody has read (seccomp, `man 2 seccomp`).

Only what an interpreter needs to compute, take memory and write to open files is
allowed. Everything else, opening a file, making a socket, starting or signalling
a process, ends the process on the spot. The filter is ours rather than a
package's, because the packages need a C library that containers seldom have.
"""

from __future__ import annotations

import ctypes
import platform
import struct

# Numbers of the system calls that stay open, by machine; the kernel never changes them.
_ALLOWED = {
    # read write close fstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn mremap madvise
    # exit sigaltstack gettid futex clock_gettime exit_group getrandom
    "x86_64": (
        0xC000003E,
        (0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 25, 28, 60, 131, 186, 202, 228, 231, 318),
    ),
    # close lseek read write fstat exit exit_group futex clock_gettime sigaltstack rt_sigaction rt_sigprocmask
    # rt_sigreturn gettid brk munmap mremap mmap mprotect madvise getrandom
    "aarch64": (
        0xC00000B7,
        (57, 62, 63, 64, 80, 93, 94, 98, 113, 132, 134, 135, 139, 178, 214, 215, 216, 222, 226, 233, 278),
    ),
}
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_RETURN_KILL_PROCESS, _RETURN_ALLOW = 0x80000000, 0x7FFF0000
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_OFFSET_NUMBER, _OFFSET_MACHINE = 0, 4


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def supported() -> bool:
    """Whether there is a filter for this machine."""
    return platform.system() == "Linux" and platform.machine() in _ALLOWED


class Filter:
    """The filter of this machine, made ready; `install` needs no more than two system calls."""

    def __init__(self) -> None:
        code = _filter(*_ALLOWED[platform.machine()])
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
        self._program = _Program(len(code) // 8, code)

    def install(self) -> None:
        """Filter this process from here on, for good. Raises `OSError` if the kernel refuses."""
        for call in (
            (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(self._program), 0, 0),
        ):
            if self._prctl(*call) != 0:
                raise OSError(ctypes.get_errno(), "the kernel refused a system-call filter")


def _filter(machine: int, allowed: tuple[int, ...]) -> bytes:
    """The filter as instructions of the classic Berkeley Packet Filter (code, jump if true, jump if false, value)."""
    instructions = [
        (_LOAD, 0, 0, _OFFSET_MACHINE),
        # Another machine's numbers (32-bit calls on a 64-bit kernel) would mean other calls.
        (_JUMP_EQUAL, 1, 0, machine),
        (_RETURN, 0, 0, _RETURN_KILL_PROCESS),
        (_LOAD, 0, 0, _OFFSET_NUMBER),
        *((_JUMP_EQUAL, len(allowed) - i, 0, number) for i, number in enumerate(allowed)),
        (_RETURN, 0, 0, _RETURN_KILL_PROCESS),
        (_RETURN, 0, 0, _RETURN_ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
