"""docs/arena.md names what there is: every check that an entry can fail, every track and every field of one."""

import re
from dataclasses import fields
from pathlib import Path

from training.arena.tracks import Track, tracks

ROOT = Path(__file__).parents[1]
TOLD = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "arena.md").read_text()))
ZOO = ROOT / "tests" / "training" / "arena" / "zoo"


def test_every_check_that_catches_a_cheat_is_told():
    headers = [file.read_text().partition("\n")[0] for file in ZOO.rglob("*.py")]
    caught = {found[1] for header in headers if (found := re.match(r"# caught by: (\w+)", header))}
    assert len(caught) > 10
    assert caught <= TOLD


def test_every_track_and_every_field_of_a_track_is_told():
    assert {*tracks(), *(field.name for field in fields(Track))} - {"name"} <= TOLD
