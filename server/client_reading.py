"""JSON and the client's dataclasses. A field that is new to this client is left out; one that is missing is told."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from server.client_retries import AnswerUnreadable

Kind = TypeVar("Kind")
Reader = Callable[[Any], Any]


def read(kind: type[Kind], data: Any) -> Kind:
    """A dataclass from its JSON object. Raises AnswerUnreadable."""
    known: Any = kind
    try:
        result: Kind = reader(known)(data)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise AnswerUnreadable(f"The answer is no {kind.__name__} as this client knows it.") from None
    return result


def plain(value: Any) -> Any:
    """A value as JSON has it: dataclasses of earlier answers may be sent back."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value


@cache
def reader(kind: Any) -> Reader:
    """What makes a value of a type from JSON, worked out once."""
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return object_reader(kind)
    if origin in (Union, UnionType) and NoneType in inner and len(inner) == 2:
        some = reader(next(one for one in inner if one is not NoneType))
        return lambda data: None if data is None else some(data)
    if origin is tuple:
        item = reader(inner[0])
        return lambda data: tuple(item(one) for one in data)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        value = reader(inner[1])
        return lambda data: {key: value(one) for key, one in data.items()}
    if kind is datetime:
        return datetime.fromisoformat
    return number if kind is float else same


def object_reader(kind: type) -> Reader:
    """What makes a dataclass."""
    hints = get_type_hints(kind)
    known = [(one.name, reader(hints[one.name]), is_needed(one)) for one in fields(kind)]

    def make(data: Any) -> Any:
        return kind(**{name: value(data[name]) for name, value, needed in known if needed or name in data})

    return make


def is_needed(one: Field[Any]) -> bool:
    """Whether a field has no default."""
    return one.default is MISSING and one.default_factory is MISSING


def number(data: Any) -> float:
    """A number; JSON has one kind."""
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise ValueError("no number")
    return float(data)


def same(data: Any) -> Any:
    """What JSON has already."""
    return data
