"""A claim belongs to the principal that made it: others are refused though they know the fence."""

import pytest

from db import chunks, queue, samples
from db.jobs import LeaseLost, NotYourClaim

LEASE = 60.0


@pytest.fixture
def claimed(world):
    """A ticket of ann's."""
    world.submit(world.race(seeds=(1,)))
    (ticket,) = world.do(
        queue.claim, worker="w", now=world.now, lease_seconds=LEASE, judge=world.judge, claimed_by="ann"
    )
    return ticket


def uses(world, ticket, owner):
    """Each thing that a holder may do, as that principal."""
    held = (ticket.job_id, ticket.fence)
    batch = world.batch(ticket, (50, 3.0), provenance="claimed", checkpoint=None, owner=owner)
    return [
        lambda: world.do(queue.heartbeat, *held, world.now, LEASE, owner),
        lambda: world.do(samples.write, batch, world.judge, world.now),
        lambda: world.do(chunks.request, *held, None, world.now, LEASE, owner),
        lambda: world.do(queue.release, *held, world.now, "", owner),
    ]


@pytest.mark.parametrize("what", range(4))
def test_another_principal_cannot_use_a_claim_and_changes_nothing(world, claimed, unchanged, what):
    with unchanged(NotYourClaim):
        uses(world, claimed, "bob")[what]()
    uses(world, claimed, "ann")[what]()


@pytest.mark.parametrize("what", range(4))
def test_an_operator_may_use_every_claim(world, claimed, what):
    uses(world, claimed, None)[what]()


def test_a_claim_of_nobody_is_open_to_whoever_knows_the_fence(world):
    world.submit(world.race(seeds=(1,)))
    for use in uses(world, world.claim_one(), "bob"):
        use()


def test_a_wrong_fence_is_a_lost_lease_whoever_sends_it(world, claimed, unchanged):
    with unchanged(LeaseLost):
        world.do(queue.heartbeat, claimed.job_id, claimed.fence + 1, world.now, LEASE, "bob")


def test_the_next_holder_is_the_owner_of_its_own_claim(world, claimed):
    world.do(queue.release, claimed.job_id, claimed.fence, world.now, "", "ann")
    (ticket,) = world.do(
        queue.claim, worker="v", now=world.now, lease_seconds=LEASE, judge=world.judge, claimed_by="bob"
    )
    world.do(queue.heartbeat, ticket.job_id, ticket.fence, world.now, LEASE, "bob")


def test_the_answer_of_a_chunk_is_given_to_its_owner_only(world, claimed, unchanged):
    asked = world.do(chunks.request, claimed.job_id, claimed.fence, None, world.now, LEASE, "ann")
    leased = world.do(chunks.lease, "engine", world.now, LEASE)
    world.finish(claimed, 2.0)
    world.do(chunks.finish, asked.id, leased.fence, {"a": 1}, world.now)
    assert world.do(chunks.request, claimed.job_id, claimed.fence, None, world.now, LEASE, "ann").result == {"a": 1}
    with unchanged(NotYourClaim):
        world.do(chunks.request, claimed.job_id, claimed.fence, None, world.now, LEASE, "bob")
