import torch
from hypothesis import given
from hypothesis import strategies as st

from training.change import Change, change

counts = st.integers(0, 2**40)
changes = st.builds(Change, values=counts, changed=counts, zeroed=counts, saturated=counts, distinct=counts)


def test_counts_leave_zeros_out_and_tell_what_moved_vanished_and_was_cut():
    x = torch.tensor([0.0, -0.0, 1.0, 1.4, 0.1, -9.0, 3.0])
    y = torch.tensor([0.0, -0.0, 1.0, 1.0, 0.0, -4.0, 3.0])
    found = change(x, y, torch.tensor(4.0))
    assert found == Change(values=5, changed=3, zeroed=1, saturated=1, distinct=4)
    told = {"format": "f", "values": 5, "share": 0.6, "zero": 0.2, "saturated": 0.2, "distinct": 4}
    assert found.figures("f") == told


@given(changes, changes, changes)
def test_adding_up_does_not_depend_on_the_order(a, b, c):
    assert (a + b) + c == a + (b + c) == (c + b) + a
    assert a + Change() == a


def test_of_nothing_but_zeros_there_are_no_shares():
    figures = change(torch.zeros(3), torch.zeros(3), torch.tensor(1.0)).figures("f")
    assert (figures["values"], figures["share"], figures["zero"]) == (0, 0, 0)
