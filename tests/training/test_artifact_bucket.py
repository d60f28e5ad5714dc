"""Both places of artifacts keep the same promises: a folder, and a bucket of a real S3 server on this machine."""

import hashlib
import os

import pytest

from errors import ArtifactMissing, InvalidValue
from tests.buckets import bucket_server
from training.artifact_places import open_artifacts
from training.artifacts import BLOCK, ArtifactCorrupt


@pytest.fixture(scope="module")
def bucket():
    with bucket_server() as (address, environment), pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield address


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    if request.param == "folder":
        return open_artifacts(str(tmp_path / "artifacts"))
    return open_artifacts(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")


def test_what_was_put_comes_back_whole_and_in_blocks(place):
    data = os.urandom(3 * BLOCK + 5)
    digest = place.put(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert place.put(data) == digest
    assert (place.get(digest), place.size(digest), digest in place) == (data, len(data), True)
    blocks = list(place.blocks(digest, BLOCK - 1, 3 * BLOCK + 1))
    assert b"".join(blocks) == data[BLOCK - 1 : 3 * BLOCK + 1]
    assert max(map(len, blocks)) <= BLOCK
    assert place.is_sound(digest)


def test_a_local_file_is_taken(place, tmp_path):
    data = os.urandom(1000)
    digest = hashlib.sha256(data).hexdigest()
    place.put(b"something else")  # makes the folder
    file = tmp_path / "upload"
    file.write_bytes(data)
    place.take(file, digest)
    assert place.get(digest) == data
    assert not file.exists()


def test_an_empty_artifact_is_an_artifact(place):
    digest = place.put(b"")
    assert (place.get(digest), place.size(digest), list(place.blocks(digest, 0, 0))) == (b"", 0, [])


def test_what_was_removed_is_missing_and_may_be_removed_again(place):
    digest = place.put(b"weights")
    place.remove(digest)
    place.remove(digest)
    assert digest not in place
    assert not place.is_sound(digest)
    for use in (place.get, place.size, lambda name: next(place.blocks(name, 0, 1))):
        with pytest.raises(ArtifactMissing, match=digest):
            use(digest)


def test_damage_is_noticed(place, tmp_path):
    digest = hashlib.sha256(b"weights").hexdigest()
    place.put(b"something else")
    (tmp_path / "damaged").write_bytes(b"weighty")
    place.take(tmp_path / "damaged", digest)
    assert not place.is_sound(digest)
    with pytest.raises(ArtifactCorrupt):
        place.get(digest)


def test_the_listing_tells_size_and_time_of_everything(place):
    digests = {place.put(b"a" * size): size for size in (1, 20, 300)}
    listed = list(place.listing())
    assert {one.digest: one.byte_count for one in listed} == digests
    assert all(one.written_at.utcoffset() is not None for one in listed)


def test_a_name_that_is_no_digest_reaches_nothing(place):
    place.put(b"weights")
    for name in ("", "../secret", "a" * 63, "A" * 64):
        assert name not in place
        for use in (place.get, place.size, place.remove):
            with pytest.raises(InvalidValue):
                use(name)
