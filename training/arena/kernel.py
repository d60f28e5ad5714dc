"""The calls of Linux that Python lacks, by ctypes. Each raises OSError with the call's name."""

import ctypes
import os
import struct
from pathlib import Path

NEW_NS, NEW_UTS, NEW_IPC = 0x00020000, 0x04000000, 0x08000000
NEW_USER, NEW_PID, NEW_NET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
SECCOMP_MODE_FILTER = 2
LAST_CAPABILITY = 63
CALLS = {"x86_64": {"pivot_root": 155, "mount_setattr": 442}, "aarch64": {"pivot_root": 41, "mount_setattr": 442}}
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
"""Values from the headers linux/sched.h, mount.h, prctl.h, fcntl.h and asm/unistd.h."""

libc = ctypes.CDLL(None, use_errno=True)


def demand(name: str, result: int) -> int:
    """The result of a call, or an OSError that names it."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def unshare(flags: int) -> None:
    """Leave these namespaces for new ones."""
    demand("unshare", libc.unshare(flags))


def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    """mount(2)."""
    words = (source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode())
    demand(f"mount {target}", libc.mount(*words))


def unmount(target: Path) -> None:
    """Take a mount away as soon as nobody uses it."""
    demand(f"umount {target}", libc.umount2(os.fsencode(target), MNT_DETACH))


def system_call(name: str, *arguments: object) -> None:
    """A call for which the C library may have no function."""
    numbers = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    demand(name, libc.syscall(ctypes.c_long(CALLS[os.uname().machine][name]), *numbers))


def pivot_root(new: Path) -> None:
    """Make `new` the root; the old one is gone afterwards."""
    os.chdir(new)
    system_call("pivot_root", b".", b".")
    unmount(Path("."))
    os.chdir("/")


def restrict(target: Path, flags: int) -> None:
    """Set MS_RDONLY, MS_NOSUID, MS_NODEV or MS_NOEXEC on a mount and all below it (mount_setattr, Linux 5.12)."""
    attributes = struct.pack("=QQQQ", flags, 0, 0, 0)
    system_call("mount_setattr", AT_FDCWD, os.fsencode(target), AT_RECURSIVE, attributes, len(attributes))


def prctl(option: int, value: int = 0, pointer: object = None) -> int:
    """prctl(2)."""
    words = [ctypes.c_ulong(0)] * 2
    return demand(f"prctl {option}", libc.prctl(option, ctypes.c_ulong(value), pointer or ctypes.c_ulong(0), *words))


def die_with_parent() -> None:
    """Be killed when the thread that forked us ends."""
    prctl(PR_SET_PDEATHSIG, 9)


def hide_from_equals() -> None:
    """Processes of the same user cannot look into this one."""
    prctl(PR_SET_DUMPABLE, 0)


def drop_capabilities() -> None:
    """No program started from here can ever hold a capability."""
    for capability in range(LAST_CAPABILITY + 1):
        if libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), *[ctypes.c_ulong(0)] * 3) < 0:
            break


def no_new_privileges() -> None:
    """Programs with the set-uid bit give nothing any more."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def install(program: bytes) -> None:
    """Put a seccomp filter before every call of this process and its children."""
    code = ctypes.create_string_buffer(program, len(program))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Program(len(program) // 8, ctypes.addressof(code))))


class Program(ctypes.Structure):
    """struct sock_fprog: the number of instructions and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))
