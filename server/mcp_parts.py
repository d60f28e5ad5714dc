"""Parts of an MCP server: plain values, so that what is offered is seen in one place and more can be put beside it."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from db.tasks import TaskView
from errors import Refusal
from tools import Context

Call = ServerRequestContext[Any, Any]
"""One request of a client, as the SDK hands it over."""

Answer = types.CallToolResult | types.InputRequiredResult
Contents = types.TextResourceContents | types.BlobResourceContents
Completer = Callable[[Context, str], Sequence[str]]
"""Every known value that fits what was typed, best first."""


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """How a task stands. result: of a completed one, what the call would have answered; error: of a failed one."""

    status: Literal["working", "input_required", "completed", "failed"]
    updated_at: datetime
    message: str | None = None
    result: types.CallToolResult | None = None
    error: types.ErrorData | None = None
    input_requests: Mapping[str, Any] | None = None


class TaskKind(ABC):
    """How calls of one tool become tasks. Its state is read from the store, so every process gives the same answer."""

    @abstractmethod
    async def begin(self, context: Context, params: types.CallToolRequestParams) -> TaskView | Answer:
        """Start the work and store a task, or answer at once where there is nothing to wait for."""

    @abstractmethod
    async def look(self, context: Context, task: TaskView) -> TaskState:
        """How a task stands now."""

    @abstractmethod
    async def update(self, context: Context, task: TaskView, responses: Mapping[str, Any]) -> None:
        """Take what a client answered to what the task asked; what was not asked is ignored."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A tool. scope: what a caller needs to see it; task: how its calls become tasks, for one that may take long.

    listed: whether lists have it; one that is left out still answers, and says what it lacks.
    """

    definition: types.Tool
    call: Callable[[Call, types.CallToolRequestParams], Awaitable[Answer]]
    scope: str = "read"
    task: TaskKind | None = None
    listed: bool = True


@dataclass(frozen=True, kw_only=True)
class Source:
    """The resources of one URI scheme. `read` gets what follows `scheme://`; it refuses what it does not know."""

    templates: Sequence[types.ResourceTemplate]
    listed: Callable[[Context], Sequence[types.Resource]]
    read: Callable[[Context, str], Awaitable[Contents]]


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A prompt."""

    definition: types.Prompt
    get: Callable[[Call, types.GetPromptRequestParams], Awaitable[types.GetPromptResult | types.InputRequiredResult]]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All that a server offers. sources: by scheme; completers: by (prompt or template, argument)."""

    context_for: Callable[[Any], Context]
    instructions: str
    tools: Mapping[str, Offer]
    sources: Mapping[str, Source]
    guides: Mapping[str, Guide]
    completers: Mapping[tuple[str, str], Completer]


def protocol_error(refusal: Refusal, **data: Any) -> MCPError:
    """A refusal where MCP knows only errors: its code stands in the data too."""
    return MCPError(types.INVALID_PARAMS, str(refusal), data={"code": refusal.code, **data})
