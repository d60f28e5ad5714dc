import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidValue
from training.ngrams import BEGIN
from training.scorer import score
from training.scorer.windows import BATCH, batches, ids_of, inputs, plan, plans, targets


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.integers(2, 60), st.data())
def test_every_byte_of_every_document_is_scored_once_and_no_window_crosses_a_border(documents, window, data):
    overlap = data.draw(st.integers(0, window - 1))
    windows = plans(documents, window, overlap)
    assert [at for each in windows for at in range(each.first, each.end)] == list(range(sum(documents)))
    ends = {sum(documents[: at + 1]) for at in range(len(documents))}
    for each in windows:
        assert each.origin <= each.start <= each.first < each.end <= min(end for end in ends if end > each.origin)
        assert each.start == each.origin or each.first - each.start >= overlap


@given(st.integers(1, 900), st.integers(1, 60))
def test_sliding_by_a_stride_leaves_each_byte_the_rest_of_the_window(length, stride):
    for each in plan(length, 60, 60 - stride)[1:]:
        assert each.first - each.start >= 60 - stride
        assert each.end - each.first <= stride


@given(st.lists(st.integers(1, 100), min_size=1, max_size=30))
def test_batches_keep_the_order_and_hold_windows_of_one_length(documents):
    windows = plans(documents, 20, 5)
    groups = list(batches(windows))
    assert [each for group in groups for each in group] == windows
    assert all(len({each.end - each.start for each in group}) == 1 and len(group) <= BATCH for group in groups)


def test_an_input_is_the_byte_before_its_target_and_begin_where_a_document_starts():
    text = b"abcdefghij"
    ids = ids_of(text)
    batch = plans([4, 6], 4, 2)
    given_ids, wanted = inputs(ids, batch), targets(ids, batch)
    shown = [bytes(row[row != BEGIN].tolist()) for row in given_ids]
    assert shown == [b"abc", b"efg", b"fghi"]
    assert [bytes(row.tolist()) for row in wanted] == [b"abcd", b"efgh", b"ghij"]


def uniform(ids):
    return torch.full((*ids.shape, 256), -math.log(256), dtype=torch.float64)


MODES = [{}, {"window": 512, "overlap": 448}, {"window": 8, "overlap": 0}, {"documents": [700, 1, 299]}]


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_uniform_model_scores_exactly_eight_in_every_mode(mode):
    assert score(uniform, bytes(range(250)) * 4, probe_seed=0, **mode).bpb == 8.0


@pytest.mark.parametrize("mode", [{"documents": [5, 4]}, {"documents": [10, 0]}, {"window": 8, "overlap": 8}])
def test_impossible_windows_are_refused(mode):
    with pytest.raises(InvalidValue):
        score(uniform, b"0123456789", probe_seed=0, **mode)


def test_no_context_crosses_from_one_document_to_the_next():
    def counts_ids(ids):
        """Sure of byte b where b ids of the text stand before it."""
        seen = (ids != BEGIN).cumsum(1).clamp(max=255)
        p = torch.full((*ids.shape, 256), 0.5 / 255, dtype=torch.float64)
        return p.scatter_(-1, seen[..., None], 0.5).log()

    text = bytes(range(100)) * 3
    isolated = score(counts_ids, text, probe_seed=0, documents=[100, 100, 100])
    assert isolated.nll_sum == pytest.approx(300 * math.log(2), rel=1e-12)
    assert score(counts_ids, text, probe_seed=0).nll_sum > 4 * isolated.nll_sum
