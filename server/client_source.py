"""`make client`: writes server/client.py, the typed client, from the tools' contracts.

`source` is pure: the same tools give the same bytes, and a test compares them with the file that is checked in.
"""

import json
import keyword
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from server.client_core import SyncCore
from server.client_types import Types, docstring, reflowed, typed
from server.toolbox import Tool, toolbox

TARGET = Path(__file__).with_name("client.py")

HEAD = '''"""The typed client of an igla server. Written by `make client` from the tools' contracts: do not edit.

    with Client.at("https://igla.example.org", token) as igla:
        board = igla.leaderboard("first")

Every refusal of the server is a `Refused` with its code; `AsyncClient` is the same for `async with`. What a client is
besides its tools (retries, artifacts) stands in client_core.py and client_steps.py.
"""
'''

IMPORTS = {
    "collections.abc": ("AsyncIterator", "Iterator", "Mapping", "Sequence"),
    "dataclasses": ("dataclass", "field"),
    "datetime": ("datetime",),
    "typing": ("Any", "Literal", "NotRequired", "TypedDict"),
    "server.client_async": ("AsyncCore",),
    "server.client_core": ("SyncCore",),
}
"""What the file may need."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One of the two classes, and the words in which they differ."""

    name: str
    base: str
    asynchronous: bool

    @property
    def def_(self) -> str:
        """What a method begins with."""
        return "async def" if self.asynchronous else "def"

    @property
    def await_(self) -> str:
        """What stands before a call."""
        return "await " if self.asynchronous else ""


FORMS = (
    Form(name="Client", base="SyncCore", asynchronous=False),
    Form(name="AsyncClient", base="AsyncCore", asynchronous=True),
)


def source(tools: Mapping[str, Tool]) -> str:
    """The whole file."""
    types = Types()
    for tool in tools.values():
        types.add_result(result_name(tool), tool.output_schema)
        types.add_arguments(tool.input_schema)
    parts = [*types.source(), *(client(form, tools, types) for form in FORMS)]
    body = "\n\n\n".join(part.rstrip() for part in parts) + "\n"
    return f"{HEAD}\n# fmt: off\n\n{imports(body)}\n\n{body}"


def imports(body: str) -> str:
    """Imports of what the body uses."""
    lines = []
    for module, names in IMPORTS.items():
        if used := [name for name in names if re.search(r"= field\(" if name == "field" else rf"\b{name}\b", body)]:
            lines.append(f"from {module} import {', '.join(used)}\n")
        if module == "typing":
            lines.append("\n")
    return "".join(lines)


def result_name(tool: Tool) -> str:
    """What the tool's result is called in its own code."""
    name: str = get_type_hints(tool.function)["return"].__name__
    return name


def client(form: Form, tools: Mapping[str, Tool], types: Types) -> str:
    """One of the two classes."""
    lines = [f"class {form.name}({form.base}):", '    """One method for each tool, in alphabetical order."""']
    for tool in tools.values():
        assert not hasattr(SyncCore, tool.name), f"the client has a {tool.name} of its own"
        lines += ["", *method(form, tool, types)]
    return "\n".join(lines)


def method(form: Form, tool: Tool, types: Types) -> Iterator[str]:
    """The lines of a tool's methods."""
    shapes = arguments_of(tool)
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in shapes)
    yield from signature(form, tool, types, tool.name, result_name(tool))
    yield from docstring(f"See `Client.{tool.name}`." if form.asynchronous else described(tool), 8)
    yield from filled("given = {", [f'"{name}": {name}' for name in shapes], "}", 8)
    wait = shapes.get("wait_seconds")
    waits = f"{float(wait['default'])} if wait_seconds is None else wait_seconds" if wait else "0.0"
    told = [result_name(tool), f'"{tool.name}"', "given", f"idempotent={tool.about['idempotent']}", f"wait={waits}"]
    yield from filled(f"return {form.await_}self.ask(", told, ")", 8)
    if "next_cursor" in tool.output_schema["properties"]:
        yield ""
        yield from pages(form, tool, types)
    if tool.about.get("engine"):
        yield ""
        yield from waiting(form, tool, types)


def arguments_of(tool: Tool, *, without: str = "") -> dict[str, Any]:
    """name -> shape, required ones first."""
    shapes, required = tool.input_schema["properties"], tool.input_schema.get("required", [])
    names = [*required, *(name for name in shapes if name not in required)]
    return {name: shapes[name] for name in names if name != without}


def signature(
    form: Form, tool: Tool, types: Types, name: str, result: str, *, without: str = "", more: str = ""
) -> Iterator[str]:
    """`def` with its arguments."""
    required = tool.input_schema.get("required", [])
    words = ["self"]
    for argument, shape in arguments_of(tool, without=without).items():
        kind = typed(shape, types.arguments)
        optional = f"{argument}: {kind.removesuffix(' | None')} | None = None"
        words.append(f"{argument}: {kind}" if argument in required else optional)
    yield from filled(f"{form.def_} {name}(", [*words, *([more] if more else [])], f") -> {result}:", 4)


def filled(before: str, words: list[str], after: str, indent: int) -> list[str]:
    """Words between brackets: on one line, or on as many as they need."""
    pad = " " * indent
    line = f"{pad}{before}{', '.join(words)}{after}"
    if len(line) <= 116:
        return [line]
    inner = textwrap.wrap(", ".join(words) + ",", 116, initial_indent=pad + "    ", subsequent_indent=pad + "    ")
    return [f"{pad}{before}", *inner, f"{pad}{after}"]


def described(tool: Tool) -> str:
    """What the tool says of itself and of its arguments."""
    told = []
    for name, shape in arguments_of(tool).items():
        text = shape.get("description") or next(
            (one["description"] for one in shape.get("anyOf", ()) if "description" in one), ""
        )
        default = shape.get("default")
        told.append(
            f"{name}: {text}{f' (by default {json.dumps(default)})' if default is not None else ''}".rstrip(": ")
        )
    return "\n".join([reflowed(tool.description), *([""] if told else []), *told])


def pages(form: Form, tool: Tool, types: Types) -> Iterator[str]:
    """An iterator over all pages."""
    row = typed(tool.output_schema["properties"]["rows"]["items"], types.results)
    iterator = f"AsyncIterator[{row}]" if form.asynchronous else f"Iterator[{row}]"
    yield from signature(form, tool, types, f"iter_{tool.name}", iterator, without="cursor")
    yield from docstring(f"Every row of `{tool.name}`, page after page.", 8)
    yield "        cursor = None"
    yield "        while True:"
    names = [f"{one}={one}" for one in arguments_of(tool)]
    yield from filled(f"page = {form.await_}self.{tool.name}(", names, ")", 12)
    if form.asynchronous:
        yield "            for row in page.rows:"
        yield "                yield row"
    else:
        yield "            yield from page.rows"
    yield "            cursor = page.next_cursor"
    yield "            if cursor is None:"
    yield "                return"


def waiting(form: Form, tool: Tool, types: Types) -> Iterator[str]:
    """A long call made of short ones."""
    result = result_name(tool)
    more = "seconds: float = 3600.0"
    yield from signature(form, tool, types, f"wait_{tool.name}", result, without="wait_seconds", more=more)
    text = f"`{tool.name}` in calls that no proxy cuts short. Raises Refused (chunk_running) after so many seconds."
    yield from docstring(text, 8)
    names = [f"{one}={one}" for one in arguments_of(tool, without="wait_seconds")]
    once = f"lambda left: self.{tool.name}({', '.join(names)}, wait_seconds=left)"
    yield from filled(f"return {form.await_}self.until_done(", ["seconds", once], ")", 8)


if __name__ == "__main__":
    TARGET.write_text(source(toolbox()), encoding="utf-8")
