import asyncio
from dataclasses import replace

import pytest

from errors import InvalidValue, Refusal
from server.toolbox import ScopeMissing, UnknownArgument, call, check, toolbox
from tools import tools
from training.recipe import field_names

TOOLS = toolbox()


@pytest.fixture(params=TOOLS)
def tool(request):
    return TOOLS[request.param]


def test_every_file_of_the_folder_is_a_tool():
    assert list(TOOLS) == list(tools)


def test_a_tool_says_what_it_touches(tool):
    assert tool.about["scope"] in {"read", "submit", "work", "measure", "referee", "admin"}
    assert all(isinstance(tool.about[hint], bool) for hint in ("read_only", "destructive", "idempotent"))
    assert not (tool.about["read_only"] and tool.about["destructive"])


def test_a_tool_is_described_and_each_of_its_arguments_too(tool):
    assert tool.description.endswith((".", ")"))
    schema = tool.input_schema
    assert schema["additionalProperties"] is False
    assert tool.output_schema["type"] == "object"
    undescribed = [name for name, shape in schema["properties"].items() if not described(shape)]
    assert undescribed == []


def test_an_unknown_argument_is_refused_with_the_nearest(tool):
    name = next(iter(tool.input_schema["properties"]))
    with pytest.raises(UnknownArgument, match=name):
        check(tool, {name + "x": 1})


def test_nothing_is_converted_silently():
    with pytest.raises(InvalidValue, match="limit"):
        check(TOOLS["leaderboard"], {"race": "r", "limit": "2"})
    with pytest.raises(InvalidValue, match="race"):
        check(TOOLS["leaderboard"], {"race": "../etc"})
    with pytest.raises(InvalidValue, match="race: Field required"):
        check(TOOLS["leaderboard"], {})


def test_strings_are_bounded():
    with pytest.raises(InvalidValue):
        check(TOOLS["claim_job"], {"worker": "w" * 100})


def test_a_text_that_one_of_the_databases_cannot_store_is_refused_on_both():
    for arguments in ({"job_id": "\x00" * 36}, {"job_id": "\ud800" * 36}):
        with pytest.raises(InvalidValue):
            check(TOOLS["job_status"], arguments)
    with pytest.raises(InvalidValue, match=r"U\+0000"):
        check(TOOLS["submit_job"], {"race": "r", "recipe": {"opt\x00imizer": "sgd"}})
    assert check(TOOLS["release_job"], {"job_id": "x" * 36, "fence": 1, "reason": "\\u0000"}).reason == "\\u0000"


def test_the_recipe_argument_spells_out_every_field():
    recipe = TOOLS["submit_job"].input_schema["properties"]["recipe"]
    assert list(recipe["properties"]) == field_names()
    assert recipe["additionalProperties"] is False


def test_a_caller_without_the_scope_is_refused(runtime):
    context = replace(runtime.context(), scopes=frozenset({"read"}))
    with pytest.raises(ScopeMissing, match="submit_job needs the scope submit"):
        asyncio.run(call(TOOLS["submit_job"], context, {"race": "r", "recipe": {}}))
    assert asyncio.run(call(TOOLS["glossary"], context, {"term": "fence"}))["rows"][0]["term"] == "fence"
    with pytest.raises(Refusal, match="scope"):
        asyncio.run(call(TOOLS["glossary"], replace(context, scopes=frozenset()), {}))


def described(shape):
    """Whether an argument says what it is, itself or in one of its forms."""
    forms = [shape, *shape.get("anyOf", [])]
    return any("description" in form or "$ref" in form or form.get("type") == "array" for form in forms)
