"""The example entries, each as its own process, driven by the protocol of docs/igla-predict.md."""

import importlib.util
import json
import math
import os
import random
import struct
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.forked import Forked, run

ENTRIES = sorted((Path(__file__).parents[2] / "docs" / "examples" / "entries").glob("*.py"))
SMALL = {**os.environ, "STEPS": "20", "WIDTH": "32", "DEPTH": "1", "OMP_NUM_THREADS": "1"}
WORDS = ["return", "self", "def", "import", "for", "in", "range", "(x)", "None", "=", "1\n"]


def text(seed, count):
    pick = random.Random(seed)
    return " ".join(pick.choice(WORDS) for _ in range(count)).encode()


def trained_in(folder, script):
    """(script, artifact) of an entry that was trained for a few steps."""
    (folder / "train.bin").write_bytes(text(0, 6000))
    (folder / "artifact").mkdir()
    command = ["train", "train.bin", "artifact", "7"]
    run(command, script=script, cwd=folder, env=SMALL)
    return script, folder / "artifact"


@pytest.fixture(scope="module", params=ENTRIES, ids=lambda path: path.stem)
def trained(request, tmp_path_factory):
    return trained_in(tmp_path_factory.mktemp(request.param.stem), request.param)


def frame(pipe, payload=None):
    """Send a frame, or receive one."""
    if payload is not None:
        pipe.write(struct.pack("<I", len(payload)) + payload)
        pipe.flush()
        return None
    return pipe.read(struct.unpack("<I", pipe.read(4))[0])


def rows_of(script, artifact, documents, **env):
    """The rows of each document, in one wave, longest first; a byte is told only after its rows were read."""
    command = ["predict", str(artifact), "7"]
    with Forked(command, script=script, env={**SMALL, **env}, stdin=PIPE, stdout=PIPE) as entry:
        longest = len(documents[0])
        frame(
            entry.stdin,
            json.dumps({"protocol": "igla-predict/1", "lanes": len(documents), "longest": longest}).encode(),
        )
        assert frame(entry.stdout) == b"igla-predict/1"
        frame(entry.stdin, struct.pack("<II", len(documents), longest))
        rows = [[] for _ in documents]
        for at in range(longest):
            still = sum(len(document) > at for document in documents)
            for lane, row in enumerate(np.frombuffer(frame(entry.stdout), "<f4").reshape(still, 256)):
                rows[lane].append(row)
            after = sum(len(document) > at + 1 for document in documents)
            frame(entry.stdin, struct.pack("<I", after) + bytes(document[at] for document in documents[:still]))
        frame(entry.stdin, struct.pack("<II", 0, 0))
        assert entry.wait(30) == 0
    return [np.stack(row) for row in rows]


def bpb(rows, document):
    nll = -rows[np.arange(len(document)), np.frombuffer(document, np.uint8)].astype(np.float64)
    return math.fsum(nll) / (math.log(2) * len(document))


ONE, OTHER = text(4, 20), text(5, 15)
DOCUMENTS = [ONE + b"a" * 9, ONE + b"b" * 9, ONE, OTHER]


@pytest.fixture(scope="module")
def rows(trained):
    return rows_of(*trained, DOCUMENTS)


def test_an_entry_learns_and_sends_distributions(rows):
    for document, given in zip(DOCUMENTS, rows, strict=True):
        assert given.shape == (len(document), 256)
        np.testing.assert_allclose(np.exp(given.astype(np.float64)).sum(1), 1, atol=1e-5)
    assert bpb(rows[3], OTHER) < 6


def test_a_lane_s_rows_depend_on_what_it_was_told_and_on_nothing_else(rows):
    same = len(ONE) + 1
    np.testing.assert_allclose(rows[0][:same], rows[1][:same], atol=1e-4)
    np.testing.assert_allclose(rows[0][: len(ONE)], rows[2], atol=1e-4)
    assert np.abs(rows[0][same] - rows[1][same]).max() > 0.01


def test_the_artifact_is_one_safetensors_file(trained):
    assert [path.name for path in trained[1].iterdir()] == ["model.safetensors"]


def entry(name):
    return next(path for path in ENTRIES if path.stem == name)


def module_of(name):
    """An entry as a module."""
    spec = importlib.util.spec_from_file_location(name, entry(name))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_operations_of_the_fused_entry_have_right_gradients():
    fused = module_of("fused")
    draw = torch.Generator().manual_seed(0)
    z, x, up, down = (
        torch.randn(*shape, generator=draw, dtype=torch.float64, requires_grad=True)
        for shape in ((7, 256), (5, 4), (6, 4), (4, 6))
    )
    targets = torch.randint(256, (7,), generator=draw)
    plain = functional.nll_loss(fused.capped_logp(z), targets)
    torch.testing.assert_close(fused.CappedLoss.apply(z, targets), plain)
    (expected,) = torch.autograd.grad(plain, z)
    (found,) = torch.autograd.grad(fused.CappedLoss.apply(z, targets), z)
    torch.testing.assert_close(found, expected)
    assert torch.autograd.gradcheck(fused.FusedMlp.apply, (x, up, down))


def test_an_entry_that_adapts_scores_a_byte_before_it_learns_it(tmp_path):
    """Up to the end of the first chunk nothing is learned; from there on the rows of a repeated text are others."""
    script, artifact = trained_in(tmp_path, entry("e2e_ttt"))
    document = (text(4, 20) * 3)[:160]
    (adapting,) = rows_of(script, artifact, [document])
    (still,) = rows_of(script, artifact, [document], INNER_LR="0")
    assert np.array_equal(adapting[:64], still[:64])
    assert not np.array_equal(adapting[64:], still[64:])
