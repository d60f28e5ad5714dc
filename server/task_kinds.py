"""Long calls as tasks: their state is read from the rows that the work itself writes, by whichever process is asked."""

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import mcp_types as types
import structlog

from db import chunks, entry_runs, tasks
from db.calls import watched
from db.chunks import RequestView
from db.tasks import TaskView
from errors import Refusal
from server.answers import answered, refused
from server.auditing import audited
from server.mcp_parts import Answer, TaskKind, TaskState
from server.toolbox import Tool, call, facts, prepared
from tools import Context
from tools.run_chunk import ENGINE_SILENCE, ask, engines, keep, ran, standing
from tools.run_entry import answer_of

log = structlog.get_logger()
T = TypeVar("T")


class ToolTask(TaskKind):
    """A task of one of the toolbox's tools."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool

    async def begin(self, context: Context, params: types.CallToolRequestParams) -> TaskView | Answer:
        """The caller's scope and arguments are checked first, as for a call that waits."""
        given = params.arguments or {}
        told = facts(self.tool, context, given)
        with watched(context.watches, told):
            return await self.start(audited(context, told), prepared(self.tool, context, given))

    @abstractmethod
    async def start(self, context: Context, given: Mapping[str, Any]) -> TaskView | Answer:
        """Start the work with arguments that are checked."""

    async def update(self, context: Context, task: TaskView, responses: Mapping[str, Any]) -> None:
        """No tool asks anything, so no answer is taken."""

    def stored(self, context: Context, subject: Mapping[str, Any], lease_seconds: float | None = None) -> TaskView:
        """A new task of the caller."""
        with context.store.transaction() as session:
            return tasks.add(session, context.principal, self.tool.name, subject, context.now, lease_seconds)

    def dumped(self, result: Any) -> dict[str, Any]:
        """The tool's result as a JSON object."""
        dumped: dict[str, Any] = self.tool.result.dump_python(result, mode="json")
        return dumped


class ChunkTask(ToolTask):
    """`run_chunk`: the state is that of the chunk request."""

    async def start(self, context: Context, given: Mapping[str, Any]) -> TaskView | Answer:
        """An open request of the same holder is followed, not doubled."""
        request = await asyncio.to_thread(ask, context, given["job_id"], given["fence"], given["steps"])
        if request.finished_at is not None:
            return self.answer(request)
        return await asyncio.to_thread(self.stored, context, {"request": request.id})

    async def look(self, context: Context, task: TaskView) -> TaskState:
        """Asking keeps the job's lease while no engine has taken the request, as a waiting call does."""
        return await asyncio.to_thread(self.state, context, task)

    def state(self, context: Context, task: TaskView) -> TaskState:
        """How the request stands."""
        with context.store.reading() as session:
            request = chunks.get(session, task.subject["request"])
        if request.finished_at is not None:
            return TaskState(status="completed", updated_at=request.finished_at, result=self.answer(request))
        message = standing(request)
        if request.state == "queued":
            keep(context, request.job_id, request.job_fence)
            waited = (context.now - request.created_at).total_seconds()
            if waited > ENGINE_SILENCE and not engines(context):
                message = "No engine has given a sign of life; start one with `igla serve` or `igla engine`."
        return TaskState(status="working", updated_at=task.created_at, message=message)

    def answer(self, request: RequestView) -> types.CallToolResult:
        """What `run_chunk` answers to a closed request."""
        try:
            return answered(self.dumped(ran(request)))
        except Refusal as refusal:
            return refused(refusal)


class EntryTask(ToolTask):
    """`run_entry`: the task is done when each of its runs is closed."""

    async def start(self, context: Context, given: Mapping[str, Any]) -> TaskView | Answer:
        """Ask for the runs as the tool does, without waiting for them."""
        asked = await self.tool.function(context, **{**given, "wait_seconds": 0.0})
        if all(one.finished_at for one in asked.runs):
            return answered(self.dumped(asked))
        return await asyncio.to_thread(self.stored, context, {"runs": [one.id for one in asked.runs]})

    async def look(self, context: Context, task: TaskView) -> TaskState:
        """How many runs are closed."""
        return await asyncio.to_thread(self.state, context, task)

    def state(self, context: Context, task: TaskView) -> TaskState:
        """How the runs stand."""
        with context.store.reading() as session:
            runs = [entry_runs.get(session, one) for one in task.subject["runs"]]
        closed = [one.finished_at for one in runs if one.finished_at is not None]
        updated_at = max([task.created_at, *closed])
        if len(closed) < len(runs):
            message = f"{len(closed)} of {len(runs)} runs are closed."
            return TaskState(status="working", updated_at=updated_at, message=message)
        result = answered(self.dumped(answer_of(context, runs)))
        return TaskState(status="completed", updated_at=updated_at, result=result)


class PlanTask(ToolTask):
    """`plan_race`: a plan that is queued soon is answered at once; a large one goes on in the background.

    The plan is stored with the task, and queuing it twice equals queuing it once: where the process that was at it has
    gone silent, the next that is asked takes it up.
    """

    SOON: ClassVar[float] = 2.0
    """Seconds after which a call is answered with a task."""

    LEASE: ClassVar[float] = 15.0
    """Seconds that a task stays with a process that has gone silent."""

    def __init__(self, tool: Tool) -> None:
        super().__init__(tool)
        self.under_way: set[asyncio.Task[Any]] = set()

    async def begin(self, context: Context, params: types.CallToolRequestParams) -> TaskView | Answer:
        """The arguments are stored as they came; the call checks them."""
        return await self.start(context, params.arguments or {})

    async def start(self, context: Context, given: Mapping[str, Any]) -> TaskView | Answer:
        """Queue the plan; a refusal comes at once, since a plan is checked before it is queued."""
        work = self.started(call(self.tool, context, given))
        done, _ = await asyncio.wait([work], timeout=self.SOON)
        if done:
            return answered(work.result())
        task = await asyncio.to_thread(self.stored, context, {"arguments": dict(given)}, self.LEASE)
        self.go_on(context, task, work)
        return task

    def go_on(self, context: Context, task: TaskView, work: asyncio.Task[dict[str, Any]]) -> None:
        """Store the answer when it is there."""
        self.started(self.follow(context, task, work))

    def started(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work that goes on whether or not anybody waits for it."""
        task = asyncio.create_task(work)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        return task

    async def follow(self, context: Context, task: TaskView, work: asyncio.Task[dict[str, Any]]) -> None:
        """Hold the task while the work goes on, then store what it gave."""
        while not (await asyncio.wait([work], timeout=self.LEASE / 3))[0]:
            await asyncio.to_thread(self.hold, context, task)
        try:
            answer = answered(work.result())
        except Refusal as refusal:
            answer = refused(refusal)
        except Exception:
            log.exception("task_failed", tool=self.tool.name)
            return  # the lease ends, and who asks next tries again
        await asyncio.to_thread(self.finish, context, task, answer)

    def hold(self, context: Context, task: TaskView) -> None:
        """Say that this process is still at work."""
        with context.store.transaction() as session:
            tasks.renew(session, task.id, context.now, self.LEASE)

    def finish(self, context: Context, task: TaskView, answer: types.CallToolResult) -> None:
        """Store the answer."""
        plain = answer.model_dump(by_alias=True, mode="json", exclude_none=True)
        with context.store.transaction() as session:
            tasks.finish(session, task.id, plain, context.now)

    async def look(self, context: Context, task: TaskView) -> TaskState:
        """The stored answer; where nobody works on it any more, this process does from now on."""
        if task.answer is not None and task.finished_at is not None:
            result = types.CallToolResult.model_validate(task.answer, by_name=False)
            return TaskState(status="completed", updated_at=task.finished_at, result=result)
        if task.cancelled_at is None and await asyncio.to_thread(self.taken, context, task):
            again = replace(context, watches=())  # the same call as before
            self.go_on(context, task, self.started(call(self.tool, again, task.subject["arguments"])))
        return TaskState(status="working", updated_at=task.created_at, message="The plan is being queued.")

    def taken(self, context: Context, task: TaskView) -> bool:
        """Whether this process has taken the task up."""
        with context.store.transaction() as session:
            return tasks.take(session, task.id, context.now, self.LEASE)


KINDS: dict[str, type[ToolTask]] = {"run_chunk": ChunkTask, "run_entry": EntryTask, "plan_race": PlanTask}
"""Tools whose calls may become tasks."""
