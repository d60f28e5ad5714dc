"""`/glossary`: what the words mean. Every word of a page that has an entry links to it."""

import re

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse

from server.pages.shell import page
from server.runtime import ROOT, Runtime

LINE = re.compile(r"^(?:## (?P<part>.+)|- \*\*(?P<term>.+?)\*\*: (?P<meaning>.+))$", flags=re.MULTILINE)


def parted(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The glossary's parts, each with its words and their meanings, in the order of the file."""
    parts: list[tuple[str, list[tuple[str, str]]]] = []
    for found in LINE.finditer(text):
        if found["part"]:
            parts.append((found["part"], []))
        elif parts:
            parts[-1][1].append((found["term"], found["meaning"]))
    return parts


def anchor(term: str) -> str:
    """The name of a word's place in the page."""
    return re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")


def add_glossary(app: FastAPI, runtime: Runtime) -> None:
    """Add the page of words."""
    parts = parted((ROOT / "GLOSSARY.md").read_text(encoding="utf-8"))

    def glossary_page(request: Request) -> HTMLResponse:
        return page(request, "glossary.html", {"parts": parts, "anchor": anchor})

    app.add_api_route("/glossary", glossary_page, methods=["GET"], include_in_schema=False)
