from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import artifacts, races
from server.gc import collect, garbage
from tests.forked import run
from tests.remote import Hand, small_race
from training.artifacts import Held
from training.corpus import manifest_from

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = 24 * 3600.0
NAMES = [f"{number:064x}" for number in range(6)]
FILES = st.lists(
    st.builds(
        Held, digest=st.sampled_from(NAMES), byte_count=st.integers(0, 9),
        written_at=st.floats(0, 2 * DAY).map(lambda age: NOW - timedelta(seconds=age)),
    ),
    unique_by=lambda file: file.digest,
)  # fmt: skip


@given(FILES, st.sets(st.sampled_from(NAMES)), st.floats(0, 2 * DAY))
def test_what_goes_is_named_by_nobody_and_older_than_the_grace_period_and_all_of_that_goes(files, named, grace):
    gone = garbage(files, named, NOW, grace)
    before = NOW - timedelta(seconds=grace)
    assert all(file.digest not in named and file.written_at < before for file in gone)
    assert all(file.digest in named or file.written_at >= before for file in files if file not in gone)


@pytest.fixture
def later():
    return datetime.now(UTC) + timedelta(days=2)


def test_everything_that_a_race_goes_on_with_stays_and_the_rest_goes(runtime, later):
    race = small_race(runtime, seeds=(1, 2))
    going, waiting = Hand(runtime=runtime), Hand(runtime=runtime)
    going.report(going.train())
    waiting.report(waiting.train())
    splits = manifest_from(runtime.artifacts.get(race.corpus)).splits.values()
    needed = {race.corpus, going.checkpoint, waiting.checkpoint, *(split.sha256 for split in splits)}
    orphan = runtime.artifacts.put(b"a checkpoint that was never reported")
    brought = runtime.artifacts.put(b"a file that somebody has brought again")
    with runtime.store.transaction() as session:
        artifacts.offer(session, brought, "file", 5, later - timedelta(hours=1), created_by="w", quota=None)
    assert {file.digest for file in collect(runtime, later, DAY, dry_run=True).files} == {orphan, brought}
    assert orphan in runtime.artifacts
    gone = collect(runtime, later, DAY, dry_run=False)
    assert [file.digest for file in gone.files] == [orphan]
    assert {file.digest for file in runtime.artifacts.listing()} == {*needed, brought}
    assert [file.digest for file in collect(runtime, later + timedelta(days=2), DAY, dry_run=False).files] == [brought]


def test_young_files_stay(runtime):
    small_race(runtime)
    orphan = runtime.artifacts.put(b"orphan")
    assert collect(runtime, datetime.now(UTC), DAY, dry_run=False).files == ()
    assert orphan in runtime.artifacts


def test_a_file_that_a_row_comes_to_need_meanwhile_stays(runtime, later):
    race = small_race(runtime)
    hand = Hand(runtime=runtime)
    chunk = hand.train()
    with runtime.store.transaction() as session:
        assert artifacts.collect(session, chunk.checkpoint, later, later)
    hand.report(chunk)
    with runtime.store.transaction() as session:
        assert not artifacts.collect(session, chunk.checkpoint, later, later)
        assert not artifacts.collect(session, race.corpus, later, later)


def test_the_splits_of_a_corpus_that_only_a_race_names_stay(runtime, later):
    race = small_race(runtime)
    with runtime.store.transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM artifact")
    assert collect(runtime, later, DAY, dry_run=False).files == ()
    with runtime.store.reading() as session:
        assert races.by_id(session, race.id).corpus in runtime.artifacts


def test_unfinished_uploads_go_when_nobody_goes_on_with_them(runtime, later):
    with runtime.uploads.open("a" * 64, "w", 0) as upload:
        upload.write(b"half")
    assert collect(runtime, datetime.now(UTC), DAY, dry_run=False).uploads == 0
    assert collect(runtime, later, DAY, dry_run=False).uploads == 1
    assert runtime.uploads.offset("a" * 64, "w") == 0


def test_the_command_tells_what_would_go_and_then_removes_it(runtime):
    orphan = runtime.artifacts.put(b"orphan")

    def gc(*options):
        return run(["gc", "--grace-hours", "0", *options, "--data", str(runtime.settings.data)])

    dry = gc("--dry-run")
    assert (dry.stdout.split(), "would go" in dry.stderr, orphan in runtime.artifacts) == ([orphan, "6"], True, True)
    assert orphan in gc().stdout
    assert orphan not in runtime.artifacts
