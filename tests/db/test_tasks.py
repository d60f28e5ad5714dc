from datetime import timedelta

import pytest

from db import finding, tasks
from db.tasks import UnknownTask


def later(world, seconds):
    return world.now + timedelta(seconds=seconds)


def test_a_task_is_its_principals_only(world, unchanged):
    task = world.do(tasks.add, "ann", "run_chunk", {"request": "r"}, world.now)
    assert world.look(tasks.find, task.id, "ann") == task
    assert (task.subject, task.answer, task.cancelled_at, task.lease_expires_at) == ({"request": "r"}, None, None, None)
    for stranger, name in [("bob", task.id), ("ann", task.id[:-1] + "\x00"), ("ann", "task_" + "x" * 32), ("ann", "")]:
        with unchanged(UnknownTask):
            world.do(tasks.find, name, stranger)


def test_no_two_tasks_have_a_name_in_common(world):
    assert len({world.do(tasks.add, "ann", "t", {}, world.now).id for _ in range(50)}) == 50


def test_a_task_is_taken_up_when_its_lease_has_ended_and_by_one_only(world):
    task = world.do(tasks.add, "ann", "plan_race", {}, world.now, 10)
    assert not world.do(tasks.take, task.id, later(world, 9), 10)
    assert world.do(tasks.take, task.id, later(world, 11), 10)
    assert not world.do(tasks.take, task.id, later(world, 11), 10)
    world.do(tasks.renew, task.id, later(world, 20), 10)
    assert not world.do(tasks.take, task.id, later(world, 29), 10)


@pytest.mark.parametrize("ended", [tasks.finish, tasks.cancel])
def test_a_task_that_has_ended_is_taken_up_by_nobody(world, ended):
    task = world.do(tasks.add, "ann", "plan_race", {}, world.now, 10)
    world.do(ended, task.id, *([{"first": 1}] if ended is tasks.finish else []), later(world, 1))
    assert not world.do(tasks.take, task.id, later(world, 99), 10)


def test_the_first_answer_and_the_first_cancellation_stay(world):
    task = world.do(tasks.add, "ann", "plan_race", {}, world.now, 10)
    for second, answer in enumerate([{"first": 1}, {"second": 2}], 1):
        world.do(tasks.finish, task.id, answer, later(world, second))
        world.do(tasks.cancel, task.id, later(world, second))
    found = world.look(tasks.find, task.id, "ann")
    assert (found.answer, found.finished_at, found.cancelled_at) == ({"first": 1}, later(world, 1), later(world, 1))


def test_jobs_are_found_by_the_beginning_of_their_id(world):
    world.submit(world.race(seeds=tuple(range(20))))
    ids = sorted(ticket.job_id for ticket in world.claim(n=20))
    for length in (1, 8, 9, 36):
        assert world.look(finding.job_ids, ids[3][:length], 100) == [
            one for one in ids if one.startswith(ids[3][:length])
        ]
    assert len(world.look(finding.job_ids, ids[3][:1], 1)) == 1
    for foreign in ("", "%", "x", "-", "' OR 1=1", ids[3] + "0"):
        assert world.look(finding.job_ids, foreign, 100) == []
