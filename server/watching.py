"""Watching: who looks on at the calls of a web process. Limits stand last: the others see what they refuse."""

from collections.abc import Collection
from dataclasses import replace

from server.limits import Counter, RateWatch, rules_of
from server.runtime import Runtime
from server.traffic import Traffic
from tools import tools as every


def watching(runtime: Runtime, traffic: Traffic, counter: Counter, offered: Collection[str]) -> Runtime:
    """The runtime, with the watches of a web process beside its own."""
    settings = runtime.settings
    limits = RateWatch(counter, rules_of(settings.rate, settings.rate_tools, list(every), offered))
    return replace(runtime, watches=(*runtime.watches, traffic, limits))
