"""Tracks of this server: what corpus a track is run on, and whether it may be."""

from collections.abc import Callable
from pathlib import Path

from errors import Refusal
from training.arena.tracks import Track
from training.artifacts import DIGEST, Artifacts
from training.corpora import CorpusMissing, corpora
from training.corpus import Manifest, manifest_from

Build = Callable[..., tuple[str, Manifest]]
"""Name, heldout, validation_bytes, test_bytes -> digest and manifest."""


class PublicHeldout(Refusal):
    """Give the track a corpus whose held-out text nobody outside can read, or set its `heldout` to public."""

    code = "public_heldout"
    status = 409


class TrackCorpusMissing(CorpusMissing):
    """Put the text into the folder that is named, below `corpora` in the data folder; docs/arena.md says how."""


def corpus_of(track: Track, folder: Path, artifacts: Artifacts, build: Build) -> tuple[str, Manifest]:
    """Digest and manifest of a track's corpus, built here where it is not named by its digest.

    folder: where relative paths begin. Raises TrackCorpusMissing, PublicHeldout, and what building or loading raises.
    """
    refuse_public(track)
    if DIGEST.fullmatch(track.corpus):
        digest, manifest = track.corpus, manifest_from(artifacts.get(track.corpus))
    else:
        digest, manifest = built(track, folder, build)
    if track.heldout == "private" and manifest.heldout != "private":
        raise PublicHeldout(f"Track {track.name} wants private held-out text, and that of its corpus is public.")
    return digest, manifest


def refuse_public(track: Track) -> None:
    """Raise PublicHeldout where a track wants private held-out text of a source that everybody can read."""
    kind = track.corpus.partition(":")[0]
    if track.heldout == "private" and kind in corpora and corpora.about(kind).get("heldout") == "public":
        raise PublicHeldout(f"Anybody can read the text of {kind}, the corpus of track {track.name}.")


def built(track: Track, folder: Path, build: Build) -> tuple[str, Manifest]:
    """The corpus of a track from its source."""
    kind, colon, where = track.corpus.partition(":")
    name = f"{kind}:{folder / where}" if colon and kind in corpora else track.corpus
    try:
        return build(name, track.heldout, track.validation_bytes, track.test_bytes)
    except CorpusMissing:
        raise TrackCorpusMissing(f"The corpus {track.corpus} of track {track.name} is not here.") from None
