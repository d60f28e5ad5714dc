"""Live pages: what a browser is told, when, and how much of it."""

import asyncio
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import overview
from server.pages.live import MOST_STREAMS, Hub, Source, TooManyStreams, mark, news
from server.pages.shell import STATIC

texts = st.dictionaries(st.sampled_from(["board", "curves", "said"]), st.text(max_size=5))


class Changing:
    """A topic that a test changes; it counts how often it was looked at and rendered."""

    def __init__(self):
        self.value, self.looked, self.rendered = 0, 0, 0

    def version(self):
        self.looked += 1
        return self.value

    def parts(self):
        self.rendered += 1
        return {"board": f"board {self.value}", "fixed": "always", "said": f"it is {self.value}"}

    @property
    def source(self):
        return Source(topic="race", version=self.version, parts=self.parts)


def hub(is_ending=lambda: False):
    return Hub(is_ending, look_seconds=0.01)


async def first(stream):
    async with asyncio.timeout(10):
        return await anext(stream)


def test_a_browser_gets_what_is_new_to_it_and_nothing_that_it_shows_already():
    async def story():
        topic = Changing()
        stream = hub().follow("ann", topic.source, seen="")
        shown, parts = await first(stream)
        assert parts == topic.parts()
        assert shown == mark(parts)
        topic.value = 1
        _, parts = await first(stream)
        assert parts == {"board": "board 1"}, "it is too early to speak again"
        await stream.aclose()
        again = hub().follow("ann", topic.source, seen=mark(topic.parts()))
        topic.value = 1
        waiting = asyncio.ensure_future(first(again))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        topic.value = 2
        assert "board 2" in (await waiting)[1].values()
        await again.aclose()

    asyncio.run(story())


def test_many_browsers_share_one_look_and_one_rendering():
    async def story():
        topic, shared = Changing(), hub()
        streams = [shared.follow(f"p{number}", topic.source, seen="") for number in range(20)]
        for stream in streams:
            await first(stream)
        assert topic.rendered == 1
        topic.value = 1
        told = [await first(stream) for stream in streams]
        assert topic.rendered == 2
        assert {parts["board"] for _, parts in told} == {"board 1"}
        for stream in streams:
            await stream.aclose()
        looked = topic.looked
        await asyncio.sleep(0.1)
        assert topic.looked <= looked + 1, "nobody follows, and still it looks"
        assert not shared.topics
        assert not shared.streams

    asyncio.run(story())


def test_streams_end_when_the_server_does():
    async def story():
        ending = False
        topic = Changing()
        stream = hub(lambda: ending).follow("ann", topic.source, seen="")
        await first(stream)
        ending = True
        with pytest.raises(StopAsyncIteration):
            await first(stream)

    asyncio.run(story())


def test_a_topic_that_cannot_be_read_ends_its_streams_with_the_error():
    async def story():
        def broken():
            raise LookupError("gone")

        stream = hub().follow("ann", Source(topic="race", version=broken, parts=dict), seen="")
        with pytest.raises(LookupError):
            await first(stream)

    asyncio.run(story())


def test_one_caller_has_so_many_streams_and_no_more():
    async def story():
        shared, topic = hub(), Changing()
        streams = []
        for _ in range(MOST_STREAMS):
            shared.admit("ann", MOST_STREAMS)
            streams.append(shared.follow("ann", topic.source, seen=""))
            await first(streams[-1])
        with pytest.raises(TooManyStreams):
            shared.admit("ann", MOST_STREAMS)
        shared.admit("bob", MOST_STREAMS)
        await streams.pop().aclose()
        shared.admit("ann", MOST_STREAMS)
        for stream in streams:
            await stream.aclose()

    asyncio.run(story())


@given(texts, texts, st.booleans())
def test_news_brings_a_browser_to_the_present(old, new, may_say):
    told = news(old, new, may_say)
    shown = {**old, **told}
    assert all(shown.get(name) == text for name, text in new.items() if name != "said" or may_say)
    assert all(old.get(name) != text for name, text in told.items())
    assert may_say or "said" not in told


def test_the_version_of_a_race_changes_with_everything_that_its_page_shows(site):
    race = site.race(seeds=(1,))
    seen = set()

    def is_new():
        with site.runtime.store.reading() as session:
            now = overview.version(session, race.id)
        was_known = now in seen
        seen.add(now)
        return not was_known

    assert is_new()
    assert not is_new()
    site.submit(race)
    assert is_new()
    ticket = site.claim(race)[0]
    assert is_new()
    site.write(ticket, (ticket.total_steps // 2, 3.0))
    assert is_new()
    site.write(ticket, (ticket.total_steps, 2.0))
    assert is_new()
    assert not is_new()


def test_vendored_files_are_the_published_ones():
    told = re.findall(r"^\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|$", (STATIC / "README.md").read_text(), re.MULTILINE)
    assert len(told) == 2
    for name, digest in told:
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest
