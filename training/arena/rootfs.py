"""The file system that an entry sees: the system's programs, its interpreter, its own files, and nothing else."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from training.arena.kernel import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    mount,
    pivot_root,
    restrict,
)

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
DEVICES = ("null", "zero", "full", "random", "urandom")
FILES = 65536
"""Files and folders that a phase may make."""

PASSWD = "entry:x:{uid}:{gid}:entry:/tmp:/bin/false\n"


def build(new: Path, *, shown: Iterable[str], files: Mapping[str, str], disk_bytes: int, who: tuple[int, int]) -> None:
    """Make the root at `new` and move into it. Needs new mount and pid namespaces and the right to mount.

    shown: folders that are seen at their own place; files: inside path -> outside path; both for reading only.
    /tmp is the one place to write, and lives in memory; /tmp/artifact is what a phase leaves behind.
    """
    mount("none", Path("/"), "", MS_REC | MS_PRIVATE)
    mount("root", new, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m,nr_inodes=4096")
    for place in (*SYSTEM, *shown):
        show(new, place)
    for inside, outside in files.items():
        bind(new, Path(outside), inside)
    for device in DEVICES:
        bind(new, Path("/dev") / device, f"/dev/{device}", MS_RDONLY | MS_NOSUID | MS_NOEXEC)
    writable(new, disk_bytes)
    (new / "proc").mkdir()
    mount("proc", new / "proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    (new / "etc").mkdir(exist_ok=True)
    (new / "etc/passwd").write_text(PASSWD.format(uid=who[0], gid=who[1]))
    pivot_root(new)
    restrict_root()


def show(new: Path, place: str) -> None:
    """A path of the system at its own place: links as links, folders and files mounted."""
    if os.path.islink(place):
        (new / place[1:]).parent.mkdir(parents=True, exist_ok=True)
        (new / place[1:]).symlink_to(os.readlink(place))
    elif os.path.exists(place):
        bind(new, Path(place), place)


def bind(new: Path, outside: Path, inside: str, flags: int = MS_RDONLY | MS_NOSUID | MS_NODEV) -> None:
    """Show `outside` at `inside` of the new root."""
    target = new / inside.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if outside.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    mount(str(outside), target, "", MS_BIND | MS_REC)
    restrict(target, flags)


def writable(new: Path, disk_bytes: int) -> None:
    """The one place to write; shared memory and temporary files count against the same limit."""
    (new / "tmp").mkdir()
    mount("tmp", new / "tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=1777,size={disk_bytes},nr_inodes={FILES}")
    for name in ("artifact", "shm"):
        (new / "tmp" / name).mkdir()
        (new / "tmp" / name).chmod(0o1777)
    (new / "dev/shm").symlink_to("/tmp/shm")
    (new / "var").mkdir()
    (new / "var/tmp").symlink_to("/tmp")


def restrict_root() -> None:
    """Nobody writes to the root itself. Only its own mount is touched: those below it are done."""
    mount("none", Path("/"), "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
