import base64
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from db import leaderboard, queue
from db.leaderboard import InvalidCursor, best, decode, leader
from db.results import results
from errors import InvalidValue


@pytest.fixture
def race(world):
    return world.race(seeds=(7, 3), rungs=((1, 3), (1, 1)), chunks=(1, 1), quorum=100)


def test_a_row_says_what_it_ranks_by_and_how_sure_it_is(world, race):
    world.run_recipe(race, "a", [2.0, 3.0])
    (row,) = world.board(race).rows
    assert (row.rank, row.name, row.recipe, row.rung, row.rungs) == (1, "recipe a", "a", 0, 2)
    assert (row.seeds, row.values) == ((7, 3), (2.0, 3.0))
    assert (row.mean, row.bpb, row.n, row.sd) == (2.5, 2.5, 2, pytest.approx(0.5**0.5))
    assert (row.provenance, row.corpus) == ("measured", "c" * 64)


def test_lower_is_better_and_equal_means_go_by_digest(world, race):
    for digest, bpb in (("d", 2.0), ("b", 2.0), ("c", 1.0), ("a", 3.0)):
        world.run_recipe(race, digest, [bpb, bpb])
    assert [(row.rank, row.recipe) for row in world.board(race).rows] == [(1, "c"), (2, "b"), (3, "d"), (4, "a")]
    assert world.look(leader, race.id) == "c"


def test_a_higher_rung_ranks_first_and_a_recipe_stands_on_its_highest_only(world):
    race = world.race(seeds=(1,), rungs=((1, 3), (1, 1)), chunks=(1, 1), quorum=1, eta=2)
    world.run_recipe(race, "first", [2.0])
    world.run_recipe(race, "second", [1.9])
    assert [row.recipe for row in world.board(race).rows] == ["second", "first"]
    world.finish(world.claim_one(race_id=race.id), 2.5)
    assert [(row.recipe, row.rung, row.mean) for row in world.board(race).rows] == [
        ("second", 1, 2.5),
        ("first", 0, 2.0),
    ]


def test_a_recipe_that_is_lost_higher_up_keeps_its_place_below(world):
    race = world.race(seeds=(1,), rungs=((1, 3), (1, 1)), chunks=(2, 2), quorum=1, eta=2)
    world.run_recipe(race, "first", [2.0])
    world.run_recipe(race, "second", [1.9])
    world.write(world.claim_one(race_id=race.id), (1, 7.5))
    assert [(row.recipe, row.rung) for row in world.board(race).rows] == [("second", 0), ("first", 0)]


def test_claimed_measured_and_verified_numbers_are_never_on_one_board(world, race):
    world.run_recipe(race, "claims", [0.5, 0.5], provenance="claimed")
    world.run_recipe(race, "measured", [2.0, 2.0])
    assert [row.recipe for row in world.board(race).rows] == ["measured"]
    assert [row.recipe for row in world.board(race, provenance="claimed").rows] == ["claims"]
    assert world.board(race, provenance="verified").rows == ()


def test_races_do_not_mix(world, race):
    world.run_recipe(race, "a", [2.0, 2.0])
    assert world.board(world.race("other")).rows == ()
    assert world.look(leader, world.race("other").id) is None


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(bpbs=st.lists(st.floats(0.3, 6.9), min_size=1, max_size=7), limit=st.integers(1, 8))
def test_the_pages_together_are_the_whole_board_and_come_to_an_end(new_world, bpbs, limit):
    world = new_world()
    race = world.race(seeds=(1,), quorum=100)
    for i, bpb in enumerate(bpbs):
        world.run_recipe(race, f"{i:064x}", [bpb])
    whole = world.board(race, limit=100)
    assert whole.next_cursor is None and len(whole.rows) == len(bpbs)
    paged, cursor = [], None
    for _ in range(-(-len(bpbs) // limit)):
        page = world.board(race, limit=limit, cursor=cursor)
        paged += page.rows
        cursor = page.next_cursor
    assert cursor is None
    assert tuple(paged) == whole.rows


def word(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@given(st.text() | st.builds(word, st.none() | st.integers() | st.lists(st.floats() | st.integers() | st.text())))
@example(word([1, 0, 1.0, "\ud800"]))
@example(word([1, 0, 1.0, "a" * 64 + "\n"]))
@example(word([1, 0, float("nan"), "a"]))
@example(word([1, 0, 1e400, "a"]))
@example(word([1, 0, 2, "a"]))
@example(word([True, 0, 2.0, "a"]))
@example(word([0, 0, 2.0, "a"]))
@example(word([2**40, 0, 2.0, "a"]))
@example(word([1, 2**40, 2.0, "a"]))
@example("=" * 7)
@example("[" * 100_000)
@example(base64.urlsafe_b64encode(b"[" * 100_000).decode())
def test_a_cursor_that_no_page_gave_is_refused(cursor):
    with pytest.raises(InvalidCursor):
        decode(cursor)


def test_a_page_holds_at_least_one_row(world, race):
    with pytest.raises(InvalidValue):
        world.board(race, limit=0)


def told(share, **more):
    return {"weights": {"format": "bf16", "values": 100, "share": share, "distinct": 7, **more}}


def test_what_rounding_did_stands_with_every_sample_and_its_mean_over_the_seeds_on_the_board(world, sample_of):
    race = world.race(seeds=(1, 2), rungs=((1, 1),), chunks=(1,))
    jobs = world.submit(race, "a")
    tickets = {ticket.job_id: ticket for ticket in world.claim(n=2)}
    for job, share in zip(jobs, (0.5, 0.25), strict=True):
        one = replace(sample_of(50, 2.5), quantized=told(0.125))
        world.write(tickets[job.id], one)
        last = replace(sample_of(job.total_steps, 2.0), quantized=told(share, **({"zero": 0.0} if share > 0.3 else {})))
        world.write(tickets[job.id], last)
    assert [one.quantized for one in world.curve(jobs[0].id)] == [told(0.125), told(0.5, zero=0.0)]
    (row,) = world.board(race).rows
    assert row.quantized == told(0.375)


def test_without_formats_nothing_is_told_of_rounding(world):
    race = world.race(seeds=(1,))
    world.run_recipe(race, "a", [2.0])
    assert [row.quantized for row in world.board(race).rows] == [None]


def test_results_have_every_recipe_in_the_order_of_submission_with_its_numbers_or_why_there_are_none(world):
    race = world.race(seeds=(1, 2), rungs=((1, 1),), chunks=(1,))
    world.run_recipe(race, "b", [2.0, 3.0])
    lost = world.submit(race, "a")
    world.submit(race, "c")
    ticket = next(one for one in world.claim(n=2) if one.job_id == lost[0].id)
    world.do(queue.fail, ticket.job_id, ticket.fence, world.now, "diverged: at once", judge=world.judge)
    done, failed, still_open = world.look(results, race)
    assert (done.recipe, done.bpbs, done.mean, done.lost) == ("b", (2.0, 3.0), 2.5, None)
    assert (failed.recipe, failed.bpbs, failed.lost) == ("a", (), "diverged: at once")
    assert (still_open.recipe, still_open.mean, still_open.lost) == ("c", None, None)
    assert still_open.canonical == '{"step_bytes":10}'


def test_a_remembered_page_is_what_the_rows_say_after_every_change(world):
    race = world.race(seeds=(1, 2))
    other = world.race("other", seeds=(1,))
    reads = []

    def agrees():
        for one in (race, other):
            for provenance in ("measured", "claimed"):
                with world.store.reading() as session:
                    slow = leaderboard.read(session, one, 3, None, provenance)
                    assert leaderboard.rows(session, one, 3, None, provenance) == slow
                    assert leaderboard.rows(session, one, 3, None, provenance) == slow
                reads.append(slow.rows)

    agrees()
    for number in range(4):
        digest = f"{number:064}"
        world.run_recipe(race, digest, (3.0 - number / 10, 3.0), provenance="claimed" if number == 2 else "measured")
        agrees()
    (job,) = world.submit(other, "b" * 64)
    ticket = world.claim_one(race_id=other.id)
    world.finish(ticket, 2.5, provenance="claimed")
    agrees()
    world.finish(ticket, 2.0)
    agrees()
    assert world.job(job.id).provenance == "measured"
    lost = world.submit(race, "e" * 64)
    world.do(queue.cancel, lost[0].id, world.now, "no need", judge=world.judge)
    agrees()
    assert len({rows for rows in reads}) >= 7


def test_a_board_that_did_not_change_is_read_once_however_often_it_is_asked_for(world, monkeypatch):
    race = world.race(seeds=(1,))
    world.run_recipe(race, "a" * 64, (2.0,))
    asked = []
    monkeypatch.setattr(leaderboard, "read", lambda *args, read=leaderboard.read: asked.append(1) or read(*args))
    boards = [world.board(race, limit=7) for _ in range(5)]
    assert len(asked) == 1 and all(board == boards[0] for board in boards)
    world.run_recipe(race, "b" * 64, (1.0,))
    assert [row.recipe[0] for row in world.board(race, limit=7).rows] == ["b", "a"]
    assert len(asked) == 2


def test_the_best_row_is_the_first_of_the_board(world):
    race = world.race()
    assert world.look(best, race) is None
    for digest, bpbs in (("a", [2.5, 2.6]), ("b", [2.4, 2.5])):
        world.run_recipe(race, digest, bpbs)
    assert world.look(best, race) == world.board(race).rows[0]
