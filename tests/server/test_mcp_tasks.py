"""Long calls as tasks: they last, they belong to their caller, they end as the call would have."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from mcp_types import CallToolRequestParams
from starlette.testclient import TestClient

from db import chunks, entry_runs, tasks, tokens, workers
from server.app import create_app
from server.engine import Engine
from server.mcp_tasks import EXTENSION
from server.runtime import open_runtime
from server.settings import Settings
from server.task_kinds import EntryTask, PlanTask
from tests.arena import entered, track_file
from tests.modern import bearer, messages, modern
from tests.remote import TOOLS, small_race, use
from tests.serving import TINY
from training.engine import Residents

NUMBER = count()
KNOWS = {EXTENSION: {}}
PLAN = {"race": "planned", "plan": {"base": TINY, "budget_bytes": 9 * 256 * 4, "seeds": [1]}}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    opened = open_runtime(Settings(data=tmp_path_factory.mktemp("tasks")))
    yield opened
    opened.store.close()


@pytest.fixture(scope="module")
def secrets(runtime):
    """Tokens of two workers."""
    with runtime.store.transaction() as session:
        return {name: tokens.create(session, name, ["work"], runtime.context().now)[0] for name in ("ann", "bob")}


@pytest.fixture(scope="module")
def client(runtime, secrets):
    with TestClient(create_app(runtime), base_url="http://localhost") as serving:
        yield serving


@pytest.fixture
def held(runtime):
    """The claimed job of a race of its own; its open requests end with the test."""
    name = f"cup-{next(NUMBER)}"
    small_race(runtime, name, chunks=10)
    ticket = use(runtime, "claim_job", who="ann", worker="ann", race=name)["tickets"][0]
    yield {"job_id": ticket["job_id"], "fence": ticket["fence"]}
    with runtime.store.transaction() as session:
        while (left := chunks.lease(session, "e1", runtime.context().now, 20)) is not None:
            chunks.fail(session, left.id, left.fence, "run_failed", "The test is over.", runtime.context().now)


def train(runtime):
    """An engine takes the next chunk and stores what it measured."""
    engine = Engine(name="e1", runtime=runtime, residents=Residents())
    with runtime.store.transaction() as session:
        request = chunks.lease(session, "e1", runtime.context().now, 20)
    engine.work(request)


def result(answer):
    assert answer.status_code == 200, answer.text
    return messages(answer)[-1]["result"]


def error(answer):
    return messages(answer)[-1]["error"]


def begin(client, token, held, declared=KNOWS):
    params = {"name": "run_chunk", "arguments": {**held, "wait_seconds": 0}}
    return result(modern(client, "tools/call", params, token, declared))


def asked(client, token, method, task, **params):
    return modern(client, f"tasks/{method}", {"taskId": task, **params}, token, KNOWS)


def test_a_chunk_as_a_task_ends_with_what_the_call_would_have_answered_and_outlives_the_process(
    runtime, client, secrets, held
):
    begun = begin(client, secrets["ann"], held)
    assert (begun["resultType"], begun["status"], begun["ttlMs"]) == ("task", "working", None)
    working = result(asked(client, secrets["ann"], "get", begun["taskId"]))
    assert (working["status"], working["statusMessage"]) == ("working", "Waiting for an engine to train the chunk.")
    train(runtime)
    done = result(asked(client, secrets["ann"], "get", begun["taskId"]))
    assert (done["resultType"], done["status"], done["createdAt"]) == ("complete", "completed", begun["createdAt"])
    ran = done["result"]["structuredContent"]
    assert json.loads(done["result"]["content"][0]["text"]) == ran
    curve = use(runtime, "job_status", job_id=held["job_id"])["curve"]
    assert [one["bpb"] for one in ran["samples"]] == [one["bpb"] for one in curve]

    elsewhere = open_runtime(Settings(data=runtime.settings.data))
    with TestClient(create_app(elsewhere), base_url="http://localhost") as another:
        assert result(asked(another, secrets["ann"], "get", begun["taskId"])) == done
    elsewhere.store.close()


def test_a_client_that_knows_no_tasks_gets_the_plain_answer_and_may_not_ask_for_tasks(client, secrets, held):
    plain = begin(client, secrets["ann"], held, declared=None)
    assert (plain["resultType"], plain["isError"]) == ("complete", True)
    assert plain["content"][0]["text"].startswith("chunk_running: ")
    task = begin(client, secrets["ann"], held)["taskId"]
    for method in ("get", "update", "cancel"):
        params = {"taskId": task, **({"inputResponses": {}} if method == "update" else {})}
        refused = modern(client, f"tasks/{method}", params, secrets["ann"])
        assert (refused.status_code, error(refused)["code"]) == (400, -32021)
        assert error(refused)["data"] == {"requiredCapabilities": {"extensions": KNOWS}}


def test_a_task_belongs_to_who_made_the_call(client, secrets, held):
    task = begin(client, secrets["ann"], held)["taskId"]
    for foreign in (secrets["bob"], None):
        for method in ("get", "update", "cancel"):
            params = {"inputResponses": {}} if method == "update" else {}
            refused = asked(client, foreign, method, task, **params)
            if foreign is None:
                assert refused.status_code == 401
            else:
                unknown = asked(client, foreign, method, "task_" + "x" * 32, **params)
                assert (error(refused), refused.status_code) == (error(unknown), 400)
                assert (error(refused)["code"], error(refused)["data"]["code"]) == (-32602, "unknown_task")
    assert result(asked(client, secrets["ann"], "get", task))["status"] == "working"


def test_a_cancelled_task_stays_cancelled_and_its_chunk_is_stored_all_the_same(runtime, client, secrets, held):
    task = begin(client, secrets["ann"], held)["taskId"]
    acknowledged = result(asked(client, secrets["ann"], "cancel", task))
    assert acknowledged.keys() == {"resultType", "_meta"}
    before = result(asked(client, secrets["ann"], "get", task))
    assert before["status"] == "cancelled"
    stored = use(runtime, "job_status", job_id=held["job_id"])["samples_stored"]
    train(runtime)
    assert use(runtime, "job_status", job_id=held["job_id"])["samples_stored"] == stored + 1
    assert result(asked(client, secrets["ann"], "get", task)) == before
    assert result(asked(client, secrets["ann"], "cancel", task)) == acknowledged


def test_what_was_done_before_the_cancellation_stays_done(runtime, client, secrets, held):
    task = begin(client, secrets["ann"], held)["taskId"]
    train(runtime)
    result(asked(client, secrets["ann"], "cancel", task))
    assert result(asked(client, secrets["ann"], "get", task))["status"] == "completed"
    ignored = asked(client, secrets["ann"], "update", task, inputResponses={"never asked": {}})
    assert result(ignored)["resultType"] == "complete"


def test_a_refusal_inside_a_task_is_a_completed_task_with_an_error(runtime, client, secrets, held):
    task = begin(client, secrets["ann"], held)["taskId"]
    with runtime.store.transaction() as session:
        request = chunks.lease(session, "e1", runtime.context().now, 20)
        chunks.fail(session, request.id, request.fence, "run_failed", "It failed.", runtime.context().now)
    ended = result(asked(client, secrets["ann"], "get", task))
    assert (ended["status"], ended["result"]["isError"]) == ("completed", True)
    assert ended["result"]["content"][0]["text"].startswith("run_failed: It failed. Claim another job")


def test_a_call_that_is_refused_at_once_makes_no_task(client, secrets, held):
    for arguments, code in [({**held, "fence": 99}, "lease_lost"), ({**held, "stepps": 1}, "unknown_argument")]:
        params = {"name": "run_chunk", "arguments": arguments}
        refused = result(modern(client, "tools/call", params, secrets["ann"], KNOWS))
        assert (refused["resultType"], refused["isError"]) == ("complete", True)
        assert refused["content"][0]["text"].startswith(f"{code}: ")


def test_the_header_must_name_the_task_and_the_older_era_has_none(client, secrets, held):
    task = begin(client, secrets["ann"], held)["taskId"]
    for headers in ({"Mcp-Name": "another"}, {"Mcp-Name": ""}):
        params = {"taskId": task}
        refused = modern(client, "tasks/get", params, secrets["ann"], KNOWS, headers)
        assert (refused.status_code, error(refused)["code"]) == (400, -32020)
    accept = {"Accept": "application/json, text/event-stream", **bearer(secrets["ann"])}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    opened = client.post("/mcp", json=rpc("initialize", hello), headers=accept)
    session = {**accept, "Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    client.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=session)
    older = client.post("/mcp", json=rpc("tasks/get", {"taskId": task}), headers=session)
    assert error(older)["code"] == -32601
    stolen = client.post("/mcp", json=rpc("tools/list", {}), headers={**session, **bearer(secrets["bob"])})
    assert (stolen.status_code, error(stolen)["message"]) == (404, "Session not found")


def rpc(method, params):
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def test_progress_comes_where_it_is_asked_for_and_grows(client, secrets, held):
    params = {"name": "run_chunk", "arguments": {**held, "wait_seconds": 1.5}, "_meta": {"progressToken": "p"}}
    answer = modern(client, "tools/call", params, secrets["ann"])
    *told, last = messages(answer)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert {one["method"] for one in told} == {"notifications/progress"}
    assert {one["params"]["progressToken"] for one in told} == {"p"}
    values = [one["params"]["progress"] for one in told]
    assert values == sorted(set(values))
    assert len(values) >= 2
    assert told[0]["params"]["message"] == "Waiting for an engine to train the chunk."
    assert last["result"]["content"][0]["text"].startswith("chunk_running: ")
    quiet = modern(client, "tools/call", {**params, "_meta": {}}, secrets["ann"])
    assert [one["id"] for one in messages(quiet)] == [1]


def test_an_entry_as_a_task_is_done_when_its_last_run_is_closed(runtime):
    track_file(runtime)
    entry = use(runtime, "submit_entry", **entered())["id"]
    with runtime.store.transaction() as session:
        workers.seen(session, "r1", "arena", runtime.context().now)
    context, kind = runtime.context("ann", frozenset({"work"})), EntryTask(TOOLS["run_entry"])
    given = CallToolRequestParams(name="run_entry", arguments={"entry": entry, "track": "secret"})
    task = asyncio.run(kind.begin(context, given))
    for closed in range(2):
        state = asyncio.run(kind.look(context, task))
        assert (state.status, state.message) == ("working", f"{closed} of 2 runs are closed.")
        with runtime.store.transaction() as session:
            held = entry_runs.lease(session, "r1", context.now, 60)
            entry_runs.finish(session, held, entry_runs.not_tried("a test"), context.now)
    done = asyncio.run(kind.look(context, task))
    assert (done.status, done.result.structured_content["entry"]) == ("completed", entry)
    assert [run["state"] for run in done.result.structured_content["runs"]] == ["failed", "failed"]
    assert done.updated_at > task.created_at


def plan(runtime, soon):
    kind = PlanTask(TOOLS["plan_race"])
    kind.SOON = soon
    return kind, CallToolRequestParams(name="plan_race", arguments=PLAN), runtime.context("ann", frozenset({"submit"}))


def test_a_small_plan_is_answered_at_once_and_a_long_one_as_a_task(runtime):
    async def story():
        quick, given, context = plan(runtime, 30.0)
        at_once = await quick.begin(context, given)
        slow, given, context = plan(runtime, 0.0)
        task = await slow.begin(context, given)
        await asyncio.gather(*slow.under_way)
        with runtime.store.reading() as session:
            stored = tasks.find(session, task.id, "ann")
        return at_once, await slow.look(context, stored)

    at_once, later = asyncio.run(story())
    assert later.status == "completed"
    assert later.result.structured_content == at_once.structured_content


def test_a_plan_whose_process_died_is_taken_up_by_the_next_that_is_asked(runtime):
    """The dead process is one that stored the task and did nothing: its lease ends."""
    kind, _, context = plan(runtime, 0.0)
    with runtime.store.transaction() as session:
        task = tasks.add(session, "ann", "plan_race", {"arguments": PLAN}, context.now, 15)

    async def look(later):
        moved = replace(context, clock=lambda: context.now + timedelta(seconds=later))
        state = await kind.look(moved, task)
        begun = len(kind.under_way) > 0
        await asyncio.gather(*kind.under_way)
        return state.status, begun

    assert asyncio.run(look(0)) == ("working", False)
    assert asyncio.run(look(20)) == ("working", True)
    with runtime.store.reading() as session:
        stored = tasks.find(session, task.id, "ann")
    assert stored.answer["structuredContent"]["race"] == "planned"
