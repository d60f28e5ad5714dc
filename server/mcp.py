"""MCP doorway: the toolbox over the official SDK, both protocol eras, streamable HTTP and stdio."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from errors import Refusal, unknown
from server.toolbox import Tool, call
from tools import Context

INSTRUCTIONS = """igla runs races between training recipes and measures them itself. Play: submit_job or plan_race,
then claim_job, then run_chunk until its decision is not "continue", then leaderboard. Numbers are bits per byte on
validation text, lower is better. A refusal begins with a stable code and ends with the next step."""

ContextFor = Callable[[Any], Context]
"""Builds a tool's context from the transport's request (None on stdio)."""


def mcp_server(tools: Mapping[str, Tool], context_for: ContextFor) -> Server[dict[str, Any]]:
    """An MCP server that offers the tools."""
    listed = types.ListToolsResult(tools=[definition(tool) for tool in tools.values()])
    schemas = {tool.name: tool.input_schema for tool in listed.tools}

    async def list_tools(ctx: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return listed

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        if params.name not in tools:
            raise MCPError(types.INVALID_PARAMS, str(unknown("tool", params.name, tools)))
        try:
            result = await call(tools[params.name], context_for(ctx.request), params.arguments or {})
        except Refusal as refusal:
            return types.CallToolResult(content=[types.TextContent(type="text", text=str(refusal))], is_error=True)
        text = json.dumps(result, separators=(",", ":"), ensure_ascii=False)
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structured_content=result)

    return Server(
        "igla",
        version="0.1.0",
        instructions=INSTRUCTIONS,
        get_tool_input_schema=schemas.get,  # else the SDK lists every tool at every call
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def definition(tool: Tool) -> types.Tool:
    """The tool as MCP lists it."""
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        annotations=types.ToolAnnotations(
            read_only_hint=tool.about["read_only"],
            destructive_hint=tool.about["destructive"],
            idempotent_hint=tool.about["idempotent"],
            open_world_hint=False,
        ),
    )


async def serve_stdio(server: Server[dict[str, Any]]) -> None:
    """Serve one client on standard input and output until it hangs up."""
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
