"""Entries come in over MCP and HTTP, run in the sandbox of a real arena process, and are ranked."""

import json

import anyio
import httpx
import pytest
from mcp import Client

from server.keys import signing_key
from server.runtime import open_runtime
from server.settings import Settings
from tests.arena import SEEDS, entered, track_file
from tests.serving import ROOT, serving
from training.arena.receipts import verify
from training.arena.sandbox import why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no sandbox here: {why_not()}")

PLAIN = (ROOT / "docs" / "examples" / "predict_plain.py").read_text()
UNFAIR = PLAIN.replace("math.log(count + 0.01) - total", "math.log(count + 0.01) - total + 0.7")
PATIENCE = 120


def tracks_in(folder, **settings):
    """A data folder with one track on private text and one on public text."""
    runtime = open_runtime(Settings(data=folder, **settings))
    track_file(runtime, "secret")
    track_file(runtime, "open", heldout="public")
    runtime.store.close()
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tracks_in(tmp_path_factory.mktemp("arena"))


@pytest.fixture(scope="module")
def url(data):
    with serving(data, "--engines", "0", "--arenas", "1") as server:
        yield server.url


def post(url, tool, **arguments):
    return httpx.post(f"{url}/api/{tool}", json=arguments, timeout=PATIENCE)


def test_an_entry_is_submitted_run_and_ranked_over_mcp(url, data):
    async def story():
        async with Client(f"{url}/mcp") as client:

            async def use(tool, **arguments):
                result = await client.call_tool(tool, arguments, read_timeout_seconds=PATIENCE)
                assert not result.is_error, result.content
                return result.structured_content

            entry = await use("submit_entry", **entered(PLAIN, name="counts"))
            ran = await use("run_entry", entry=entry["id"], track="secret", wait_seconds=PATIENCE)
            assert (ran["provenance"], [run["seed"] for run in ran["runs"]]) == ("measured", SEEDS)
            status = await use("entry_status", entry=entry["id"])
            board = await use("leaderboard", race="secret")
            return entry, ran["runs"], status["runs"], board["rows"]

    entry, ran, seen, rows = anyio.run(story)
    assert sorted(run["id"] for run in ran) == sorted(run["id"] for run in seen)
    key = signing_key(data).public_key()
    for run in ran:
        assert (run["state"], run["provenance"]) == ("done", "measured")
        assert {check["name"] for check in run["checks"]} >= {"train", "heldout_in_artifact", "predict", "replay"}
        assert verify(json.loads(run["receipt"]), key).nll_sum == run["nll_sum"]
    (row,) = [row for row in rows if row["recipe"] == entry["id"]]
    assert (row["name"], row["n"], row["provenance"]) == ("counts", 2, "measured")
    assert row["values"] == [run["bpb"] for run in ran]


def test_a_cheat_that_comes_over_http_is_caught_by_name_and_does_not_rank(url):
    entry = post(url, "submit_entry", **entered(UNFAIR, name="unfair")).json()["id"]
    runs = post(url, "run_entry", entry=entry, track="secret", wait_seconds=PATIENCE).json()["runs"]
    assert {(run["state"], run["provenance"], run["bpb"]) for run in runs} == {("failed", None, None)}
    assert {run["failed"] for run in runs} == {"not_normalised"}
    for provenance in ("measured", "claimed"):
        rows = post(url, "leaderboard", race="secret", provenance=provenance).json()["rows"]
        assert entry not in [row["recipe"] for row in rows]


def test_on_public_text_an_honest_entry_stands_on_the_claimed_board_only(url):
    entry = post(url, "submit_entry", **entered(PLAIN, name="counts")).json()["id"]
    ran = post(url, "run_entry", entry=entry, track="open", wait_seconds=PATIENCE).json()
    assert (ran["provenance"], {run["provenance"] for run in ran["runs"]}) == ("claimed", {"claimed"})
    assert post(url, "leaderboard", race="open").json()["rows"] == []
    (row,) = post(url, "leaderboard", race="open", provenance="claimed").json()["rows"]
    assert (row["recipe"], row["provenance"]) == (entry, "claimed")


@pytest.mark.parametrize(
    ("tool", "arguments", "status", "code"),
    [
        ("submit_entry", {**entered(PLAIN), "sha256": "0" * 64}, 422, "wrong_hash"),
        ("submit_entry", entered("print()"), 422, "bad_script"),
        ("run_entry", {"entry": "0" * 36, "track": "secret"}, 404, "unknown_name"),
        ("run_entry", {"entry": "0" * 36, "track": "nowhere"}, 404, "unknown_name"),
        ("run_entry", {"entry": "0" * 36, "track": "track_10min_16mb"}, 404, "corpus_missing"),
        ("entry_status", {"run": "0" * 36}, 404, "unknown_name"),
    ],
)
def test_what_is_wrong_is_refused_with_code_and_next_step(url, tool, arguments, status, code):
    answer = post(url, tool, **arguments)
    assert (answer.status_code, answer.json()["code"], bool(answer.json()["next_step"])) == (status, code, True)


def test_where_nothing_can_run_the_call_says_why(tmp_path):
    environment = {"IGLA_ARENA_PYTHON": "/no/such/python"}
    with serving(tracks_in(tmp_path), "--engines", "0", "--arenas", "1", env=environment) as server:
        entry = post(server.url, "submit_entry", **entered(PLAIN, name="counts")).json()["id"]
        refused = post(server.url, "run_entry", entry=entry, track="secret")
    assert (refused.status_code, refused.json()["code"]) == (503, "arena_unavailable")
    assert "/no/such/python cannot be run" in refused.json()["message"]


@pytest.mark.slow
def test_an_entry_is_measured_on_postgresql(new_postgresql_url, tmp_path):
    folder = tracks_in(tmp_path, database_url=new_postgresql_url)
    with serving(folder, "--engines", "0", "--arenas", "1", env={"DATABASE_URL": new_postgresql_url}) as server:
        entry = post(server.url, "submit_entry", **entered(PLAIN, name="counts")).json()["id"]
        runs = post(server.url, "run_entry", entry=entry, track="secret", wait_seconds=PATIENCE).json()["runs"]
        rows = post(server.url, "leaderboard", race="secret").json()["rows"]
    assert [(run["seed"], run["state"], run["provenance"]) for run in runs] == [
        (seed, "done", "measured") for seed in SEEDS
    ]
    assert [row["recipe"] for row in rows] == [entry]
    assert not list(folder.glob("*.db"))
