import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import inf, sqrt
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from db import artifacts, queue, samples
from db.checks import InvalidBpb, InvalidStep, SampleConflict, WrongDigest, WrongEnvironment
from db.jobs import LeaseLost
from db.samples import ALPHA
from db.store import run
from db.tables import SUPERSEDED
from errors import ArtifactMissing, InvalidValue


@pytest.fixture
def ticket(world):
    world.submit(world.race(seeds=(1,)))
    return world.claim_one()


def test_a_sample_is_stored_with_its_checkpoint_and_moves_the_job(world, ticket):
    written = world.write(ticket, (50, 3.0), receipt="signed")
    assert (written.stored, written.duplicates, written.ema, written.provenance) == (1, 0, 3.0, "measured")
    assert (written.state, written.decision.action, written.decision.reason) == ("running", "continue", "fine")
    (one,) = world.curve(ticket.job_id)
    assert (one.step, one.bpb, one.checkpoint, one.environment) == (50, 3.0, "chk", "env")
    job = world.job(ticket.job_id)
    assert (job.last_step, job.checkpoint, job.environment, job.provenance) == (50, "chk", "env", "measured")


def test_a_write_renews_the_lease(world, ticket):
    world.wait(30)
    written = world.write(ticket, (50, 3.0), lease_seconds=100)
    assert (written.lease_expires_at - world.now).total_seconds() == 100
    assert world.job(ticket.job_id).lease_expires_at == written.lease_expires_at


def test_repeating_a_write_changes_nothing_but_the_lease(world, ticket):
    world.write(ticket, (50, 3.0))
    before = world.dump()
    written = world.write(ticket, (50, 3.0))
    assert (written.stored, written.duplicates, written.ema, written.decision.reason) == (0, 1, 3.0, "confirmed")
    assert world.dump() == before


def test_a_worker_confirms_what_the_engine_measured(world, ticket):
    world.write(ticket, (50, 3.0))
    world.finish(ticket, 2.5)
    before = world.dump()
    written = world.write(ticket, (50, 3.0), (100, 2.5), provenance="claimed", checkpoint=None, environment=None)
    assert (written.stored, written.duplicates, written.provenance) == (0, 2, "measured")
    assert (written.state, written.decision.action, written.decision.numbers) == ("done", "done", {"bpb": 2.5})
    assert world.dump() == before


def test_the_holder_of_a_stopped_run_may_ask_again_why(world, ticket):
    first = world.write(ticket, (50, 7.5))
    assert (first.state, first.decision.action, first.decision.reason) == ("pruned", "prune", "above_7")
    again = world.write(ticket, (50, 7.5))
    assert (again.state, again.duplicates, again.decision) == ("pruned", 1, first.decision)


def test_the_last_step_ends_the_job(world, ticket):
    written = world.finish(ticket, 2.5)
    assert (written.state, written.decision.action, written.lease_expires_at) == ("done", "done", world.now)
    job = world.job(ticket.job_id)
    assert (job.state, job.final_bpb, job.finished_at, job.lease_expires_at) == ("done", 2.5, world.now, None)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(bpbs=st.lists(st.floats(0.5, 6.9), min_size=1, max_size=8), cut=st.integers(0, 8))
def test_the_moving_average_is_seeded_by_the_first_value_and_does_not_depend_on_the_batches(new_world, bpbs, cut):
    world = new_world()
    world.submit(world.race(seeds=(1,)))
    ticket = world.claim_one()
    pairs = list(enumerate(bpbs, start=1))
    for part in (pairs[:cut], pairs[cut:]):
        if part:
            last = world.write(ticket, *part, provenance="claimed")
    ema, expected = bpbs[0], [bpbs[0]]
    for bpb in bpbs[1:]:
        ema = ema + ALPHA * (bpb - ema)
        expected.append(ema)
    assert [one.ema for one in world.curve(ticket.job_id)] == expected
    assert last.ema == expected[-1]


def test_the_weight_of_the_newest_value_is_half_of_the_golden_ratio_to_the_minus_third():
    assert pytest.approx(((1 + sqrt(5)) / 2) ** -3 / 2, rel=1e-15) == ALPHA


def test_a_label_that_did_not_reach_the_engine_is_refused(world, ticket, unchanged):
    with unchanged(WrongDigest):
        world.do(samples.write, world.batch(ticket, (50, 3.0), effective_digest="b"), world.judge, world.now)


@pytest.mark.parametrize("bpb", [float("nan"), inf, -1.0, 0.0, 0.1, 8.1])
def test_an_unbelievable_value_is_refused(world, ticket, unchanged, bpb):
    with unchanged(InvalidBpb):
        world.do(samples.write, world.batch(ticket, (50, bpb)), world.judge, world.now)


def test_a_value_that_its_own_sum_contradicts_is_refused(world, ticket, unchanged, sample_of):
    wrong = replace(sample_of(50, 3.0), bpb=2.9)
    with unchanged(InvalidBpb, "ln 2"):
        world.do(samples.write, world.batch(ticket, wrong), world.judge, world.now)


def test_steps_out_of_order_or_beyond_the_end_are_refused(world, ticket, unchanged):
    world.write(ticket, (50, 3.0))
    for step in (0, -1, 49, 101):
        with unchanged(InvalidStep):
            world.write(ticket, (step, 2.9))


def test_another_value_for_a_stored_step_is_refused(world, ticket, unchanged):
    world.write(ticket, (50, 3.0))
    with unchanged(SampleConflict):
        world.write(ticket, (50, 2.9))


def test_a_batch_is_stored_whole_or_not_at_all(world, ticket, unchanged):
    world.write(ticket, (10, 3.0), provenance="claimed")
    with unchanged(SampleConflict):
        world.write(ticket, (20, 2.9), (10, 2.8), provenance="claimed")


def test_an_empty_batch_is_refused(world, ticket, unchanged):
    with unchanged(InvalidValue):
        world.do(samples.write, world.batch(ticket), world.judge, world.now)


def test_a_measured_sample_needs_a_checkpoint_that_is_held_here(world, ticket, unchanged):
    for missing in (None, "never uploaded"):
        with unchanged(ArtifactMissing):
            world.do(samples.write, world.batch(ticket, (50, 3.0), checkpoint=missing), world.judge, world.now)
    world.write(ticket, (10, 3.0))
    with unchanged(ArtifactMissing, "checkpoint of its own step"):
        world.write(ticket, (20, 2.9), (30, 2.8))


def test_a_claimed_sample_may_lack_a_checkpoint_but_not_name_a_missing_one(world, ticket, unchanged):
    with unchanged(ArtifactMissing):
        claimed = world.batch(ticket, (50, 3.0), checkpoint="never uploaded", provenance="claimed")
        world.do(samples.write, claimed, world.judge, world.now)
    assert world.write(ticket, (50, 3.0), checkpoint=None, provenance="claimed").provenance == "claimed"


def test_a_run_does_not_go_on_in_another_environment(world, ticket, unchanged):
    world.write(ticket, (50, 3.0))
    with unchanged(WrongEnvironment):
        world.write(ticket, (100, 2.9), environment="other")


def test_a_write_to_a_job_that_was_given_back_or_has_ended_is_refused(world, ticket, unchanged):
    world.write(ticket, (50, 7.5))
    with unchanged(LeaseLost, "pruned"):
        world.write(ticket, (100, 2.0))
    world.submit(world.look(samples.races.find, "r"), "b")
    other = world.claim_one()
    world.do(queue.release, other.job_id, other.fence, world.now, "")
    with unchanged(LeaseLost, "queued"):
        world.write(other, (50, 2.0))


def test_a_claimed_value_stops_nobody(world, ticket):
    written = world.write(ticket, (50, 7.9), provenance="claimed")
    assert (written.state, written.decision.reason, world.judge.run_facts) == ("running", "claimed", [])


def test_a_measured_value_takes_the_place_of_a_claimed_one_and_the_old_one_is_kept_aside(world, ticket):
    world.write(ticket, (10, 4.0), (20, 3.0), (30, 2.0), provenance="claimed")
    written = world.write(ticket, (20, 3.5))
    assert (written.stored, written.duplicates) == (1, 0)
    curve = world.curve(ticket.job_id)
    assert [(one.bpb, one.provenance) for one in curve] == [(4.0, "claimed"), (3.5, "measured"), (2.0, "claimed")]
    second = 4.0 + ALPHA * (3.5 - 4.0)
    assert [one.ema for one in curve] == [4.0, second, second + ALPHA * (2.0 - second)] and written.ema == curve[-1].ema
    with world.store.reading() as session:
        (aside,) = run(session, select(SUPERSEDED)).all()
    assert (aside.step, aside.bpb, aside.provenance) == (20, 3.0, "claimed")
    assert world.job(ticket.job_id).provenance == "claimed"


def test_a_claimed_value_never_takes_the_place_of_a_measured_one(world, ticket, unchanged):
    world.write(ticket, (50, 3.0))
    with unchanged(SampleConflict):
        world.write(ticket, (50, 1.0), provenance="claimed")


def test_the_judge_sees_the_run_and_its_measured_peers(world):
    race = world.race(seeds=(1,), warmup_fraction=0.25)
    for digest in ("p", "q"):
        world.submit(race, digest)
        peer = world.claim_one()
        world.write(peer, (50, 4.0))
        world.finish(peer, {"p": 3.0, "q": 2.0}[digest])
        world.wait(1)
    world.run_recipe(race, "hearsay", [1.0], provenance="claimed")
    world.submit(race, "q2")
    world.write(world.claim_one(), (50, 5.0))
    facts = world.judge.run_facts[-1]
    assert (facts.phase, facts.bpb, facts.rung, facts.pruner) == (0.5, 5.0, 0, "short_schedules")
    assert (facts.warmup_fraction, facts.eta, facts.incumbent) == (0.25, 3, False)
    assert facts.peers == (((0.5, 4.0), (1.0, 2.0)), ((0.5, 4.0), (1.0, 3.0)))


def test_the_recipe_that_leads_the_board_is_known_to_the_judge(world):
    race = world.race(seeds=(1,), eta=2, quorum=1)
    world.run_recipe(race, "slow", [3.0])
    world.run_recipe(race, "best", [2.0])
    ticket = world.claim_one(race_id=race.id)
    assert (ticket.recipe_digest, ticket.rung) == ("best", 1)
    world.write(ticket, (1, 3.0))
    assert world.judge.run_facts[-1].incumbent


def test_running_jobs_can_be_judged_again_for_a_look_or_for_good(world, unchanged):
    race = world.race(seeds=(1, 2))
    world.submit(race)
    bad, idle = world.claim(n=2)
    spared = SimpleNamespace(action="continue", reason="fine", numbers={})
    world.judge.survives, survives = lambda facts: spared, world.judge.survives
    world.write(bad, (50, 7.5))
    world.judge.survives = survives
    assert world.look(samples.running, race.id) == sorted([bad.job_id, idle.job_id])
    before = world.dump()
    job, decided = world.do(samples.rejudge, bad.job_id, world.judge, world.now, apply=False)
    assert (job.state, decided.action, decided.reason) == ("running", "prune", "above_7")
    assert world.dump() == before
    job, decided = world.do(samples.rejudge, idle.job_id, world.judge, world.now, apply=True)
    assert (job.state, decided.reason) == ("running", "nothing_measured")
    job, decided = world.do(samples.rejudge, bad.job_id, world.judge, world.now, apply=True)
    assert (job.state, decided.action) == ("pruned", "prune")
    assert world.look(samples.running, race.id) == [idle.job_id]
    with unchanged(LeaseLost):
        world.write(bad, (100, 2.0))
    assert world.do(samples.rejudge, bad.job_id, world.judge, world.now, apply=True)[1].reason == "not_running"


def test_decisions_come_latest_first_with_their_numbers(world, ticket):
    world.write(ticket, (50, 7.5))
    (decision,) = world.look(samples.decisions, job_id=ticket.job_id)
    assert (decision.action, decision.reason, decision.numbers) == ("prune", "above_7", {"bpb": 7.5})
    race = world.race("other", seeds=(1,), eta=2, quorum=1)
    world.run_recipe(race, "x", [2.0])
    world.run_recipe(race, "y", [1.0])
    world.write(world.claim_one(race_id=race.id), (1, 7.5))
    found = world.look(samples.decisions, race_id=race.id)
    assert [(one.recipe_digest, one.rung, one.action) for one in found] == [("y", 1, "prune"), ("y", 0, "promote")]
    assert len(world.look(samples.decisions, race_id=race.id, limit=1)) == 1


def test_a_claim_with_the_checkpoint_of_a_measured_sample_at_another_step_is_refused(world, unchanged):
    world.submit(world.race(seeds=(1,)))
    ticket = world.claim_one()
    world.write(ticket, (2, 3.0))
    with unchanged(InvalidStep, "of step 2, the sample of step 14"):
        world.write(ticket, (14, 3.0), provenance="claimed")


def test_a_writer_that_waited_for_another_sees_what_the_other_stored(world, ticket):
    """The second of two equal writes waits for the first one's lock, and finds its sample although it began before."""
    world.do(artifacts.record, "chk", "checkpoint", 1, world.now)
    batch = world.batch(ticket, (50, 3.0))
    with ThreadPoolExecutor(1) as pool:
        with world.store.transaction() as session:
            first = samples.write(session, batch, world.judge, world.now)
            second = pool.submit(world.do, samples.write, batch, world.judge, world.now)
            until_somebody_waits(world)
        found = second.result()
    assert (first.stored, found.stored, found.duplicates, found.ema) == (1, 0, 1, 3.0)


def until_somebody_waits(world):
    """Look until another transaction waits for a lock; SQLite does not tell, there the other cannot even begin."""
    if world.store.engine.dialect.name == "sqlite":
        return
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with world.store.reading() as session:
            if run(session, text(waiting)).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waited")
