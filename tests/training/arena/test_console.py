"""What is kept of an entry's words."""

import os

import pytest

from training.arena.console import TAIL, Console, Failed


@pytest.fixture
def pipe():
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        os.close(fd)


def test_the_last_words_of_a_program_are_taken_though_nobody_read_them_in_time(pipe):
    console = Console(100)
    os.write(pipe[1], b"why it ended")
    console.last_words(pipe[0])
    assert console.text() == "why it ended"


def test_a_program_without_last_words_holds_nobody_up(pipe):
    console = Console(100)
    console.last_words(pipe[0])
    assert console.text() == ""


def test_only_the_end_of_the_last_words_is_kept_and_no_limit_cuts_them(pipe):
    console = Console(10)
    os.write(pipe[1], b"x" * 3 * TAIL + b"end")
    console.last_words(pipe[0])
    assert console.text() == "x" * (TAIL - 3) + "end"


def test_more_than_may_be_printed_is_refused(pipe):
    os.write(pipe[1], b"x" * 11)
    with pytest.raises(Failed, match="output_limit"):
        Console(10).take(pipe[0])
