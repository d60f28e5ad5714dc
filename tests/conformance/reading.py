"""The resources, prompts and completions of the suite."""

import json

import mcp_types as types

from server.mcp_parts import Guide, Source
from tests.conformance.tools import IMAGE, PICTURE, STRING, embedded, form, text

LISTED = {"static-text": "text/plain", "static-binary": "image/png", "watched-resource": "text/plain"}


def listed(context):
    return [types.Resource(name=name, uri=f"test://{name}", mime_type=mime) for name, mime in LISTED.items()]


async def read(context, path):
    uri = f"test://{path}"
    if path == "static-binary":
        return types.BlobResourceContents(uri=uri, mime_type="image/png", blob=IMAGE)
    if path in LISTED:
        words = "This is the content of the static text resource."
        return types.TextResourceContents(uri=uri, mime_type="text/plain", text=words)
    data = json.dumps({"id": path.split("/")[1], "templateTest": True})
    return types.TextResourceContents(uri=uri, mime_type="application/json", text=data)


TEMPLATE = types.ResourceTemplate(name="template", uri_template="test://template/{id}/data")
SOURCES = {"test": Source(templates=[TEMPLATE], listed=listed, read=read)}


def prompt(name, write, *arguments):
    taken = [types.PromptArgument(name=one, required=True) for one in arguments]

    async def get(ctx, params):
        blocks = write(params)
        if isinstance(blocks, types.InputRequiredResult):
            return blocks
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=one) for one in blocks])

    definition = types.Prompt(name=name, description=f"Fixture {name}.", arguments=taken)
    return name, Guide(definition=definition, get=get)


def with_arguments(params):
    given = params.arguments
    return [text(f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'")]


def with_resource(params):
    return [embedded(params.arguments["resourceUri"], "text/plain", "Embedded."), text("Process it.")]


def asking(params):
    given = params.input_responses or {}
    if "user_context" in given:
        return [text(f"Use the following context: {given['user_context'].content['context']}")]
    return types.InputRequiredResult(input_requests={"user_context": form("What context?", context=STRING)})


GUIDES = dict(
    [
        prompt("test_simple_prompt", lambda params: [text("This is a simple prompt for testing.")]),
        prompt("test_prompt_with_arguments", with_arguments, "arg1", "arg2"),
        prompt("test_prompt_with_embedded_resource", with_resource, "resourceUri"),
        prompt("test_prompt_with_image", lambda params: [PICTURE, text("Please analyze the image above.")]),
        prompt("test_input_required_result_prompt", asking),
    ]
)
WORDS = ["paris", "park", "party"]
COMPLETERS = {
    ("test_prompt_with_arguments", "arg1"): lambda context, typed: [one for one in WORDS if one.startswith(typed)]
}
