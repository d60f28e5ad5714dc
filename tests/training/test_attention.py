import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.attention import Cache, attend, rotate


def qkv(length, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(3, 2, 3, length, 4, generator=random, dtype=dtype).unbind(0)


def naive(q, k, v, window):
    """The definition: all scores, then the band cut out."""
    length = q.shape[2]
    t, j = torch.arange(length)[:, None], torch.arange(length)[None]
    scores = rotate(q, 0) @ rotate(k, 0).mT / q.shape[-1] ** 0.5
    return scores.masked_fill((j > t) | (j <= t - window), -torch.inf).softmax(-1) @ v


@given(length=st.integers(1, 60), window=st.integers(1, 40), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_blocks_equal_the_whole_band(length, window, seed):
    q, k, v = qkv(length, seed)
    y, _ = attend(q, k, v, window, None)
    torch.testing.assert_close(y, naive(q, k, v, window), rtol=1e-9, atol=1e-10)


@given(length=st.integers(2, 60), window=st.integers(1, 40), data=st.data())
@settings(max_examples=60, deadline=None)
def test_parts_with_a_cache_equal_the_whole(length, window, data):
    q, k, v = qkv(length)
    cut = data.draw(st.integers(1, length - 1))
    whole, end = attend(q, k, v, window, None)
    first, cache = attend(q[:, :, :cut], k[:, :, :cut], v[:, :, :cut], window, None)
    second, cache = attend(q[:, :, cut:], k[:, :, cut:], v[:, :, cut:], window, cache)
    torch.testing.assert_close(torch.cat([first, second], 2), whole, rtol=1e-9, atol=1e-10)
    assert torch.equal(cache.keys, end.keys)
    assert cache.keys.shape[2] == min(length, window - 1)


@pytest.mark.parametrize("window", [5, 16, 64])
def test_output_does_not_see_the_future_nor_beyond_the_window(window):
    q, k, v = qkv(50, dtype=torch.float32)
    before, _ = attend(q, k, v, window, None)
    k[:, :, 30], v[:, :, 30] = 7.0, 7.0
    after, _ = attend(q, k, v, window, None)
    assert torch.equal(before[:, :, :30], after[:, :, :30])
    assert not torch.equal(before[:, :, 30], after[:, :, 30])
    assert torch.equal(before[:, :, 30 + window :], after[:, :, 30 + window :])


def test_gradients_equal_those_of_the_whole_band():
    gradients = []
    for form in (lambda *x: attend(*x, 7, None)[0], lambda *x: naive(*x, 7)):
        leaves = [x.clone().requires_grad_() for x in qkv(33)]
        gradients.append(torch.autograd.grad(form(*leaves).square().sum(), leaves))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_rotation_keeps_lengths_and_depends_on_distance_alone():
    q, k, _ = qkv(6)
    torch.testing.assert_close(rotate(q, 3).norm(dim=-1), q.norm(dim=-1))
    torch.testing.assert_close(rotate(q, 0) @ rotate(k, 0).mT, rotate(q, 9) @ rotate(k, 9).mT)


@given(length=st.integers(1, 40), window=st.integers(1, 30), prefixed=st.integers(1, 5), data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_prefix_is_seen_by_every_position_without_rotation(length, window, prefixed, data):
    q, k, v = qkv(length)
    _, pk, pv = qkv(prefixed, seed=1)
    t, j = torch.arange(length)[:, None], torch.arange(length)[None]
    scores = rotate(q, 0) @ rotate(k, 0).mT
    scores = torch.cat([q @ pk.mT, scores.masked_fill((j > t) | (j <= t - window), -torch.inf)], -1)
    expected = (scores / q.shape[-1] ** 0.5).softmax(-1) @ torch.cat([pv, v], 2)
    whole, _ = attend(q, k, v, window, None, Cache(pk, pv))
    torch.testing.assert_close(whole, expected, rtol=1e-9, atol=1e-10)
    cut = data.draw(st.integers(0, length))
    first, cache = attend(q[:, :, :cut], k[:, :, :cut], v[:, :, :cut], window, None, Cache(pk, pv))
    second, _ = attend(q[:, :, cut:], k[:, :, cut:], v[:, :, cut:], window, cache, Cache(pk, pv))
    torch.testing.assert_close(torch.cat([first, second], 2), expected, rtol=1e-9, atol=1e-10)
