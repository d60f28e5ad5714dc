import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.ngrams import BEGIN
from training.windows import TextTooShort, as_tensor, window_batch

TEXT = bytes(range(256)) * 9


def starts(text, seed, steps, batch, context):
    """First byte of every window, told from a text whose bytes are their own position modulo 251 and 241."""
    found = []
    for step in range(steps):
        _, targets = window_batch(text, seed=seed, step=step, batch=batch, context=context)
        found += targets[:, 0].tolist()
    return found


@given(st.integers(0, 2**32), st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 300))
@settings(max_examples=50, deadline=None)
def test_an_input_is_the_byte_before_its_target_and_begin_stands_before_the_first(seed, step, batch, context):
    inputs, targets = window_batch(as_tensor(TEXT), seed=seed, step=step, batch=batch, context=context)
    assert inputs.shape == targets.shape == (batch, context)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    for row, goal in zip(inputs.tolist(), targets.tolist(), strict=True):
        assert bytes(goal) in TEXT
        assert row[0] == BEGIN or bytes([row[0], goal[0]]) in TEXT


def test_the_same_seed_and_step_give_the_same_windows_and_others_differ():
    text = as_tensor(bytes(torch.randint(256, (5000,), generator=torch.Generator().manual_seed(0)).tolist()))
    one = window_batch(text, seed=1, step=5, batch=4, context=50)
    assert all(map(torch.equal, one, window_batch(text, seed=1, step=5, batch=4, context=50)))
    assert not torch.equal(one[1], window_batch(text, seed=2, step=5, batch=4, context=50)[1])
    assert not torch.equal(one[1], window_batch(text, seed=1, step=6, batch=4, context=50)[1])


def test_an_epoch_takes_every_window_once():
    text = as_tensor(bytes(range(200)))
    first = starts(text, seed=3, steps=19, batch=1, context=10)
    assert len({start // 10 for start in first} | {start % 10 for start in first}) >= 19
    assert len(set(first)) == 19
    assert len({start % 10 for start in first}) == 1


def test_the_beginning_of_the_text_comes_with_begin():
    inputs, targets = window_batch(as_tensor(b"abcd"), seed=0, step=0, batch=3, context=4)
    assert inputs.tolist() == [[BEGIN, 97, 98, 99]] * 3
    assert targets.tolist() == [[97, 98, 99, 100]] * 3


def test_a_text_shorter_than_a_window_is_refused():
    with pytest.raises(TextTooShort):
        window_batch(as_tensor(b"abc"), seed=0, step=0, batch=1, context=4)
