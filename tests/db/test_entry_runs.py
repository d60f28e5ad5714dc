from dataclasses import replace

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from db import artifacts, entries, entry_board, entry_runs
from db.entry_runs import ARENA_FAILED, Contest, Found, not_tried
from db.jobs import LeaseLost
from db.leaderboard import InvalidCursor
from db.store import run
from db.tables import ENTRY_RUN
from errors import UnknownName
from tests.db.test_entries import ENTRY, START

CONTEST = Contest(
    digest="d" * 64, track="small", corpus="c" * 64, heldout="private", limits={"train_seconds": 1.5, "lanes": 8}
)
SEEDS = (7, 5)


@pytest.fixture
def arena(world):
    """A world with two entries."""
    world.do(artifacts.record, ENTRY.script, "entry", 10, START)
    for id_ in ("a" * 36, "b" * 36):
        world.do(entries.submit, replace(ENTRY, id=id_, name=id_[0]))
    return world


def ask(world, entry="a", seeds=SEEDS, contest=CONTEST):
    return world.do(entry_runs.request, entry * 36, contest, seeds, "me", world.now)


def take(world, runner="r1", seconds=10):
    return world.do(entry_runs.lease, runner, world.now, seconds)


def found(bpb, **changes):
    usual = {"provenance": "measured", "mode": "predict", "nll_sum": bpb * 10, "byte_count": 100}
    return Found(bpb=bpb, checks=[{"name": "normalised", "passed": True, "detail": ""}], **{**usual, **changes})


def wrong(name="normalised"):
    return Found(provenance=None, mode="predict", failed=name, checks=[{"name": name, "passed": False, "detail": ""}])


def verdict(world, what, entry="a", seed=7, contest=CONTEST):
    ask(world, entry, (seed,), contest)
    world.wait(1)
    return world.do(entry_runs.finish, take(world), what, world.now, measured_by="r1", receipt="{}")


def board(world, **settings):
    page = world.look(entry_board.rows, CONTEST.digest, CONTEST.corpus, SEEDS, **settings)
    return page.rows


def test_a_run_is_asked_for_once_while_it_is_open_and_anew_when_it_is_closed(arena):
    first = ask(arena)
    assert [(one.seed, one.state, one.limits) for one in first] == [
        (7, "queued", CONTEST.limits),
        (5, "queued", CONTEST.limits),
    ]
    assert ask(arena) == first
    arena.do(entry_runs.finish, take(arena), found(2.0), arena.now)
    again = ask(arena)
    changed = [one for one, other in zip(first, again, strict=True) if one.id != other.id]
    assert len(changed) == 1


def test_an_unknown_entry_gets_no_run(arena, unchanged):
    with unchanged(UnknownName):
        ask(arena, "z")


def test_runs_are_leased_oldest_first_and_once(arena):
    asked = []
    for seed in SEEDS:
        asked += ask(arena, seeds=(seed,))
        arena.wait(1)
    held = [take(arena, runner) for runner in ("r1", "r2")]
    assert [one.id for one in held] == [one.id for one in asked]
    assert take(arena, "r3") is None
    assert not arena.look(entry_runs.waiting, "r3", arena.now)


def test_a_lease_that_is_renewed_holds_and_one_that_ends_gives_the_run_to_another(arena):
    ask(arena, seeds=(7,))
    held = take(arena, "r1")
    arena.wait(8)
    arena.do(entry_runs.renew, held, arena.now, 10)
    arena.wait(8)
    assert take(arena, "r2") is None
    arena.wait(3)
    other = take(arena, "r2")
    assert (other.id, other.fence) == (held.id, held.fence + 1)
    for late in (
        lambda: arena.do(entry_runs.renew, held, arena.now, 10),
        lambda: arena.do(entry_runs.finish, held, found(1.0), arena.now),
    ):
        with pytest.raises(LeaseLost):
            late()


def test_a_runner_that_comes_back_under_its_name_takes_its_run_up_at_once(arena):
    ask(arena, seeds=(7,))
    held = take(arena, "r1")
    assert arena.look(entry_runs.waiting, "r1", arena.now)
    assert take(arena, "r1").id == held.id


def test_a_run_that_three_runners_died_over_fails_without_a_verdict(arena):
    (asked,) = ask(arena, seeds=(7,))
    for _ in range(3):
        assert take(arena).id == asked.id
        arena.wait(11)
    assert take(arena) is None
    closed = arena.look(entry_runs.get, asked.id)
    assert (closed.state, closed.failed) == ("failed", ARENA_FAILED)
    assert "3 runners died" in closed.checks[0]["detail"]


def test_a_run_that_is_given_back_does_not_count_as_a_death(arena):
    (asked,) = ask(arena, seeds=(7,))
    for _ in range(5):
        arena.do(entry_runs.give_back, take(arena))
    assert arena.look(entry_runs.get, asked.id).state == "queued"


def test_what_was_found_comes_back_as_it_went_in(arena):
    ask(arena, seeds=(7,))
    closed = arena.do(entry_runs.finish, take(arena), found(2.5), arena.now, measured_by="r1", receipt="{}")
    assert (closed.state, closed.bpb, closed.measured_by, closed.receipt) == ("done", 2.5, "r1", "{}")
    assert closed.checks == [{"name": "normalised", "passed": True, "detail": ""}]
    assert arena.look(entry_runs.of_entry, "a" * 36, 10) == [closed]


@pytest.mark.parametrize(
    "values",
    [
        {"heldout": "public"},
        {"mode": "block"},
        {"provenance": None},
        {"bpb": None},
        {"bpb": float("inf")},
        {"failed": "normalised"},
        {"state": "leased"},
        {"byte_count": 0},
    ],
)
def test_the_database_refuses_a_run_that_cannot_be(arena, unchanged, values):
    verdict(arena, found(2.0))
    with unchanged(IntegrityError), arena.store.transaction() as session:
        run(session, update(ENTRY_RUN).values(**values))


def test_entries_rank_by_their_mean_when_all_seeds_are_there(arena):
    for entry, values in (("a", (2.0, 3.0)), ("b", (1.0, 3.0))):
        for seed, value in zip(SEEDS, values, strict=True):
            assert "ab".index(entry) >= len(board(arena)) - 1
            verdict(arena, found(value), entry, seed)
    rows = board(arena)
    assert [(row.rank, row.name, row.mean, row.values, row.n) for row in rows] == [
        (1, "b", 2.0, (1.0, 3.0), 2),
        (2, "a", 2.5, (2.0, 3.0), 2),
    ]
    assert {row.provenance for row in rows} == {"measured"}


def test_the_first_verdict_counts_however_often_a_seed_is_run_again(arena):
    for seed in SEEDS:
        verdict(arena, found(2.0), seed=seed)
    verdict(arena, found(1.0))
    verdict(arena, wrong())
    assert [row.values for row in board(arena)] == [(2.0, 2.0)]


def test_an_entry_that_failed_a_check_first_does_not_rank_by_a_later_run(arena):
    verdict(arena, wrong())
    for seed in SEEDS:
        verdict(arena, found(2.0), seed=seed)
    assert board(arena) == ()


def test_a_run_that_the_arena_could_not_end_is_no_verdict(arena):
    verdict(arena, not_tried("no corpus"))
    for seed in SEEDS:
        verdict(arena, found(2.0), seed=seed)
    assert [row.values for row in board(arena)] == [(2.0, 2.0)]


def test_claimed_numbers_stand_apart_and_one_makes_the_whole_entry_claimed(arena):
    verdict(arena, found(1.0, provenance="claimed", mode="block"), seed=7)
    verdict(arena, found(1.0), seed=5)
    assert board(arena) == ()
    assert [(row.mean, row.provenance) for row in board(arena, provenance="claimed")] == [(1.0, "claimed")]


def test_runs_of_another_contest_do_not_count(arena):
    for seed in SEEDS:
        verdict(arena, found(1.0), seed=seed, contest=replace(CONTEST, digest="f" * 64))
    assert board(arena) == ()


def test_pages_follow_one_another(arena):
    for entry in "ab":
        for seed in SEEDS:
            verdict(arena, found(2.0), entry, seed)
    first = arena.look(entry_board.rows, CONTEST.digest, CONTEST.corpus, SEEDS, limit=1)
    second = arena.look(entry_board.rows, CONTEST.digest, CONTEST.corpus, SEEDS, limit=1, cursor=first.next_cursor)
    assert [(row.rank, row.name) for row in (*first.rows, *second.rows)] == [(1, "a"), (2, "b")]
    assert second.next_cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "bnVsbA==", "WzEsMl0=", "\udc80"])
def test_a_cursor_that_no_page_has_given_is_refused(arena, cursor):
    with pytest.raises(InvalidCursor):
        board(arena, cursor=cursor)
