from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from db import leases
from db.leases import NEVER, LeaseView, next_lease

START = datetime(2030, 1, 1, tzinfo=UTC)
FREE = LeaseView(name="clock", holder="", fence=0, expires_at=NEVER)
STEPS = st.lists(
    st.tuples(st.sampled_from(["ann", "bob", "eve"]), st.floats(0, 20), st.sampled_from(["take", "give back"])),
    max_size=40,
)


@given(STEPS, st.floats(0.1, 15))
def test_one_at_most_leads_each_leader_has_a_greater_fence_and_a_free_lease_is_taken_by_whoever_comes(steps, seconds):
    row, now, believed = FREE, START, {}
    for holder, passes, what in steps:
        now += timedelta(seconds=passes)
        free_before, fence_before = row.expires_at <= now, row.fence
        if what == "take":
            got = next_lease(row, holder, now, seconds)
            assert (got is None) == (not free_before and row.holder != holder)
            if got is None:
                believed.pop(holder, None)
            else:
                assert got.fence == fence_before + free_before and got.holder == holder
                assert got.expires_at >= now + timedelta(seconds=seconds) and got.name == row.name
                believed[holder] = row = got
        elif holder in believed and believed[holder].fence == row.fence and not free_before:
            row = replace(row, expires_at=now)
            del believed[holder]
        leading = [one for one in believed.values() if one.expires_at > now]
        assert len(leading) <= 1
        assert all(one.fence == row.fence for one in leading)


def test_a_lease_is_held_by_one_until_it_ends_or_is_given_back(world):
    def take(holder, after=0.0):
        return world.do(leases.take, "clock", holder, START + timedelta(seconds=after), 15)

    assert world.look(leases.look, "clock") is None
    first = take("ann")
    assert (first.holder, first.fence, first.expires_at) == ("ann", 1, START + timedelta(seconds=15))
    assert take("bob", 14) is None
    renewed = take("ann", 14)
    assert (renewed.fence, renewed.expires_at) == (1, START + timedelta(seconds=29))
    assert take("bob", 28) is None and take("bob", 29).fence == 2
    world.do(leases.give_back, renewed, START + timedelta(seconds=30))
    assert world.look(leases.look, "clock").holder == "bob", "who holds it no more gives nothing back"
    world.do(leases.give_back, take("bob", 31), START + timedelta(seconds=32))
    assert take("ann", 32).fence == 3
    assert take("other", 32) is None
    assert world.do(leases.take, "another lease", "other", START, 15).fence == 1
