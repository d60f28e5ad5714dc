"""Signals: wake, at its commit, who waits for what another process writes.

PostgreSQL carries them with LISTEN/NOTIFY, over one connection of its own a process. Where they do not travel (SQLite,
a pooler whose direct host nobody named, a lost connection) `travels` is false: who waits has to look again and again.
A signal says "look", never what there is to see: losing one costs time only.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Text, bindparam, func, select

from db.session import Session
from db.statements import Prepared

CHANNEL = "igla"
LOOK_SECONDS = 0.5
"""How soon the listening thread sees that it should end."""

RECONNECT_SECONDS = 5.0


def notify(session: Session, topic: str) -> None:
    """Wake who waits for this topic, once the transaction is committed. On SQLite nobody can be told."""
    if session.dialect == "postgresql":
        NOTIFY.rows(session, topic=topic)


NOTIFY = Prepared(lambda _: select(func.pg_notify(CHANNEL, bindparam("topic", type_=Text)).label("told")))


class Signal:
    """One waiter's view of a topic. What arrives between two waits ends the next one at once."""

    def __init__(self, travels: Callable[[], bool]) -> None:
        self._travels = travels
        self._arrived = threading.Event()
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    @property
    def travels(self) -> bool:
        """Whether a wait ends by itself; if not, wait briefly and look."""
        return self._travels()

    def wake(self) -> None:
        """End the wait; called by the listening thread."""
        self._arrived.set()
        if self._waiting is not None:
            loop, event = self._waiting
            loop.call_soon_threadsafe(event.set)

    def wait(self, timeout: float) -> bool:
        """Wait for the topic, `timeout` seconds at most. True: it was signalled."""
        arrived = self._arrived.wait(timeout)
        self._arrived.clear()
        return arrived

    async def arrives(self, timeout: float) -> bool:
        """The same on an event loop, without a thread."""
        event = asyncio.Event()
        self._waiting = (asyncio.get_running_loop(), event)
        try:
            if not self._arrived.is_set():
                async with asyncio.timeout(timeout):
                    await event.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting = None
        arrived = self._arrived.is_set()
        self._arrived.clear()
        return arrived


class Signals:
    """The topics of one process. The connection is made when somebody first waits; `url` None: nothing travels."""

    def __init__(self, url: str | None) -> None:
        self.url = url
        self.listening = False
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._topics: dict[str, list[Signal]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def on(self, topic: str) -> Iterator[Signal]:
        """Hear a topic for as long as the context is open. Open it before the first look at what it is about."""
        signal = Signal(lambda: self.listening)
        with self._lock:
            self._topics.setdefault(topic, []).append(signal)
            if self._thread is None and self.url is not None and not self._ending.is_set():
                self._thread = threading.Thread(target=self._listen, args=(self.url,), daemon=True)
                self._thread.start()
        try:
            yield signal
        finally:
            with self._lock:
                self._topics[topic].remove(signal)
                if not self._topics[topic]:
                    del self._topics[topic]

    def wake_all(self) -> None:
        """End every wait of this process, whatever it is for."""
        self._wake(None)

    def close(self) -> None:
        """Stop listening. Nobody is woken any more."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def _listen(self, url: str) -> None:
        """Hear until the end; after a lost connection, again."""
        while not self._ending.is_set():
            try:
                self._hear(url)
            except psycopg.OperationalError:
                self._ending.wait(RECONNECT_SECONDS)
            finally:
                self.listening = False
                self._wake(None)

    def _hear(self, url: str) -> None:
        """Listen on a connection of its own, and pass on what arrives."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"LISTEN {CHANNEL}".encode())
            self.listening = True
            self._wake(None)
            while not self._ending.is_set():
                for note in connection.notifies(timeout=LOOK_SECONDS):
                    self._wake(note.payload)

    def _wake(self, topic: str | None) -> None:
        """Wake who waits for a topic; None: everybody, because whether signals travel has changed."""
        with self._lock:
            topics = self._topics if topic is None else {topic: self._topics.get(topic, [])}
            signals = [signal for waiting in topics.values() for signal in waiting]
        for signal in signals:
            signal.wake()
