"""MCP doorway: what igla offers over the official SDK, both protocol eras, streamable HTTP and stdio."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from errors import Refusal, unknown
from server.mcp_completions import completed, completers
from server.mcp_parts import Call, Parts, protocol_error
from server.mcp_prompts import guides
from server.mcp_resources import page, read, sources
from server.mcp_tasks import add_tasks, as_task, wants_task
from server.mcp_tools import instructions, offers, visible
from server.toolbox import Tool
from tools import Context

HINTS = {
    "tools/list": CacheHint(ttl_ms=60_000, scope="private"),
    "prompts/list": CacheHint(ttl_ms=600_000, scope="public"),
    "resources/templates/list": CacheHint(ttl_ms=600_000, scope="public"),
    "resources/list": CacheHint(ttl_ms=5_000, scope="private"),
    "resources/read": CacheHint(ttl_ms=1_000, scope="private"),
    "server/discover": CacheHint(ttl_ms=600_000, scope="public"),
}
"""How long a client may keep an answer. What depends on the caller is private."""


IN_HEADERS = "x-mcp-header"
"""What a schema says of an argument that also travels in a header of its own. No tool of igla has such arguments."""


def parts_of(tools: Mapping[str, Tool], context_for: Callable[[Any], Context], unlisted: Collection[str] = ()) -> Parts:
    """All that igla offers over MCP with these tools. context_for: of a transport's request, which is None on stdio.
    unlisted: tools that answer but stand in no list.
    """
    return Parts(
        context_for=context_for,
        instructions=instructions(tools),
        tools=offers(tools, context_for, unlisted),
        sources=sources(tools),
        guides=guides(tools, context_for),
        completers=completers(),
    )


def mcp_server(parts: Parts) -> Server[dict[str, Any]]:
    """An MCP server that offers the parts."""
    prompts = types.ListPromptsResult(prompts=[one.definition for one in parts.guides.values()])
    templates = types.ListResourceTemplatesResult(
        resource_templates=[template for source in parts.sources.values() for template in source.templates]
    )

    async def list_tools(ctx: Call, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        last_page(params)
        scopes = parts.context_for(ctx.request).scopes
        return types.ListToolsResult(tools=[one.definition for one in visible(parts.tools, scopes)])

    async def call_tool(ctx: Call, params: types.CallToolRequestParams) -> Any:
        offer = parts.tools.get(params.name)
        if offer is None:
            raise protocol_error(unknown("tool", params.name, parts.tools))
        if offer.task is not None and wants_task(ctx):
            return await as_task(offer.task, parts.context_for(ctx.request), params)
        return await offer.call(ctx, params)

    async def list_prompts(ctx: Call, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        last_page(params)
        return prompts

    async def get_prompt(ctx: Call, params: types.GetPromptRequestParams) -> Any:
        if params.name not in parts.guides:
            raise protocol_error(unknown("prompt", params.name, parts.guides))
        try:
            return await parts.guides[params.name].get(ctx, params)
        except Refusal as refusal:
            raise protocol_error(refusal) from None

    async def list_templates(
        ctx: Call, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        last_page(params)
        return templates

    async def list_resources(ctx: Call, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        return await page(parts.sources, parts.context_for(ctx.request), params.cursor if params else None)

    async def read_resource(ctx: Call, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        return await read(parts.sources, parts.context_for(ctx.request), params.uri)

    async def complete(ctx: Call, params: types.CompleteRequestParams) -> types.CompleteResult:
        return await completed(parts, parts.context_for(ctx.request), params)

    every = {name: offer.definition.input_schema for name, offer in parts.tools.items()}
    schemas = {name: schema for name, schema in every.items() if IN_HEADERS in str(schema)}
    server: Server[dict[str, Any]] = Server(
        "igla",
        version="0.1.0",
        title="igla",
        description="Races between training recipes, measured by the server.",
        instructions=parts.instructions,
        cache_hints=HINTS,  # type: ignore[arg-type]  # the keys are the SDK's own literals
        get_tool_input_schema=schemas.get,  # else the SDK lists every tool, and walks its schema, at every call
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_completion=complete,
    )
    add_tasks(server, parts)
    return server


def last_page(params: types.PaginatedRequestParams | None) -> None:
    """Lists of one page have no cursor: one that comes all the same is refused, so that no client turns in a circle."""
    if params is not None and params.cursor is not None:
        raise MCPError(types.INVALID_PARAMS, "This list has one page; leave the cursor out.")


async def serve_stdio(server: Server[dict[str, Any]]) -> None:
    """Serve one client on standard input and output until it hangs up."""
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
