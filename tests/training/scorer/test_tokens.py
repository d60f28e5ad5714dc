"""Byte counts of real tokenizers against the bytes of the text, beside the ways in which they were got wrong."""

import io
import random

import numpy as np
import pytest
import sentencepiece

from errors import InvalidValue
from training.scorer.tokens import byte_tables, load_tables

SPACE = "\u2581".encode()
WORDS = ["the", "a", "of", "and", "river", "mountain", "little", "house", "went", "over", "under", "snow", "walked"]


def prose(count, seed=0):
    pick = random.Random(seed)
    return " ".join(pick.choice(WORDS) for _ in range(count))


@pytest.fixture(scope="module")
def trained():
    """A small real SentencePiece model, as bytes."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([prose(12, seed) for seed in range(200)]), model_writer=model, vocab_size=330,
        model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


def processor(model):
    return sentencepiece.SentencePieceProcessor(model_proto=model)


@pytest.fixture
def tokenizer(trained):
    return processor(trained)


@pytest.fixture
def without_space(trained):
    """The same model with another character where its bare U+2581 was."""
    piece = b"\x0a\x03" + SPACE
    assert trained.count(piece) == 1
    return processor(trained.replace(piece, b"\x0a\x03" + "\uf8ff".encode()))


TEXTS = [prose(50), "the  snow   \u00e9tait \u5c71 grey\n\nhouse ", "xyz", " leading", "\U0001f40d snow \u20ac"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_has_its_raw_bytes_whatever_it_is_cut_into(tokenizer, text):
    ids = tokenizer.encode(text)
    tables = byte_tables(tokenizer)
    assert tables.counts(ids).sum() == len(text.encode())
    cut = [tables.counts(ids[:3]), tables.counts(ids[3:], previous=ids[min(2, len(ids) - 1)])]
    assert np.concatenate(cut).sum() == len(text.encode())


def test_counting_the_space_in_the_table_and_again_at_evaluation_flatters_by_a_sixth(tokenizer):
    text = prose(400)
    ids, tables = tokenizer.encode(text), byte_tables(tokenizer)
    doubled = sum(len(tokenizer.id_to_piece(each).replace("\u2581", " ").encode()) for each in ids)
    doubled += int(tables.has_leading_space[ids[1:]].sum())
    assert 1.14 < doubled / len(text.encode()) < 1.22
    assert tables.counts(ids).sum() == len(text.encode())


@pytest.mark.parametrize("text", ["snow   grey    house", "  ", *TEXTS])
def test_a_tokenizer_without_a_piece_for_the_space_does_not_count_it_three_times(without_space, text):
    ids, tables = without_space.encode(text), byte_tables(without_space)
    fallback = [each for each in ids if without_space.is_byte(each)]
    naive = tables.base_bytes[ids].sum() + tables.has_leading_space[ids[1:]].sum()
    assert tables.counts(ids).sum() == len(text.encode())
    if "  " in text:
        assert len(fallback) >= 3
        assert naive > len(text.encode())


def test_a_byte_fallback_token_is_one_byte_not_the_three_of_a_replacement_character(tokenizer):
    text = "snow " + "\u00e9\u5c71" * 20
    ids, tables = tokenizer.encode(text), byte_tables(tokenizer)
    decoded = sum(len(tokenizer.decode([each]).encode()) for each in ids)
    assert sum(tokenizer.is_byte(each) for each in ids) == 100
    assert decoded > 3 * 100
    assert tables.counts(ids).sum() == len(text.encode()) == 105


def test_a_space_is_not_charged_after_a_boundary(tokenizer):
    tables, ids = byte_tables(tokenizer), tokenizer.encode("snow")
    begin = tokenizer.bos_id()
    assert tables.counts([begin, *ids]).tolist()[0] == 0
    assert tables.counts([begin, *ids]).sum() == tables.counts(ids).sum() == 4
    assert tables.counts(ids, previous=ids[-1]).sum() == 5


def test_ids_beyond_the_tokenizer_are_boundaries_without_bytes(tokenizer):
    tables = byte_tables(tokenizer, size=512)
    assert len(tables.base_bytes) == 512
    assert tables.counts([400]).tolist() == [0]
    assert tables.is_boundary[400]
    assert tables.counts([]).tolist() == []
    with pytest.raises(InvalidValue, match="511"):
        tables.counts([512])


def test_tables_are_read_from_a_model_file(trained, tokenizer, tmp_path):
    (tmp_path / "small.model").write_bytes(trained)
    ids = tokenizer.encode(TEXTS[0])
    assert load_tables(tmp_path / "small.model").counts(ids).tolist() == byte_tables(tokenizer).counts(ids).tolist()
    with pytest.raises(InvalidValue, match=r"missing\.model"):
        load_tables(tmp_path / "missing.model")
