import io
import json
import pickle
import random

import numpy as np
import pytest
import torch
from safetensors.torch import save

from training.arena.formats import wrong_format


def stored(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def checkpoint(state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("model.safetensors", save({"w": torch.ones(3), "empty": torch.zeros(0)})),
        ("table.npy", stored(np.arange(10.0))),
        ("table.npy", stored(np.zeros(3, dtype=[("a", "<f4"), ("b", "u1")]))),
        ("about.json", json.dumps({"width": 3}).encode()),
        ("words.txt", b"hello\n"),
        ("words.txt", b"hello."),
        ("words.txt", b"0" * 1_000_000 + b"."),
        ("weights.bin", random.Random(0).randbytes(10000)),
        ("weights.bin", b""),
        ("tokens.bin", bytes(1000)),
    ],
)
def test_plain_data_is_allowed(name, data):
    assert wrong_format(name, data) is None


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused_by_any_name(protocol):
    data = pickle.dumps(random.Random(0), protocol)
    for name in ("x.bin", "x.txt", "x.json"):
        assert "pickle" in wrong_format(name, data)


def test_a_pickle_too_long_to_read_is_refused_too():
    assert wrong_format("x.bin", pickle.dumps([random.Random(0), *({} for _ in range(100_000))]))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("model.pkl", b""),
        ("model.pt", b""),
        ("code.py", b"print(1)\n"),
        ("library.so", b""),
        ("archive.zip", b""),
        ("noname", b"x"),
        ("weights.bin", checkpoint({"w": torch.ones(3)})),
        ("weights.bin", b"\x7fELF" + bytes(100)),
        ("table.npy", stored(np.array([{}], dtype=object), allow_pickle=True)),
        ("table.npy", b"no array"),
        ("model.safetensors", b"no tensors"),
        ("model.safetensors", save({"w": torch.ones(3)}) + b"x"),
        ("model.safetensors", save({"w": torch.ones(3)})[:-1]),
    ],
)
def test_programs_archives_objects_and_broken_files_are_refused(name, data):
    assert wrong_format(name, data)
