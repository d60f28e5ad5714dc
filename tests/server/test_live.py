import asyncio
from contextlib import aclosing

import pytest

from db import changes
from db.store import open_store
from server.live import RACES, Live, race_topic

PATIENCE = 20.0


@pytest.fixture(params=["sqlite", "postgresql"])
def stores(request, tmp_path):
    """Two processes' stores of one database."""
    sqlite = f"sqlite:///{tmp_path / 'live.db'}"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("new_postgresql_url")
    both = open_store(url), open_store(url)
    yield both
    for store in both:
        store.close()


def tell(store, version):
    """Something of some race has changed."""
    with store.transaction() as session:
        changes.tell(session, set(), version)


async def follow(live, topic, count, noted=None, **options):
    """The next changes of a topic, noted as they come; what is None among them is a beat."""
    noted = [] if noted is None else noted
    async with asyncio.timeout(PATIENCE), aclosing(live.changes(topic, **options)) as found:
        async for change in found:
            assert change.topic == topic
            noted.append(None if change.beat else change.version)
            if len(noted) == count:
                break
    return noted


async def until(holds):
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.005)


def test_every_reader_hears_at_once_how_it_stands_and_then_of_what_another_process_tells(stores):
    here, elsewhere = stores
    live = Live(here)

    async def story():
        tell(elsewhere, 10)
        heard = [[] for _ in range(20)]
        readers = [asyncio.create_task(follow(live, RACES, 2, noted)) for noted in heard]
        await until(lambda: all(heard))
        await asyncio.to_thread(tell, elsewhere, 20)
        assert await asyncio.gather(*readers) == [[10, 20]] * 20
        assert live._readers == set() and live._versions == {} and live._watching is None

    asyncio.run(story())


def test_who_has_seen_how_it_stands_hears_only_of_what_is_new(stores):
    here, elsewhere = stores
    live = Live(here)

    async def story():
        tell(elsewhere, 10)
        assert await follow(live, RACES, 1, seen=10, beat=0.05) == [None]
        assert await follow(live, RACES, 1, seen=9) == [10]
        assert await follow(live, race_topic("other"), 2, beat=0.05) == [0, None]
        assert await live.version(RACES) == 10 and await live.version("job/none") == 0

    asyncio.run(story())


def test_a_burst_is_one_look_and_readers_cost_the_database_nothing(stores, monkeypatch):
    here, elsewhere = stores
    live, looks = Live(here), []
    monkeypatch.setattr(live, "_look", lambda topics, look=live._look: looks.append(sorted(topics)) or look(topics))

    async def story():
        heard = [[] for _ in range(50)]
        readers = [asyncio.create_task(follow(live, RACES, 2, noted)) for noted in heard]
        await until(lambda: all(heard))
        before = len(looks)
        for version in range(10, 30):
            await asyncio.to_thread(tell, elsewhere, version)
        await asyncio.gather(*readers)
        assert len(looks) - before <= 4

    asyncio.run(story())
    assert all(topics == [RACES] for topics in looks)


def test_closing_ends_every_reader_from_another_thread(stores):
    live = Live(stores[0])

    async def story():
        heard = []
        reader = asyncio.create_task(follow(live, RACES, 99, heard))
        await until(lambda: heard)
        await asyncio.to_thread(live.close)
        assert await reader == [0]
        assert await follow(live, RACES, 99) == []

    asyncio.run(story())
