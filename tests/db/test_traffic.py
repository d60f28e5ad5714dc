"""Rows of calls, read on from any of them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from db import traffic


def seen(world, **other):
    usual = {
        "at": world.now, "tool": "glossary", "read_only": True, "principal": "ann", "credential": "", "doorway": "mcp",
        "request_id": "r", "subject": {"race": "cup"}, "code": "ok", "seconds": 0.25,
    }  # fmt: skip
    return traffic.Seen(**{**usual, **other})


def add(world, *codes):
    world.do(traffic.add, [vars(seen(world, code=code)) for code in codes])


def codes(rows):
    return [one.code for one in rows]


def test_rows_are_read_on_from_any_of_them_and_the_latest_come_first_in_a_list(world):
    assert (world.look(traffic.last_id), world.look(traffic.latest), world.look(traffic.after, 0)) == (0, [], [])
    add(world, "a", "b")
    add(world, "c")
    every = world.look(traffic.after, 0)
    assert codes(every) == ["a", "b", "c"]
    assert codes(world.look(traffic.after, every[0].id)) == ["b", "c"]
    assert codes(world.look(traffic.after, 0, 2)) == ["a", "b"]
    assert world.look(traffic.latest, 2) == every[:0:-1]
    assert world.look(traffic.last_id) == every[-1].id
    assert every[0] == traffic.TrafficView(id=every[0].id, **vars(seen(world, code="a")))


def test_old_rows_are_swept_but_never_the_latest_so_that_no_id_comes_twice(world):
    add(world, "a", "b")
    last = world.look(traffic.last_id)
    world.wait(10)
    assert world.do(traffic.sweep, world.now) == 1
    assert codes(world.look(traffic.latest)) == ["b"]
    add(world, "c")
    assert world.look(traffic.last_id) > last
    assert world.do(traffic.sweep, world.now - timedelta(seconds=5)) == 1
    assert codes(world.look(traffic.latest)) == ["c"]


def test_of_two_batches_that_are_written_at_once_the_later_commit_has_the_larger_ids(world):
    with ThreadPoolExecutor(1) as pool:
        with world.store.transaction() as session:
            traffic.add(session, [vars(seen(world, code="first"))])
            other = pool.submit(add, world, "second")
            seen_before = world.look(traffic.latest)
        other.result(timeout=60)
    assert seen_before == []
    assert codes(world.look(traffic.after, 0)) == ["first", "second"]
