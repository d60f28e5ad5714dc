"""Tokens on the command line and at the door of a server, in this process."""

import time
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from db import tokens
from server.cli import app
from server.credentials import credentials_of
from server.limits import Counter
from server.runtime import utc_now
from tests.calling import calling


def igla(folder, *words):
    done = CliRunner().invoke(app, ["token", *words, "--data", str(folder)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.stdout.strip(), done.stderr


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    with calling(folder) as made:
        made.folder = folder
        yield made


def test_a_rotated_token_and_the_old_one_both_open_the_door_during_the_grace_and_both_are_listed(caller):
    old, _ = igla(caller.folder, "create", "laptop", "--scope", "read", "--days", "30")
    new, said = igla(caller.folder, "rotate", "laptop", "--grace", "2")
    assert [caller.call("glossary", one).status_code for one in (old, new)] == [200, 200]
    listed, _ = igla(caller.folder, "list")
    assert old[:13] in said and all(one[:13] in listed for one in (old, new))
    assert not [one for one in (old, new) if one in listed + said]


def test_without_a_grace_the_old_one_ends_at_once(caller):
    old, _ = igla(caller.folder, "create", "desk", "--scope", "read")
    new, _ = igla(caller.folder, "rotate", old[:13], "--grace", "0")
    assert [caller.call("glossary", one).status_code for one in (old, new)] == [401, 200]


def test_the_use_of_a_token_is_noted_beside_the_call(caller):
    secret = caller.token("noted", "read")

    def last_used():
        with caller.runtime.store.reading() as session:
            return next(one.last_used_at for one in tokens.listing(session) if one.name == "noted")

    assert last_used() is None
    assert caller.call("glossary", secret).status_code == 200
    deadline = time.monotonic() + 10
    while last_used() is None and time.monotonic() < deadline:
        caller.call("glossary", secret)
    assert last_used() is not None


def test_an_answer_is_remembered_for_five_seconds_and_never_longer_than_the_token_lives(caller):
    credentials = credentials_of(caller.runtime, Counter(caller.runtime.settings))
    assert credentials.seconds(None) == 5.0
    assert credentials.seconds(utc_now() + timedelta(days=1)) == 5.0
    assert 1.0 < credentials.seconds(utc_now() + timedelta(seconds=2)) <= 2.0


@pytest.mark.parametrize("name", ["[/x]", "[red]x", "x\x1b[31m"])
def test_a_name_that_looks_like_markup_is_listed_as_it_is_and_sends_no_control_signs(tmp_path, name):
    igla(tmp_path, "create", name, "--scope", "read")
    listed, _ = igla(tmp_path, "list")
    assert name.replace("\x1b", "?") in listed


@pytest.mark.parametrize("words", [("--days", "0"), ("--days", "99999999999")])
def test_a_lifetime_that_no_calendar_has_is_refused_by_its_name(tmp_path, words):
    done = CliRunner().invoke(app, ["token", "create", "ann", "--scope", "read", *words, "--data", str(tmp_path)])
    assert (done.exit_code, "--days" in done.output) == (2, True)
