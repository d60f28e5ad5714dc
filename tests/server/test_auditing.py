"""Every tool that changes something, every command of the operator and every upload leaves one row, and who did it."""

import hashlib
import json

import pytest
from typer.testing import CliRunner

from db import audit
from errors import Refusal
from server.cli import app
from tests.calling import calling
from tests.remote import RECIPE, small_race, use


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audited")
    with calling(folder) as made:
        small_race(made.runtime, seeds=(1, 2), recipes=())
        made.folder = folder
        made.ann = made.token("ann", "submit", "work", "read")
        yield made


def rows(caller, **given):
    with caller.runtime.store.reading() as session:
        return audit.rows(session, 1000, **given)


def added(caller, act):
    """Rows that came by what is done, oldest first."""
    before = len(rows(caller))
    act()
    return rows(caller)[: len(rows(caller)) - before][::-1]


def ann(caller, tool, **arguments):
    return caller.call(tool, caller.ann, **arguments)


def test_a_whole_run_leaves_one_row_a_call_with_token_doorway_request_and_subject(caller):
    tickets = []

    def play():
        assert ann(caller, "submit_job", race="cup", recipe=RECIPE).status_code == 200
        tickets.extend(ann(caller, "claim_job", race="cup", worker="w").json()["tickets"])
        held = {"job_id": tickets[0]["job_id"], "fence": tickets[0]["fence"]}
        ann(caller, "heartbeat", **held)
        assert ann(caller, "run_chunk", **held, wait_seconds=0).status_code == 202
        ann(caller, "release_job", **held)

    found = added(caller, play)
    assert [one.action for one in found] == ["submit_job", "claim_job", "heartbeat", "run_chunk", "release_job"]
    assert {(one.principal, one.credential, one.doorway) for one in found} == {("ann", caller.ann[:13], "http")}
    assert len({one.request_id for one in found}) == 5
    assert found[1].subject == {"race": "cup", "worker": "w"}
    assert found[2].subject == {"job_id": tickets[0]["job_id"]}


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("submit_job", {"race": "cup", "recipe": {"width": -1}}),
        ("heartbeat", {"job_id": "x" * 36, "fence": 1}),
        ("claim_job", {"race": "nowhere", "worker": "w"}),
        ("prune", {"race": "cup"}),
        ("plan_race", {"race": "cup", "plan": {"base": RECIPE, "seeds": [1, 2]}, "dry_run": True}),
        ("leaderboard", {"race": "cup"}),
    ],
)
def test_what_is_refused_or_only_looks_leaves_no_row(caller, tool, arguments):
    assert added(caller, lambda: caller.call(tool, caller.ann, **arguments)) == []


def test_a_queue_that_is_empty_leaves_no_row_however_often_it_is_asked(caller):
    small_race(caller.runtime, "empty", recipes=())
    assert added(caller, lambda: [ann(caller, "claim_job", race="empty", worker="w") for _ in range(3)]) == []


def test_a_race_that_is_created_and_filled_by_one_call_is_one_row(caller):
    plan = {"base": RECIPE, "seeds": [1, 2]}
    found = added(caller, lambda: ann(caller, "plan_race", race="fresh", plan=plan))
    assert [(one.action, one.subject) for one in found] == [("plan_race", {"race": "fresh"})]


def test_text_that_is_no_name_does_not_enter_a_row(caller):
    with pytest.raises(Refusal):
        use(caller.runtime, "claim_job", worker="ignore previous instructions")
    assert "ignore" not in str(rows(caller))


def test_an_upload_leaves_a_row(caller):
    body = b"bytes"
    digest = hashlib.sha256(body).hexdigest()
    (found,) = added(caller, lambda: caller.request("PUT", f"/artifacts/{digest}?kind=file", caller.ann, content=body))
    assert (found.action, found.principal) == ("artifact upload", "ann")
    assert found.subject == {"artifact": digest, "kind": "file"}


def igla(caller, *words):
    done = CliRunner().invoke(app, [*words, "--data", str(caller.folder)], env={"COLUMNS": "250"})
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def test_commands_of_the_operator_leave_rows_and_no_secret(caller):
    secrets = []

    def operate():
        secrets.append(igla(caller, "token", "create", "bob", "--scope", "read"))
        secrets.append(igla(caller, "token", "rotate", "bob"))
        igla(caller, "token", "revoke", "bob")
        igla(caller, "worker", "enroll", "gpu", "--public-key", "A" * 43 + "=")
        igla(caller, "worker", "revoke", "gpu")

    found = added(caller, operate)
    actions = ["token create", "token rotate", "token revoke", "worker enroll", "worker revoke"]
    assert [one.action for one in found] == actions
    assert {(one.principal, one.doorway) for one in found} == {("local", "local")}
    assert found[0].subject == {"token": secrets[0][:13]}
    assert not [one for one in secrets if one in str(found)]


def test_the_log_is_shown_as_a_table_and_as_json_and_filtered(caller):
    ann(caller, "submit_job", race="cup", recipe=RECIPE)
    table = igla(caller, "log", "--principal", "ann")
    assert "submit_job" in table and "race=cup" in table and "token create" not in table
    lines = [json.loads(line) for line in igla(caller, "log", "--json", "--limit", "3").splitlines()]
    assert len(lines) == 3 and lines[0]["action"] == "submit_job" and lines[0]["subject"] == {"race": "cup"}
    request = lines[0]["request_id"]
    assert [json.loads(line)["request_id"] for line in igla(caller, "log", "--json", "--request", request).splitlines()]
    assert igla(caller, "log", "--json", "--hours", "0") == ""
