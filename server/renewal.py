"""Renewal: keeps a lease in the background while a process is at work."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.jobs import LeaseLost

log = structlog.get_logger()


class Renewal:
    """A context manager that calls `renew` every so many seconds, and no more once the lease is lost."""

    def __init__(self, renew: Callable[[], None], every_seconds: float) -> None:
        self.renew, self.every_seconds = renew, every_seconds
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()

    def run(self) -> None:
        """Renew until the work is done. Who works notices a lost lease when the result is stored."""
        with suppress(LeaseLost):
            while not self.done.wait(self.every_seconds):
                try:
                    self.renew()
                except SQLAlchemyError as error:  # a database that does not answer now is asked again
                    log.warning("renewal_waits", error=type(error).__name__)
