"""Live pages: the parts of a page that change, rendered once a process however many browsers look at them.

While somebody follows a topic, one task looks at it: it asks for the topic's version, and renders the parts only when
that has changed. Who follows gets the parts that are new to it.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from errors import Refusal

LOOK_SECONDS = 1.0
"""How often a topic that somebody follows is looked at."""

SAY_SECONDS = 5.0
"""What is said aloud is sent at most this often."""

MOST_STREAMS = 20
"""Streams that one principal may hold open in a process."""

MOST_SPECTATORS = 500
"""The same for all spectators of a public board together."""


class TooManyStreams(Refusal):
    """Close a page of the dashboard that is open elsewhere, then load this one again."""

    code = "too_many_streams"
    status = 429


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a topic's pages come from: a cheap version, and the parts that are rendered when it has changed."""

    topic: str
    version: Callable[[], Any]
    parts: Callable[[], Mapping[str, str]]


@dataclass
class Topic:
    """What is known of a topic that somebody follows."""

    source: Source
    followers: int = 0
    version: Any = None
    parts: Mapping[str, str] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


def mark(parts: Mapping[str, str]) -> str:
    """Names what a browser has been shown; equal where it has nothing to learn."""
    text = "\0".join(f"{name}\0{parts[name]}" for name in sorted(parts))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def news(old: Mapping[str, str], new: Mapping[str, str], may_say: bool) -> dict[str, str]:
    """The parts that differ. `said` waits until it may be said again."""
    return {name: text for name, text in new.items() if old.get(name) != text and (name != "said" or may_say)}


class Hub:
    """The topics of a process. `is_ending` says that the server is about to stop: every stream ends then.

    pause: returns when a topic is to be looked at again; without it that is after a while.
    """

    def __init__(
        self,
        is_ending: Callable[[], bool],
        look_seconds: float = LOOK_SECONDS,
        pause: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.is_ending = is_ending
        self.pause = pause or (lambda topic: asyncio.sleep(look_seconds))
        self.look_seconds = look_seconds
        self.topics: dict[str, Topic] = {}
        self.streams: Counter[str] = Counter()

    def admit(self, principal: str, most: int) -> None:
        """Refuse (TooManyStreams) one more stream of a principal who has as many as it may."""
        if self.streams[principal] >= most:
            raise TooManyStreams("As many live pages are open as one caller may have.")

    async def follow(self, principal: str, source: Source, seen: str) -> AsyncIterator[tuple[str, Mapping[str, str]]]:
        """(mark, new parts) each time a topic changes.

        seen: the mark of what the browser shows already.
        """
        self.streams[principal] += 1
        topic = self.topics.setdefault(source.topic, Topic(source))
        topic.followers += 1
        try:
            async for told in self.told(topic, seen):
                yield told
        finally:
            self.leave(principal, topic)

    async def told(self, topic: Topic, seen: str) -> AsyncIterator[tuple[str, Mapping[str, str]]]:
        """What one follower is told."""
        loop = asyncio.get_running_loop()
        if topic.task is None or topic.task.done():
            topic.task = asyncio.create_task(self.look(topic))
        shown: Mapping[str, str] = {}
        spoke = -SAY_SECONDS
        while not self.is_ending():
            if topic.parts and not shown and mark(topic.parts) == seen:
                shown = topic.parts
            fresh = news(shown, topic.parts, loop.time() - spoke >= SAY_SECONDS)
            if fresh:
                shown = {**shown, **fresh}
                spoke = loop.time() if "said" in fresh else spoke
                yield mark(shown), fresh
            changed = topic.changed
            with suppress(TimeoutError):
                async with asyncio.timeout(self.look_seconds):
                    await changed.wait()
            if topic.task is not None and topic.task.done():
                topic.task.result()

    async def look(self, topic: Topic) -> None:
        """Look at a topic while somebody follows it."""
        while topic.followers and not self.is_ending():
            version = await asyncio.to_thread(topic.source.version)
            if not topic.parts or version != topic.version:
                topic.version, topic.parts = version, await asyncio.to_thread(topic.source.parts)
                topic.changed.set()
                topic.changed = asyncio.Event()
            await self.pause(topic.source.topic)

    def leave(self, principal: str, topic: Topic) -> None:
        """A follower is gone; with the last one the topic is forgotten."""
        self.streams[principal] -= 1
        if self.streams[principal] <= 0:
            del self.streams[principal]
        topic.followers -= 1
        if not topic.followers:
            if self.topics.get(topic.source.topic) is topic:
                del self.topics[topic.source.topic]
            if topic.task is not None:
                topic.task.cancel()
