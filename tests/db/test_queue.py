import multiprocessing
import threading
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from sqlalchemy import select

from db import queue, samples, taking
from db.checks import InvalidStep, SampleConflict
from db.queue import MAX_ATTEMPTS, JobNotQueued, LeaseLost, QueueEmpty, next_boundary
from db.statements import Compiled
from db.store import open_store, run
from db.tables import SUPERSEDED
from errors import InvalidValue, UnknownName


def test_submit_queues_one_job_a_seed_in_the_order_of_the_race(world):
    jobs = world.submit(world.race(seeds=(11, 5, 7)))
    assert [job.seed for job in jobs] == [11, 5, 7]
    assert {(job.state, job.rung, job.total_steps, job.race, job.name) for job in jobs} == {
        ("queued", 0, 100, "r", "recipe a")
    }


def test_submitting_again_gives_the_jobs_that_are_there_and_changes_nothing(world):
    race = world.race()
    first = world.submit(race)
    world.claim()
    before = world.dump()
    again = world.submit(race, priority=90)
    assert [job.id for job in again] == [job.id for job in first]
    assert sorted(job.state for job in again) == ["queued", "running"]
    assert world.dump() == before


@pytest.mark.parametrize("wrong", [{"priority": -1}, {"priority": 101}, {"rung": 3}, {"rung": -1}, {"total_steps": -5}])
def test_what_cannot_be_queued_is_refused(world, unchanged, wrong):
    race = world.race()
    with unchanged(InvalidValue):
        world.submit(race, **{"total_steps": 10, **wrong})


def test_a_ticket_holds_all_that_the_first_chunk_needs(world):
    race = world.race()
    world.submit(race)
    ticket = world.claim_one(worker="gpu-1")
    assert (ticket.race, ticket.race_id, ticket.corpus) == ("r", race.id, "c" * 64)
    assert (ticket.recipe, ticket.recipe_digest, ticket.name) == ('{"step_bytes":10}', "a", "recipe a")
    assert (ticket.start_step, ticket.steps, ticket.total_steps) == (0, 50, 100)
    assert (ticket.checkpoint, ticket.environment) == (None, None)
    assert (ticket.fence, ticket.attempt, ticket.worker) == (1, 1, "gpu-1")
    assert ticket.lease_expires_at == world.now + timedelta(seconds=60)
    assert world.job(ticket.job_id).state == "running"


def test_higher_priority_is_claimed_first_then_the_older_job(world):
    race = world.race(seeds=(1,))
    world.submit(race, "old")
    world.wait(1)
    world.submit(race, "young")
    world.submit(race, "urgent", priority=51)
    assert [world.claim_one().recipe_digest for _ in range(3)] == ["urgent", "old", "young"]


def test_jobs_that_are_submitted_at_one_moment_are_claimed_in_the_order_of_submission(world):
    race = world.race(seeds=(11, 5, 7))
    for digest in "dacb":
        world.submit(race, digest)
    claimed = [(ticket.recipe_digest, ticket.seed) for ticket in world.claim(n=12)]
    assert claimed == [(digest, seed) for digest in "dacb" for seed in (11, 5, 7)]


def test_a_running_seed_of_a_lost_recipe_that_is_given_back_is_cancelled(world):
    race = world.race(seeds=(1, 2))
    world.submit(race)
    failing, other = world.claim(n=2)
    world.do(queue.fail, failing.job_id, failing.fence, world.now, "out of memory", judge=world.judge)
    job = world.do(queue.release, other.job_id, other.fence, world.now, "spot instance went away")
    assert (job.state, job.reason, job.finished_at) == ("cancelled", "another seed of the recipe was lost", world.now)
    with pytest.raises(QueueEmpty, match="No job is queued or running"):
        world.claim()


def test_a_running_seed_of_a_lost_recipe_that_is_abandoned_is_cancelled_by_the_next_claim(world):
    race = world.race(seeds=(1, 2))
    world.submit(race)
    world.submit(race, "next", priority=1)
    failing, other = world.claim(n=2)
    world.do(queue.fail, failing.job_id, failing.fence, world.now, "out of memory", judge=world.judge)
    world.wait(61)
    assert world.claim_one().recipe_digest == "next"
    job = world.job(other.job_id)
    assert (job.state, job.lease_expires_at, job.reason) == ("cancelled", None, "another seed of the recipe was lost")


def test_an_abandoned_job_goes_before_the_queued_ones_of_its_priority(world):
    race = world.race(seeds=(1,))
    for digest, priority in (("older", 50), ("begun", 50), ("low", 49)):
        world.submit(race, digest, priority=priority)
    older, *_ = world.claim(n=3)
    world.do(queue.release, older.job_id, older.fence, world.now, "later")
    world.wait(61)
    world.submit(race, "urgent", priority=51)
    assert [world.claim_one().recipe_digest for _ in range(4)] == ["urgent", "begun", "older", "low"]


def test_of_two_abandoned_jobs_the_one_whose_lease_ended_first_is_taken_over_first(world):
    race = world.race(seeds=(1,))
    world.submit(race, "first")
    world.submit(race, "second")
    world.claim_one(lease=30)
    world.claim_one(lease=20)
    world.wait(31)
    assert [ticket.recipe_digest for ticket in (world.claim_one(), world.claim_one())] == ["second", "first"]


def test_one_claim_takes_abandoned_and_queued_jobs_together(world):
    race = world.race(seeds=(1,))
    world.submit(race, "begun")
    world.claim_one()
    world.wait(61)
    for digest in ("next", "last"):
        world.submit(race, digest)
    assert {ticket.recipe_digest for ticket in world.claim(n=2)} == {"begun", "next"}


def test_one_claim_may_take_several_jobs_and_never_more_than_there_are(world):
    world.submit(world.race(seeds=(1, 2, 3)))
    assert len(world.claim(n=2)) == 2
    assert len(world.claim(n=5)) == 1


def test_a_claim_may_be_kept_to_one_race(world):
    first, second = world.race("first", seeds=(1,)), world.race("second", seeds=(1,))
    world.submit(first, priority=99)
    world.submit(second)
    assert world.claim_one(race_id=second.id).race == "second"
    with pytest.raises(QueueEmpty):
        world.claim(race_id=second.id)
    assert world.claim_one().race == "first"


def test_an_empty_queue_says_how_many_run_and_when_to_ask_again(world):
    with pytest.raises(QueueEmpty, match="No job is queued or running"):
        world.claim()
    world.submit(world.race())
    world.claim(n=2)
    world.wait(20)
    with pytest.raises(QueueEmpty, match="2 jobs run; the next lease ends in 40 s") as refused:
        world.claim()
    assert (refused.value.code, refused.value.status) == ("queue_empty", 404)


def test_a_job_is_free_again_when_its_lease_has_ended_and_its_old_holder_is_shut_out(world, unchanged):
    world.submit(world.race(seeds=(1,)))
    old = world.claim_one(worker="old")
    world.wait(60)
    with pytest.raises(QueueEmpty):
        world.claim()
    world.wait(0.001)
    new = world.claim_one(worker="new")
    assert (new.job_id, new.fence, new.attempt) == (old.job_id, 2, 2)
    for late in (
        lambda: world.write(old, (50, 3.0)),
        lambda: world.do(queue.heartbeat, old.job_id, old.fence, world.now, 60),
        lambda: world.do(queue.release, old.job_id, old.fence, world.now, ""),
        lambda: world.do(queue.fail, old.job_id, old.fence, world.now, "", judge=world.judge),
        lambda: world.do(queue.restart, old.job_id, old.fence, "other", world.now),
        lambda: world.look(queue.ticket, old.job_id, old.fence, world.now),
    ):
        world.write(new, (50, 3.0))
        with unchanged(LeaseLost, "fence 2; the call has fence 1"):
            late()


def test_an_ended_lease_is_still_the_holders_while_nobody_else_has_claimed(world):
    world.submit(world.race(seeds=(1,)))
    ticket = world.claim_one()
    world.wait(3600)
    assert world.write(ticket, (50, 3.0)).lease_expires_at == world.now + timedelta(seconds=60)
    world.wait(3600)
    ends = world.do(queue.heartbeat, ticket.job_id, ticket.fence, world.now, 10)
    assert ends == world.now + timedelta(seconds=10) == world.job(ticket.job_id).lease_expires_at


def test_the_next_holder_goes_on_from_the_last_checkpoint(world):
    world.submit(world.race(seeds=(1,)))
    ticket = world.claim_one()
    world.write(ticket, (50, 3.0))
    assert world.look(queue.ticket, ticket.job_id, 1, world.now).start_step == 50
    world.do(queue.release, ticket.job_id, ticket.fence, world.now, "spot instance went away")
    assert world.job(ticket.job_id).reason == "spot instance went away"
    again = world.claim_one()
    assert (again.start_step, again.steps, again.checkpoint, again.environment) == (50, 50, "chk", "env")


def test_samples_without_a_checkpoint_give_way_when_another_holder_takes_over(world):
    world.submit(world.race(seeds=(1,)))
    ticket = world.claim_one()
    world.write(ticket, (20, 4.0), provenance="claimed")
    world.write(ticket, (30, 3.5), (40, 3.0), provenance="claimed", checkpoint=None)
    world.wait(61)
    again = world.claim_one()
    assert again.start_step == 20
    assert [one.step for one in world.curve(again.job_id)] == [20]
    assert world.write(again, (30, 3.6), provenance="claimed").stored == 1


def test_attempts_that_store_nothing_end_in_errored(world):
    world.submit(world.race(seeds=(1,)))
    for _ in range(MAX_ATTEMPTS):
        ticket = world.claim_one()
        world.wait(61)
    with pytest.raises(QueueEmpty):
        world.claim()
    job = world.job(ticket.job_id)
    assert (job.state, job.reason) == ("errored", "5 attempts ended without a new sample")


def test_attempts_that_store_something_do_not_count(world):
    world.submit(world.race(seeds=(1,)))
    for step in range(1, 21):
        world.write(world.claim_one(), (step, 3.0))
        world.wait(61)
    for _ in range(MAX_ATTEMPTS):
        ticket = world.claim_one()
        world.wait(61)
    assert ticket.attempt == 25
    with pytest.raises(QueueEmpty):
        world.claim()
    assert world.job(ticket.job_id).state == "errored"


def test_a_claim_passes_over_a_hopeless_job_and_takes_the_next(world):
    race = world.race(seeds=(1,))
    world.submit(race, "hopeless", priority=60)
    for _ in range(MAX_ATTEMPTS):
        hopeless = world.claim_one()
        world.wait(61)
    world.submit(race, "good")
    assert world.claim_one().recipe_digest == "good"
    assert world.job(hopeless.job_id).state == "errored"
    assert [one.action for one in world.look(samples.decisions, job_id=hopeless.job_id)] == ["fail"]


def test_a_failed_seed_cancels_the_queued_ones_of_its_recipe_and_leaves_a_decision(world):
    race = world.race(seeds=(1, 2, 3, 4))
    world.submit(race, "bad", priority=60)
    world.submit(race, "good")
    failing, running = world.claim(n=2)
    world.do(queue.fail, failing.job_id, failing.fence, world.now, "out of memory", judge=world.judge)
    found = Counter((job.recipe_digest, job.state) for job in world.look(queue.jobs, race.id))
    assert found == {("bad", "errored"): 1, ("bad", "running"): 1, ("bad", "cancelled"): 2, ("good", "queued"): 4}
    assert (world.job(failing.job_id).reason, world.job(running.job_id).state) == ("out of memory", "running")
    (decision,) = world.look(samples.decisions, race_id=race.id)
    assert (decision.action, decision.reason, decision.job_id) == ("fail", "out of memory", failing.job_id)
    assert decision.numbers["attempt"] == 1


def test_only_a_queued_job_can_be_cancelled(world, unchanged):
    first, second = world.submit(world.race())
    world.do(queue.cancel, first.id, world.now, "not wanted", judge=world.judge)
    assert (world.job(first.id).state, world.job(second.id).state) == ("cancelled", "cancelled")
    with unchanged(JobNotQueued):
        world.do(queue.cancel, first.id, world.now, "again", judge=world.judge)


def test_a_run_that_moves_to_another_environment_begins_again_and_keeps_its_old_curve_aside(world):
    world.submit(world.race(seeds=(1,)))
    ticket = world.claim_one()
    world.write(ticket, (50, 3.0))
    job = world.do(queue.restart, ticket.job_id, ticket.fence, "other", world.now)
    assert (job.last_step, job.checkpoint, job.environment, job.attempt) == (0, None, "other", 2)
    assert world.curve(ticket.job_id) == []
    anew = world.look(queue.ticket, ticket.job_id, ticket.fence, world.now)
    assert (anew.start_step, anew.checkpoint, anew.fence) == (0, None, ticket.fence)
    with world.store.reading() as session:
        (aside,) = run(session, select(SUPERSEDED)).all()
    assert (aside.step, aside.bpb, aside.environment, aside.attempt) == (50, 3.0, "env", 1)
    assert world.write(anew, (50, 3.01), environment="other").stored == 1


def test_an_unknown_job_is_refused(world, unchanged):
    for call in (
        lambda: world.job("nobody"),
        lambda: world.do(queue.heartbeat, "nobody", 1, world.now, 60),
        lambda: world.do(queue.release, "nobody", 1, world.now, ""),
        lambda: world.look(queue.ticket, "nobody", 1, world.now),
        lambda: world.do(queue.cancel, "nobody", world.now, "", judge=world.judge),
    ):
        with unchanged(UnknownName):
            call()


def test_jobs_are_listed_newest_first_and_by_state(world):
    race = world.race(seeds=(1,))
    world.submit(race, "first")
    world.wait(1)
    world.submit(race, "second")
    world.claim()
    assert [job.recipe_digest for job in world.look(queue.jobs, race.id)] == ["second", "first"]
    assert [job.recipe_digest for job in world.look(queue.jobs, race.id, state="running")] == ["first"]
    assert len(world.look(queue.jobs, race.id, 1)) == 1


@pytest.mark.parametrize("total_steps", [1, 2, 5, 7, 100, 101])
@pytest.mark.parametrize("chunks", [1, 2, 3, 6, 200])
def test_chunks_end_at_the_rounded_fractions_of_the_run_and_cover_it(total_steps, chunks):
    ends, step = [], 0
    while step < total_steps:
        step = next_boundary(step, total_steps, chunks)
        ends.append(step)
    wanted = {int(total_steps * i / chunks + 0.5) for i in range(1, chunks + 1)} - {0}
    assert ends == sorted(wanted)
    assert all(next_boundary(step, total_steps, chunks) > step for step in range(total_steps))


def drain(world, worker, claimed):
    while True:
        try:
            claimed.append(world.claim_one(worker=worker))
        except QueueEmpty:
            return


def test_threads_never_claim_a_job_twice(world):
    race = world.race(seeds=tuple(range(20)))
    for digest in "abcdefghij":
        world.submit(race, digest)
    claimed = [[] for _ in range(8)]
    threads = [threading.Thread(target=drain, args=(world, f"w{i}", claimed[i])) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [ticket.job_id for one in claimed for ticket in one]
    assert len(ids) == len(set(ids)) == 200
    assert all(world.job(ticket.job_id).worker == f"w{i}" for i, one in enumerate(claimed) for ticket in one[:2])


def claim_all(url, worker, now, judge):
    store = open_store(url)
    claimed = []
    try:
        while True:
            with store.transaction() as session:
                taken = queue.claim(session, worker=worker, now=now, lease_seconds=60, judge=judge, n=2)
            claimed += [ticket.job_id for ticket in taken]
    except QueueEmpty:
        return claimed
    finally:
        store.close()


def test_processes_never_claim_a_job_twice(world):
    race = world.race(seeds=tuple(range(100)))
    world.submit(race)
    url = world.store.engine.url.render_as_string(hide_password=False)
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload(["db.queue", "tools"])
    with forked.Pool(4) as pool:
        calls = [pool.apply_async(claim_all, (url, f"p{i}", world.now, None)) for i in range(4)]
        ids = [job_id for call in calls for job_id in call.get()]
    assert len(ids) == len(set(ids)) == 100


@pytest.mark.parametrize("in_race", [False, True])
def test_a_claim_walks_its_indexes_and_never_reads_the_whole_queue(world, in_race):
    race = world.race(seeds=tuple(range(1000)))
    world.submit(race)
    world.claim(n=64)
    plan = plan_of(world, in_race, race)
    assert "ix_job_queued" in plan and "ix_job_running " in plan
    assert "ix_job_running_next" in plan or "ix_job_running_race" in plan
    assert "SCAN job |" not in plan + " |" and "Seq Scan on job" not in plan


def plan_of(world, in_race, race):
    """What the engine plans for the very statement that a claim sends."""
    with world.store.transaction() as session:
        connection = session.connection()
        is_sqlite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql("ANALYZE")
        claim = Compiled(taking.taking(1, in_race), connection.dialect)
        bound = claim.bound(
            {
                "now": world.now,
                "of_race": race.id,
                "new_worker": "w",
                "new_claimed_by": "me",
                "new_lease_expires_at": world.now,
            }
        )
        rows = connection.exec_driver_sql(
            f"EXPLAIN {'QUERY PLAN ' if is_sqlite else ''}{claim.sql}", tuple(bound) if is_sqlite else bound
        )
        return " | ".join(row[-1] for row in rows)


class QueueMachine(RuleBasedStateMachine):
    """Workers do anything in any order; the queue's promises hold after every step."""

    world_factory = None
    tickets = Bundle("tickets")

    def __init__(self):
        super().__init__()
        self.world = type(self).world_factory()
        self.race = self.world.race(seeds=(1, 2), budget_bytes=360, rungs=((1, 2), (1, 1)), chunks=(2, 2))
        self.fences = {}
        self.told = {}

    @rule(digest=st.sampled_from("abc"), priority=st.integers(0, 100))
    def submit(self, digest, priority):
        assert len(self.world.submit(self.race, digest, priority=priority)) == 2

    @rule(target=tickets, n=st.integers(1, 3))
    def claim(self, n):
        try:
            taken = self.world.claim(n=n)
        except QueueEmpty:
            return multiple()
        for ticket in taken:
            assert ticket.fence > self.fences.get(ticket.job_id, 0)
            self.fences[ticket.job_id] = ticket.fence
        return multiple(*taken)

    @rule(seconds=st.sampled_from([1, 61]))
    def wait(self, seconds):
        self.world.wait(seconds)

    @rule(ticket=tickets, bpb=st.sampled_from([1.0, 2.0, 7.5]), step=st.integers(1, 18))
    def write(self, ticket, bpb, step):
        self.holder_only(ticket, lambda: self.world.write(ticket, (step, bpb)), ended=("done", "pruned"))

    @rule(ticket=tickets)
    def release(self, ticket):
        self.holder_only(ticket, lambda: self.world.do(queue.release, ticket.job_id, ticket.fence, self.world.now, ""))

    @rule(ticket=tickets)
    def fail(self, ticket):
        self.holder_only(
            ticket,
            lambda: self.world.do(queue.fail, ticket.job_id, ticket.fence, self.world.now, "", judge=self.world.judge),
        )

    @rule(ticket=tickets)
    def restart(self, ticket):
        self.holder_only(
            ticket, lambda: self.world.do(queue.restart, ticket.job_id, ticket.fence, "env", self.world.now)
        )

    def holder_only(self, ticket, act, ended=()):
        """The act works for the present holder and for nobody else; other refusals are about values."""
        before = self.world.job(ticket.job_id)
        holds = before.fence == ticket.fence and before.state == "running"
        try:
            act()
        except LeaseLost:
            assert not holds
        except (InvalidStep, SampleConflict):
            assert before.fence == ticket.fence
        else:
            assert holds or (before.fence == ticket.fence and before.state in ended)

    @invariant()
    def states_and_samples_agree(self):
        for job in self.world.look(queue.jobs, self.race.id, 1000):
            curve = self.world.curve(job.id)
            steps = [one.step for one in curve]
            assert steps == sorted(set(steps)) and job.last_step == (steps[-1] if steps else 0) <= job.total_steps
            assert (job.state == "done") == (job.last_step == job.total_steps) == (job.final_bpb is not None)
            assert (job.state == "running") == (job.lease_expires_at is not None)
            old = self.told.get(job.id)
            assert old not in ("done", "pruned", "errored", "cancelled") or job.state == old
            self.told[job.id] = job.state

    def teardown(self):
        self.world.store.close()


def test_the_queue_keeps_its_promises_whatever_workers_do(new_world):
    machine = type("Machine", (QueueMachine,), {"world_factory": staticmethod(new_world)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
