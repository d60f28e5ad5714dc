"""Pauses: how long a live page waits until it looks again. A topic that others tell of, until they do."""

import asyncio
from contextlib import aclosing

from server.live import RACES, Live
from server.pages.live import LOOK_SECONDS

SURE_SECONDS = 2.0
"""A topic is looked at this often even if nobody tells of it: leases and signs of life pass without a word."""


MOST_TOPICS = 1000


class Pauses:
    """Waits for the next change of a topic; of one that nobody tells of, a second."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.seen: dict[str, int] = {}

    async def __call__(self, topic: str) -> None:
        """Wait. What changed since the last wait ends this one at once."""
        if topic == RACES or topic.startswith(("race/", "job/")):
            async with aclosing(self.live.changes(topic, seen=self.seen.get(topic), beat=SURE_SECONDS)) as changes:
                async for change in changes:
                    if len(self.seen) > MOST_TOPICS:
                        self.seen.clear()
                    self.seen[topic] = change.version
                    return
        await asyncio.sleep(LOOK_SECONDS)
