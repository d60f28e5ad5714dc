import asyncio
import threading
import time

import psycopg
import pytest

from db.signals import Signals, notify
from tests.postgres import command

PATIENCE = 20.0


def tell(world, topic):
    world.do(notify, topic)


def tell_and_fail(session, topic):
    notify(session, topic)
    raise ZeroDivisionError


def on_postgresql(world):
    return world.store.engine.dialect.name == "postgresql"


def until_it_travels(signal):
    """Wait until the listening connection stands."""
    deadline = time.monotonic() + PATIENCE
    while not signal.travels and time.monotonic() < deadline:
        signal.wait(0.05)
    assert signal.travels
    signal.wait(0)


def test_a_waiter_wakes_at_the_commit_where_signals_travel_and_looks_again_where_not(world):
    with world.store.signals.on("work") as signal:
        if not on_postgresql(world):
            tell(world, "work")
            assert not signal.travels and not signal.wait(0.01)
            return
        until_it_travels(signal)
        told = threading.Timer(0.2, tell, (world, "work"))
        told.start()
        began = time.monotonic()
        assert signal.wait(PATIENCE)
        assert time.monotonic() - began < PATIENCE / 2
        told.join()


def test_a_signal_of_a_transaction_that_failed_is_never_heard(world):
    with world.store.signals.on("work") as signal, world.store.signals.on("other") as other:
        if not on_postgresql(world):
            assert not signal.travels
            return
        until_it_travels(signal)
        with pytest.raises(ZeroDivisionError):
            world.do(tell_and_fail, "work")
        other.wait(0)
        tell(world, "other")
        assert other.wait(PATIENCE), "what was told later has arrived"
        assert not signal.wait(0)


def test_what_arrives_between_two_waits_ends_the_next_one(world):
    with world.store.signals.on("work") as signal, world.store.signals.on("work") as witness:
        if not on_postgresql(world):
            signal.wake()
        else:
            until_it_travels(signal)
            witness.wait(0)
            tell(world, "work")
            assert witness.wait(PATIENCE)
        assert signal.wait(0) and not signal.wait(0)


def test_a_coroutine_waits_without_a_thread_and_only_for_its_own_topic(world):
    async def story(signal, other):
        threads = set(threading.enumerate())
        if not on_postgresql(world):
            assert not await signal.arrives(0.01)
            return
        waiting = asyncio.create_task(signal.arrives(PATIENCE))
        await asyncio.sleep(0)
        assert set(threading.enumerate()) <= threads
        await asyncio.to_thread(tell, world, "answer to 1")
        assert await waiting
        assert not await other.arrives(0)

    with world.store.signals.on("answer to 1") as signal, world.store.signals.on("answer to 2") as other:
        if on_postgresql(world):
            until_it_travels(signal)
            with world.store.signals.on(
                "witness"
            ) as witness:  # the last topic: told of the connection after the others
                tell(world, "witness")
                assert witness.wait(PATIENCE)
            signal.wait(0)
            other.wait(0)
        asyncio.run(story(signal, other))


def test_a_waiter_that_has_left_is_told_nothing(world):
    with world.store.signals.on("work") as signal:
        pass
    signals = world.store.signals
    assert signals._topics == {}
    tell(world, "work")
    assert not signal.wait(0.01)


def test_a_lost_connection_is_known_and_made_again(postgresql, monkeypatch):
    monkeypatch.setattr("db.signals.RECONNECT_SECONDS", 0.01)
    signals = Signals(postgresql)
    with signals.on("work") as signal, psycopg.connect(postgresql, autocommit=True) as operator:
        until_it_travels(signal)
        listening = "SELECT pid FROM pg_stat_activity WHERE query = 'LISTEN igla' AND datname = current_database()"
        (pid,) = operator.execute(listening).fetchone()
        operator.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        assert signal.wait(PATIENCE), "the loss wakes who waits"
        until_it_travels(signal)
        command(postgresql, "SELECT pg_notify('igla', 'work')")
        assert signal.wait(PATIENCE)
    signals.close()


def test_nothing_travels_and_nothing_is_opened_without_a_direct_host():
    signals = Signals(None)
    with signals.on("work") as signal:
        assert not signal.travels and not signal.wait(0)
    assert signals._thread is None
    signals.close()
