"""Types of the generated client: JSON Schemas as Python. Pure; `server/client_source.py` puts them to use."""

import json
import keyword
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}

Schema = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """How arrays, objects and named objects are spelt: results are frozen, arguments are whatever is like them."""

    array: str
    names: Mapping[str, str]


@dataclass
class Types:
    """The named objects of all tools, in an order in which each comes after those that it is made of."""

    objects: dict[str, Schema] = field(default_factory=dict)
    given: dict[str, Schema] = field(default_factory=dict)

    def add_result(self, name: str, schema: Schema) -> None:
        """A tool's result and what it is made of."""
        add(self.objects, name, schema, schema.get("$defs", {}))

    def add_arguments(self, schema: Schema) -> None:
        """The named objects that a tool takes."""
        for name, shape in schema.get("$defs", {}).items():
            add(self.given, name, shape, schema["$defs"])

    @property
    def results(self) -> Spelling:
        """Types of fields of results."""
        return Spelling(array="tuple[{}, ...]", names={name: name for name in self.objects})

    @property
    def arguments(self) -> Spelling:
        """Types of arguments: an object is given as a dictionary, or as the dataclass that a tool answered."""
        names = {name: f"{name}Fields | {name}" if name in self.objects else f"{name}Fields" for name in self.given}
        return Spelling(array="Sequence[{}]", names=names)

    def source(self) -> list[str]:
        """Every class."""
        made = []
        for name, schema in self.objects.items():
            about = list(docstring(reflowed(schema.get("description", f"{name}.")), 4))
            fields = [f"    {line}" for line in result_fields(schema, self.results)]
            made.append("\n".join(["@dataclass(frozen=True, kw_only=True)", f"class {name}:", *about, "", *fields]))
        for name, schema in self.given.items():
            about = list(docstring(reflowed(schema.get("description", f"{name}.")), 4))
            fields = [f"    {line}" for line in given_fields(schema, self.arguments)]
            made.append("\n".join([f"class {name}Fields(TypedDict):", *about, "", *fields]))
        return made


def add(known: dict[str, Schema], name: str, schema: Schema, defs: Mapping[str, Schema]) -> None:
    """Note an object after those that it refers to. Two of one name must be the same."""
    for inner in references(schema.get("properties", {})):
        if inner not in known:
            add(known, inner, defs[inner], defs)
    shape = {key: value for key, value in schema.items() if key != "$defs"}
    assert known.get(name, shape) == shape, f"two results are called {name}"
    known[name] = shape


def references(part: Any) -> Iterator[str]:
    """Names of the objects that a schema refers to, in order."""
    if isinstance(part, Mapping):
        if "$ref" in part:
            yield part["$ref"].rsplit("/", 1)[-1]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def result_fields(schema: Schema, spelling: Spelling) -> Iterator[str]:
    """Lines of a dataclass."""
    for name, shape in schema["properties"].items():
        assert name.isidentifier() and not keyword.iskeyword(name), name
        needed = name in schema.get("required", [])
        yield f"{name}: {typed(shape, spelling)}" + ("" if needed else f" = {default_of(shape)}")


def given_fields(schema: Schema, spelling: Spelling) -> Iterator[str]:
    """Lines of a TypedDict."""
    for name, shape in schema["properties"].items():
        kind = typed(shape, spelling)
        yield f"{name}: {kind}" if name in schema.get("required", []) else f"{name}: NotRequired[{kind}]"


def typed(shape: Schema, spelling: Spelling) -> str:
    """A schema as a type."""
    if "$ref" in shape:
        return spelling.names[shape["$ref"].rsplit("/", 1)[-1]]
    if "anyOf" in shape:
        return " | ".join(dict.fromkeys(typed(one, spelling) for one in shape["anyOf"]))
    if values := shape.get("enum", [shape["const"]] if "const" in shape else []):
        return f"Literal[{', '.join(json.dumps(one) for one in values)}]"
    if shape.get("format") == "date-time":
        return "datetime"
    kind = shape.get("type")
    if kind == "array":
        return spelling.array.format(typed(shape["items"], spelling))
    if kind == "object":
        inner = shape.get("additionalProperties")
        return f"Mapping[str, {typed(inner, spelling) if isinstance(inner, Mapping) else 'Any'}]"
    return PLAIN.get(str(kind), "Any")


def default_of(shape: Schema) -> str:
    """What a field is where an answer leaves it out."""
    default = shape.get("default")
    kind = shape.get("type")
    if kind == "array":
        assert not default, f"a default that is not empty: {default}"
        return "()"
    if kind == "object":
        assert not default, f"a default that is not empty: {default}"
        return "field(default_factory=dict)"
    return json.dumps(default) if isinstance(default, str) else repr(default)


def reflowed(text: str) -> str:
    """Text whose paragraphs are one line each."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)


def docstring(text: str, indent: int) -> Iterator[str]:
    """A docstring of lines that fit."""
    pad = " " * indent
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    lines = [
        line
        for paragraph in escaped.split("\n")
        for line in textwrap.wrap(paragraph, 116 - indent, break_long_words=False) or [""]
    ]
    if len(lines) == 1:
        yield f'{pad}"""{lines[0]}"""'
    else:
        yield f'{pad}"""{lines[0]}'
        yield from (f"{pad}{line}".rstrip() for line in lines[1:])
        yield f'{pad}"""'
