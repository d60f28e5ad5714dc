"""Windows in this process, beside the library's own."""

from contextlib import contextmanager

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from limits.storage import MemoryStorage

from server.limit_storage import Windows


class LimitMachine(RuleBasedStateMachine):
    """Our storage beside the library's own: the same answers at every moment."""

    def __init__(self):
        super().__init__()
        self.now = 1_000_000.0
        self.ours, self.theirs = Windows(), MemoryStorage()
        self.theirs.timer.cancel()

    @contextmanager
    def moment(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.time", lambda: self.now)
            yield

    @rule(key=st.sampled_from("abc"), expiry=st.sampled_from([1, 60]), amount=st.integers(1, 3))
    def count(self, key, expiry, amount):
        with self.moment():
            ours, theirs = (one.incr(key, expiry, amount) for one in (self.ours, self.theirs))
        assert ours == theirs

    @rule(seconds=st.sampled_from([0.5, 1.0, 59.0, 61.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule(key=st.sampled_from("abc"))
    def forget(self, key):
        self.ours.clear(key)
        self.theirs.clear(key)

    @rule()
    def forget_all(self):
        self.ours.reset()
        self.theirs.reset()

    @invariant()
    def both_say_the_same(self):
        with self.moment():
            for key in "abcd":
                assert self.ours.get(key) == self.theirs.get(key)
                if self.ours.get(key):
                    assert self.ours.get_expiry(key) == self.theirs.get_expiry(key)

    def teardown(self):
        self.theirs.timer.cancel()
        self.theirs.timer.join()


def test_our_windows_count_as_those_of_the_library(monkeypatch):
    monkeypatch.setattr("server.limit_storage.SWEEP_EVERY", 2)
    run_state_machine_as_test(LimitMachine, settings=settings(max_examples=30, stateful_step_count=20, deadline=None))


def test_windows_that_have_ended_take_no_memory(monkeypatch):
    windows = Windows()
    monkeypatch.setattr("server.limit_storage.SWEEP_EVERY", 10)
    for number in range(100):
        windows.incr(f"address {number}", 0)
    assert len(windows.windows) <= 10
