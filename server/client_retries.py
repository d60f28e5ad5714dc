"""When a client tries again, and what it raises where it does not. Pure: it needs httpx for its answers, and errors."""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from errors import Refusal

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds: the longest pause after the first failed try, and after many."""

LONGEST_TEXT = 2000
"""Characters of a message that are read."""

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another try may do away with, unless the answer is a refusal with its code."""


class Refused(Refusal):
    """The server refused: its code, message and next step."""

    def __init__(self, code: str, message: str, next_step: str, status: int) -> None:
        self.__dict__.update(code=code, status=status)  # of this one, in place of the class's
        self.told = next_step
        super().__init__(message)

    @property
    def next_step(self) -> str:
        """What the server says to do now."""
        return self.told


class Unreachable(Refusal):
    """Look whether the server runs and the address is right; the call was tried again for as long as it may."""

    code = "unreachable"
    status = 503


class AnswerLost(Refusal):
    """The call may have been done or not: look (job_status, entry_status) before you send it again."""

    code = "answer_lost"
    status = 503


class AnswerUnreadable(Refusal):
    """Ask an igla server, and bring client and server to releases that fit."""

    code = "answer_unreadable"
    status = 502


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a client tries again.

    patience: seconds that a call is tried for. repeat: tools that this caller lets repeat though they are not
    idempotent, since it can live with two.
    """

    patience: float = 30.0
    repeat: frozenset[str] = frozenset()
    chance: random.Random = field(default_factory=random.Random)
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A try that failed in a way that may pass.

    sent: the server may have done what was asked. told: what it refused with, if it did.
    """

    reason: str
    sent: bool = True
    retry_after: float = 0.0
    told: Refused | None = None


def pause_after(failed: Failed, failures: int, elapsed: float, policy: Policy, *, repeatable: bool) -> float | None:
    """Seconds until the next try, or None for no more. What may have been done is repeated only where that is safe."""
    if failed.sent and not repeatable:
        return None
    pause = failed.retry_after + backoff(failures, policy.chance)
    return pause if elapsed + failed.retry_after <= policy.patience else None


def backoff(attempt: int, chance: random.Random) -> float:
    """Seconds to wait after the attempt-th failure in a row: anything up to a bound that doubles. Pure but for chance.

    Many clients that lost one server do not come back at one moment ("full jitter").
    """
    return chance.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 16)))


def passing(response: httpx.Response) -> Failed | None:
    """Why an answer is worth another try, if it is. Whoever is told to slow down (429) has not been served."""
    status = response.status_code
    if status not in PASSING or (status not in (429, 503) and "code" in (body_of(response) or {})):
        return None
    header = response.headers.get("Retry-After", "")
    after = float(header) if header.isdecimal() and len(header) < 6 else 0.0
    return Failed(reason=f"status {status}", sent=status != 429, retry_after=after, told=refused(response))


def good(response: httpx.Response) -> httpx.Response:
    """The answer, if it is no refusal. A refusal may have a status that sounds good, as `chunk_running` has."""
    told = refused(response) if response.status_code == 202 or not response.is_success else None
    if told is not None:
        raise told
    if not response.is_success:
        raise Refused("refused", f"The server answered {response.status_code}.", "", response.status_code)
    return response


def refused(response: httpx.Response) -> Refused | None:
    """The refusal that an answer carries, if it does."""
    told = body_of(response) or {}
    code = told.get("code")
    if not isinstance(code, str) or re.fullmatch(r"[a-z0-9_]{1,64}", code) is None:
        return None
    message, next_step = clean(told.get("message", "")), clean(told.get("next_step", ""))
    return Refused(code, message, next_step, response.status_code)


def clean(text: object) -> str:
    """What a server says, fit for a terminal: one line of what can be printed."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text)[:LONGEST_TEXT])


def body_of(response: httpx.Response) -> dict[str, Any] | None:
    """The JSON object of an answer, if it is one."""
    try:
        body = response.json()
    except (ValueError, RecursionError, httpx.ResponseNotRead):
        return None
    return body if isinstance(body, dict) else None
