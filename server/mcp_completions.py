"""Completions over MCP: race names, ids of jobs, words of the glossary, recipe fields."""

import asyncio
from collections.abc import Sequence

import mcp_types as types
from mcp.shared.exceptions import MCPError

from db import finding
from errors import shown, unknown
from server.mcp_parts import Completer, Parts, protocol_error
from server.mcp_resources import named
from tools import Context
from training.recipe import json_schema

MOST = 100
"""Values in one answer, as the protocol limits them."""


def completers() -> dict[tuple[str, str], Completer]:
    """Who completes which argument of which prompt or template."""
    prompts = {name: race_names for name in ("join_race", "propose_recipe")}
    return {
        **{(name, "race"): one for name, one in prompts.items()},
        ("read_the_board", "race"): board_names,
        ("propose_recipe", "field"): recipe_fields,
        ("race://{id}", "id"): race_names,
        ("leaderboard://{race}", "race"): board_names,
        ("job://{id}", "id"): job_ids,
        ("glossary://{term}", "term"): terms,
        ("recipe://{field}", "field"): recipe_fields,
    }


def race_names(context: Context, typed: str) -> list[str]:
    """Names of races."""
    return fitting(named(context), typed)


def board_names(context: Context, typed: str) -> list[str]:
    """Names of races and tracks."""
    return fitting([*named(context), *context.tracks()], typed)


def job_ids(context: Context, typed: str) -> list[str]:
    """Ids of jobs that begin so."""
    with context.store.reading() as session:
        return finding.job_ids(session, typed, MOST + 1)


def terms(context: Context, typed: str) -> list[str]:
    """Words of the glossary."""
    return fitting(list(context.glossary), typed.lower())


def recipe_fields(context: Context, typed: str) -> list[str]:
    """Fields of a recipe."""
    return fitting(list(json_schema()["properties"]), typed)


def fitting(known: Sequence[str], typed: str) -> list[str]:
    """The known values that begin so, then those that contain it, each in alphabetical order."""
    return sorted((one for one in known if typed in one), key=lambda one: (not one.startswith(typed), one))


async def completed(parts: Parts, context: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
    """The values that fit; none for an argument that nobody completes. An unknown prompt or template is an error."""
    if isinstance(params.ref, types.PromptReference):
        name, known = params.ref.name, list(parts.guides)
    else:
        known = [template.uri_template for source in parts.sources.values() for template in source.templates]
        name = params.ref.uri
    if name not in known:
        raise protocol_error(unknown("prompt or template", name, known))
    if len(params.argument.value) > MOST:
        raise MCPError(
            types.INVALID_PARAMS, f"A value has {MOST} characters at most, got {shown(params.argument.value)}."
        )
    completer = parts.completers.get((name, params.argument.name))
    if completer is None or not context.scopes:
        return types.CompleteResult(completion=types.Completion(values=[], total=0, has_more=False))
    values = list(await asyncio.to_thread(completer, context, params.argument.value))
    return types.CompleteResult(
        completion=types.Completion(values=values[:MOST], total=len(values), has_more=len(values) > MOST)
    )
