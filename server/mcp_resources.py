"""Resources over MCP: what one may read by address. Each is what a tool answers, so the same scopes hold."""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

import mcp_types as types
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter

from db import queue, races
from db.races import RaceView
from errors import Refusal, UnknownName, shown, unknown
from server.mcp_parts import Contents, Source, protocol_error
from server.toolbox import ScopeMissing, Tool, call, may
from tools import Context
from training.recipe import json_schema

PAGE = 100
"""Resources on a page."""

LONGEST = 500
"""Characters that an address may have."""

JSON = "application/json"
RACE = TypeAdapter(RaceView)
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
Read = Callable[[Context, str], Awaitable[Contents]]


def sources(tools: Mapping[str, Tool]) -> dict[str, Source]:
    """The resources of igla by scheme; those whose tool is not offered are not either."""
    every = {
        "race": source("race://{id}", "Race", "Settings of a race and how many jobs stand where.", race, races_listed),
        "recipe": source("recipe://{field}", "Recipe field", "JSON Schema of recipe fields.", recipe, recipe_listed),
    }
    through = [
        ("job_status", "job", "job_id", "job://{id}", "Job", "State, curve and decisions of a job."),
        ("leaderboard", "leaderboard", "race", "leaderboard://{race}", "Leaderboard", "Ranks of a race or track."),
        ("glossary", "glossary", "term", "glossary://{term}", "Glossary", "What a word of igla means."),
    ]
    for name, scheme, argument, template, title, description in through:
        if name in tools:
            listed = boards_listed if scheme == "leaderboard" else nothing
            every[scheme] = source(template, title, description, answer_of(tools[name], scheme, argument), listed)
    return dict(sorted(every.items()))


def source(
    template: str, title: str, description: str, read: Read, listed: Callable[[Context], list[types.Resource]]
) -> Source:
    """A scheme with one template."""
    name = template.partition(":")[0]
    shape = types.ResourceTemplate(
        name=name, title=title, uri_template=template, description=description, mime_type=JSON
    )
    return Source(templates=[shape], listed=listed, read=read)


def answer_of(tool: Tool, scheme: str, argument: str) -> Read:
    """A resource that is what a tool answers."""

    async def read(context: Context, path: str) -> Contents:
        return text(f"{scheme}://{path}", await call(tool, context, {argument: unquote(path)}))

    return read


async def race(context: Context, path: str) -> Contents:
    """`race://{name}`."""

    name = unquote(path)
    if not NAME.fullmatch(name):
        raise UnknownName(f"There is no race {shown(name)}.")

    def look() -> dict[str, object]:
        with context.store.reading() as session:
            found = races.find(session, name)
            return {**RACE.dump_python(found, mode="json"), "jobs": queue.counts(session, found.id)}

    return text(f"race://{path}", await asyncio.to_thread(look))


async def recipe(context: Context, path: str) -> Contents:
    """`recipe://fields`: every field; `recipe://width`: one; `recipe://titans`: the options of one plug-in."""
    name, fields = unquote(path), json_schema()["properties"]
    found = {field: spec for field, spec in fields.items() if name in ("fields", field, field.partition(".")[0])}
    if not found:
        raise unknown("recipe field", name, fields)
    return text(f"recipe://{path}", found)


def races_listed(context: Context) -> list[types.Resource]:
    """Every race."""
    return [
        types.Resource(name=name, title=f"Race {name}", uri=f"race://{name}", mime_type=JSON) for name in named(context)
    ]


def boards_listed(context: Context) -> list[types.Resource]:
    """The board of every race. Tracks have boards too where their corpus is here, which takes a look at each file."""
    return [
        types.Resource(name=name, title=f"Leaderboard of {name}", uri=f"leaderboard://{name}", mime_type=JSON)
        for name in named(context)
    ]


def recipe_listed(context: Context) -> list[types.Resource]:
    """All fields at once."""
    return [types.Resource(name="fields", title="Every field of a recipe", uri="recipe://fields", mime_type=JSON)]


def nothing(context: Context) -> list[types.Resource]:
    """For what is too much to list: completions find it."""
    return []


def named(context: Context) -> list[str]:
    """Names of the races."""
    with context.store.reading() as session:
        return [one.name for one in races.listing(session)]


def text(uri: str, value: object) -> types.TextResourceContents:
    """A value as compact JSON."""
    plain = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return types.TextResourceContents(uri=uri, mime_type=JSON, text=plain)


async def read(every: Mapping[str, Source], context: Context, uri: str) -> types.ReadResourceResult:
    """What stands at an address. An unknown one is an error with the address in its data."""
    scheme, found, path = uri.partition("://")
    try:
        demand_reading(context)
        if not found or scheme not in every or not path or len(uri) > LONGEST:
            raise UnknownName(f"There is no resource {shown(uri)}. Known: {', '.join(f'{one}://' for one in every)}.")
        contents = await every[scheme].read(context, path)
    except Refusal as refusal:
        raise protocol_error(refusal, uri=uri[:LONGEST]) from None
    return types.ReadResourceResult(contents=[contents])


async def page(every: Mapping[str, Source], context: Context, cursor: str | None) -> types.ListResourcesResult:
    """The resources after a cursor, in the order of their addresses: each page begins later, so the pages end."""
    after = "" if cursor is None else address_of(cursor)

    def look() -> list[types.Resource]:
        listed = [one for each in every.values() for one in each.listed(context)]
        return sorted((one for one in listed if one.uri > after), key=lambda one: one.uri)

    try:
        demand_reading(context)
    except Refusal as refusal:
        raise protocol_error(refusal) from None
    rest = await asyncio.to_thread(look)
    last = cursor_at(rest[PAGE - 1].uri) if len(rest) > PAGE else None
    return types.ListResourcesResult(resources=rest[:PAGE], next_cursor=last)


def demand_reading(context: Context) -> None:
    """Refuse a caller without any scope."""
    if not may("read", context.scopes):
        raise ScopeMissing("Resources need the scope read.")


def cursor_at(uri: str) -> str:
    """The cursor of the page after an address."""
    return base64.urlsafe_b64encode(uri.encode()).decode()


def address_of(cursor: str) -> str:
    """The address that a page ended with."""
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise MCPError(types.INVALID_PARAMS, "The cursor is not one of this list's.") from None
