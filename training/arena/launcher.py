"""What stands between the host and an entry: `python -m training.arena.launcher PLAN REPORT LIFE`.

host -> launcher (unshares the namespaces, waits) -> init of the new pid namespace (builds the root, watches limits,
exports the artifact) -> entry. The three file descriptors: the plan as JSON comes in, the report as JSON goes out, and
the life line ends when the host does. Whoever dies takes all below with it. Standard library only.
"""

import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from training.arena import kernel, seccomp, watch
from training.arena.export import export
from training.arena.groups import Group, make_group
from training.arena.rootfs import build

TICK_SECONDS = 0.02
"""How often the limits are looked at: a process can touch some 100 MB in that time."""

INSIDE = 1000
"""Uid and gid that a plain user has inside."""

NAMESPACES = kernel.NEW_NS | kernel.NEW_UTS | kernel.NEW_IPC | kernel.NEW_PID | kernel.NEW_NET
MISSING_PROGRAM = 127
LAST_FD = 1 << 20
FIRST_VICTIM, LAST_VICTIM = b"1000", b"0"
"""Whom the kernel kills when memory is short: the entry and its children before the init that tells of it."""


def main(plan_fd: int, report_fd: int, life_fd: int) -> None:
    """Run the plan to its end, or until the host lets go."""
    for fd in (plan_fd, report_fd, life_fd):
        os.set_inheritable(fd, False)
    with os.fdopen(plan_fd) as file:
        plan = json.load(file)
    group = make_group(f"igla-{os.getpid()}", plan["memory_bytes"] + plan["disk_bytes"])
    try:
        who = enter_namespaces(plan)
    except OSError as error:
        report(report_fd, {"setup": told(error)})
        if group:
            group.remove()
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    launcher = os.pidfd_open(os.getpid())
    init = os.fork()
    if init == 0:
        os.close(life_fd)
        run_as_init(plan, report_fd, launcher, who, group)
    silence()
    signal.signal(signal.SIGTERM, lambda *_: os.kill(init, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    ended = os.pidfd_open(init)
    ready, _, _ = select.select([life_fd, ended], [], [])
    if life_fd in ready:
        os.kill(init, signal.SIGKILL)
    os.waitpid(init, 0)
    if group:
        group.remove()


def enter_namespaces(plan: Mapping[str, Any]) -> tuple[int, int]:
    """Leave the host's namespaces; the uid and gid that the entry will have."""
    if plan["switch"]:
        kernel.unshare(NAMESPACES)
        return plan["uid"], plan["uid"]
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(NAMESPACES | kernel.NEW_USER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{INSIDE} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{INSIDE} {gid} 1")
    return INSIDE, INSIDE


def run_as_init(
    plan: Mapping[str, Any], report_fd: int, launcher: int, who: tuple[int, int], group: Group | None
) -> NoReturn:
    """The first process of the new pid namespace. When it ends, the kernel kills all others."""
    try:
        kernel.die_with_parent()
        if select.select([launcher], [], [], 0)[0]:
            os._exit(1)
        os.umask(0o022)
        if group:
            group.enter()
        killed = group.killed() if group else lambda: False
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, FIRST_VICTIM)
        target = os.open(plan["export"], os.O_RDONLY | os.O_DIRECTORY) if plan["export"] else None
        socket.sethostname("arena")
        build(Path(plan["root"]), shown=plan["shown"], files=plan["files"], disk_bytes=plan["disk_bytes"], who=who)
        kernel.hide_from_equals()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        entry = os.fork()
        if entry == 0:
            become_entry(plan, report_fd, who)
        os.write(score, LAST_VICTIM)
        silence()
        found = watch_over(entry, plan)
        if found["limit"] is None and killed():
            found["limit"] = "memory_limit"
        if target is not None and found["limit"] is None and found["exit"] == 0:
            most = {"files": plan["artifact_files"], "size": plan["artifact_bytes"]}
            found["export"] = export(Path("/tmp/artifact"), target, **most)
        report(report_fd, found)
    except OSError as error:
        report(report_fd, {"setup": told(error)})
    os._exit(0)


def watch_over(entry: int, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Wait for the entry, bury its orphans, and kill everything when a limit is passed."""
    peak, limit, ended = watch.Use(), None, None
    while ended is None:
        signal.sigtimedwait({signal.SIGCHLD}, TICK_SECONDS)
        now = watch.use(watch.stats(os.getpid()))
        peak = peak if peak.memory_bytes > now.memory_bytes else now
        limit = limit or watch.broken(now, plan)
        if limit:
            os.kill(-1, signal.SIGKILL)
        ended = buried(entry)
    kill_the_rest()
    cpu_seconds = watch.use(watch.stats(os.getpid())).cpu_seconds
    return {"exit": ended, "limit": limit, "cpu_seconds": cpu_seconds, "memory_bytes": peak.memory_bytes}


def buried(entry: int) -> int | None:
    """Take in all children that have ended; the entry's exit status if it was among them, negative for a signal."""
    ended = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        if pid == entry:
            ended = os.waitstatus_to_exitcode(status)


def kill_the_rest() -> None:
    """Nothing that the entry started outlives it."""
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            os.waitpid(-1, 0)
    except (ProcessLookupError, ChildProcessError):
        return


def become_entry(plan: Mapping[str, Any], report_fd: int, who: tuple[int, int]) -> NoReturn:
    """Give up every right, then be the entry's program."""
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        for name in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(name, signal.SIG_DFL)
        limit_resources(plan)
        if plan["switch"]:
            os.setgroups([])
        kernel.drop_capabilities()
        os.setresgid(who[1], who[1], who[1])
        os.setresuid(who[0], who[0], who[0])
        os.closerange(3, report_fd)
        os.closerange(report_fd + 1, LAST_FD)
        os.chdir("/tmp")
        kernel.no_new_privileges()
        kernel.install(seccomp.program())
        os.execve(plan["arguments"][0], plan["arguments"], plan["env"])
    except OSError as error:
        report(report_fd, {"setup": told(error)})
    os._exit(MISSING_PROGRAM)


def limit_resources(plan: Mapping[str, Any]) -> None:
    """What the kernel counts for each process or user; twice what `watch` allows, so that it is seen being passed."""
    cpu = int(plan["cpu_seconds"]) + 1
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_DATA, 2 * plan["memory_bytes"]),
        (resource.RLIMIT_FSIZE, plan["file_bytes"]),
        (resource.RLIMIT_NOFILE, plan["open_files"]),
        (resource.RLIMIT_NPROC, 2 * plan["processes"]),
        (resource.RLIMIT_MEMLOCK, 65536),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def silence() -> None:
    """Let go of the entry's three streams, so that the host sees them end when the entry does."""
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def told(error: OSError) -> str:
    """What went wrong, without its number."""
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)


def report(fd: int, found: Mapping[str, Any]) -> None:
    """One line of JSON; the host believes the first."""
    os.write(fd, json.dumps(found).encode() + b"\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
