"""A control group for one sandbox where the system lets us make one: the kernel's own ceiling over its memory.

`watch` sees limits being passed and names them; this ceiling lies a little above and also counts what no process shows:
files in memory, pipes, sockets. Where there is none, `watch` and RLIMIT_DATA stand alone.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
SLACK = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Group:
    """Its folder, and the names of its files in this version of control groups. parent: the folder above, open."""

    folder: Path
    limit: str
    events: str
    parent: int = -1

    def enter(self) -> None:
        """Put this process, and all that it will start, into the group."""
        (self.folder / "cgroup.procs").write_text("0")

    def killed(self) -> Callable[[], bool]:
        """Ask later whether the kernel killed for memory; also where the file system has changed meanwhile."""
        events = os.open(self.folder / self.events, os.O_RDONLY)
        return lambda: counted(os.pread(events, 4096, 0).decode())

    def remove(self) -> None:
        """Take the empty group away, also where the root is another one meanwhile."""
        with contextlib.suppress(OSError):
            os.rmdir(self.folder.name, dir_fd=self.parent)


def make_group(name: str, memory_bytes: int) -> Group | None:
    """A group of this name below our own, with the ceiling set; None where we may not or cannot."""
    for group in candidates(name, Path("/proc/self/cgroup").read_text()):
        try:
            group.folder.mkdir(exist_ok=True)
            made = replace(group, parent=os.open(group.folder.parent, os.O_RDONLY))
            if (group.folder / group.events).exists():
                (group.folder / group.limit).write_text(str(memory_bytes + SLACK))
                return made
        except OSError:
            continue
        made.remove()
    return None


def candidates(name: str, ours: str, mount: Path = MOUNT) -> list[Group]:
    """Where the group would lie in version 1 and 2. ours: /proc/self/cgroup."""
    found = []
    for line in ours.splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            folder = mount / "memory" / path.lstrip("/") / name
            found.append(Group(folder=folder, limit="memory.limit_in_bytes", events="memory.oom_control"))
        elif not controllers:
            folder = mount / path.lstrip("/") / name
            found.append(Group(folder=folder, limit="memory.max", events="memory.events"))
    return found


def counted(events: str) -> bool:
    """Whether the file tells of a kill."""
    return any(
        line.split() and line.split()[0] == "oom_kill" and line.split()[1] != "0" for line in events.splitlines()
    )
