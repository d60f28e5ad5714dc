"""What the processes of an entry use together, read from /proc by their init."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Use:
    """tasks: processes and threads; memory_bytes: resident, pages that several share counted for each."""

    tasks: int = 0
    memory_bytes: int = 0
    cpu_seconds: float = 0.0


def use(stats: Iterable[str]) -> Use:
    """Sum up lines of /proc/PID/stat; fields as in proc(5), counted after the name in brackets."""
    tasks, pages, ticks = 0, 0, 0
    for stat in stats:
        fields = stat.rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
        if fields[0] not in "ZX":
            tasks += int(fields[17])
            pages += int(fields[21])
    return Use(tasks=tasks, memory_bytes=pages * PAGE, cpu_seconds=ticks / TICK)


def stats(ours: int) -> list[str]:
    """The stat lines of all processes but `ours`, of which only the time of ended children counts."""
    lines = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    line = file.read()
            except (FileNotFoundError, ProcessLookupError):
                continue
            lines.append(as_zombie(line) if int(name) == ours else line)
    return lines


def as_zombie(line: str) -> str:
    """A stat line of which only the time of ended children counts."""
    head, _, tail = line.rpartition(")")
    fields = tail.split()
    return " ".join([head, ")", "Z", *fields[1:11], "0", "0", *fields[13:]])


def broken(found: Use, limits: Mapping[str, float]) -> str | None:
    """The code of the first limit that is passed. limits: memory_bytes, processes, cpu_seconds."""
    if found.memory_bytes > limits["memory_bytes"]:
        return "memory_limit"
    if found.tasks > limits["processes"]:
        return "process_limit"
    if found.cpu_seconds > limits["cpu_seconds"]:
        return "cpu_limit"
    return None
