"""Held-out text of private corpora: who may read it. Nobody but an operator, or the scorer's numbers mean nothing."""

from functools import lru_cache

from db import artifacts
from db.tokens import Principal
from errors import ArtifactMissing, InvalidValue, Refusal
from server.runtime import Runtime
from training.artifacts import Artifacts
from training.corpus import Manifest, NotACorpus, manifest_from

HELDOUT = ("validation", "test")


class ArtifactPrivate(Refusal):
    """Train on the train split; the held-out text of a private corpus stays with the server, which scores on it."""

    code = "artifact_private"
    status = 403


def refuse_private(runtime: Runtime, principal: Principal, digest: str) -> None:
    """Raise ArtifactPrivate where a file is held-out text of a private corpus and the caller is no operator."""
    if "admin" not in principal.scopes and is_private(runtime, digest):
        raise ArtifactPrivate(f"Artifact {digest} is held-out text of a private corpus.")


def is_private(runtime: Runtime, digest: str) -> bool:
    """Whether a file is held-out text of a private corpus: one that this server built, or that a race or track has."""
    with runtime.store.reading() as session:
        if artifacts.kind(session, digest) == "heldout":
            return True
        corpora = dict.fromkeys(runtime.track_digests(), False) | artifacts.races_corpora(session)
    return any(digest in heldout(runtime.artifacts, corpus, private) for corpus, private in corpora.items())


def heldout(store: Artifacts, corpus: str, private: bool) -> frozenset[str]:
    """Held-out splits of a corpus that is private by its manifest or to a race; none of a public one."""
    manifest = manifest_at(store, corpus)
    if manifest is None or not (private or manifest.heldout == "private"):
        return frozenset()
    return frozenset(manifest.splits[name].sha256 for name in HELDOUT)


def manifest_at(store: Artifacts, corpus: str) -> Manifest | None:
    """The manifest of a corpus; None where it is not here, and then neither is any text that it could name."""
    try:
        return manifest_read(store, corpus)
    except (ArtifactMissing, NotACorpus, InvalidValue):
        return None


@lru_cache(maxsize=256)
def manifest_read(store: Artifacts, corpus: str) -> Manifest:
    """The manifest of a corpus, remembered: what a digest names never changes. Refusals are not remembered."""
    return manifest_from(store.get(corpus))
