"""What the processes count: exact, told after the commit only, and added up by one statement for each number."""

from collections import Counter
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import chunks, fleet, meters, workers
from db.fleet import OTHERS, named
from db.meters import KINDS, QUICK, SLOW, SUM, Meters, bucket
from db.store import Answer

NAMES = [name for name, kind in KINDS.items() if not kind.buckets]


def total(world):
    return {(name, *sorted(labels.items())): value for name, labels, value in world.look(meters.totals)}


def test_what_two_processes_count_at_once_is_added_up(world):
    parts = [Meters(), Meters()]

    def count(part):
        for number in range(40):
            part.add("decisions", action="promote" if number % 4 else "prune")
            part.observe("chunk_seconds", 0.25 * number, outcome="done")
            if number % 7 == 0:
                part.flush(world.store)
        part.flush(world.store)

    threads = [Thread(target=count, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = total(world)
    assert found["decisions", ("action", "promote")] == 60
    assert found["decisions", ("action", "prune")] == 20
    times = {key[1][1]: value for key, value in found.items() if key[0] == "chunk_seconds"}
    assert times.pop(SUM) == pytest.approx(2 * 0.25 * sum(range(40)))
    assert times == {"0.1": 2, "0.5": 4, "1.0": 4, "2.5": 12, "5.0": 20, "10.0": 38}


def test_a_transaction_that_is_rolled_back_counts_nothing_and_an_answer_counts(world):
    def failing(session, error):
        session.count("samples_stored", 3, provenance="measured")
        raise error

    with pytest.raises(ZeroDivisionError):
        world.do(failing, ZeroDivisionError())
    assert world.store.meters.taken() == {}
    with pytest.raises(Answer):
        world.do(failing, Answer("told"))
    assert world.store.meters.taken() == {("samples_stored", (("provenance", "measured"),)): 3}


def test_what_could_not_be_added_is_kept(world, monkeypatch):
    counting = Meters()
    counting.add("decisions", 2, action="fail")
    with monkeypatch.context() as patch:
        patch.setattr(meters, "add", None)
        with pytest.raises(TypeError):
            counting.flush(world.store)
    counting.add("decisions", action="fail")
    counting.flush(world.store)
    assert total(world) == {("decisions", ("action", "fail")): 3}


@given(st.sampled_from([QUICK, SLOW]), st.floats(0, 1e5))
def test_a_time_falls_into_the_first_bucket_that_holds_it(ends, seconds):
    found = bucket(ends, seconds)
    assert found == next((repr(end) for end in ends if seconds <= end), "+Inf")


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 9), st.sampled_from("abc"))))
def test_counts_are_sums_in_whatever_order_they_come(counted):
    together, apart = Meters(), Counter()
    together.merge([(name, float(amount), {KINDS[name].labels[0]: value}) for name, amount, value in counted])
    for name, amount, value in counted:
        apart[name, ((KINDS[name].labels[0], value),)] += amount
    assert together.taken() == apart
    assert together.taken() == {}


COUNTS = st.dictionaries(
    st.from_regex(r"[a-z]{1,3}", fullmatch=True),
    st.dictionaries(st.sampled_from(["queued", "running"]), st.integers(0, 9)),
)


@given(COUNTS, st.integers(1, 5))
def test_no_open_job_is_left_out_however_many_races_there_are(counted, most):
    found = named(counted, most)
    for state in ("queued", "running"):
        assert sum(n for (_, s), n in found.items() if s == state) == sum(c.get(state, 0) for c in counted.values())
    assert len({race for race, _ in found}) <= most + 1
    kept = {race for race, _ in found} - {OTHERS}
    least = min((sum(counted[race].values()) for race in kept), default=0)
    assert all(sum(counted[race].values()) <= least for race in counted.keys() - kept)


def test_the_work_of_a_race_is_counted_as_it_goes(world):
    race = world.race(seeds=(1, 2))
    world.submit(race, "a")
    waiting = world.look(fleet.fleet, world.now, 60.0)
    assert waiting.jobs == {("r", "queued"): 2, ("r", "running"): 0}
    assert (waiting.requests, waiting.oldest_seconds) == ({"queued": 0, "leased": 0}, 0.0)
    world.wait(3)
    ticket = world.claim_one()
    world.do(chunks.request, ticket.job_id, ticket.fence, 10, world.now)
    world.do(workers.seen, "e", "engine", world.now)
    world.wait(2)
    asked = world.look(fleet.fleet, world.now, 60.0)
    assert asked.jobs == {("r", "queued"): 1, ("r", "running"): 1}
    assert (asked.requests, asked.oldest_seconds) == ({"queued": 1, "leased": 0}, 2.0)
    assert asked.processes == {"engine": 1}
    world.do(chunks.lease, "e", world.now, 5.0)
    world.wait(6)
    world.do(chunks.lease, "another", world.now, 5.0)
    world.finish(ticket, 2.0)
    world.finish(ticket, 2.0)
    world.store.meters.flush(world.store)
    counted = {key: value for key, value in total(world).items() if SUM not in str(key)}
    assert counted == {
        ("job_wait_seconds", ("le", "5.0")): 1, ("chunk_wait_seconds", ("le", "2.5")): 1,
        ("leases_lost", ("kind", "chunk")): 1, ("samples_stored", ("provenance", "measured")): 1,
        ("decisions", ("action", "done")): 1,
    }  # fmt: skip
