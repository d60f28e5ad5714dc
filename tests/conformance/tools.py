"""The tools of the suite: contents of every kind, progress, questions to the client in both eras."""

import asyncio
import json
import warnings

import mcp_types as types
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.shared.message import ServerMessageMetadata

from server.mcp_parts import Offer

IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
AUDIO = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="

warnings.filterwarnings("ignore", category=MCPDeprecationWarning)


def text(words):
    return types.TextContent(type="text", text=words)


def embedded(uri, mime, words):
    contents = types.TextResourceContents(uri=uri, mime_type=mime, text=words)
    return types.EmbeddedResource(type="resource", resource=contents)


def result(*blocks, is_error=False):
    content = [text(one) if isinstance(one, str) else one for one in blocks]
    return types.CallToolResult(content=content, is_error=is_error)


def fixture(name, call, task=None, schema=None, /, **properties):
    shape = schema or {"type": "object", "properties": properties, "additionalProperties": False}
    definition = types.Tool(name=name, description=f"Fixture {name}.", input_schema=shape)
    return name, Offer(definition=definition, call=call, task=task)


def says(*blocks, is_error=False):
    async def call(ctx, params):
        return result(*blocks, is_error=is_error)

    return call


async def progresses(ctx, params):
    for step in (0, 50, 100):
        await ctx.session.report_progress(step, 100, f"Completed step {step} of 100")
        await asyncio.sleep(0.05)
    return result(str((ctx.meta or {}).get("progress_token", 0)))


async def logs(ctx, params):
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", words, related_request_id=ctx.request_id)
        await asyncio.sleep(0.05)
    return result("Tool with logging executed successfully")


async def samples(ctx, params):
    answer = await ctx.session.create_message(
        messages=[types.SamplingMessage(role="user", content=text(params.arguments["prompt"]))],
        max_tokens=100,
        related_request_id=ctx.request_id,
    )
    return result(f"LLM response: {answer.content.text}")


def elicits(message, schema):
    async def call(ctx, params):
        asked = message or params.arguments["message"]
        request = types.ElicitRequest(params=types.ElicitRequestFormParams(message=asked, requested_schema=schema))
        related = ServerMessageMetadata(related_request_id=ctx.request_id)
        answer = await ctx.session.send_request(request, types.ElicitResult, metadata=related)
        return result(f"User response: action={answer.action}, content={json.dumps(answer.content)}")

    return call


def form(message, **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(words):
    message = types.SamplingMessage(role="user", content=text(words))
    return types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=[message], max_tokens=100))


NAME = {"name": {"type": "string"}}


def asks(requests, state=None):
    """Ask until every answer is there and of its kind."""

    async def call(ctx, params):
        given = params.input_responses or {}
        whole = requests.keys() <= given.keys() and all(fits(requests[name], given[name]) for name in requests)
        if whole and state in (None, params.request_state):
            said = {name: given[name].model_dump(by_alias=True, mode="json", exclude_none=True) for name in requests}
            return result(f"state-ok: {json.dumps(said)}")
        return types.InputRequiredResult(input_requests=dict(requests), request_state=state)

    return call


KINDS = {
    types.ElicitRequest: types.ElicitResult,
    types.CreateMessageRequest: types.CreateMessageResult,
    types.ListRootsRequest: types.ListRootsResult,
}


def fits(request, response):
    return isinstance(response, KINDS[type(request)])


async def three_rounds(ctx, params):
    state = json.loads(params.request_state) if params.request_state else {"round": 0}
    given = params.input_responses or {}
    if state["round"] == 1 and "step1" in given:
        known = {"round": 2, "name": given["step1"].content["name"]}
        color = form("Step 2: What is your favorite color?", color={"type": "string"})
        return types.InputRequiredResult(input_requests={"step2": color}, request_state=json.dumps(known))
    if state["round"] == 2 and "step2" in given:
        return result(f"{state['name']} likes {given['step2'].content['color']}.")
    first = form("Step 1: What is your name?", **NAME)
    return types.InputRequiredResult(input_requests={"step1": first}, request_state=json.dumps({"round": 1}))


async def declared_only(ctx, params):
    """Ask only for what the client has declared."""
    can = ctx.session.client_capabilities
    requests = {}
    if can is not None and can.sampling is not None:
        requests["sample"] = sampling("Say hello")
    if can is not None and can.elicitation is not None:
        requests["ask"] = form("What is your name?", **NAME)
    return types.InputRequiredResult(input_requests=requests or None, request_state="gated")


async def streams_then_asks(ctx, params):
    """Progress on the stream, then a question as the result: never a request of the server's own."""
    await ctx.session.report_progress(1, 2, "Half of it is done")
    return types.InputRequiredResult(input_requests={"ask": form("What is your name?", **NAME)})


async def needs_sampling(ctx, params):
    can = ctx.session.client_capabilities
    if can is None or can.sampling is None:
        data = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool needs the capability sampling.", data=data)
    return result("The client can sample.")


def confirmation(state):
    return asks({"confirm": form("Please confirm", ok={"type": "boolean"})}, state)


STRING = {"type": "string"}
WORDS = ["active", "inactive", "pending"]
DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": WORDS, "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}
ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": WORDS},
        "titledSingle": {
            "type": "string",
            "oneOf": [{"const": one, "title": f"{one} priority"} for one in ("low", "medium", "high")],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["read", "write", "execute"]}},
        "titledMulti": {
            "type": "array",
            "items": {"anyOf": [{"const": one, "title": one.upper()} for one in ("feature", "bug", "docs")]},
        },
        "legacyEnum": {
            "type": "string",
            "enum": ["small", "medium", "large"],
            "enumNames": ["Small Size", "Medium Size", "Large Size"],
        },
    },
}
SCHEMA_2020 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {"street": STRING, "city": STRING}}},
    "properties": {
        "name": STRING,
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": STRING,
        "email": STRING,
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
ANSWER = {"type": "object", "properties": {"response": STRING}, "required": ["response"]}
PICTURE = types.ImageContent(type="image", data=IMAGE, mime_type="image/png")
SOUND = types.AudioContent(type="audio", data=AUDIO, mime_type="audio/wav")
THREE = {
    "user_name": form("What is your name?", **NAME),
    "greeting": sampling("Generate a greeting"),
    "client_roots": types.ListRootsRequest(),
}

TOOLS = dict(
    [
        fixture("test_simple_text", says("This is a simple text response for testing.")),
        fixture("test_image_content", says(PICTURE)),
        fixture("test_audio_content", says(SOUND)),
        fixture("test_embedded_resource", says(embedded("test://embedded-resource", "text/plain", "Embedded."))),
        fixture(
            "test_multiple_content_types",
            says("Several:", PICTURE, embedded("test://mixed-content-resource", "application/json", '{"value": 123}')),
        ),
        fixture("test_error_handling", says("This tool intentionally returns an error for testing", is_error=True)),
        fixture("test_tool_with_progress", progresses),
        fixture("test_tool_with_logging", logs),
        fixture("test_sampling", samples, prompt=STRING),
        fixture("test_elicitation", elicits(None, ANSWER), message=STRING),
        fixture("test_elicitation_sep1034_defaults", elicits("Please provide user information", DEFAULTS)),
        fixture("test_elicitation_sep1330_enums", elicits("Please select", ENUMS)),
        fixture("test_missing_capability", needs_sampling),
        fixture("test_streaming_elicitation", streams_then_asks),
        fixture("test_logging_tool", logs),
        fixture("test_x_mcp_header", says("region"), region={"type": "string", "x-mcp-header": "Region"}),
        fixture("json_schema_2020_12_tool", says("json_schema_2020_12_tool"), None, SCHEMA_2020),
        fixture("test_input_required_result_elicitation", asks({"user_name": form("What is your name?", **NAME)})),
        fixture("test_input_required_result_sampling", asks({"capital_question": sampling("Capital of France?")})),
        fixture("test_input_required_result_list_roots", asks({"client_roots": types.ListRootsRequest()})),
        fixture("test_input_required_result_request_state", confirmation("nonce")),
        fixture("test_input_required_result_tampered_state", confirmation("round-1")),
        fixture("test_input_required_result_multiple_inputs", asks(THREE, "multiple-inputs")),
        fixture("test_input_required_result_multi_round", three_rounds),
        fixture("test_input_required_result_capabilities", declared_only),
    ]
)
