"""The filter before every system call of an entry, as a program for the kernel. Pure.

Calls that only an attack makes kill the entry, so that the verdict can name them; calls that a library may try get
the answer EPERM; calls younger than the tables do not exist.
"""

import os
import struct

ATTACKS = {
    "x86_64": (
        *(101, 310, 311, 165, 166, 155, 161, 308, 272, 321, 246, 320, 169, 175, 313, 176, 323, 164, 227, 305, 159),
        *(167, 168, 170, 171, 172, 173, 163, 304, 438, 428, 429, 430, 431, 432, 433, 442, 440, 448, 180),
    ),
    "aarch64": (
        *(117, 270, 271, 40, 39, 41, 51, 268, 97, 280, 104, 294, 142, 105, 273, 106, 282, 170, 112, 266, 171),
        *(224, 225, 161, 162, 89, 265, 438, 428, 429, 430, 431, 432, 433, 442, 440, 448, 42),
    ),
}
"""ptrace, process_vm_readv and _writev, mount, umount2, pivot_root, chroot, setns, unshare, bpf, kexec_load and
_file_load, reboot, init_module, finit_module, delete_module, userfaultfd, settimeofday, clock_settime, clock_adjtime,
adjtimex, swapon, swapoff, sethostname, setdomainname, (iopl, ioperm), acct, open_by_handle_at, pidfd_getfd,
open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr, process_madvise, process_mrelease,
nfsservctl."""

DENIED = {
    "x86_64": (250, 248, 249, 298, 425, 426, 427, 103, 179, 443, 303, 319, 447, 29, 68, 64, 240, 212, 300, 312, 135),
    "aarch64": (219, 217, 218, 241, 425, 426, 427, 116, 60, 443, 264, 279, 447, 194, 186, 190, 180, 18, 262, 272, 92),
}
"""keyctl, add_key, request_key, perf_event_open, io_uring_setup, _enter and _register, syslog, quotactl, quotactl_fd,
name_to_handle_at, memfd_create, memfd_secret, shmget, msgget, semget, mq_open (memory that nobody counts),
lookup_dcookie, fanotify_init, kcmp, personality."""

CLONE = {"x86_64": 56, "aarch64": 220}
SOCKETS = {"x86_64": (41, 53), "aarch64": (198, 199)}
IOCTL = {"x86_64": 16, "aarch64": 29}
CLONE3 = 435
NEWEST = 450
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NAMESPACES = 0x7E020000
AF_UNIX = 1
TERMINAL_INPUT = (0x5412, 0x541C)
"""The requests TIOCSTI and TIOCLINUX, which type into a terminal."""

KILL, ALLOW, EPERM, ENOSYS = 0x80000000, 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST, SECOND = 0, 4, 16, 24


def known(machine: str) -> bool:
    """Whether there is a filter for this machine."""
    return machine in AUDIT


def program(machine: str | None = None) -> bytes:
    """The filter for a machine, by default this one, as an array of struct sock_filter."""
    machine = machine or os.uname().machine
    lines = [line(LOAD, ARCHITECTURE), line(EQUAL, AUDIT[machine], 1, 0), line(RETURN, KILL), line(LOAD, NUMBER)]
    for number in ATTACKS[machine]:
        lines += [line(EQUAL, number, 0, 1), line(RETURN, KILL)]
    for number in DENIED[machine]:
        lines += [line(EQUAL, number, 0, 1), line(RETURN, EPERM)]
    lines += [line(EQUAL, CLONE3, 0, 1), line(RETURN, ENOSYS), line(AT_LEAST, NEWEST + 1, 0, 1), line(RETURN, ENOSYS)]
    lines += [line(EQUAL, CLONE[machine], 0, 4), line(LOAD, FIRST), line(ANY_BIT, NAMESPACES, 0, 1)]
    lines += [line(RETURN, KILL), line(RETURN, ALLOW)]
    for number in SOCKETS[machine]:
        lines += [line(EQUAL, number, 0, 4), line(LOAD, FIRST), line(EQUAL, AF_UNIX, 1, 0)]
        lines += [line(RETURN, EPERM), line(RETURN, ALLOW)]
    lines += [line(EQUAL, IOCTL[machine], 0, 4), line(LOAD, SECOND), line(EQUAL, TERMINAL_INPUT[0], 1, 0)]
    lines += [line(EQUAL, TERMINAL_INPUT[1], 0, 1), line(RETURN, EPERM), line(RETURN, ALLOW)]
    return b"".join(lines)


def line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; the jumps count instructions to skip."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
