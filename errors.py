"""Errors that a caller can act on.

Every doorway (MCP, HTTP, command line) shows the same three things: the `code`, which is a public contract, what
happened, and the next step, which is the docstring of the class. Text from outside never enters a message: values that
a caller sent are quoted with `shown`, which keeps them short and on one line.
"""

import difflib
import inspect
from collections.abc import Iterable
from typing import ClassVar


class Refusal(Exception):
    """Read the message, correct the call, and send it again."""

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400

    def __init__(self, message: str = "") -> None:
        self.message = message
        super().__init__(f"{self.code}: {message} {self.next_step}".replace("  ", " "))

    @property
    def next_step(self) -> str:
        """What the caller should do now."""
        return " ".join(inspect.cleandoc(type(self).__doc__ or "").split())

    @property
    def headers(self) -> dict[str, str]:
        """What an answer over HTTP carries beside it, such as when to ask again."""
        return {}


class UnknownName(Refusal):
    """Use one of the names that exist; `igla glossary` and the tool schemas list them."""

    code = "unknown_name"
    status = 404


class InvalidValue(Refusal):
    """Send a value of the stated type and range."""

    code = "invalid_value"
    status = 422


class ImpossibleCombination(Refusal):
    """Change one of the named fields; nothing was queued."""

    code = "impossible_combination"
    status = 422


class ArtifactMissing(Refusal):
    """Upload the artifact under its SHA-256, then send the call again."""

    code = "artifact_missing"
    status = 409


class RunFailed(Refusal):
    """Claim another job: this run has ended as errored, and its recipe is out of the rung."""

    code = "run_failed"
    status = 409


def shown(value: object, limit: int = 80) -> str:
    """Quote a caller's value for a message: one line, printable, at most `limit` characters."""
    text = ascii(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def unknown(kind: str, name: object, known: Iterable[str]) -> UnknownName:
    """An `UnknownName` that names the nearest known name, or all of them when nothing is near."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names) or 'none yet'}."
    return UnknownName(f"There is no {kind} {shown(name)}. {hint}")


def refusal(code: str, message: str) -> Refusal:
    """The refusal of a code that another process stored: of its own class where that is known here."""
    kinds = [Refusal]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    known = next((kind for kind in kinds if kind.code == code), None)
    return known(message) if known else Refusal(f"{code}: {message}")
