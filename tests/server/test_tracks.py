"""Corpora of tracks: built from the operator's folders, kept, and private where they are."""

from datetime import timedelta

import pytest

from db.tokens import Principal
from server.gc import collect
from server.heldout import ArtifactPrivate, refuse_private
from server.tracks import PublicHeldout, TrackCorpusMissing
from tests.arena import track_file
from tests.remote import small_corpus
from training import corpus
from training.corpus import Document

WORKER = Principal(name="worker", scopes=frozenset({"work"}))
SMALL = {"validation_bytes": 2048, "test_bytes": 2048}


@pytest.fixture
def texts(runtime):
    """A folder of text below `corpora`."""
    folder = runtime.settings.data / "corpora" / "mine"
    folder.mkdir(parents=True)
    for number in range(60):
        (folder / f"{number}.txt").write_text(" ".join(f"{number}-{at * number % 97}" for at in range(90)))
    return "folder:mine"


def built(runtime, **changes):
    name = track_file(runtime, "mine", **changes)
    return runtime.track_corpus(runtime.tracks()[name])


def test_a_corpus_is_built_of_a_folder_below_corpora_and_is_private_where_the_track_says_so(runtime, texts):
    digest, manifest = built(runtime, corpus=texts, **SMALL)
    assert (manifest.heldout, manifest.name) == ("private", "mine")
    other, public = built(runtime, corpus=texts, heldout="public", **SMALL)
    assert (public.heldout, public.splits) == ("public", manifest.splits)
    assert other != digest
    refused(runtime, manifest.splits["validation"].sha256)


def test_a_folder_that_is_not_there_is_refused_with_the_next_step(runtime):
    with pytest.raises(TrackCorpusMissing, match=r"folder:mine .* not here.*docs/arena\.md"):
        built(runtime, corpus="folder:mine")


@pytest.mark.parametrize("name", ["stdlib", "digest"])
def test_public_text_is_refused_where_private_text_is_wanted(runtime, name):
    with pytest.raises(PublicHeldout):
        built(runtime, corpus=small_corpus(runtime) if name == "digest" else name)


@pytest.fixture
def loose(runtime):
    """Digest and manifest of a private corpus whose files lie in the store and in no table."""
    documents = [Document(name=str(number), data=f"{number:09} ".encode() * 40) for number in range(60)]
    made = corpus.build("loose", documents, heldout="private", **SMALL)
    return corpus.save(made, runtime.artifacts), made.manifest


def test_the_held_out_text_of_a_track_is_private_before_anybody_has_run_it(runtime, loose):
    digest, manifest = loose
    track_file(runtime, "loose", corpus=digest)
    for name in ("validation", "test"):
        refused(runtime, manifest.splits[name].sha256)
    refuse_private(runtime, WORKER, manifest.splits["train"].sha256)


def test_the_corpus_of_a_track_is_not_collected_as_garbage(runtime, loose):
    digest, manifest = loose
    files = {digest, *(split.sha256 for split in manifest.splits.values())}
    later = runtime.context().now + timedelta(days=9)
    assert files <= {file.digest for file in collect(runtime, later, 0, dry_run=True).files}
    track_file(runtime, "loose", corpus=digest)
    assert not files & {file.digest for file in collect(runtime, later, 0, dry_run=True).files}
    runtime.track_corpus(runtime.tracks()["loose"])
    (runtime.settings.data / "tracks" / "loose.json").unlink()
    assert not files & {file.digest for file in collect(runtime, later, 0, dry_run=True).files}


def refused(runtime, digest):
    with pytest.raises(ArtifactPrivate):
        refuse_private(runtime, WORKER, digest)
