import threading
import time

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from db import changes, queue, races
from db.changes import RACES, Teller, job_topic, race_topic
from db.store import run
from db.tables_scale import CHANGE

PATIENCE = 20.0


@pytest.fixture
def touched(world):
    """What the transactions of the world touch, in order, as they commit."""
    seen = []

    class Noting:
        def mark(self, touched):
            seen.append(touched)

        def close(self):
            pass

    world.store.teller = Noting()
    return seen


def until(holds):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def stored(world):
    with world.store.reading() as session:
        return {row.topic: row.version for row in run(session, select(CHANGE))}


def test_whatever_changes_a_job_touches_it_and_a_heartbeat_does_not(world, touched):
    race = world.race(seeds=(1,))
    (job,) = world.submit(race)
    assert touched == [{("race", race.id)}, {("race", race.id)}]
    touched.clear()
    ticket = world.claim_one()
    world.do(queue.heartbeat, job.id, ticket.fence, world.now, 60)
    assert touched == [{("job", job.id)}]
    world.write(ticket, (50, 3.0))
    world.do(queue.release, job.id, ticket.fence, world.now, "away")
    world.finish(world.claim_one(), 2.0)
    assert touched == [{("job", job.id)}] * 5


def test_a_cancelled_job_touches_those_that_go_with_it(world, touched):
    jobs = world.submit(world.race())
    touched.clear()
    world.do(queue.cancel, jobs[0].id, world.now, "no need", judge=world.judge)
    assert touched == [{("job", job.id) for job in jobs}]


def test_what_is_rolled_back_or_only_answered_touches_nothing_or_what_was_kept(world, touched):
    with pytest.raises(races.RaceExists):
        world.race(), world.race(budget_bytes=1)
    touched.clear()
    with pytest.raises(queue.QueueEmpty):
        world.claim()
    (job, *_) = world.submit(world.race())
    touched.clear()
    with pytest.raises(queue.LeaseLost):
        world.do(queue.release, job.id, 7, world.now, "never held")
    assert touched == []


def test_a_job_has_the_topics_of_its_race_and_every_telling_a_greater_version(world):
    race = world.race("spring")
    (job, *_) = world.submit(race)
    topics = [job_topic(job.id), race_topic("spring"), RACES]
    assert world.do(changes.tell, {("job", job.id)}, 5) == sorted(topics)
    assert world.look(changes.versions, [*topics, "job/none"]) == {**dict.fromkeys(topics, 5), "job/none": 0}
    world.do(changes.tell, {("race", race.id)}, 3)
    assert stored(world) == {topics[0]: 5, topics[1]: 6, RACES: 6}
    assert world.do(changes.sweep, 6) == 1
    assert stored(world) == {topics[1]: 6, RACES: 6}


def tellers():
    return {thread for thread in threading.enumerate() if thread.name == "teller"}


def test_a_teller_tells_at_once_then_together_and_what_is_left_at_the_end(world):
    race = world.race()
    (job, *_) = world.submit(race)
    transactions = []

    def counted():
        transactions.append(time.monotonic())
        return world.store.transaction()

    others, teller = tellers(), Teller(counted)
    teller.mark({("race", race.id)})
    until(lambda: len(transactions) == 1)
    for _ in range(50):
        teller.mark({("race", race.id)})
    until(lambda: len(transactions) == 2)
    assert transactions[1] - transactions[0] >= changes.PAUSE_SECONDS
    teller.mark({("job", job.id)})
    teller.close()
    assert len(transactions) == 3 and job_topic(job.id) in stored(world)
    assert tellers() <= others


def test_a_teller_that_could_not_write_tries_again(world, monkeypatch):
    monkeypatch.setattr("db.changes.AGAIN_SECONDS", 0.01)
    race, failures = world.race(), iter([True, True, False])

    def failing():
        if next(failures):
            raise OperationalError("BEGIN", {}, Exception("the database is away"))
        return world.store.transaction()

    teller = Teller(failing)
    teller.mark({("race", race.id)})
    until(lambda: race_topic("r") in stored(world))
    teller.close()
