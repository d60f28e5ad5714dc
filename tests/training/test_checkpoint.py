import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.checkpoint import CheckpointCorrupt, Meta, pack, restore, unpack

META = Meta(recipe={"width": 16}, seed=1, step=2, total_steps=3, environment={"threads": 1})


def tensors():
    random = torch.Generator().manual_seed(0)
    return {name: torch.randn(3, size, generator=random) for name, size in (("a", 5), ("b.c", 1), ("z", 7))}


def test_what_goes_in_comes_out():
    meta, found = unpack(pack(META, tensors()))
    assert meta == META
    assert found.keys() == tensors().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors().items())


def test_equal_content_gives_equal_bytes_whatever_the_order():
    forwards = tensors()
    backwards = dict(reversed(forwards.items()))
    assert len({hashlib.sha256(pack(META, each)).digest() for each in (forwards, backwards) * 5}) == 1


def test_views_are_stored_like_copies():
    whole = torch.arange(12.0).view(3, 4)
    assert pack(META, {"a": whole.mT}) == pack(META, {"a": whole.mT.contiguous()})


@given(st.binary(max_size=200))
def test_bytes_that_are_no_checkpoint_are_refused(data):
    with pytest.raises(CheckpointCorrupt):
        unpack(data)


@given(st.integers(0, 300))
def test_a_cut_file_is_refused(length):
    data = pack(META, tensors())
    assert length < len(data)
    with pytest.raises(CheckpointCorrupt):
        unpack(data[:length])


def test_another_format_is_refused():
    with pytest.raises(CheckpointCorrupt):
        unpack(pack(Meta(**{**META.__dict__, "format": 99}), tensors()))


def test_restoring_keeps_the_live_memory():
    live = {name: torch.zeros_like(tensor) for name, tensor in tensors().items()}
    places = {name: tensor.data_ptr() for name, tensor in live.items()}
    restore(live, tensors())
    assert {name: tensor.data_ptr() for name, tensor in live.items()} == places
    assert all(torch.equal(live[name], tensor) for name, tensor in tensors().items())


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.zeros(3, 5)},
        {**tensors(), "new": torch.zeros(1)},
        {**tensors(), "a": torch.zeros(5, 3)},
        {**tensors(), "a": torch.zeros(3, 5, dtype=torch.float64)},
    ],
    ids=["missing", "more", "shape", "dtype"],
)
def test_tensors_that_do_not_fit_are_refused_and_nothing_is_written(other):
    live = {name: torch.zeros_like(tensor) for name, tensor in tensors().items()}
    with pytest.raises(CheckpointCorrupt):
        restore(live, other)
    assert all((tensor == 0).all() for tensor in live.values())
