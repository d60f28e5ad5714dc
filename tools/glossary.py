"""Explain the project's words."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from errors import unknown
from tools import Context

about = {"toolset": "race", "scope": "read", "read_only": True, "destructive": False, "idempotent": True}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One word and its meaning."""

    term: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Glossary:
    """The words asked for."""

    rows: list[Entry]


def glossary(
    context: Context,
    term: Annotated[str | None, Field(max_length=64, description="one word; leave out for all")] = None,
) -> Glossary:
    """Say what a word of igla means: race, recipe, job, chunk, lease, fence, sample, rung, provenance and the rest."""
    if term is not None and term.lower() not in context.glossary:
        raise unknown("term", term, context.glossary)
    words = context.glossary if term is None else [term.lower()]
    return Glossary(rows=[Entry(term=word, meaning=context.glossary[word]) for word in words])
