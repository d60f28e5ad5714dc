"""Rate limits: how often a principal may call, and how often an address may be wrong about a token (library `limits`).

A tool with a limit of its own counts against that, and against the principal's too unless its own is the more generous:
a fleet of workers under one token must not be held up by a limit that is meant for people's questions.
"""

import time
from collections.abc import Collection, Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

import structlog
from limits import RateLimitItem, parse
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from db.calls import Call
from db.tokens import LOCAL
from errors import InvalidValue, Refusal, shown, unknown
from server.access_settings import AccessSettings
from server.limit_storage import Windows

log = structlog.get_logger()

REDIS_TIMEOUT = 0.1
"""Seconds that a call waits for Redis at most."""

REDIS_PAUSE = 5.0
"""Seconds for which a process counts alone after Redis did not answer."""

Rules = Mapping[str, tuple[tuple[RateLimitItem, str], ...]]
"""Tool -> (limit, what is counted): the tool's own under its name, then that of all calls under EVERY."""

EVERY = "*"


class RateLimited(Refusal):
    """Wait as long as the message says, then send the call again; operators set the limits with IGLA_RATE."""

    code = "rate_limited"
    status = 429

    def __init__(self, message: str = "", seconds: float = 1.0, limit: RateLimitItem | None = None) -> None:
        super().__init__(message)
        self.seconds, self.limit = seconds, limit

    @property
    def headers(self) -> dict[str, str]:
        """When to ask again, and the limit (draft-ietf-httpapi-ratelimit-headers)."""
        wait = str(max(1, ceil(self.seconds)))
        if self.limit is None:
            return {"Retry-After": wait}
        policy = f'"calls";q={self.limit.amount};w={self.limit.get_expiry()}'
        return {"Retry-After": wait, "RateLimit": f'"calls";r=0;t={wait}', "RateLimit-Policy": policy}


def limit_of(text: str) -> RateLimitItem | None:
    """A limit as `60/minute`; None for an empty text. Raises InvalidValue."""
    if not text.strip():
        return None
    try:
        found = parse(text.strip())
    except ValueError:
        raise InvalidValue(f"A limit is written like 60/minute, got {shown(text)}.") from None
    if found.amount < 1:
        raise InvalidValue(f"A limit admits at least one call, got {shown(text)}.")
    return found


def rules_of(general: str, by_tool: str, tools: Collection[str], offered: Collection[str]) -> Rules:
    """The limits of each tool that is offered. Refuses a tool that nobody knows. Pure."""
    everything = limit_of(general)
    own: dict[str, RateLimitItem] = {}
    for word in filter(None, (one.strip() for one in by_tool.split(","))):
        name, _, text = word.partition("=")
        if name.strip() not in tools:
            raise unknown("tool", name.strip(), tools)
        if (limit := limit_of(text)) is not None:
            own[name.strip()] = limit
    return {name: chosen(name, own.get(name), everything) for name in offered}


def chosen(
    tool: str, own: RateLimitItem | None, general: RateLimitItem | None
) -> tuple[tuple[RateLimitItem, str], ...]:
    """What a tool's calls count against."""
    if own is not None and general is not None and pace(own) > pace(general):
        general = None
    return tuple((limit, name) for limit, name in ((own, tool), (general, EVERY)) if limit is not None)


def pace(limit: RateLimitItem) -> float:
    """Calls a second."""
    return limit.amount / limit.get_expiry()


def shared_out(limit: RateLimitItem, replicas: int) -> RateLimitItem:
    """One process's part of a limit, where each counts alone."""
    return type(limit)(max(1, limit.amount // replicas), limit.multiples, limit.namespace)


class Counter:
    """Counts what happens under names, here or in Redis. While Redis is silent, this process counts alone."""

    def __init__(self, settings: AccessSettings) -> None:
        self.replicas = settings.replicas
        self.own = FixedWindowRateLimiter(Windows())
        self.shared: FixedWindowRateLimiter | None = None
        self.alone_until = 0.0
        if settings.rate_redis is not None and (url := settings.rate_redis.get_secret_value()):
            waits = {"socket_timeout": REDIS_TIMEOUT, "socket_connect_timeout": REDIS_TIMEOUT}
            try:
                storage = storage_from_string(url, wrap_exceptions=True, **waits)
            except ConfigurationError:  # its words may hold the address and so a password
                raise InvalidValue(
                    "IGLA_RATE_REDIS is an address such as redis://host:6379, and needs pip install 'igla[redis]'."
                ) from None
            self.shared = FixedWindowRateLimiter(storage)

    def wait(self, limit: RateLimitItem, *names: str, cost: int = 1) -> float | None:
        """Count it (cost 0: only look); None where the limit admits it, else the seconds until it will."""
        if self.shared is not None and time.monotonic() >= self.alone_until:
            try:
                return waiting(self.shared, limit, names, cost)
            except StorageError as error:
                self.alone_until = time.monotonic() + REDIS_PAUSE
                log.warning("rate_store_unreachable", reason=type(error.storage_error).__name__, seconds=REDIS_PAUSE)
        return waiting(self.own, shared_out(limit, self.replicas), names, cost)


def waiting(limiter: FixedWindowRateLimiter, limit: RateLimitItem, names: tuple[str, ...], cost: int) -> float | None:
    """See `Counter.wait`."""
    if limiter.hit(limit, *names, cost=cost) if cost else limiter.test(limit, *names):
        return None
    return max(0.0, limiter.get_window_stats(limit, *names).reset_time - time.time())


class RateWatch:
    """Refuses calls that come too often. The local operator without a token is asked for nothing."""

    def __init__(self, counter: Counter, rules: Rules) -> None:
        self.counter, self.rules = counter, rules

    def begins(self, call: Call) -> None:
        """Count the call. Raises RateLimited."""
        if not call.credential and call.principal == LOCAL.name:
            return
        for limit, name in self.rules.get(call.tool, ()):
            wait = self.counter.wait(limit, "calls", name, call.principal)
            if wait is not None:
                of = "all tools together" if name == EVERY else name
                raise RateLimited(f"{limit} is the limit of {of}; wait {ceil(wait)} s.", wait, limit)

    def ended(self, call: Call, code: str, seconds: float) -> None:
        """Nothing to do."""


class Addresses:
    """Counts wrong tokens by the address that sent them."""

    def __init__(self, counter: Counter, limit: RateLimitItem | None) -> None:
        self.counter, self.limit = counter, limit

    def refuse(self, address: str, cost: int) -> None:
        """Raise RateLimited where an address was wrong too often. cost: 1 for one more wrong token, 0 only looks."""
        if self.limit is None:
            return
        wait = self.counter.wait(self.limit, "address", network_of(address), cost=cost)
        if wait is not None:
            raise RateLimited(f"Too many wrong tokens came from this address; wait {ceil(wait)} s.", wait, self.limit)


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 the /64 that one household has."""
    try:
        found = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else str(found)
