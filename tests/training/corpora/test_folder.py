import lzma
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpora import CorpusMissing, CorpusUnreadable
from training.corpora.folder import PIECE, WHOLE, cut, folder
from training.corpus import build

BOOKS = Path(__file__).parents[3] / os.environ.get("IGLA_SHARED", "../shared") / "data" / "classic-books"


def read(path):
    return {document.name: document.data for document in folder(str(path)).documents()}


def prose(size):
    random_ = random.Random(size)
    return b"".join(random_.choice([b"word ", b"longer ", b"\n", b"\n\n"]) for _ in range(size))[:size]


def test_the_text_files_of_a_folder_are_its_documents(tmp_path):
    for name in ("b.txt", "a/c.md", "a/d.py.xz", "picture.png", "archive.tar.xz", ".git/e.txt", "a/.hidden.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(lzma.compress(name.encode()) if name.endswith(".xz") else name.encode())
    top = tmp_path.name
    assert read(tmp_path) == {
        f"{top}/b.txt#0": b"b.txt",
        f"{top}/a/c.md#0": b"a/c.md",
        f"{top}/a/d.py.xz#0": b"a/d.py.xz",
    }


def test_a_file_that_is_named_is_text_whatever_its_name(tmp_path):
    (tmp_path / "words.dat").write_bytes(b"one two")
    source = folder(str(tmp_path / "words.dat"))
    assert [document.data for document in source.documents()] == [b"one two"]
    assert source.name == "words"


@pytest.mark.parametrize("packed", [False, True])
def test_a_long_file_is_cut_and_can_then_be_split(tmp_path, packed):
    text = random.Random(1).randbytes(2 * WHOLE).hex().encode()
    (tmp_path / "long.txt.xz").write_bytes(lzma.compress(text, preset=0))
    (tmp_path / "long.txt").write_bytes(text)
    source = folder(str(tmp_path / ("long.txt.xz" if packed else "long.txt")))
    documents = list(source.documents())
    assert b"".join(document.data for document in documents) == text
    built = build(source.name, documents, source=source.note)
    assert built.manifest.name == "long"
    assert sum(split.byte_count for split in built.manifest.splits.values()) == len(text)


def test_a_short_file_stays_whole(tmp_path):
    text = prose(WHOLE)
    (tmp_path / "short.txt").write_bytes(text)
    assert list(read(tmp_path).values()) == [text]


@given(st.lists(st.sampled_from(["a", "é", "\n", "\n\n", "語" * 9, "word " * 7]), max_size=60), st.integers(8, 40))
def test_pieces_make_up_the_text_and_are_characters_of_the_right_number(words, size):
    text = "".join(words).encode()
    pieces = list(cut(text, size))
    assert b"".join(pieces) == text
    assert all(size // 2 < len(piece) <= size for piece in pieces[:-1])
    assert len(pieces[-1]) <= size
    assert "".join(piece.decode() for piece in pieces) == "".join(words)


@given(st.binary(max_size=200), st.integers(2, 40))
def test_bytes_that_are_no_text_are_cut_too(data, size):
    pieces = list(cut(data, size))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= size


def test_text_is_cut_after_a_blank_line_or_else_after_a_line():
    assert next(iter(cut(b"aaaaaaa\n\nbb\nccccc", 14))) == b"aaaaaaa\n\n"
    assert next(iter(cut(b"aaaaaaa\nbb\ncccccccc", 14))) == b"aaaaaaa\nbb\n"
    assert next(iter(cut(b"a\n\naaaaaaaaaaaaaaaaaa", 14))) == b"a\n\naaaaaaaaaaa"


@pytest.mark.parametrize("suffix", ["", ".xz"])
def test_a_split_that_is_given_is_kept(tmp_path, suffix):
    texts = {"train.txt": prose(900_000), "valid.txt": random.Random(2).randbytes(WHOLE).hex().encode()}
    for name, text in texts.items():
        (tmp_path / (name + suffix)).write_bytes(lzma.compress(text, preset=0) if suffix else text)
    source = folder(str(tmp_path))
    built = build(source.name, source.documents(), source=source.note)
    assert sorted(built.texts["train"]) == sorted(texts["train.txt"])
    for name in ("validation", "test"):
        assert all(built.texts[name][at : at + 50] in texts["valid.txt"] for at in range(0, PIECE - 50, 50))
    assert built.manifest.left_out > 0


def test_train_and_valid_beside_other_files_are_files_like_them(tmp_path):
    for name in ("train.txt", "valid.txt", "more.txt"):
        (tmp_path / name).write_bytes(name.encode())
    assert {document.part for document in folder(str(tmp_path)).documents()} == {"any"}


@pytest.mark.parametrize("where", ["", "nowhere", "empty", "empty/none.txt", "\0", "a\nb"])
def test_a_path_without_text_is_refused(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "picture.png").write_bytes(b"...")
    with pytest.raises(CorpusMissing, match="corpus_missing"):
        folder(where)


def test_a_damaged_xz_is_refused(tmp_path):
    (tmp_path / "half.txt.xz").write_bytes(lzma.compress(prose(1000))[:-20])
    with pytest.raises(CorpusUnreadable, match=r"corpus_unreadable.*half\.txt\.xz"):
        read(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not BOOKS.is_dir(), reason=f"the classic books are not at {BOOKS}; IGLA_SHARED names their folder")
def test_the_classic_books_are_a_corpus_with_the_split_of_their_author():
    source = folder(str(BOOKS))
    built = build(source.name, source.documents(), source=source.note)
    assert source.name == "classic-books"
    assert len(built.texts["train"]) == 53_472_900
    assert built.manifest.left_out > 0
    assert len(built.manifest.splits["validation"].lengths) >= 4
