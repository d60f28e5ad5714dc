from dataclasses import replace

import pytest

from db import artifacts, entries
from db.entries import EntryExists, EntryView
from errors import UnknownName
from tests.db.conftest import START

ENTRY = EntryView(
    id="e" * 36, name="tiny", script="5" * 64, env={"B": "2", "A": "1"}, golden_state=None, submitted_by="me",
    created_at=START,
)  # fmt: skip


@pytest.fixture
def held(world):
    world.do(artifacts.record, ENTRY.script, "entry", 10, START)
    return world


def test_an_entry_comes_back_as_it_went_in_and_only_once(held):
    assert held.do(entries.submit, ENTRY) == ENTRY
    later = replace(ENTRY, submitted_by="somebody else")
    assert held.do(entries.submit, later) == ENTRY
    assert held.look(entries.get, ENTRY.id) == ENTRY


def test_another_golden_state_for_the_same_entry_is_refused(held, unchanged):
    held.do(entries.submit, ENTRY)
    with unchanged(EntryExists):
        held.do(entries.submit, replace(ENTRY, golden_state="9" * 64))


def test_an_unknown_entry_is_refused(world):
    with pytest.raises(UnknownName):
        world.look(entries.get, "nobody")


def test_the_script_of_an_entry_is_kept_from_garbage_collection(held):
    assert ENTRY.script not in held.look(artifacts.named)
    held.do(entries.submit, ENTRY)
    assert ENTRY.script in held.look(artifacts.named)
    assert held.do(artifacts.collect, ENTRY.script, START, START) is False
