import random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from training.overlap import (
    MULTIPLIER,
    NGRAM,
    among,
    entangled,
    entangled_slowly,
    hashes,
    overlap,
    shared_positions,
    shared_positions_slowly,
)

TEXT = st.binary(max_size=300).map(lambda data: bytes(byte % 3 for byte in data))
"""Three letters, so that long matches are common."""


@given(train=TEXT, heldout=TEXT, n=st.integers(1, 70))
@example(train=b"", heldout=b"", n=1)
@example(train=bytes(63), heldout=bytes(64), n=64)
@example(train=bytes(64), heldout=bytes(64), n=64)
@example(train=bytes(40), heldout=bytes(40), n=64)
def test_shared_positions_are_those_of_the_definition(train, heldout, n):
    assert shared_positions(train, heldout, n) == shared_positions_slowly(train, heldout, n)


@given(
    n=st.integers(1, 70),
    before=st.integers(0, 200),
    length=st.integers(0, 150),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_copied_passage_is_found_wherever_it_lies(n, before, length, seed):
    random_ = random.Random(seed)
    passage = random_.randbytes(length)
    train = random_.randbytes(before) + passage + random_.randbytes(50)
    heldout = random_.randbytes(30) + passage + random_.randbytes(30)
    assert shared_positions(train, heldout, n) == shared_positions_slowly(train, heldout, n)
    assert overlap(train, heldout, n) >= max(0, length - n + 1)


@pytest.mark.parametrize("offset", [0, 1, 31, 32, 33, 63, 64, 65])
def test_sixty_four_equal_bytes_overlap_and_sixty_three_do_not(offset):
    random_ = random.Random(offset)
    train = bytes(byte & 127 for byte in random_.randbytes(offset + 5000))
    copied = train[offset : offset + NGRAM]
    assert overlap(train, b"\xff" + copied + b"\xff") == 1
    assert overlap(train, b"\xff" + copied[:-1] + b"\xff") == 0


def test_a_text_overlaps_with_itself_everywhere():
    text = random.Random(1).randbytes(100_000)
    assert overlap(text, text) == len(text) - NGRAM + 1


def test_hashes_that_collide_are_told_apart_by_their_bytes(monkeypatch):
    monkeypatch.setattr("training.overlap.MULTIPLIER", 1)
    random_ = random.Random(2)
    train, heldout = random_.randbytes(2000), random_.randbytes(300)
    assert len(among(hashes(heldout, NGRAM // 2), np.sort(hashes(train, NGRAM // 2, NGRAM // 2)))) > 3
    assert overlap(train, heldout) == 0
    assert overlap(train, heldout + train[700:800]) == 100 - NGRAM + 1


@given(text=st.binary(max_size=100), width=st.integers(1, 70), stride=st.integers(1, 40))
def test_a_hash_is_the_sum_that_it_is_said_to_be(text, width, stride):
    windows = [text[i : i + width] for i in range(0, len(text) - width + 1, stride)]
    sums = [sum(byte * MULTIPLIER ** (j + 1) for j, byte in enumerate(window)) % 2**64 for window in windows]
    assert hashes(text, width, stride).tolist() == sums


@pytest.mark.parametrize("stride", [1, 2, 3, 7, 8])
def test_hashes_do_not_depend_on_where_the_blocks_end(monkeypatch, stride):
    text = random.Random(3).randbytes(1000)
    whole = hashes(text, 5, stride)
    monkeypatch.setattr("training.overlap.BLOCK", 7)
    assert hashes(text, 5, stride).tolist() == whole.tolist()


@given(st.lists(TEXT, max_size=6), st.integers(1, 70))
@example([bytes(64), b"\1" + bytes(64), bytes(63)], 64)
@example([], 1)
def test_entangled_texts_are_those_of_the_definition(texts, n):
    assert entangled(texts, n) == entangled_slowly(texts, n)


def test_a_text_that_repeats_itself_is_entangled_with_nobody():
    text = random.Random(4).randbytes(200)
    assert entangled([text + text, random.Random(5).randbytes(400)]) == set()


def test_a_sample_of_the_ngrams_finds_long_shared_passages_and_nothing_else():
    random_ = random.Random(6)
    texts = [random_.randbytes(2000) for _ in range(20)]
    texts[3] = texts[3] + texts[11][500:1500]
    assert entangled(texts, one_in=16) == {3, 11}
