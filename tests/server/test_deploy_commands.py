"""`igla deploy` as operators type it, and that no planted secret shows anywhere."""

import json
import sqlite3
from contextlib import closing

import pytest
import structlog
from typer.testing import CliRunner

from errors import UnknownName
from server.cli import app
from server.railway.plan import BlastGuard, PlanStale, TeardownListNeeded
from server.runtime import open_runtime
from server.settings import Settings
from tests.railway_fake import ENVIRONMENT, PROJECT, simulated_railway
from tests.remote import use
from tests.serving import TINY

TOKEN, INNER = "planted-railway-token", "planted-value-of-a-variable"
FLEET = ("--account", "main", "--template", "worker-fleet", "--seeds", "1,2")
NAMES = ["worker-fleet-rng1", "worker-fleet-rng2"]


@pytest.fixture
def railway():
    with simulated_railway(token=TOKEN) as made:
        yield made


@pytest.fixture
def igla(railway, tmp_path, monkeypatch, capfd):
    """A function that runs a command and gives what it printed; every word of all of them is kept in `said`."""
    account = {"kind": "project", "project": PROJECT, "environment": ENVIRONMENT, "image": "igla:1"}
    monkeypatch.setenv("IGLA_RAILWAY_ACCOUNTS", json.dumps({"main": account}))
    monkeypatch.setenv("IGLA_RAILWAY_TOKEN_MAIN", TOKEN)
    monkeypatch.setenv("IGLA_RAILWAY_URL", railway.url)
    monkeypatch.setenv("IGLA_RAILWAY_GAP", "0")
    monkeypatch.setenv("IGLA_DATA", str(tmp_path))

    def run(*words, code=0):
        done = CliRunner().invoke(app, ["deploy", *words])
        run.said.append(f"{done.output} {done.stderr} {done.exception!r} {capfd.readouterr().err}")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stdout

    run.said = []
    yield run
    structlog.reset_defaults()  # the commands set up the log of their process


def test_a_fleet_from_plan_to_teardown_shows_no_secret_anywhere(igla, railway, tmp_path):
    railway.add("Postgres", variables={"PASSWORD": INNER}, image="postgres:16", status="SUCCESS")
    planned = igla("plan", *FLEET)
    assert f"planned: create {NAMES[0]}" in planned
    assert "done" not in planned
    made = json.loads(igla("plan", *FLEET, "--json"))
    assert made["hash"] == planned.split()[-1]
    applied = igla("apply", *FLEET, "--plan", made["hash"])
    assert f"done: redeploy {NAMES[1]}" in applied
    assert "planned" not in applied

    railway.say(NAMES[0], "hello", f"\x1b[31mmy token is {TOKEN}")
    railway.named(NAMES[0])["variables"]["EXTRA_SECRET"] = INNER
    status = json.loads(igla("status", "--account", "main", "--json"))
    assert [one["name"] for one in status["services"]] == ["Postgres", *NAMES]
    assert "INITIALIZING" in igla("status", "--account", "main", "--template", "worker-fleet")
    assert "\x1b" not in igla("logs", NAMES[0], "--account", "main")
    assert "INITIALIZING" in igla("history", NAMES[0], "--account", "main")

    igla("snapshot", "--account", "main", "-o", str(tmp_path / "fleet.json"))
    fleet = json.loads((tmp_path / "fleet.json").read_text())
    assert fleet["totals"] == {"services": 3, "running": 3}
    assert fleet["services"][1]["variables"] == [
        "EXTRA_SECRET", "IGLA_DEPLOYED", "IGLA_SERVER", "IGLA_TOKEN", "OMP_NUM_THREADS"
    ]  # fmt: skip
    assert fleet["services"][1]["image"] == "igla:1"

    railway.named(NAMES[1])["variables"]["OMP_NUM_THREADS"] = "8"
    railway.fails.append(("variableCollectionUpsert", "OMP_NUM_THREADS"))
    failing = json.loads(igla("plan", *FLEET, "--json"))
    assert f"failed: set_variables {NAMES[1]}: railway_refused" in igla(
        "apply", *FLEET, "--plan", failing["hash"], code=1
    )

    with pytest.raises(PlanStale):
        igla("apply", *FLEET, "--plan", made["hash"])
    with pytest.raises(TeardownListNeeded):
        igla("teardown", "--account", "main")
    with pytest.raises(UnknownName):
        igla("teardown", "--account", "main", "--services", "worker-fleet-rng*")
    assert igla("teardown", "--account", "main", "--services", ",".join(NAMES)).splitlines() == [
        f"done: teardown {name}" for name in NAMES
    ]
    assert [one["name"] for one in railway.services.values()] == ["Postgres"]

    with closing(sqlite3.connect(tmp_path / "igla.db")) as database:
        dump = "\n".join(database.iterdump())
    assert "CREATE TABLE deploy" in dump
    everything = "\n".join([*igla.said, dump, json.dumps(fleet)])
    assert "deploy_planned" in everything
    assert "railway_refused" in everything
    for secret in (TOKEN, INNER):
        assert secret not in everything
        assert not [file for file in tmp_path.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]


def test_an_account_without_work_of_ours_and_the_exit_codes_of_the_audit(igla, railway, tmp_path):
    assert "NotYet" in igla("audit", "--account", "main", code=2)
    applied = json.loads(igla("plan", *FLEET, "--json"))
    igla("apply", *FLEET, "--plan", applied["hash"])
    runtime = open_runtime(Settings(data=tmp_path))
    for seed, name in enumerate(NAMES):
        use(runtime, "plan_race", race="cup", plan={"base": TINY, "budget_bytes": 9216, "seeds": [0, 1]})
        ticket = use(runtime, "claim_job", worker=name, race="cup")["tickets"][0]
        assert ticket["seed"] == seed
    runtime.store.close()
    found = json.loads(igla("audit", "--account", "main", "--json", code=2))
    assert (found["verdict"], found["findings"]) == ("NotYet", [])
    del railway.services[railway.named(NAMES[1])["id"]]
    assert f"warn D2 {NAMES[1]}" in igla("audit", "--account", "main", code=2)
    railway.say(NAMES[0], "cup  rung 1  seed 0  r  step 3 of 9: inf bpb claimed, continue")
    assert f"error D5 {NAMES[0]}" in igla("audit", "--account", "main", code=1)


def test_off_stops_every_process_of_the_database_and_on_lets_them_go_on(igla, railway):
    made = json.loads(igla("plan", *FLEET, "--json"))
    assert igla("off") == "deploys are off\n"
    with pytest.raises(Exception, match="deploy_off"):
        igla("apply", *FLEET, "--plan", made["hash"])
    assert railway.mutations == []
    assert igla("on") == "deploys are on\n"
    igla("apply", *FLEET, "--plan", made["hash"])
    assert len(railway.services) == 2


def test_operators_may_restart_open_and_deploy_what_is_published(igla, railway, tmp_path):
    railway.add("web", image="igla:1", status="SUCCESS")
    assert igla("restart", "web", "--account", "main") == "done: restart web\n"
    assert igla("domain", "web", "--account", "main") == "web.up.railway.app\n"
    workflow = igla("template", "igla", "--account", "main").strip()
    assert igla("workflow", workflow, "--account", "main") == "Running\n"
    igla("off")
    with closing(sqlite3.connect(tmp_path / "igla.db")) as database:
        told = list(database.execute("SELECT action, subject FROM audit ORDER BY id"))
    assert [action for action, _ in told] == ["deploy restart", "deploy domain", "deploy template", "deploy off"]
    assert [json.loads(subject) for _, subject in told] == [{"account": "main"}] * 3 + [{}]


def test_many_need_a_confirmation_and_the_account_is_no_secret(igla):
    many = (*FLEET[:-1], "1,2,3,4")
    made = json.loads(igla("plan", *many, "--json"))
    with pytest.raises(BlastGuard):
        igla("apply", *many, "--plan", made["hash"])
    igla("apply", *many, "--plan", made["hash"], "--confirm")
    igla("plan", *FLEET[2:], code=2)
    with pytest.raises(UnknownName, match="Did you mean 'main'"):
        igla("status", "--account", "mian")
