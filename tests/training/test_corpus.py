import hashlib
import json
import random
from dataclasses import replace

import pytest

from errors import ArtifactMissing, InvalidValue, UnknownName
from training.artifacts import ArtifactCorrupt, ArtifactFolder
from training.corpus import (
    Corpus,
    CorpusTooSmall,
    Document,
    Manifest,
    NotACorpus,
    SplitOverlap,
    build,
    described,
    refuse_overlap,
    save,
)

SIZES = {"validation_bytes": 2048, "test_bytes": 4096}


def documents(count=60, part="any"):
    return [
        Document(name=f"{each}.txt", data=random.Random(f"{part} {each}").randbytes(400), part=part)
        for each in range(count)
    ]


@pytest.fixture
def folder(tmp_path):
    return ArtifactFolder(tmp_path)


@pytest.fixture
def built():
    return build("words", documents(), source="made for a test", **SIZES)


def test_a_corpus_comes_back_as_it_was_built(built, folder):
    corpus = Corpus.load(save(built, folder), folder)
    assert corpus.digest == built.manifest.digest
    assert corpus.manifest == built.manifest
    for name, text in built.texts.items():
        assert corpus.split(name) == text
        assert b"".join(corpus.documents(name)) == text
        assert all(len(document) == 400 for document in corpus.documents(name))
    refuse_overlap(corpus)


def test_the_splits_hold_every_document_once(built):
    given = sorted(document.data for document in documents())
    held = [text[start : start + 400] for text in built.texts.values() for start in range(0, len(text), 400)]
    assert sorted(held) == given


def test_documents_stand_in_the_order_of_their_sha256(built, folder):
    corpus = Corpus.load(save(built, folder), folder)
    for name in ("train", "validation", "test"):
        digests = [hashlib.sha256(document).digest() for document in corpus.documents(name)]
        assert digests == sorted(digests)


def test_neither_names_nor_order_of_the_documents_matter(built):
    renamed = [replace(document, name=f"renamed {at}") for at, document in enumerate(documents())]
    random.Random(0).shuffle(renamed)
    assert build("words", renamed, source="made for a test", **SIZES).manifest == built.manifest


def test_equal_documents_count_once_and_empty_ones_not_at_all(built):
    again = [*documents(), Document(name="copy", data=documents()[7].data), Document(name="empty", data=b"")]
    manifest = build("words", again, source="made for a test", **SIZES).manifest
    assert manifest == replace(built.manifest, repeated=1)


def test_documents_that_are_passed_over_are_counted_and_trained_on(built):
    first = min(documents(), key=lambda document: hashlib.sha256(document.data).digest())
    tail = Document(name="tail", data=first.data[-64:])
    again = build("words", [*documents(), tail], **SIZES)
    assert (built.manifest.passed_over, again.manifest.passed_over) == (0, 1)
    assert first.data in built.texts["validation"]
    assert first.data in again.texts["train"]


def test_shared_text_of_documents_whose_turn_never_came_is_not_counted(built):
    last = max(documents(), key=lambda document: hashlib.sha256(document.data).digest())
    again = build("words", [*documents(), Document(name="tail", data=last.data[-200:])], **SIZES)
    assert again.texts["validation"] == built.texts["validation"]
    assert again.manifest.passed_over == 0


def test_a_source_that_has_split_its_text_is_obeyed_and_what_is_left_is_counted():
    train, heldout = documents(part="train"), documents(part="heldout")
    built = build("words", [*heldout, *train, replace(train[0], part="heldout")], **SIZES)
    assert sorted(map(len, built.texts.values())) == [2400, 4400, 60 * 400]
    assert all(document.data in built.texts["train"] for document in train)
    assert not any(document.data in built.texts["train"] for document in heldout)
    assert (built.manifest.left_out, built.manifest.repeated) == (60 - 17, 1)


@pytest.mark.parametrize("count", [0, 1, 10, 20, 33])
def test_too_little_text_is_refused(count):
    with pytest.raises(CorpusTooSmall, match="corpus_too_small"):
        build("words", documents(count), **SIZES)


def test_text_that_only_repeats_itself_is_refused_and_the_reason_told():
    licence = random.Random("licence").randbytes(64)
    same = [replace(document, data=licence + document.data) for document in documents()]
    with pytest.raises(CorpusTooSmall, match="60 documents were passed over"):
        build("words", same, **SIZES)


def test_a_split_too_small_for_any_document_is_refused():
    with pytest.raises(InvalidValue, match="at least 1024 bytes"):
        build("words", documents(), validation_bytes=1023)


def test_a_split_is_read_only_when_it_is_asked_for(built, folder):
    digest = save(built, folder)
    folder.path(built.manifest.splits["test"].sha256).unlink()
    corpus = Corpus.load(digest, folder)
    assert corpus.split("train") == built.texts["train"]
    with pytest.raises(ArtifactMissing):
        corpus.split("test")


def test_a_damaged_split_is_refused(built, folder):
    corpus = Corpus.load(save(built, folder), folder)
    path = folder.path(built.manifest.splits["train"].sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ArtifactCorrupt):
        corpus.split("train")


def test_an_unknown_split_is_refused_with_the_nearest_one(built, folder):
    with pytest.raises(UnknownName, match="Did you mean 'validation'"):
        Corpus.load(save(built, folder), folder).split("valid")


def store(folder, built, **splits):
    """Store a corpus some of whose splits hold other documents than it was built with."""
    for texts in splits.values():
        folder.put(b"".join(texts))
    changed = {**built.manifest.splits, **{name: described(texts) for name, texts in splits.items()}}
    return save(replace(built, manifest=replace(built.manifest, splits=changed)), folder)


@pytest.mark.parametrize(("heldout", "other"), [("validation", "train"), ("test", "train"), ("test", "validation")])
def test_a_run_refuses_to_start_where_splits_share_sixty_four_bytes(built, folder, heldout, other):
    leak = built.texts[other][1000:1064]
    corpus = Corpus.load(store(folder, built, **{heldout: [b"before", leak, b"after"]}), folder)
    with pytest.raises(SplitOverlap, match=f"split_overlap: 1 .* {heldout} split occur in the {other} split"):
        refuse_overlap(corpus)


def test_sixty_three_shared_bytes_are_no_overlap(built, folder):
    leak = built.texts["train"][1000:1063]
    refuse_overlap(Corpus.load(store(folder, built, test=[b"before", leak, b"after"]), folder))


def changed(manifest, path, value):
    """The canonical bytes of a manifest in which one value is another."""
    given = json.loads(manifest.canonical)
    *way, last = path
    inner = given
    for step in way:
        inner = inner[step]
    inner[last] = value
    return json.dumps(given, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["heldout"], "secret"),
        (["name"], 7),
        (["source"], None),
        (["extra"], 1),
        (["splits"], {}),
        (["splits"], []),
        (["splits", "train"], 3),
        (["splits", "train", "lengths"], 3),
        (["splits", "train", "lengths"], [1, 2]),
        (["splits", "train", "byte_count"], 1),
        (["splits", "test", "sha256"], "../../etc/passwd"),
        (["splits", "test", "sha256"], 5),
        (["splits", "more"], {"sha256": "0" * 64, "byte_count": 0, "lengths": []}),
    ],
)
def test_a_manifest_that_is_not_sound_is_refused(built, folder, path, value):
    digest = folder.put(changed(built.manifest, path, value))
    with pytest.raises(NotACorpus, match="not_a_corpus"):
        Corpus.load(digest, folder)


def test_another_spelling_of_a_manifest_is_refused(built, folder):
    with pytest.raises(NotACorpus):
        Corpus.load(folder.put(json.dumps(json.loads(built.manifest.canonical)).encode()), folder)


@pytest.mark.parametrize("data", [b"", b"weights", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_an_artifact_that_is_no_manifest_is_refused(folder, data):
    with pytest.raises(NotACorpus, match="not_a_corpus"):
        Corpus.load(folder.put(data), folder)


@pytest.mark.parametrize("lengths", [[8800, -1000], [7799, 1.0], [7799, True], [7800, 0]])
def test_lengths_that_are_no_lengths_are_refused(built, folder, lengths):
    assert built.manifest.splits["train"].byte_count == sum(built.manifest.splits["train"].lengths)
    data = changed(built.manifest, ["splits", "train"], {"sha256": "0" * 64, "byte_count": 7800, "lengths": lengths})
    with pytest.raises(NotACorpus):
        Corpus.load(folder.put(data), folder)


def test_a_manifest_that_claims_another_number_of_bytes_is_refused(built, folder):
    split = built.manifest.splits["test"]
    longer = {"sha256": split.sha256, "byte_count": split.byte_count + 1, "lengths": [*split.lengths[:-1], 401]}
    save(built, folder)
    corpus = Corpus.load(folder.put(changed(built.manifest, ["splits", "test"], longer)), folder)
    with pytest.raises(NotACorpus, match="another number"):
        corpus.split("test")


def test_the_canonical_text_of_a_manifest_is_fixed():
    manifest = Manifest(name="n", source="s", heldout="private", ngram=64, splits={"test": described([b"ab", b"c"])})
    assert manifest.canonical == (
        b'{"heldout":"private","left_out":0,"name":"n","ngram":64,"passed_over":0,"repeated":0,"source":"s","splits":'
        b'{"test":{"byte_count":3,"lengths":[2,1],"sha256":'
        b'"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}}'
    )
    assert manifest.digest == hashlib.sha256(manifest.canonical).hexdigest()


def test_an_unbuilt_manifest_names_the_corpus_and_has_no_text():
    manifest = Manifest.unbuilt("stdlib")
    assert (manifest.name, manifest.heldout, manifest.splits) == ("stdlib", "public", {})
