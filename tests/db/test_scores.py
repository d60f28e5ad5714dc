from hypothesis import given
from hypothesis import strategies as st

from db import scores
from db.scores import TOLERANCE, differs

BPBS = st.floats(0.5, 8.0)


@given(BPBS, BPBS)
def test_within_one_environment_a_single_bit_makes_a_claim_wrong(claimed, measured):
    assert differs(claimed, measured, same_environment=True) == (claimed != measured)


@given(BPBS, st.floats(-0.5, 0.5))
def test_elsewhere_only_more_than_the_tolerance_does(measured, by):
    assert differs(measured + by, measured, same_environment=False) == (abs(measured + by - measured) > TOLERANCE)


def test_scores_are_leased_oldest_first_and_once(world):
    world.submit(world.race(seeds=(1, 2)))
    for ticket in world.claim(n=2):
        world.write(ticket, (50, 3.0), provenance="claimed")
        world.do(scores.request, ticket.job_id, 50, "chk", world.now)
        world.wait(1)
    first = world.do(scores.lease, "s1", world.now, 10)
    second = world.do(scores.lease, "s2", world.now, 10)
    assert world.do(scores.lease, "s3", world.now, 10) is None
    assert first.job_id != second.job_id
    assert (first.step, first.claimed.bpb, first.corpus) == (50, 3.0, "c" * 64)
    world.wait(8)
    world.do(scores.renew, first, world.now, 10)
    world.wait(8)
    assert world.do(scores.lease, "s3", world.now, 10).job_id == second.job_id


def test_a_measured_sample_or_one_without_a_checkpoint_is_not_asked_for(world):
    world.submit(world.race(seeds=(1, 2)))
    measured, bare = world.claim(n=2)
    world.write(measured, (50, 3.0))
    world.write(bare, (50, 3.0), provenance="claimed", checkpoint=None)
    for ticket in (measured, bare):
        world.do(scores.request, ticket.job_id, 50, "chk", world.now)
    assert not world.look(scores.waiting, world.now)
