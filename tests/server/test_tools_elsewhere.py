"""Tool commands with --server: the same answers and the same refusals as at home."""

import json
import threading
import time
import tomllib
from datetime import UTC, datetime

import pytest
import uvicorn
from typer.testing import CliRunner

from db import meters, tokens
from errors import InvalidValue, Refusal
from server.app import create_app
from server.cli import app
from server.client_retries import Refused
from server.runtime import open_runtime
from server.settings import Settings
from tests.remote import small_race
from tests.serving import ROOT


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def secret(data):
    runtime = open_runtime(Settings(data=data))
    small_race(runtime)
    with runtime.store.transaction() as session:
        made = tokens.create(session, "agent", ["submit"], datetime.now(UTC))[0]
    runtime.store.close()
    return made


@pytest.fixture(scope="module")
def url(data, secret):
    runtime = open_runtime(Settings(data=data))
    server = uvicorn.Server(uvicorn.Config(create_app(runtime), port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 30
    while not server.started and time.monotonic() < end:
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(30)
    runtime.store.close()


@pytest.fixture
def igla(monkeypatch, tmp_path):
    for name in ("IGLA_SERVER", "IGLA_TOKEN", "IGLA_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return CliRunner().invoke


def test_a_command_prints_the_same_there_and_here_and_makes_no_folder(igla, url, secret, data, tmp_path, monkeypatch):
    here = igla(app, ["leaderboard", "cup", "--json", "--data", str(data)])
    monkeypatch.setenv("IGLA_TOKEN", secret)
    there = igla(app, ["leaderboard", "cup", "--json", "--server", url])
    assert json.loads(there.stdout) == json.loads(here.stdout)
    assert there.stdout == here.stdout
    assert igla(app, ["leaderboard", "cup", "--server", url + "/mcp"]).stdout == igla(
        app, ["leaderboard", "cup", "--data", str(data)]
    ).stdout  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_command_writes_there_and_finds_the_server_in_the_environment(igla, url, secret, monkeypatch):
    monkeypatch.setenv("IGLA_SERVER", url)
    monkeypatch.setenv("IGLA_TOKEN", secret)
    made = igla(app, ["submit_job", "cup", '{"width": 24, "context": 32}', "--priority", "7", "--json"])
    (job,) = json.loads(made.stdout)["jobs"]
    status = json.loads(igla(app, ["job_status", job["id"], "--json"]).stdout)
    assert (status["job"]["priority"], status["job"]["created_by"]) == (7, "agent")


@pytest.mark.parametrize(
    "words",
    [
        ("leaderboard", "cupp"),
        ("submit_job", "cup", '{"widht": 1}'),
        ("leaderboard", "cup", "--limit", "0"),
        ("job_status", "short"),
        ("prune",),
    ],
)
def test_refusals_are_the_same_there_and_here(igla, url, data, words):
    runtime = open_runtime(Settings(data=data))
    with runtime.store.transaction() as session:
        admin = tokens.create(session, f"admin-{words[0]}", ["admin"], datetime.now(UTC))[0]
    runtime.store.close()
    there = igla(app, [*words, "--server", url, "--token", admin]).exception
    here = igla(app, [*words, "--data", str(data)]).exception
    assert isinstance(there, Refused)
    assert isinstance(here, Refusal)
    assert str(there) == str(here)


def test_without_a_token_the_server_says_what_to_do(igla, url):
    refused = igla(app, ["glossary", "--server", url]).exception
    assert (refused.code, "igla token create" in refused.next_step) == ("unauthorized", True)


def test_a_data_folder_on_the_command_line_means_this_machine(igla, url, data, monkeypatch):
    with pytest.raises(InvalidValue, match="not both"):
        raise igla(app, ["glossary", "--server", url, "--data", str(data)]).exception
    monkeypatch.setenv("IGLA_SERVER", "http://127.0.0.1:9")
    assert igla(app, ["glossary", "--term", "lease", "--json", "--data", str(data)]).exit_code == 0


def test_the_version_is_told(igla):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert igla(app, ["--version"]).stdout == f"igla {project['version']}\n"


def test_a_value_too_many_is_answered_with_the_order(igla):
    with pytest.raises(InvalidValue, match=r"at most 1 values by position \(worker\)"):
        raise igla(app, ["claim_job", "me", "cup"]).exception


def test_what_a_command_s_transactions_count_is_kept(igla, data, secret):
    runtime = open_runtime(Settings(data=data))

    def first_claims():
        with runtime.store.reading() as session:
            counted = meters.totals(session)
        ends = [value for name, labels, value in counted if name == "job_wait_seconds" and labels["le"] != meters.SUM]
        return sum(ends)

    before = first_claims()
    assert igla(app, ["claim_job", "box", "--race", "cup", "--data", str(data)]).exit_code == 0
    assert first_claims() == before + 1
    runtime.store.close()
