import sysconfig
from pathlib import Path

import pytest

from training.corpora import CorpusMissing
from training.corpora.stdlib import NOT_LIBRARY, library, stdlib
from training.corpus import build
from training.overlap import overlap


@pytest.fixture(scope="module")
def documents():
    return list(stdlib().documents())


def test_it_is_the_text_of_the_running_interpreter(documents):
    root = Path(sysconfig.get_path("stdlib"))
    named = {document.name: document.data for document in documents}
    assert named["json/decoder.py"] == (root / "json" / "decoder.py").read_bytes()
    assert {"argparse.py", "asyncio/events.py", "email/message.py"} < set(named)
    assert sum(map(len, named.values())) > 5_000_000


def test_it_has_no_tests_no_other_peoples_code_and_nothing_of_the_machine(documents):
    folders = {part for document in documents for part in document.name.split("/")[:-1]}
    assert not folders & {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
    assert not any(folder.startswith("config-") for folder in folders)
    assert not any("_sysconfigdata" in document.name for document in documents)


def test_reading_twice_gives_the_same_documents(documents):
    assert list(stdlib().documents()) == documents


def test_only_utf8_python_text_of_the_library_is_taken(tmp_path):
    left_out = {*(f"{folder}/a.py" for folder in NOT_LIBRARY), "config-3.11/a.py", "b.txt", "_sysconfigdata_x.py"}
    for name in {"a.py", "deep/er/a.py", *left_out}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes("é = 1".encode())
    (tmp_path / "latin.py").write_bytes("é = 1".encode("latin-1"))
    assert [document.name for document in library(tmp_path)] == ["a.py", "deep/er/a.py"]


def test_it_has_no_parts():
    with pytest.raises(CorpusMissing, match=r"corpus_missing.*'json'"):
        stdlib("json")


def test_it_is_enough_text_for_splits_that_share_nothing(documents):
    built = build("stdlib", documents)
    sizes = {name: split.byte_count for name, split in built.manifest.splits.items()}
    assert 64 * 1024 <= sizes["validation"] < 80 * 1024
    assert 256 * 1024 <= sizes["test"] < 320 * 1024
    assert sizes["train"] > 5_000_000
    assert len(built.manifest.splits["validation"].lengths) >= 5
    for heldout in ("validation", "test"):
        assert overlap(built.texts["train"], built.texts[heldout]) == 0
