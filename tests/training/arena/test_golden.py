import hashlib
import json
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from tests.training.arena import scripts
from tests.training.arena.driving import QUICK
from training.arena.entry import Entry
from training.arena.golden import NotTensors, golden, tensors_of
from training.arena.sandbox import why_not
from training.arena.trial import verify_golden

TENSORS = {"b": torch.arange(6, dtype=torch.float32).reshape(2, 3), "a": torch.ones(2, dtype=torch.bfloat16)}


def state(folder, **files):
    for name, tensors in files.items():
        (folder / f"{name}.safetensors").write_bytes(save(tensors))
    return golden(folder)


def test_it_is_the_hash_that_its_definition_says(tmp_path):
    digest = hashlib.sha256()
    for name, kind, shape, data in (
        ("a", "BF16", [2], b"\x80\x3f\x80\x3f"),
        ("b", "F32", [2, 3], torch.arange(6, dtype=torch.float32).numpy().tobytes()),
    ):
        head = json.dumps([name, kind, shape, len(data)], separators=(",", ":")).encode()
        digest.update(len(head).to_bytes(8, "little") + head + data)
    assert state(tmp_path, model=TENSORS) == digest.hexdigest()


def test_how_the_tensors_are_spread_over_files_does_not_matter(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    whole = state(tmp_path / "one", model=TENSORS)
    assert state(tmp_path / "two", x={"a": TENSORS["a"]}, y={"b": TENSORS["b"]}) == whole


@given(st.integers(0, 8 * 24 - 1))
def test_one_flipped_bit_of_a_tensor_changes_it(tmp_path_factory, bit):
    packed = bytearray(save({"b": TENSORS["b"]}))
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    (one / "m.safetensors").write_bytes(packed)
    packed[len(packed) - 24 + bit // 8] ^= 1 << bit % 8
    (two / "m.safetensors").write_bytes(packed)
    assert golden(one) != golden(two)


@pytest.mark.parametrize(
    "changed",
    [{"c": TENSORS["b"]}, {"b": TENSORS["b"].reshape(3, 2)}, {"b": TENSORS["b"].view(torch.int32)}, {}],
)
def test_name_shape_type_and_number_of_tensors_count(tmp_path, changed):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert state(tmp_path / "one", m={"b": TENSORS["b"]}) != state(tmp_path / "two", m=changed)


def test_an_artifact_without_tensors_has_none(tmp_path):
    (tmp_path / "counts.json").write_text("{}")
    assert golden(tmp_path) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_tensors_or_refused(packed):
    try:
        tensors_of(packed)
    except NotTensors:
        return
    assert len(packed) >= 8


def verified(entry, folder):
    if reason := why_not():
        pytest.skip(f"no sandbox here: {reason}")
    texts = scripts.drawn()
    return verify_golden(entry, train_text=texts.train, limits=QUICK, python=sys.executable, work=folder)


def test_training_again_confirms_a_golden_state(tmp_path):
    outcome = verified(scripts.entry("honest", "golden", scripts.drawn()), tmp_path)
    assert outcome.failed is None
    assert outcome.checks[-1].name == "golden_state"
    assert outcome.provenance is None


def test_training_again_refuses_one_flipped_bit(tmp_path):
    entry = scripts.entry("honest", "golden", scripts.drawn())
    for name, changed in {
        "golden_state": replace(entry, golden_state=f"{int(entry.golden_state, 16) ^ 1:064x}"),
        "wrong_hash": replace(entry, script=entry.script.replace(b"1234", b"1235")),
    }.items():
        (tmp_path / name).mkdir()
        assert verified(changed, tmp_path / name).failed == name


def test_an_entry_that_gave_no_golden_state_is_not_confirmed(tmp_path):
    entry = scripts.entry("honest", "golden", scripts.drawn())
    assert isinstance(entry, Entry)
    assert verified(replace(entry, golden_state=None), tmp_path).failed == "golden_state"
