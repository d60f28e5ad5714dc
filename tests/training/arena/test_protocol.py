import hashlib
import math
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.arena import driving, scripts
from training.arena.blocks import disturbed
from training.arena.console import Failed
from training.arena.entry import Entry
from training.arena.protocol import TOLERANCE, Ledger, check_rows, columns, waves
from training.arena.sandbox import why_not
from training.ngrams import BEGIN
from training.scorer import score

documents = st.lists(st.binary(max_size=30), max_size=20)

TABLE = b"""
def train(text, artifact, seed):
    import array
    draw = __import__("random").Random(seed)
    table = array.array("f")
    for _ in range(257):
        row = [draw.gauss(0, 2) for _ in range(256)]
        total = math.log(math.fsum(map(math.exp, row)))
        table.extend(value - total for value in row)
    with open(f"{artifact}/table.bin", "wb") as file:
        file.write(table.tobytes())


def load(artifact):
    with open(f"{artifact}/table.bin", "rb") as file:
        packed = file.read()
    return [packed[1024 * row : 1024 * row + 1024] for row in range(257)]


LAST = {}


def rows(table, lanes):
    return b"".join(table[LAST.get(lane, 256)] for lane in range(lanes))


def learn(table, told):
    LAST.update(enumerate(told))


def receive(honest=receive):
    message = honest()
    if len(message) == 8 and ROUND[0] == 0:
        LAST.clear()
        ROUND[0] = struct.unpack("<II", message)[1] + 1
    ROUND[0] -= ROUND[0] > 0
    return message


ROUND = [0]
"""


def bigram_entry():
    parts = [(scripts.HERE / "entry_base.py").read_bytes(), TABLE, b"main()\n"]
    script = b"\n\n".join(parts)
    return Entry(name="table", script=script, sha256=hashlib.sha256(script).hexdigest())


@given(documents, st.integers(1, 6))
def test_every_byte_of_every_document_is_told_once_and_in_order(texts, lanes):
    told = []
    for wave in waves(texts, lanes):
        assert 1 <= len(wave) <= lanes
        text, still_open = columns(wave)
        assert still_open[0] == len(wave)
        assert still_open[-1] == 0
        heard = [bytearray() for _ in wave]
        for at, count in enumerate(still_open[:-1]):
            for lane in range(count):
                heard[lane].append(text[at, lane])
        told += map(bytes, heard)
    assert sorted(told) == sorted(text for text in texts if text)


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_rows_that_are_distributions_pass_and_others_do_not(lanes, seed):
    raw = np.random.default_rng(seed).normal(0, 5, (lanes, 256))
    rows = (raw - np.log(np.exp(raw).sum(-1, keepdims=True))).astype(np.float32)
    check_rows(rows)
    for wrong, name in ((3 * TOLERANCE, "not_normalised"), (-3 * TOLERANCE, "not_normalised"), (np.nan, "not_finite")):
        other = rows.copy()
        other[lanes - 1] += np.float32(np.log1p(wrong))
        with pytest.raises(Failed) as failed:
            check_rows(other)
        assert failed.value.name == name
    rows[0, 7] = -np.inf
    with pytest.raises(Failed, match="not_finite"):
        check_rows(rows)


def test_a_row_far_too_large_is_not_normalised_and_no_overflow():
    with pytest.raises(Failed, match="not_normalised"):
        check_rows(np.full((1, 256), 3e38, dtype=np.float32))


@given(st.lists(st.integers(0, 255), min_size=1, max_size=50))
def test_the_sum_is_the_correctly_rounded_one(told):
    rows = np.log(np.random.default_rng(len(told)).dirichlet(np.ones(256), len(told))).astype(np.float32)
    rows = np.maximum(rows, -80).astype(np.float32)
    ledger = Ledger(0)
    for row, byte in zip(rows, told, strict=True):
        ledger.enter(row[None], np.array([byte], dtype=np.uint8))
    exact = math.fsum(-float(row[byte]) for row, byte in zip(rows, told, strict=True))
    assert ledger.scored().nll_sum == exact


@given(st.integers(0, 2**32 - 1), st.integers(0, 63))
def test_a_disturbed_block_differs_from_the_cut_on_and_nowhere_before(seed, cut):
    block = np.random.default_rng(seed).integers(0, 256, (3, 64), dtype=np.uint8)
    other = disturbed(block, cut, np.random.default_rng(seed + 1))
    assert (other[:, :cut] == block[:, :cut]).all()
    assert (other[:, cut:] != block[:, cut:]).all()


@pytest.fixture
def outcome_of(tmp_path):
    if reason := why_not():
        pytest.skip(f"no sandbox here: {reason}")

    def run(texts, lanes):
        limits = replace(driving.QUICK, lanes=lanes)
        outcome = driving.run_trial(
            bigram_entry(),
            seed=5,
            train_text=b"any",
            heldout=texts,
            private=True,
            limits=limits,
            python=sys.executable,
            work=tmp_path,
        )
        assert outcome.failed is None, outcome
        table = np.fromfile(tmp_path / "artifact/table.bin", dtype="<f4").reshape(257, 256)
        return outcome, torch.from_numpy(table)

    return run


def test_a_model_scores_the_same_to_the_last_bit_as_in_our_own_scorer(outcome_of):
    text = b"".join(scripts.drawn().heldout)
    outcome, table = outcome_of([text], 1)
    inside = score(lambda ids_BT: table[ids_BT], text, probe_seed=0)
    assert (outcome.nll_sum, outcome.byte_count, outcome.bpb) == (inside.nll_sum, inside.byte_count, inside.bpb)


def test_many_lanes_in_several_waves_score_what_our_own_scorer_gives_the_documents(outcome_of):
    texts = [*scripts.drawn().heldout, b"", b"x", bytes(range(256))]
    outcome, table = outcome_of(texts, 4)
    documents = [len(text) for text in texts if text]
    inside = score(lambda ids_BT: table[ids_BT], b"".join(texts), probe_seed=0, documents=documents)
    assert (outcome.nll_sum, outcome.byte_count) == (inside.nll_sum, inside.byte_count)


def test_the_begin_of_a_lane_is_not_a_byte():
    assert BEGIN == 256
    assert struct.calcsize("<256f") == 1024
