"""Log lines of a process: JSON with the fields of the call, without secrets, and never in the way of the work."""

import json
import logging
import os
import threading
import time
from dataclasses import replace

import anyio
import pytest
import structlog

from db.calls import watched
from errors import UnknownName
from server.lines import MOST_WAITING, Lines
from server.logs import KEPT_LINES, CallLog
from server.settings import Settings
from server.toolbox import call, toolbox
from tests.observing import CALL, logging_to_pipe


@pytest.mark.parametrize("background", [False, True])
def test_a_call_is_one_line_with_what_it_was_about(background):
    with logging_to_pipe(Settings(log_format="json"), background=background) as (output, said):
        with watched((CallLog(output),), CALL):
            structlog.get_logger().info("inside")
        inside, line = said()
    assert {"event": "inside", "request_id": "req-1", "principal": "ann"}.items() <= inside.items()
    assert line.pop("seconds") >= 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "tool_call", "level": "info", "process": "web", "pid": os.getpid(), "tool": "job_status",
        "code": "ok", "doorway": "http", "principal": "ann", "request_id": "req-1", "job": "j1", "race": "r",
    }  # fmt: skip


def test_a_real_call_that_is_refused_is_logged_with_its_code(runtime):
    tools = toolbox()

    async def ask(seen):
        with pytest.raises(UnknownName):
            await call(tools["job_status"], seen.context("bob"), {"job_id": "0" * 36})

    with logging_to_pipe(Settings(log_format="json")) as (output, said):
        anyio.run(ask, replace(runtime, watches=(CallLog(output),)))
        (line,) = said()
    assert (line["tool"], line["code"], line["principal"]) == ("job_status", "unknown_name", "bob")


def test_a_defect_is_logged_with_its_traceback():
    with logging_to_pipe(Settings(log_format="json")) as (output, said):
        with pytest.raises(ZeroDivisionError), watched((CallLog(output),), CALL):
            1 / 0  # noqa: B018
        (line,) = said()
    assert (line["level"], line["code"]) == ("error", "internal_error")
    assert "ZeroDivisionError" in line["exception"]


def test_what_libraries_say_goes_the_same_way_without_secrets():
    with logging_to_pipe(Settings(log_format="json", admin_token="open-sesame"), "scorer") as (_, said):
        logging.getLogger("sqlalchemy.pool").warning("sent %s and %s", "open-sesame", "igla_abcdefgh1234")
        logging.getLogger("mcp").info("chatter")
        logging.getLogger("other").log(35, "between two levels")
        line, between = said()
    assert (between["event"], between["level"]) == ("between two levels", "warning")
    assert line["event"] == "sent [redacted] and [redacted]"
    assert (line["logger"], line["process"], line["level"]) == ("sqlalchemy.pool", "scorer", "warning")


def test_the_level_is_a_setting():
    with logging_to_pipe(Settings(log_format="json", log_level="warning")) as (output, said):
        structlog.get_logger().info("quiet")
        with watched((CallLog(output),), CALL):
            pass
        structlog.get_logger().warning("loud")
        assert [line["event"] for line in said()] == ["loud"]


def test_the_last_lines_of_a_run_are_kept_with_its_fields():
    with logging_to_pipe(Settings(log_format="json")) as (output, said):
        structlog.get_logger().info("before")
        with output.run(job="j1", request_id="r1") as kept:
            for number in range(KEPT_LINES + 5):
                structlog.get_logger().info("line", number=number)
        lines = [json.loads(line) for line in kept]
        said()
    assert [line["number"] for line in lines] == list(range(5, KEPT_LINES + 5))
    assert {(line["job"], line["request_id"]) for line in lines} == {("j1", "r1")}


def test_a_full_pipe_that_nobody_reads_holds_nobody_up():
    reading, writing = os.pipe()
    lines = Lines(writing, background=True)
    filling = threading.Thread(target=lambda: [lines.write("x" * 100) for _ in range(2 * MOST_WAITING)], daemon=True)
    filling.start()
    filling.join(20)
    assert not filling.is_alive()
    assert lines.dropped
    read = 0
    deadline = time.monotonic() + 20
    while b"dropped" not in (found := os.read(reading, 1 << 16)):
        read += len(found)
        assert time.monotonic() < deadline
    assert read > 64 * 1024
    lines.close()
    os.close(reading)
    os.close(writing)


class Unspeakable:
    def __str__(self):
        raise ValueError("no words for it")


@pytest.mark.parametrize("background", [False, True])
def test_a_line_that_has_no_text_stops_neither_its_writer_nor_the_lines_after_it(background):
    reading, writing = os.pipe()
    lines = Lines(writing, background=background, render=lambda line: str(line["value"]))
    lines.put({"value": Unspeakable()})
    lines.put({"value": "after it"})
    lines.close()
    first, second = os.read(reading, 1 << 16).splitlines()
    assert b"ValueError" in first
    assert second == b"after it"
    os.close(reading)
    os.close(writing)


def test_a_closed_pipe_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    lines = Lines(writing, background=False)
    lines.write("nobody hears this")
    os.close(writing)


def test_the_settings_secrets_and_the_database_password_are_known(tmp_path):
    given = Settings(data=tmp_path, admin_token="open-sesame", database_url="postgresql://igla:p%40ss@host/igla")
    assert {"open-sesame", "p@ss"} <= set(given.secrets)
    assert Settings(data=tmp_path, admin_token=None, database_url="").secrets == []


def test_each_key_and_each_token_inside_a_setting_is_known_too(tmp_path, monkeypatch):
    monkeypatch.setenv("IGLA_RAILWAY_TOKEN_MAIN", "from-a-variable")
    account = {"kind": "project", "project": "12345678", "environment": "12345678"}
    both = json.dumps({"main": account, "other": {**account, "token": "inside-the-json"}})
    given = Settings(data=tmp_path, state_keys=f"{'a' * 32}, {'b' * 32}", railway_accounts=both)
    assert {"a" * 32, "b" * 32, "from-a-variable", "inside-the-json"} <= set(given.secrets)
    assert "from-a-variable" in Settings(data=tmp_path, railway_accounts="{").secrets
