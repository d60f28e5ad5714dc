"""Redaction: secrets leave a text before it is logged or stored. Pure; what looks like a secret is taken for one."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

HIDDEN = "[redacted]"

SHAPES = (
    r"\biglas?_[A-Za-z0-9_-]{8,}",
    r"(?P<bearer>\b(?ai:bearer|basic)[ \t]+)[A-Za-z0-9._~+/=-]{6,}",
    r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",
    r"(?P<address>\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@?#\"'<>]*:)[^\s\"'<>]+(?=@)",
    r"(?P<setting>(?ai:password|passwd|secret|token|api_?key|access_?key)=)[^\s&;,\"']+",
)
"""Tokens and cookies of ours, credentials of an Authorization header, JSON web tokens, passwords in addresses and in
settings, whatever their names begin with."""

HINTS = ("igla_", "iglas_", "bearer", "basic", "eyj", "://", "=")
"""A text without any of these, in small letters or capitals, has none of the shapes."""

SHORTEST = 4
"""Characters from which a known secret is looked for: a shorter one would take words apart."""

Redactor = Callable[[str], str]


def redactor(secrets: Iterable[str] = ()) -> Redactor:
    """A function that hides these secrets, and whatever has the shape of one."""
    known = sorted({one for one in secrets if len(one) >= SHORTEST}, key=len, reverse=True)
    pattern = re.compile("|".join([*map(re.escape, known), *SHAPES]))

    def hidden(found: re.Match[str]) -> str:
        return next((kept for kept in found.groupdict().values() if kept is not None), "") + HIDDEN

    def redact(text: str) -> str:
        return pattern.sub(hidden, text) if suspicious(text, known) else text

    return redact


def suspicious(text: str, known: Sequence[str]) -> bool:
    """Whether it is worth while to look for secrets: most texts of log lines have none of the hints."""
    small = text.lower()
    for hint in HINTS:
        if hint in small:
            return True
    return any(one in text for one in known) if known else False


def redacted(value: Any, redact: Redactor) -> Any:
    """A value of a log line without secrets. Numbers and truth values stay what they are, anything unknown is text."""
    if isinstance(value, str):
        return redact(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {redact(str(name)): redacted(one, redact) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(one, redact) for one in value]
    return redact(str(value))
