"""Last lines of jobs: short, printable, without secrets, and in the order in which they came."""

import json

from hypothesis import given
from hypothesis import strategies as st

from db import job_log
from db.job_log import LONGEST_LINE, MOST_CHARACTERS, MOST_LINES, about, gist, shortened

LONG = st.text("ab", min_size=1, max_size=9).map(lambda text: text * 900)
LINES = st.lists(st.text(max_size=100) | LONG, max_size=60)


@given(LINES)
def test_what_is_kept_is_bounded_printable_and_the_last(lines):
    kept = shortened(lines)
    assert len(kept) <= MOST_LINES
    assert sum(map(len, kept)) <= MOST_CHARACTERS
    assert all(len(line) <= LONGEST_LINE + len(" [cut]") and line.strip() for line in kept)
    assert not {*"\x00\x1b\n"} & set("".join(kept))
    assert shortened(kept) == kept
    assert shortened([*lines, "the end"])[-1] == "the end"


@given(st.lists(st.integers(0, 99), max_size=90))
def test_short_lines_are_kept_as_they_are(numbers):
    lines = [f"line {number}" for number in numbers]
    assert shortened(lines) == lines[-MOST_LINES:]


@given(st.lists(st.sampled_from(["j1", "j2", None, "raw"]), max_size=20))
def test_lines_about_other_jobs_are_left_out(whose):
    lines = [
        "Fatal Python error" if one == "raw" else json.dumps({"event": "x", **({"job": one} if one else {})})
        for one in whose
    ]
    assert about(lines, "j1") == [line for line, one in zip(lines, whose, strict=True) if one != "j2"]
    assert about(['"j2"', "[1]", '{"job": 3}', "{"], "j1") == ['"j2"', "[1]", '{"job": 3}', "{"]


@given(st.integers(0, 100), st.integers(0, 200))
def test_of_a_crash_the_reason_and_the_innermost_calls_are_kept(before, after):
    lines = [
        *(f"b{n}" for n in range(before)),
        "Fatal Python error: Segmentation fault",
        *(f"a{n}" for n in range(after)),
    ]
    kept = shortened([*gist(lines), "the end"])
    assert "Fatal Python error: Segmentation fault" in kept
    assert [one for one in kept if one[0] == "a"] == [f"a{n}" for n in range(min(after, 29))]
    assert [one for one in kept if one[0] == "b"] == [f"b{n}" for n in range(max(0, before - 15), before)]
    assert gist(lines[:before]) == lines[:before]


def test_lines_are_put_behind_those_that_are_there(world):
    (job, *_) = world.submit(world.race(), "a")
    assert world.look(job_log.tail, job.id) == ""
    world.do(job_log.add, job.id, [], world.now)
    assert world.look(job_log.tail, job.id) == ""
    world.do(job_log.add, job.id, ["one\x00", "\x1b[31mtwo\x1b[0m", "Authorization: Bearer abcdefgh12345"], world.now)
    world.do(job_log.add, job.id, [f"more {number}" for number in range(MOST_LINES - 1)], world.now)
    kept = world.look(job_log.tail, job.id).split("\n")
    assert len(kept) == MOST_LINES
    assert kept[:2] == ["Authorization: Bearer [redacted]", "more 0"]
