"""Client: one connection to Railway's GraphQL interface, which keeps its limits and keeps secrets.

A query that failed on the way is sent again; a mutation is not, since it may have been done: a new plan will show it.
"""

import ssl
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import httpx
import structlog

from errors import Refusal
from server.railway.accounts import Account
from server.railway.operations import MUTATIONS, QUERIES

log = structlog.get_logger()

URL = "https://backboard.railway.com/graphql/v2"
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
MOST_TRIES = 4
LONGEST_PAUSE = 60.0
"""Seconds that a call waits at most because Railway says so; longer waits are the caller's."""

GAP = 0.1
"""Seconds between two requests: the smaller published limit is ten a second."""

HIDDEN = "***"


class RailwayUnauthorized(Refusal):
    """Check the account's token and kind, and that the project and environment are its own."""

    code = "railway_unauthorized"
    status = 502


class RailwayRateLimited(Refusal):
    """Wait as long as it says, then make a new plan: what was done stays done."""

    code = "railway_rate_limited"
    status = 503


class RailwayUnavailable(Refusal):
    """Make a new plan in a minute; it shows what was done and what was not."""

    code = "railway_unavailable"
    status = 502


class RailwayRefused(Refusal):
    """Look at the server's log for Railway's own words, correct the template or the account, and make a new plan."""

    code = "railway_refused"
    status = 502


class Railway:
    """Sends operations for one account. allowed: raises where nothing may be changed; asked before every mutation."""

    def __init__(
        self,
        account: Account,
        allowed: Callable[[], None],
        *,
        url: str = URL,
        gap: float = GAP,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.account = account
        self.allowed = allowed
        self.gap = gap
        self.sleep = sleep
        self.url = url
        self.http = httpx.Client(headers=account.headers, timeout=TIMEOUT, verify=trust())
        self.pacing = threading.Lock()
        self.free_at = 0.0

    def __repr__(self) -> str:
        return f"Railway({self.account.alias})"

    def close(self) -> None:
        """End the connection."""
        self.http.close()

    def query(self, name: str, **variables: Any) -> Any:
        """What the one root field of a query answers."""
        return self.send(name, QUERIES[name], variables, is_mutation=False)

    def mutate(self, name: str, **variables: Any) -> Any:
        """The same of a mutation, unless changes are off."""
        self.allowed()
        return self.send(name, MUTATIONS[name], variables, is_mutation=True)

    def send(self, name: str, text: str, variables: Mapping[str, Any], *, is_mutation: bool) -> Any:
        """Send until it is answered, refused or hopeless."""
        tried = 0
        while True:
            tried += 1
            answer = self.posted(text, variables)
            if answer is not None and answer.status_code < 400:
                return self.read(name, answer, variables)
            status, headers = (0, {}) if answer is None else (answer.status_code, dict(answer.headers))
            pause = pause_before_next(status, headers, tried, is_mutation=is_mutation, now=time.time())
            if pause is None:
                raise self.failed(name, status, headers)
            self.sleep(pause)

    def posted(self, text: str, variables: Mapping[str, Any]) -> httpx.Response | None:
        """One request, not too soon after the last; None where it got lost."""
        with self.pacing:
            wait = self.free_at - time.monotonic()
            self.free_at = max(self.free_at, time.monotonic()) + self.gap
        if wait > 0:
            self.sleep(wait)
        try:
            return self.http.post(self.url, json={"query": text, "variables": variables})
        except httpx.TransportError:
            return None

    def failed(self, name: str, status: int, headers: Mapping[str, str]) -> Refusal:
        """The refusal for an answer without a result."""
        log.warning("railway_failed", operation=name, account=self.account.alias, status=status)
        if status == 429:
            return RailwayRateLimited(f"Railway takes {name} again in {retry_after(headers, time.time()):.0f} s.")
        if status in (401, 403):
            return RailwayUnauthorized(f"Railway does not let account {self.account.alias} do {name}.")
        if 400 <= status < 500:
            return RailwayRefused(f"Railway answered {name} with status {status}.")
        return RailwayUnavailable(f"Railway did not answer {name}.")

    def read(self, name: str, answer: httpx.Response, variables: Mapping[str, Any]) -> Any:
        """The result of an answer, or the refusal for its errors. Their texts go to the log, without secrets."""
        try:
            body = answer.json()
            errors, data = body.get("errors"), body.get("data")
        except (ValueError, AttributeError):
            raise RailwayUnavailable(f"Railway's answer to {name} cannot be read.") from None
        if errors or not data:
            said = " / ".join(str(one.get("message", "")) for one in errors or () if isinstance(one, dict))
            hidden = without(said, [self.account.token.get_secret_value(), *secrets_in(variables)])
            log.warning("railway_refused", operation=name, account=self.account.alias, said=hidden[:300])
            if "not authorized" in said.lower():
                raise RailwayUnauthorized(f"Railway does not let account {self.account.alias} do {name}.")
            raise RailwayRefused(f"Railway refused {name}.")
        return next(iter(data.values()))


@lru_cache
def trust() -> ssl.SSLContext:
    """The certificates that are trusted, read once a process: it takes longer than a request."""
    return httpx.create_ssl_context()


def pause_before_next(
    status: int, headers: Mapping[str, str], tried: int, *, is_mutation: bool, now: float
) -> float | None:
    """Seconds to wait before it is sent again; None: not again. status: 0 for a request that got lost.

    What was answered with 429 was not done, so it may be sent again whatever it is.
    """
    if tried >= MOST_TRIES:
        return None
    if status == 429:
        wait = retry_after(headers, now)
        return wait if wait <= LONGEST_PAUSE else None
    if (status == 0 or status >= 500) and not is_mutation:
        return float(2 ** (tried - 2))
    return None


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds of a Retry-After header, which has seconds or a date; without one that can be read, a second."""
    given = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    if given.isascii() and given.isdigit():
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - now)
    except (ValueError, OverflowError):
        return 1.0


def secrets_in(variables: Mapping[str, Any]) -> list[str]:
    """Values of environment variables among what is sent."""
    given = variables.get("input")
    values = given.get("variables") if isinstance(given, Mapping) else None
    return [str(value) for value in values.values()] if isinstance(values, Mapping) else []


def without(text: str, secrets: list[str]) -> str:
    """The text with the secrets covered, longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, HIDDEN)
    return text
