import threading
from math import fsum, sqrt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from db import queue, samples
from db.rungs import mean_and_sd
from db.store import run
from db.tables import STANDING


def standings(world):
    with world.store.reading() as session:
        return run(session, select(STANDING).order_by(STANDING.c.rung, STANDING.c.recipe_digest)).all()


def queued_at(world, race, rung):
    return [job for job in world.look(queue.jobs, race.id, 1000) if job.rung == rung]


def promoted(world, race):
    found = world.look(samples.decisions, race_id=race.id, limit=1000)
    return sorted((one.rung, one.recipe_digest) for one in found if one.action == "promote")


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=9))
def test_mean_and_deviation_do_not_depend_on_the_order_of_the_seeds(values):
    mean, sd = mean_and_sd(values)
    assert (mean, sd) == mean_and_sd(values[::-1])
    assert mean == fsum(values) / len(values)
    assert min(values) - 1e-9 <= mean <= max(values) + 1e-9
    assert sd >= 0 and (len(values) > 1 or sd == 0)


def test_a_deviation_divides_by_one_less_than_the_seeds():
    assert mean_and_sd([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert mean_and_sd([1.0, 2.0]) == (1.5, sqrt(0.5))


def test_a_recipe_has_a_standing_when_all_its_seeds_are_done(world):
    race = world.race(seeds=(11, 5))
    world.submit(race)
    first, second = sorted(world.claim(n=2), key=lambda ticket: ticket.seed)
    assert world.finish(first, 2.0).state == "done"
    assert standings(world) == []
    world.finish(second, 3.0)
    (one,) = standings(world)
    assert (one.mean, one.n, one.provenance, one.bpbs, one.promoted) == (2.5, 2, "measured", [3.0, 2.0], False)


def test_the_best_third_moves_up_when_the_quorum_is_through(world):
    race = world.race()
    for digest, bpb in (("a", 3.0), ("b", 2.0)):
        world.run_recipe(race, digest, [bpb, bpb])
    assert promoted(world, race) == []
    world.run_recipe(race, "c", [4.0, 4.0])
    assert promoted(world, race) == [(0, "b")]
    jobs = queued_at(world, race, 1)
    assert [(job.recipe_digest, job.seed, job.state, job.priority) for job in jobs] == [
        ("b", seed, "queued", 51) for seed in (job.seed for job in jobs)
    ]
    assert sorted(job.seed for job in jobs) == [5, 11]
    assert {job.total_steps for job in jobs} == {300}
    assert [one.promoted for one in standings(world)] == [False, True, False]


def test_a_promotion_is_kept_with_its_numbers(world):
    race = world.race(seeds=(1,), quorum=1, eta=2)
    world.run_recipe(race, "a", [3.0])
    world.run_recipe(race, "b", [2.0])
    decision = world.look(samples.decisions, race_id=race.id)[0]
    assert (decision.action, decision.reason, decision.recipe_digest, decision.numbers, decision.job_id) == (
        "promote", "top", "b", {"mean": 2.0}, None,
    )  # fmt: skip
    winner, loser = sorted(queued_at(world, race, 0), key=lambda job: job.recipe_digest, reverse=True)
    assert world.look(samples.decisions, job_id=winner.id) == [decision]
    assert world.look(samples.decisions, job_id=loser.id) == []


def test_a_late_finisher_may_move_up_and_nobody_moves_up_twice(world):
    race = world.race(seeds=(1,))
    tickets = {}
    for digest in "abcdef":
        world.submit(race, digest)
        tickets[digest] = world.claim_one()
    for digest, bpb in zip("abcdef", (3.0, 3.1, 3.2, 3.3, 3.4, 1.0), strict=True):
        world.finish(tickets[digest], bpb)
    assert promoted(world, race) == [(0, "a"), (0, "f")]
    assert len(queued_at(world, race, 1)) == 2


def test_the_judge_sees_who_is_through_and_who_is_not(world):
    race = world.race(seeds=(1,), quorum=4)
    for digest in ("b", "a", "c"):
        world.submit(race, digest)
    tickets = {ticket.recipe_digest: ticket for ticket in world.claim(n=3)}
    world.finish(tickets["b"], 3.0)
    world.write(tickets["a"], (50, 7.5))
    facts = world.judge.rung_facts[-1]
    assert [(one.recipe_digest, one.mean, one.n, one.promoted) for one in facts.finished] == [
        ("a", None, 0, False),
        ("b", 3.0, 1, False),
    ]
    assert (facts.rung, facts.last_rung, facts.unfinished, facts.eta, facts.quorum) == (0, False, 1, 3, 4)


def test_a_stopped_seed_loses_its_recipe_and_may_complete_the_rung(world):
    race = world.race()
    for digest, bpb in (("a", 3.0), ("b", 2.0)):
        world.run_recipe(race, digest, [bpb, bpb])
    world.submit(race, "bad")
    world.write(world.claim_one(), (50, 7.5))
    states = sorted(job.state for job in world.look(queue.jobs, race.id) if job.recipe_digest == "bad")
    assert states == ["cancelled", "pruned"]
    assert promoted(world, race) == [(0, "b")]
    assert [(one.recipe_digest, one.mean) for one in standings(world) if one.rung == 0][-1] == ("bad", None)


@pytest.mark.parametrize("end", ["fail", "cancel", "exhaust"])
def test_a_failed_cancelled_or_hopeless_seed_may_complete_the_rung_too(world, end):
    race = world.race(seeds=(1,))
    world.run_recipe(race, "a", [3.0])
    world.run_recipe(race, "b", [2.0])
    (job,) = world.submit(race, "bad")
    if end == "cancel":
        world.do(queue.cancel, job.id, world.now, "not wanted", judge=world.judge)
    elif end == "fail":
        ticket = world.claim_one()
        world.do(queue.fail, job.id, ticket.fence, world.now, "out of memory", judge=world.judge)
    else:
        for _ in range(queue.MAX_ATTEMPTS):
            world.claim()
            world.wait(61)
        assert world.claim_one().recipe_digest == "b"
    assert promoted(world, race) == [(0, "b")]


def test_a_lost_recipe_stays_lost_when_its_other_seed_finishes(world):
    race = world.race()
    world.submit(race)
    first, second = world.claim(n=2)
    world.write(first, (50, 7.5))
    assert world.finish(second, 1.0).state == "done"
    assert [one.mean for one in standings(world)] == [None]
    assert world.board(race).rows == ()


def test_claimed_numbers_have_a_standing_of_their_own_and_move_nobody_up(world):
    race = world.race(seeds=(1,), quorum=1, eta=2)
    for digest, bpb in (("x", 3.0), ("y", 1.0)):
        world.run_recipe(race, digest, [bpb], provenance="claimed")
    assert [(one.provenance, one.mean) for one in standings(world)] == [("claimed", 3.0), ("claimed", 1.0)]
    assert (promoted(world, race), world.judge.rung_facts) == ([], [])
    world.run_recipe(race, "z", [2.0])
    assert [one.recipe_digest for one in world.judge.rung_facts[-1].finished] == ["z"]


def test_seeds_of_mixed_provenance_have_no_standing_until_all_are_measured(world):
    race = world.race(quorum=1)
    world.submit(race)
    first, second = world.claim(n=2)
    world.finish(first, 2.0)
    world.finish(second, 3.0, provenance="claimed")
    assert standings(world) == []
    world.finish(second, 3.1)
    (one,) = standings(world)
    assert (one.provenance, one.mean) == ("measured", 2.55)
    assert world.job(second.job_id).final_bpb == 3.1


def test_a_measured_standing_takes_the_place_of_a_claimed_one(world):
    race = world.race(seeds=(1,))
    world.submit(race)
    ticket = world.claim_one()
    world.finish(ticket, 1.0, provenance="claimed")
    written = world.finish(ticket, 2.0)
    assert (written.state, written.stored, written.provenance, written.decision.numbers) == (
        "done",
        1,
        "measured",
        {"bpb": 2.0},
    )
    assert [(one.provenance, one.mean) for one in standings(world)] == [("measured", 2.0)]


def test_the_last_rung_promotes_nobody(world):
    race = world.race(seeds=(1,), rungs=((1, 1),), chunks=(2,), quorum=1)
    for digest, bpb in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        world.run_recipe(race, digest, [bpb])
    assert world.judge.rung_facts[-1].last_rung and promoted(world, race) == []


def test_two_seeds_that_finish_at_the_same_moment_make_one_standing(world):
    race = world.race(seeds=tuple(range(8)))
    world.submit(race)
    tickets = world.claim(n=8)
    threads = [threading.Thread(target=world.finish, args=(ticket, 2.0)) for ticket in tickets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(one.mean, one.n) for one in standings(world)] == [(2.0, 8)]


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(order=st.permutations("abcdefghi"), stopped=st.sets(st.sampled_from("abcdefghi"), max_size=4))
def test_with_a_full_quorum_the_promoted_do_not_depend_on_the_order_of_finishing(new_world, order, stopped):
    world = new_world()
    race = world.race(seeds=(1,), quorum=9)
    tickets = {}
    for digest in "abcdefghi":
        world.submit(race, digest)
        tickets[digest] = world.claim_one()
    for digest in order:
        world.write(tickets[digest], (50, 7.5)) if digest in stopped else world.finish(
            tickets[digest], 1 + ord(digest) / 100
        )
    best = [digest for digest in "abcdefghi" if digest not in stopped][:3]
    assert promoted(world, race) == [(0, digest) for digest in best]


def play(world, race, bpb):
    """Work until the queue of a race is empty."""
    while True:
        try:
            tickets = world.claim(race_id=race.id, n=64)
        except queue.QueueEmpty:
            return
        for ticket in tickets:
            value = bpb(ticket)
            for step in range(ticket.steps, ticket.total_steps + 1, ticket.steps):
                world.write(ticket, (step, value))


def test_a_whole_race_ends_with_one_recipe_at_the_top(world):
    race = world.race(quorum=9)
    for digest in "abcdefghi":
        world.submit(race, digest)
    play(world, race, lambda ticket: 2 + ord(ticket.recipe_digest) / 1000 + ticket.seed / 1e6 - ticket.rung / 10)
    board = world.board(race).rows
    assert [(row.recipe, row.rung) for row in board[:4]] == [("a", 2), ("b", 1), ("c", 1), ("d", 0)]
    assert [row.rank for row in board] == list(range(1, 10))
    assert promoted(world, race) == [(0, "a"), (0, "b"), (0, "c"), (1, "a")]
    assert world.look(queue.counts, race.id) == {"done": 9 * 2 + 3 * 2 + 2}


@pytest.mark.parametrize("claimer", "abc")
def test_a_claim_that_nobody_can_measure_does_not_hold_the_rung_up(world, claimer):
    race = world.race()
    for digest, bpb in (("a", 3.0), ("b", 2.0), ("c", 4.0)):
        claim = {"provenance": "claimed", "checkpoint": None} if digest == claimer else {}
        world.run_recipe(race, digest, [bpb, bpb], **claim)
    assert promoted(world, race) == [(0, "a" if claimer == "b" else "b")]
    assert [one.mean for one in world.judge.rung_facts[-1].finished if one.recipe_digest == claimer] == [None]


def test_one_claimed_seed_does_not_hold_the_rung_up(world):
    race = world.race()
    for digest, bpb in (("a", 3.0), ("b", 2.0)):
        world.run_recipe(race, digest, [bpb, bpb])
    world.submit(race, "c")
    first, second = world.claim(n=2)
    world.finish(first, 1.0, provenance="claimed", checkpoint=None)
    world.finish(second, 1.0)
    assert promoted(world, race) == [(0, "b")]


def test_a_claim_that_waits_for_a_scorer_is_not_through(world):
    race = world.race(seeds=(1,))
    world.run_recipe(race, "a", [3.0])
    world.run_recipe(race, "b", [2.0])
    world.submit(race, "c")
    ticket = world.claim_one()
    world.finish(ticket, 1.0, provenance="claimed")
    assert promoted(world, race) == []
    world.finish(ticket, 1.0)
    assert promoted(world, race) == [(0, "c")]
