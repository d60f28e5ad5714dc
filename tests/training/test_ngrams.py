import torch
from hypothesis import given
from hypothesis import strategies as st

from training.ngrams import BEGIN, hashed, rows


def rows_of(ids, ngram, buckets=1 << 20):
    padded = torch.tensor([[BEGIN] * (ngram - 1) + list(ids)])
    return rows(padded, ngram, buckets)[0]


@given(st.lists(st.integers(0, 256), min_size=1, max_size=20), st.integers(2, 8))
def test_a_row_depends_on_the_last_n_ids_and_on_nothing_else(ids, ngram):
    whole = rows_of(ids, ngram)
    assert whole.shape == (len(ids), ngram - 1)
    for column, order in enumerate(range(2, ngram + 1)):
        tail = ([BEGIN] * (order - 1) + ids)[-order:]
        assert whole[-1, column] == rows_of(tail, ngram)[-1, column]


@given(st.lists(st.integers(0, 256), min_size=1, max_size=20), st.integers(2, 8), st.integers(16, 5000))
def test_each_order_has_its_own_table(ids, ngram, buckets):
    table = rows_of(ids, ngram, buckets).div(buckets, rounding_mode="floor")
    assert table.tolist() == [list(range(ngram - 1))] * len(ids)


def test_different_short_contexts_seldom_share_a_row():
    keys = torch.arange(257 * 64)
    assert hashed(keys, 1 << 20).unique().numel() > 0.98 * len(keys)
    counts = torch.bincount(hashed(torch.arange(160_000), 16), minlength=16)
    assert counts.min() > 9_000
