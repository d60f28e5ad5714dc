import numpy as np
import pytest

from training import corpus
from training.corpora import CorpusMissing, CorpusUnreadable, resolve
from training.shards import write_shard

TRAIN, VALID = "fineweb_train_000001.bin", "fineweb_val_000000.bin"


def ids_of(*texts):
    return np.array([one for text in texts for one in (1, *(byte + 4 for byte in text))], np.uint16)


def text_of(number, size=300):
    return np.random.default_rng(number).bytes(size)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / TRAIN).write_bytes(write_shard(ids_of(*(text_of(number) for number in range(40)))))
    (tmp_path / VALID).write_bytes(write_shard(ids_of(*(text_of(number) for number in range(40, 70)))))
    return tmp_path


def test_documents_are_the_bytes_between_two_begins(folder):
    (folder / TRAIN).write_bytes(write_shard(ids_of(b"one", b"", bytes(range(256)))))
    found = [(each.data, each.part) for each in resolve(f"shards:{folder}").documents() if each.part == "train"]
    assert found == [(b"one", "train"), (bytes(range(256)), "train")]


def test_train_shards_are_trained_on_and_the_others_are_held_out(folder):
    source = resolve(f"shards:{folder}")
    built = corpus.build(source.name, source.documents(), validation_bytes=2048, test_bytes=2048)
    train, heldout = (b"".join(text_of(number) for number in numbers) for numbers in (range(40), range(40, 70)))
    assert built.manifest.splits["train"].byte_count == len(train)
    assert all(each in train for each in (text_of(0), text_of(39)))
    assert all(built.texts[name][:300] in heldout for name in ("validation", "test"))
    assert built.manifest.left_out > 0


def test_padding_end_and_unknown_are_no_text(folder):
    (folder / TRAIN).write_bytes(write_shard(np.array([1, 101, 0, 102, 2, 3, 103], np.uint16)))
    (found,) = [each.data for each in resolve(f"shards:{folder}").documents() if each.part == "train"]
    assert found == b"abc"


@pytest.mark.parametrize("missing", [TRAIN, VALID])
def test_a_folder_without_one_of_the_two_kinds_is_refused(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(CorpusMissing):
        resolve(f"shards:{folder}")


@pytest.mark.parametrize("data", [b"", b"x" * 1030, write_shard(np.array([1, 260], np.uint16))])
def test_a_file_that_is_no_shard_of_bytes_is_refused(folder, data):
    (folder / VALID).write_bytes(data)
    with pytest.raises(CorpusUnreadable):
        list(resolve(f"shards:{folder}").documents())


def test_no_path_is_refused():
    with pytest.raises(CorpusMissing):
        resolve("shards:")
