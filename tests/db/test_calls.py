import pytest

from db.calls import Call, watched
from errors import InvalidValue

CALL = Call(
    tool="job_status", read_only=True, principal="ann", credential="", doorway="http", request_id="r", subject={}
)


class Seen:
    def __init__(self, refuses=False):
        self.refuses, self.told = refuses, []

    def begins(self, call):
        if self.refuses:
            raise InvalidValue("Not now.")
        self.told.append("begins")

    def ended(self, call, code, seconds):
        assert seconds >= 0
        self.told.append(code)


def test_a_watch_is_told_how_a_call_ended():
    seen = Seen()
    with watched([seen], CALL):
        pass
    with pytest.raises(InvalidValue), watched([seen], CALL):
        raise InvalidValue("No.")
    with pytest.raises(ZeroDivisionError), watched([seen], CALL):
        _ = 1 / 0
    assert seen.told == ["begins", "ok", "begins", "invalid_value", "begins", "internal_error"]


def test_a_watch_may_refuse_a_call_and_only_those_that_saw_it_begin_see_it_end():
    first, last = Seen(), Seen()
    with pytest.raises(InvalidValue), watched([first, Seen(refuses=True), last], CALL):
        raise AssertionError("the call ran")
    assert first.told == ["begins", "invalid_value"]
    assert last.told == []
