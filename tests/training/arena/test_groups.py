import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.arena.driving import QUICK
from training.arena.groups import MOUNT, candidates, counted, make_group
from training.arena.limits import MIB

FIRST = "4:memory:/a/b\n3:cpuset:/\n0::/\n"
SECOND = "0::/user.slice/mine\n"


def test_a_group_lies_below_our_own_in_either_version():
    one = candidates("igla-1", FIRST, Path("/cg"))
    assert [(str(group.folder), group.limit) for group in one] == [
        ("/cg/memory/a/b/igla-1", "memory.limit_in_bytes"),
        ("/cg/igla-1", "memory.max"),
    ]
    (two,) = candidates("igla-1", SECOND, Path("/cg"))
    assert (str(two.folder), two.limit) == ("/cg/user.slice/mine/igla-1", "memory.max")


@pytest.mark.parametrize(
    ("events", "killed"),
    [
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", False),
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", True),
        ("low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n", True),
        ("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n", False),
        ("", False),
    ],
)
def test_a_kill_for_memory_is_read_from_either_version(events, killed):
    assert counted(events) is killed


def test_a_group_that_is_made_goes_away_again():
    group = make_group("igla-test", 1 << 28)
    if group is None:
        pytest.skip("no control group may be made here")
    assert int((group.folder / group.limit).read_text()) >= 1 << 28
    assert not group.killed()()
    group.remove()
    assert not group.folder.exists()


def test_sandboxes_leave_no_group_behind(arena):
    names = orphans()
    arena.box("pass")
    assert orphans() <= names


def orphans():
    """Groups whose maker is gone; those of sandboxes that run beside this test do not count."""
    names = {path.name for path in MOUNT.rglob("igla-*")}
    return {name for name in names if not Path("/proc", name.rpartition("-")[2]).exists()}


def test_memory_that_no_process_shows_is_limited_where_there_are_groups(arena):
    group = None if arena.plain else make_group("igla-probe", 1 << 28)
    if group is None:
        pytest.skip("no control group may be made here")
    group.remove()
    code = """
        import socket
        kept = []
        for _ in range(400):
            one, two = socket.socketpair()
            for side in (one, two):
                side.setblocking(False)
                try:
                    while True:
                        side.send(bytes(65536))
                except BlockingIOError:
                    kept.append(side)
        print("all kept")
    """
    limits = replace(QUICK, memory_bytes=64 * MIB, open_files=1024)
    ending, text, _, _ = arena.box(textwrap.dedent(code), limits=limits)
    assert (ending.limit, text) == ("memory_limit", "")
    assert ending.memory_bytes < limits.memory_bytes
