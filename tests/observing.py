"""What is seen of the work, for tests: log lines as a process writes them."""

import json
import logging
import os
from contextlib import contextmanager

import structlog

from db import chunks
from db.calls import Call
from server import logs
from server.engine import Engine
from training.engine import Residents

CALL = Call(
    tool="job_status",
    read_only=True,
    principal="ann",
    credential="",
    doorway="http",
    request_id="req-1",
    subject={"job_id": "j1", "race": "r"},
)


@contextmanager
def logging_to_pipe(settings, process="web", background=False):
    """The output and a function that reads the lines so far; logging is as before afterwards."""
    before, handlers, level = structlog.get_config(), logging.getLogger().handlers[:], logging.getLogger().level
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    output = logs.configure(process, settings, descriptor=writing, background=background)

    def said():
        output.lines.close()
        try:
            return [json.loads(line) for line in os.read(reading, 1 << 20).splitlines()]
        except BlockingIOError:
            return []

    try:
        yield output, said
    finally:
        structlog.configure(**before)
        structlog.contextvars.clear_contextvars()
        logging.captureWarnings(False)
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
        os.close(reading)
        os.close(writing)


def work_once(runtime, output=None, name="engine-1", **given):
    """An engine takes the oldest chunk request and works on it, in this process."""
    given |= {} if output is None else {"output": output}
    engine = Engine(name=name, runtime=runtime, residents=Residents(), **given)
    with runtime.store.transaction() as session:
        request = chunks.lease(session, name, runtime.context().now, 20.0)
    engine.work(request)
    return request
