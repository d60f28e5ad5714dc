"""Live: who shows a race or a job waits here for its next change. One watcher a process, however many readers.

A change says "look", never what there is to see. It arrives by a signal of the database where those travel, and by
looking once a second where not; what was lost on the way is made up for at the next look.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db import changes
from db.changes import CHANGED, RACES, job_topic, race_topic
from db.signals import Signal
from db.store import Store

__all__ = ["RACES", "Change", "Live", "job_topic", "race_topic"]

log = structlog.get_logger()

LOOK_SECONDS = 1.0
"""Where signals do not travel, the watcher looks this often."""

SURE_SECONDS = 10.0
"""And where they do, for the case that one was lost."""

PAUSE_SECONDS = 0.25
"""It never looks more often, however many processes tell."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """How far a topic has come. version: the same number at every process, greater after every change.

    beat: nothing has changed, a while has passed.
    """

    topic: str
    version: int
    beat: bool = False


@dataclass(eq=False)
class Reader:
    """One who waits for a topic."""

    topic: str
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Live:
    """What changes, for the readers of one event loop. Nothing runs while nobody reads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._readers: set[Reader] = set()
        self._versions: dict[str, int] = {}
        self._watching: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def changes(self, topic: str, *, seen: int | None = None, beat: float = 15.0) -> AsyncGenerator[Change]:
        """Every change of a topic, a slow reader gets the newest; first how it stands, unless that is `seen`.

        Every `beat` seconds without a change the same version comes again. Ends when this is closed.
        """
        reader = self._joined(topic)
        try:
            if topic not in self._versions:
                found = await self.version(topic)
                self._versions[topic] = max(found, self._versions.get(topic, found))  # the watcher may know more
            while not self._closed:
                version = self._versions.get(topic, 0)
                if version != seen:
                    seen = version
                    yield Change(topic=topic, version=version)
                elif not await arrived(reader.news, beat) and not self._closed:
                    yield Change(topic=topic, version=version, beat=True)
        finally:
            self._left(reader)

    async def version(self, topic: str) -> int:
        """The version of a topic; 0 where nothing was told of it, or lately not."""
        return (await asyncio.to_thread(self._look, [topic]))[topic]

    def close(self) -> None:
        """End every iterator, from any thread. Nobody can wait here any more."""
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, list(self._readers))

    def _joined(self, topic: str) -> Reader:
        """A reader more; the first starts the watcher."""
        reader = Reader(topic)
        self._readers.add(reader)
        if self._watching is None or self._watching.done():
            self._loop = asyncio.get_running_loop()
            self._watching = asyncio.create_task(self._watch())
        return reader

    def _left(self, reader: Reader) -> None:
        """A reader less; the last ends the watcher. A version that nobody keeps up to date is forgotten."""
        self._readers.discard(reader)
        if all(one.topic != reader.topic for one in self._readers):
            self._versions.pop(reader.topic, None)
        if not self._readers and self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _watch(self) -> None:
        """Look when there is something to see, and wake the readers of what has changed."""
        with self._store.signals.on(CHANGED) as signal:
            while not self._closed:
                topics = {reader.topic for reader in self._readers}
                try:
                    found = await asyncio.to_thread(self._look, topics)
                except SQLAlchemyError:
                    log.exception("cannot_look_for_changes")
                else:
                    changed = {topic for topic in topics if found[topic] > self._versions.get(topic, -1)}
                    self._versions.update({topic: found[topic] for topic in changed})
                    self._wake(reader for reader in self._readers if reader.topic in changed)
                await pause(signal)

    def _wake(self, readers: Iterable[Reader]) -> None:
        """End their waits."""
        for reader in readers:
            reader.news.set()

    def _look(self, topics: Iterable[str]) -> dict[str, int]:
        """The versions as the database has them."""
        with self._store.reading() as session:
            return changes.versions(session, topics)


async def pause(signal: Signal) -> None:
    """Until something may have changed, and a moment more."""
    began = time.monotonic()
    await signal.arrives(SURE_SECONDS if signal.travels else LOOK_SECONDS)
    await asyncio.sleep(max(0.0, PAUSE_SECONDS - (time.monotonic() - began)))


async def arrived(news: asyncio.Event, timeout: float) -> bool:
    """Wait for news, `timeout` seconds at most; and take it."""
    try:
        async with asyncio.timeout(timeout):
            await news.wait()
    except TimeoutError:
        return False
    news.clear()
    return True
