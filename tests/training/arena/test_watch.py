import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.arena.watch import PAGE, TICK, Use, as_zombie, broken, use


def line(state="R", times=(0, 0, 0, 0), tasks=1, pages=0, name="python"):
    fields = [
        state,
        *["1", "1", "1", "0", "-1", "0", "0", "0", "0", "0"],
        *map(str, times),
        "20",
        "0",
        str(tasks),
        "0",
        "0",
        "0",
        str(pages),
    ]
    return f"7 ({name}) {' '.join(fields)}\n"


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 999), st.integers(0, 99)), max_size=9))
def test_all_processes_count_together(processes):
    found = use(line(times=(time, 0, 0, time), tasks=tasks, pages=pages) for tasks, pages, time in processes)
    assert found.tasks == sum(tasks for tasks, _, _ in processes)
    assert found.memory_bytes == PAGE * sum(pages for _, pages, _ in processes)
    assert found.cpu_seconds == 2 * sum(time for _, _, time in processes) / TICK


def test_the_name_of_a_process_cannot_forge_its_numbers():
    assert use([line(name="x) R 1 1 1 (")]) == use([line()])


def test_a_zombie_counts_its_time_alone():
    assert use([line(state="Z", times=(TICK, 0, 0, 0), pages=9)]) == Use(cpu_seconds=1.0)


def test_of_the_watcher_only_its_dead_children_count():
    assert use([as_zombie(line(times=(5 * TICK, 5 * TICK, TICK, TICK), pages=100))]) == Use(cpu_seconds=2.0)


def test_a_real_line_is_understood():
    with open(f"/proc/{os.getpid()}/stat") as file:
        found = use([file.read()])
    assert found.tasks >= 1
    assert 1 << 20 < found.memory_bytes < 1 << 36


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (Use(tasks=4, memory_bytes=100, cpu_seconds=1.0), None),
        (Use(tasks=5), "process_limit"),
        (Use(memory_bytes=101), "memory_limit"),
        (Use(cpu_seconds=1.5), "cpu_limit"),
    ],
)
def test_a_limit_is_broken_when_it_is_passed(found, code):
    assert broken(found, {"memory_bytes": 100, "processes": 4, "cpu_seconds": 1.0}) == code
