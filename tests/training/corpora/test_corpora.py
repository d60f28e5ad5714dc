import pytest

from training.corpora import CorpusMissing, Source, corpora, resolve


def test_every_kind_of_source_says_what_it_is():
    for kind in corpora:
        about = corpora.about(kind)
        assert about.keys() - {"heldout"} == {"help", "where", "source"}
        assert callable(corpora[kind])


def test_the_standard_library_goes_by_its_name():
    source = resolve("stdlib")
    assert isinstance(source, Source)
    assert source.name == "stdlib"
    assert "standard library" in source.note


def test_a_path_alone_is_a_folder(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"text")
    for name in (str(tmp_path), f"folder:{tmp_path}", str(tmp_path / "a.txt")):
        assert [document.data for document in resolve(name).documents()] == [b"text"]


@pytest.mark.parametrize("name", ["", "stdlb", "folder:", "folder", "/no/such/path", "stdlib:json", "hub:text"])
def test_what_is_not_there_is_refused_and_nothing_taken_in_its_place(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusMissing, match="corpus_missing"):
        resolve(name)
