"""Changes: which races and jobs have changed, told after the commit and never within it.

A notification inside the transactions of claims and samples would make their commits wait for each other. So a session
notes what it touches, and after the commit the process's teller writes the versions down, for all that was touched
since it last told. A teller that dies before it has told costs time only: who shows a page looks again now and then.
"""

import atexit
import threading
import time
from collections.abc import Callable, Iterable, Set
from contextlib import AbstractContextManager

from sqlalchemy import Executable, bindparam, delete, func, select
from sqlalchemy.exc import SQLAlchemyError

from db.session import Session, Touched
from db.signals import notify
from db.statements import Prepared, inserting
from db.store import run
from db.tables import JOB, RACE
from db.tables_scale import CHANGE

CHANGED = "changed"
"""The signal that some topic has a new version."""

RACES = "races"
"""The topic of everything: some race has changed or is new."""

PAUSE_SECONDS = 0.25
"""A process tells at most four times a second, whatever it writes."""

AGAIN_SECONDS = 5.0
"""After this pause a teller that could not write tries again."""


def race_topic(name: str) -> str:
    """What is told of a race."""
    return f"race/{name}"


def job_topic(job_id: str) -> str:
    """What is told of a job."""
    return f"job/{job_id}"


def tell(session: Session, touched: Set[Touched], microseconds: int) -> list[str]:
    """Give every topic of what was touched a new version, and wake who waits. Gives the topics."""
    topics = topics_of(session, touched)
    for topic in topics:  # in one order everywhere: two tellers wait for each other, never in a circle
        TOLD.count(session, topic=topic, version=microseconds)
    notify(session, CHANGED)
    return topics


def topics_of(session: Session, touched: Set[Touched]) -> list[str]:
    """The topics of jobs and races, and of the races of the jobs, in alphabetical order."""
    jobs = sorted(key for kind, key in touched if kind == "job")
    races = sorted(key for kind, key in touched if kind == "race")
    names = select(RACE.c.name)
    of_jobs = names.where(RACE.c.id.in_(select(JOB.c.race_id).where(JOB.c.id.in_(jobs))))
    found = {*run(session, of_jobs).scalars(), *run(session, names.where(RACE.c.id.in_(races))).scalars()}
    return sorted({*map(job_topic, jobs), *map(race_topic, found), RACES})


def versions(session: Session, topics: Iterable[str]) -> dict[str, int]:
    """topic -> version; 0 for one of which nothing was told."""
    asked = list(topics)
    found = run(session, select(CHANGE).where(CHANGE.c.topic.in_(asked)))
    return dict.fromkeys(asked, 0) | {row.topic: row.version for row in found}


def sweep(session: Session, before_microseconds: int) -> int:
    """Forget topics that have not changed since, and tell how many. The next version is greater all the same."""
    return run(session, delete(CHANGE).where(CHANGE.c.version < before_microseconds)).rowcount


def telling(dialect: str) -> Executable:
    """Insert a topic, or give it a version that is greater than any before: clocks differ."""
    new = inserting(dialect, CHANGE).values(topic=bindparam("topic"), version=bindparam("version"))
    next_one = CHANGE.c.version + 1
    greatest = func.greatest if dialect == "postgresql" else func.max
    version = greatest(next_one, new.excluded.version)
    return new.on_conflict_do_update(index_elements=["topic"], set_={"version": version})


TOLD = Prepared(telling)


class Teller:
    """Tells what a process has changed. The thread starts with the first change and is done when the process is."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[Session]]) -> None:
        self._transaction = transaction
        self._lock = threading.Lock()
        self._touched: set[Touched] = set()
        self._news = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def mark(self, touched: Set[Touched]) -> None:
        """Note what a committed transaction has touched. Never blocks, never fails."""
        with self._lock:
            self._touched |= touched
            if not self._ending.is_set() and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="teller", daemon=True)
                self._thread.start()
                atexit.register(self.close)
        self._news.set()

    def close(self) -> None:
        """Tell what is left, and end."""
        self._ending.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join()
        atexit.unregister(self.close)

    def _run(self) -> None:
        """Tell at once, then pause; what is touched meanwhile is told together."""
        while not self._ending.is_set():
            self._news.wait()
            self._news.clear()
            told = self._tell()
            self._ending.wait(PAUSE_SECONDS if told else AGAIN_SECONDS)
        self._tell()

    def _tell(self) -> bool:
        """Whether what was touched could be told; if not it is kept for the next time."""
        with self._lock:
            touched, self._touched = self._touched, set()
        if not touched:
            return True
        try:
            with self._transaction() as session:
                tell(session, touched, time.time_ns() // 1000)
        except SQLAlchemyError:
            with self._lock:
                self._touched |= touched
            self._news.set()
            return False
        return True
