import random

import pytest
import torch

from training.artifacts import ArtifactFolder
from training.recipe import recipe_from

SMALL = {"width": 16, "blocks": 1, "heads": 2, "window": 8, "ngram": 3, "ngram_buckets": 64, "context": 32, "batch": 4}


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small tensors on many threads spend their time waiting, most of all on a busy machine."""
    torch.set_num_threads(1)


class Texts:
    """A corpus of given bytes."""

    def __init__(self, train, validation):
        self.digest = "0" * 64
        self.texts = {"train": train, "validation": validation, "test": validation}

    def split(self, name):
        return self.texts[name]


def sentences(seed, count):
    """Text with something to learn: a few words in random order."""
    pick = random.Random(seed)
    words = ["return", "self", "def", "import", "for", "in", "range", "(x)", "None", "=", "1\n"]
    return " ".join(pick.choice(words) for _ in range(count)).encode()


@pytest.fixture(scope="session")
def texts():
    return Texts(sentences(0, 4000), sentences(1, 400))


@pytest.fixture
def store(tmp_path):
    return ArtifactFolder(tmp_path)


@pytest.fixture
def small():
    """Recipe of a small real model, with changes: small(optimizer="adamw")."""
    return lambda **changes: recipe_from({**SMALL, **changes})
