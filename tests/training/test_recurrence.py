import pytest
import torch

from training.recurrence import recur, recur_segments


def inputs(length, dtype=torch.float64, scale=1.0):
    """Random state, q, k, v and log decays of two rows, three heads, state 4, 5 channels a head."""
    random = torch.Generator().manual_seed(length)
    shapes = [(2, 3, 4, 5), (2, 1, length, 4), (2, 1, length, 4), (2, 3, length, 5), (2, 3, length)]
    S, q, k, v, raw = (torch.randn(*shape, generator=random, dtype=dtype) for shape in shapes)
    return S, q, k, v, -torch.nn.functional.softplus(scale * raw)


@pytest.mark.parametrize("length", [1, 2, 7, 23, 64, 65])
@pytest.mark.parametrize("part", [1, 3, 16, 64])
def test_segments_equal_the_definition_forward_and_in_every_gradient(length, part):
    results = []
    for form in (recur, lambda *args: recur_segments(*args, part)):
        leaves = [tensor.requires_grad_() for tensor in inputs(length)]
        y, end = form(*leaves)
        gradients = torch.autograd.grad(y.square().sum() + end.sin().sum(), leaves, materialize_grads=True)
        results.append([y, end, *gradients])
    for fast, slow in zip(*results, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-10)


def test_a_carried_state_continues_the_text():
    S, q, k, v, log_a = inputs(41)
    whole, end = recur_segments(S, q, k, v, log_a, 8)
    first, middle = recur_segments(S, q[:, :, :13], k[:, :, :13], v[:, :, :13], log_a[:, :, :13], 8)
    second, last = recur_segments(middle, q[:, :, 13:], k[:, :, 13:], v[:, :, 13:], log_a[:, :, 13:], 8)
    torch.testing.assert_close(torch.cat([first, second], 2), whole, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(last, end, rtol=1e-10, atol=1e-10)


def test_no_output_moves_by_one_bit_when_the_future_changes():
    S, q, k, v, log_a = inputs(50, torch.float32)
    before, _ = recur_segments(S, q, k, v, log_a, 16)
    for tensor in (q, k, v):
        tensor[:, :, 20:] += 1
    log_a[:, :, 20:] -= 1
    after, _ = recur_segments(S, q, k, v, log_a, 16)
    assert torch.equal(before[:, :, :20], after[:, :, :20])
    assert not torch.equal(before[:, :, 20:], after[:, :, 20:])


def test_strong_decay_over_a_long_segment_stays_finite_in_float32():
    """The log decays of a segment sum to 1600, of which float32 keeps three digits behind the point."""
    S, q, k, v, log_a = inputs(400, torch.float32, scale=30.0)
    y, end = recur_segments(S, q, k, v, log_a, 64)
    slow, _ = recur(*(tensor.double() for tensor in (S, q, k, v, log_a)))
    assert y.isfinite().all() and end.isfinite().all()
    torch.testing.assert_close(y.double(), slow, rtol=1e-3, atol=1e-3)


def test_without_decay_it_is_causal_linear_attention():
    S, q, k, v, log_a = inputs(20)
    y, _ = recur_segments(torch.zeros_like(S), q, k, v, torch.zeros_like(log_a), 6)
    torch.testing.assert_close(y, (q @ k.mT).tril() @ v)
