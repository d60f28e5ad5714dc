"""The tasks of the suite, over igla's own table of tasks: their state follows from when they began."""

import asyncio
import secrets
from datetime import timedelta

import mcp_types as types

from db import tasks
from server.mcp_parts import TaskKind, TaskState
from server.mcp_tasks import demand_extension
from tests.conformance.tools import NAME, STRING, fixture, form, result

ASKED = {}
"""task -> what it asked and was not answered; answers of fixtures need not outlive the process."""


class After(TaskKind):
    """Works for a while, then ends as `ending` says; asks `requests` first."""

    def __init__(self, ending, seconds=lambda arguments: 0.2, requests=()):
        self.ending, self.seconds, self.requests = ending, seconds, requests

    async def begin(self, context, params):
        arguments = params.arguments or {}
        if self.seconds(arguments) == 0:
            return self.ending(arguments)
        task = await asyncio.to_thread(self.stored, context, params.name, arguments)
        if self.requests:
            ASKED[task.id] = {f"{name}-{secrets.token_hex(4)}": request for name, request in self.requests}
        return task

    def stored(self, context, name, arguments):
        with context.store.transaction() as session:
            return tasks.add(session, context.principal, name, arguments, context.now)

    async def look(self, context, task):
        asked = ASKED.get(task.id)
        if asked:
            requests = {name: one.model_dump(by_alias=True, exclude_none=True) for name, one in asked.items()}
            return TaskState(status="input_required", updated_at=task.created_at, input_requests=requests)
        due = task.created_at + timedelta(seconds=self.seconds(task.subject))
        if context.now < due:
            return TaskState(status="working", updated_at=task.created_at)
        ended = self.ending(task.subject)
        if isinstance(ended, types.ErrorData):
            return TaskState(status="failed", updated_at=due, error=ended, message="The fixture fails.")
        return TaskState(status="completed", updated_at=due, result=ended)

    async def update(self, context, task, responses):
        for name in responses:
            ASKED.get(task.id, {}).pop(name, None)


class AsksFirst(After):
    """Asks the caller before there is a task."""

    async def begin(self, context, params):
        given = params.input_responses or {}
        if "user_name" not in given:
            return types.InputRequiredResult(input_requests={"user_name": form("What is your name?", **NAME)})
        arguments = {"name": given["user_name"].content["name"]}
        return await asyncio.to_thread(self.stored, context, params.name, arguments)


async def waits(ctx, params):
    """The plain form, for clients that do not know tasks."""
    await asyncio.sleep(params.arguments["seconds"])
    return computed(params.arguments)


async def greet(ctx, params):
    return result(f"Hello, {params.arguments['name']}!")


async def only_as_task(ctx, params):
    demand_extension(ctx)
    raise AssertionError("a client with tasks gets a task")


def computed(arguments):
    return result(f"computed {arguments.get('label', '')}")


def greeted(arguments):
    return result(f"Hello, {arguments['name']}!")


def failing(arguments):
    return result("This job fails.", is_error=True)


def broken(arguments):
    return types.ErrorData(code=types.INTERNAL_ERROR, message="Internal error")


def confirmed(arguments):
    return result("confirmed")


CONFIRM = form("Really?", confirm={"type": "boolean"})
ONE, TWO = [("confirm", CONFIRM)], [("first", form("Name?", **NAME)), ("second", CONFIRM)]
NUMBER = {"type": "number"}

TASKS = dict(
    [
        fixture("greet", greet, name=STRING),
        fixture("slow_compute", waits, After(computed, lambda given: given["seconds"]), seconds=NUMBER, label=STRING),
        fixture("failing_job", only_as_task, After(failing, lambda given: 1.0)),
        fixture("protocol_error_job", only_as_task, After(broken)),
        fixture("confirm_delete", only_as_task, After(confirmed, requests=ONE), filename=STRING),
        fixture("multi_input", only_as_task, After(confirmed, requests=TWO)),
        fixture("test_tool_with_task", only_as_task, AsksFirst(greeted)),
    ]
)
