"""Tasks: the extension `io.modelcontextprotocol/tasks` (SEP-2663). A long call gives a handle, and the client asks.

What a task is stands in the store, so it survives a restart and any process answers. It belongs to the principal that
made the call: to others there is none.
"""

import asyncio
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from db import tasks
from db.tasks import TaskView
from errors import Refusal
from server.answers import refused
from server.auditing import audited, call_of
from server.mcp_parts import Answer, Call, Parts, TaskKind, TaskState, protocol_error
from server.toolbox import may
from tools import Context

EXTENSION = "io.modelcontextprotocol/tasks"
POLL_MS = 2_000
"""Milliseconds between two questions that a client is asked to keep to."""


class TaskParams(types.RequestParams):
    """Which task."""

    task_id: str = Field(max_length=100)


class UpdateParams(TaskParams):
    """What the client answers to what a task asked."""

    input_responses: dict[str, Any]


def declares(ctx: Call) -> bool:
    """Whether the client says of this request that it understands tasks."""
    declared = ctx.session.client_capabilities
    return declared is not None and EXTENSION in (declared.extensions or {})


def wants_task(ctx: Call) -> bool:
    """Whether a call may be answered with a task."""
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and declares(ctx)


def demand_extension(ctx: Call) -> None:
    """Refuse (-32021) a client that does not say that it understands tasks."""
    if not declares(ctx):
        data: dict[str, Any] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "Missing required client capability", data=data)


async def as_task(kind: TaskKind, context: Context, params: types.CallToolRequestParams) -> dict[str, Any] | Answer:
    """Answer a call with a task that is stored already, or at once where there is nothing to wait for."""
    try:
        begun = await kind.begin(context, params)
    except Refusal as refusal:
        return refused(refusal)
    if not isinstance(begun, TaskView):
        return begun
    working = TaskState(status="working", updated_at=begun.created_at)
    return {"resultType": "task", **wire(begun, working)}


def add_tasks(server: Server[dict[str, Any]], parts: Parts) -> None:
    """Let a server answer `tasks/get`, `tasks/update` and `tasks/cancel`."""

    async def found(ctx: Call, params: TaskParams) -> tuple[Context, TaskView, TaskKind]:
        if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found", data=ctx.method)
        demand_extension(ctx)
        check_route(ctx, params.task_id)
        context = parts.context_for(ctx.request)
        try:
            task = await asyncio.to_thread(find, context, params.task_id)
            offer = parts.tools.get(task.tool)
            if offer is None or offer.task is None or not may(offer.scope, context.scopes):
                raise tasks.UnknownTask("There is no such task.")
        except Refusal as refusal:
            raise protocol_error(refusal) from None
        return context, task, offer.task

    async def get(ctx: Call, params: TaskParams) -> dict[str, Any]:
        context, task, kind = await found(ctx, params)
        return wire(task, await kind.look(context, task))

    async def update(ctx: Call, params: UpdateParams) -> dict[str, Any]:
        context, task, kind = await found(ctx, params)
        await kind.update(context, task, params.input_responses)
        return {}

    async def cancel(ctx: Call, params: TaskParams) -> dict[str, Any]:
        context, task, kind = await found(ctx, params)
        if (await kind.look(context, task)).status in ("working", "input_required"):
            await asyncio.to_thread(give_up, context, task)
        return {}

    server.extensions[EXTENSION] = {}
    server.add_request_handler("tasks/get", TaskParams, get)
    server.add_request_handler("tasks/update", UpdateParams, update)
    server.add_request_handler("tasks/cancel", TaskParams, cancel)


def check_route(ctx: Call, task_id: str) -> None:
    """Refuse (-32020) a header `Mcp-Name` that is not the task's: gateways send the request where it says."""
    if ctx.request is not None and ctx.request.headers.get("mcp-name") != task_id:
        raise MCPError(types.HEADER_MISMATCH, "Mcp-Name must be the taskId of the request.")


def wire(task: TaskView, state: TaskState) -> dict[str, Any]:
    """A task as the extension writes it. A cancelled one stays cancelled, whatever becomes of the work."""
    status = "cancelled" if task.cancelled_at is not None else state.status
    said: dict[str, Any] = {
        "taskId": task.id,
        "status": status,
        "createdAt": task.created_at.isoformat(),
        "lastUpdatedAt": (task.cancelled_at or state.updated_at).isoformat(),
        "ttlMs": None,
        "pollIntervalMs": POLL_MS,
    }
    if status == "cancelled":
        return said
    if state.message is not None:
        said["statusMessage"] = state.message
    if state.result is not None:
        said["result"] = state.result.model_dump(by_alias=True, mode="json", exclude_none=True)
    if state.error is not None:
        said["error"] = state.error.model_dump(by_alias=True, mode="json", exclude_none=True)
    if state.input_requests is not None:
        said["inputRequests"] = dict(state.input_requests)
    return said


def find(context: Context, task_id: str) -> TaskView:
    """The caller's task."""
    with context.store.reading() as session:
        return tasks.find(session, task_id, context.principal)


def give_up(context: Context, task: TaskView) -> None:
    """Note that the client does not wait any more. What an engine has begun is stored all the same."""
    with audited(context, call_of(context, "tasks/cancel", subject={"tool": task.tool})).store.transaction() as session:
        tasks.cancel(session, task.id, context.now)
