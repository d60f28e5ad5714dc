"""A lease is renewed again once a database that was away answers, and no more once it is lost."""

import pytest
from sqlalchemy.exc import OperationalError

from db.jobs import LeaseLost
from server import engine
from server.renewal import Renewal
from tests.working import until

AWAY = OperationalError("", {}, Exception("the database is away"))


@pytest.mark.parametrize("times_away", [0, 2])
def test_a_renewal_outlives_a_database_that_is_away(times_away):
    calls = []

    def renew():
        calls.append(len(calls))
        if len(calls) <= times_away:
            raise AWAY
        if len(calls) == times_away + 2:
            raise LeaseLost("gone")

    with Renewal(renew, 0.001) as renewal:
        until(lambda: not renewal.thread.is_alive())
    assert len(calls) == times_away + 2


def test_an_engine_s_renewal_outlives_it_too(monkeypatch):
    monkeypatch.setattr(engine, "REQUEST_LEASE", 0.004)
    answers = [AWAY, AWAY, LeaseLost("gone")]

    class Store:
        def transaction(self):
            raise answers.pop(0)

    class Engine:
        runtime = type("Runtime", (), {"store": Store()})

    with engine.Renewal(Engine(), None) as renewal:
        until(lambda: not renewal.thread.is_alive())
    assert answers == []
    with pytest.raises(engine.Abandoned):
        renewal.check()
