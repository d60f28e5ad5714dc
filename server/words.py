"""Words of the command line as values."""

import json
from typing import Any

from errors import InvalidValue


def words(text: str) -> list[str]:
    """Names separated by commas."""
    return [word for word in (part.strip() for part in text.split(",")) if word]


def from_json(text: str, name: str, default: Any) -> Any:
    """A JSON option of the same kind as its default."""
    if not text:
        return default
    try:
        value = json.loads(text)
    except ValueError:
        raise InvalidValue(f"--{name} is not JSON.") from None
    if not isinstance(value, type(default)):
        raise InvalidValue(f"--{name} must be a JSON {'object' if isinstance(default, dict) else 'list'}.")
    return value
