import pytest

from db import chunks, queue
from db.chunks import MOST_DELIVERIES
from db.jobs import LeaseLost
from errors import UnknownName


@pytest.fixture
def ticket(world):
    world.submit(world.race(seeds=(1,)))
    return world.claim_one()


def ask(world, ticket, steps=None):
    return world.do(chunks.request, ticket.job_id, ticket.fence, steps, world.now)


def lease(world, engine="e1", seconds=20):
    return world.do(chunks.lease, engine, world.now, seconds)


def get(world, request):
    return world.look(chunks.get, request.id)


def test_a_request_is_leased_answered_and_read(world, ticket):
    asked = ask(world, ticket, 25)
    assert (asked.state, asked.steps, asked.job_fence, asked.fence) == ("queued", 25, ticket.fence, 0)
    leased = lease(world)
    assert (leased.id, leased.state, leased.engine, leased.fence) == (asked.id, "leased", "e1", 1)
    assert world.look(chunks.under_way) == 1
    world.do(chunks.finish, leased.id, leased.fence, {"bpb": 2.5, "steps": [1, 2]}, world.now)
    done = get(world, asked)
    assert (done.state, done.result, done.finished_at) == ("done", {"bpb": 2.5, "steps": [1, 2]}, world.now)
    assert (lease(world), world.look(chunks.under_way), world.look(chunks.is_idle)) == (None, 0, True)


def test_asking_again_waits_for_the_same_chunk(world, ticket):
    first = ask(world, ticket)
    assert not world.look(chunks.is_idle)
    lease(world)
    assert ask(world, ticket, 7).id == first.id
    world.do(chunks.finish, first.id, 1, {}, world.now)
    assert ask(world, ticket).id != first.id


def test_only_the_holder_may_ask(world, ticket, unchanged):
    with unchanged(LeaseLost):
        world.do(chunks.request, ticket.job_id, ticket.fence + 1, None, world.now)
    with unchanged(UnknownName):
        world.do(chunks.request, "nobody", 1, None, world.now)


def test_requests_are_taken_oldest_first_and_each_by_one_engine(world):
    world.submit(world.race(seeds=(1, 2)))
    tickets = world.claim(n=2)
    asked = []
    for one in tickets:
        asked.append(ask(world, one).id)
        world.wait(1)
    assert [lease(world, "e1").id, lease(world, "e2").id] == asked
    assert lease(world, "e3") is None


def test_a_request_is_free_again_when_its_engine_has_gone_silent(world, ticket, unchanged):
    ask(world, ticket)
    old = lease(world, "e1")
    world.wait(20)
    assert lease(world, "e2") is None
    world.wait(1)
    new = lease(world, "e2")
    assert (new.id, new.fence) == (old.id, 2)
    for late in (
        lambda: world.do(chunks.finish, old.id, old.fence, {}, world.now),
        lambda: world.do(chunks.fail, old.id, old.fence, "x", "y", world.now),
        lambda: world.do(chunks.renew, old.id, old.fence, world.now, 20),
    ):
        with unchanged(LeaseLost, "fence 2; the call has fence 1"):
            late()


def test_an_engine_that_comes_back_under_its_name_takes_its_request_up_at_once(world, ticket):
    ask(world, ticket)
    before = lease(world, "e1")
    after = lease(world, "e1")
    assert (after.id, after.fence) == (before.id, before.fence + 1)


def test_a_request_that_engines_die_over_fails(world, ticket):
    asked = ask(world, ticket)
    for _ in range(MOST_DELIVERIES + 1):
        assert lease(world).id == asked.id
    assert lease(world) is None
    failed = get(world, asked)
    assert (failed.state, failed.error_code, failed.error) == (
        "failed",
        "engine_failed",
        "6 engines died over this chunk.",
    )


def test_a_request_whose_job_has_another_holder_fails_on_the_way(world, ticket):
    stale = ask(world, ticket)
    world.wait(61)
    wanted = ask(world, world.claim_one())
    assert lease(world).id == wanted.id
    failed = get(world, stale)
    assert (failed.state, failed.error_code) == ("failed", "lease_lost")


def test_a_request_of_a_job_that_was_given_back_fails_on_the_way(world, ticket):
    stale = ask(world, ticket)
    world.do(queue.release, ticket.job_id, ticket.fence, world.now, "")
    assert lease(world) is None
    assert get(world, stale).error_code == "lease_lost"


def test_renewing_keeps_the_request_and_the_job(world, ticket):
    ask(world, ticket)
    leased = lease(world)
    world.wait(15)
    renewed = world.do(chunks.renew, leased.id, leased.fence, world.now, 20, job_lease_seconds=60)
    assert (renewed.lease_expires_at - world.now).total_seconds() == 20
    assert (world.job(ticket.job_id).lease_expires_at - world.now).total_seconds() == 60


def test_an_engine_learns_from_renewing_that_the_job_is_lost(world, ticket, unchanged):
    ask(world, ticket)
    leased = lease(world, seconds=1000)
    world.wait(61)
    world.claim()
    with unchanged(LeaseLost):
        world.do(chunks.renew, leased.id, leased.fence, world.now, 20)


def test_a_refusal_is_an_answer(world, ticket):
    ask(world, ticket)
    leased = lease(world)
    world.do(chunks.fail, leased.id, leased.fence, "checkpoint_corrupt", "It is cut short.", world.now)
    failed = get(world, leased)
    assert (failed.state, failed.error_code, failed.error) == ("failed", "checkpoint_corrupt", "It is cut short.")


def test_an_answer_is_given_once(world, ticket, unchanged):
    ask(world, ticket)
    leased = lease(world)
    world.do(chunks.finish, leased.id, leased.fence, {}, world.now)
    with unchanged(LeaseLost, "done"):
        world.do(chunks.finish, leased.id, leased.fence, {"other": 1}, world.now)


def test_an_unknown_request_is_refused(world):
    with pytest.raises(UnknownName):
        world.look(chunks.get, "nothing")
    with pytest.raises(UnknownName):
        world.do(chunks.finish, "nothing", 1, {}, world.now)


def test_asking_renews_the_lease_of_the_job(world, ticket):
    world.wait(50)
    world.do(chunks.request, ticket.job_id, ticket.fence, None, world.now, 60)
    assert (world.job(ticket.job_id).lease_expires_at - world.now).total_seconds() == 60


def test_asking_again_after_the_last_chunk_gives_its_answer(world, ticket, unchanged):
    asked = ask(world, ticket)
    leased = lease(world)
    world.finish(ticket, 2.0)
    world.do(chunks.finish, asked.id, leased.fence, {"bpb": 2.0}, world.now)
    assert ask(world, ticket).result == {"bpb": 2.0}
    with unchanged(LeaseLost):
        world.do(chunks.request, ticket.job_id, ticket.fence + 1, None, world.now)
