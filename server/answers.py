"""What a tool's call answers over MCP."""

import json
from collections.abc import Mapping
from typing import Any

import mcp_types as types

from errors import Refusal


def answered(result: Mapping[str, Any], text: str | None = None) -> types.CallToolResult:
    """A result: the JSON object, and the same as compact text for hosts that show text only."""
    if text is None:
        text = json.dumps(result, separators=(",", ":"), ensure_ascii=False)
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structured_content=dict(result))


def refused(refusal: Refusal) -> types.CallToolResult:
    """A refusal, which a model reads as it reads a result."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=str(refusal))], is_error=True)
