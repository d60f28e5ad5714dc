"""Runtime: the store, the artifacts and the corpora of one process, and the contexts that tools are called with."""

import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from db import artifacts
from db.calls import Watch
from db.changes import Teller
from db.store import Store, open_store
from server.draining import Draining
from server.live import Live
from server.railway.deployer import Deployer
from server.settings import Settings
from server.tracks import corpus_of
from server.uploads import Uploads
from tools import Context
from training import corpus
from training.arena.sandbox import why_not
from training.arena.tracks import Track, tracks
from training.artifact_places import open_artifacts
from training.artifacts import DIGEST, Artifacts
from training.corpora import resolve
from training.corpus import BuiltCorpus, Heldout, Manifest

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What a process of igla holds open. Close it at the end."""

    settings: Settings
    store: Store
    artifacts: Artifacts
    uploads: Uploads
    glossary: dict[str, str]
    corpora: dict[tuple[Any, ...], tuple[str, Manifest]] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    building: threading.Lock = field(default_factory=threading.Lock)
    watches: tuple[Watch, ...] = ()
    draining: Draining = field(default_factory=Draining)
    deployers: list[Deployer] = field(default_factory=list)
    live: Live

    def corpus(
        self, name: str, heldout: Heldout = "public", validation_bytes: int = 64 * 1024, test_bytes: int = 256 * 1024
    ) -> tuple[str, Manifest]:
        """Digest and manifest of a corpus by name or path, built once a process. Building it again changes nothing."""
        key = (name, heldout, validation_bytes, test_bytes)
        with self.building:
            if key not in self.corpora:
                source = resolve(name)
                built = corpus.build(
                    source.name,
                    source.documents(),
                    source=source.note,
                    validation_bytes=validation_bytes,
                    test_bytes=test_bytes,
                    heldout=heldout,
                )
                digest = corpus.save(built, self.artifacts)
                self.pin(digest, built)
                self.corpora[key] = (digest, built.manifest)
            return self.corpora[key]

    def pin(self, digest: str, built: BuiltCorpus) -> None:
        """Keep a corpus though no race has it yet, and note which of its files are private."""
        self.keep(digest, built.manifest)

    def keep(self, digest: str, manifest: Manifest) -> None:
        """The same for a corpus whose files are held already."""
        private = {"validation", "test"} if manifest.heldout == "private" else frozenset()
        with self.store.transaction() as session:
            artifacts.record(session, digest, "corpus", len(manifest.canonical), utc_now())
            for name, split in manifest.splits.items():
                kind = "heldout" if name in private else "corpus"
                artifacts.record(session, split.sha256, kind, split.byte_count, utc_now())

    def tracks(self) -> dict[str, Track]:
        """Every track by name: those that come with igla, and those of the operator in the data folder."""
        return tracks(self.settings.data.resolve() / "tracks")

    def track_corpus(self, track: Track) -> tuple[str, Manifest]:
        """Digest and manifest of a track's corpus, which is kept from then on."""
        digest, manifest = corpus_of(track, self.settings.data.resolve() / "corpora", self.artifacts, self.corpus)
        if digest == track.corpus and digest not in self.kept:
            self.keep(digest, manifest)
            self.kept.add(digest)
        return digest, manifest

    def track_digests(self) -> frozenset[str]:
        """Corpora that tracks name by their digest."""
        return frozenset(one.corpus for one in self.tracks().values() if DIGEST.fullmatch(one.corpus))

    def no_arena(self) -> str | None:
        """Why this system cannot run entries, or None. Asked for the first time, it takes a moment."""
        return why_not(self.settings.arena_interpreter)

    def deployer(self) -> Deployer:
        """What carries out deploys, made once: it keeps its connections."""
        with self.building:
            if not self.deployers:
                settings = self.settings
                made = Deployer(
                    known=settings.accounts, store=self.store, clock=utc_now, off=settings.deploy_off,
                    url=settings.railway_url, gap=settings.railway_gap,
                )  # fmt: skip
                self.deployers.append(made)
            return self.deployers[0]

    def context(
        self,
        principal: str = "local",
        scopes: frozenset[str] = frozenset({"admin"}),
        credential: str = "",
        doorway: str = "local",
        request_id: str = "",
    ) -> Context:
        """The context of one call."""
        return Context(
            store=self.store,
            artifacts=self.artifacts,
            corpus=self.corpus,
            tracks=self.tracks,
            track_corpus=self.track_corpus,
            no_arena=self.no_arena,
            clock=utc_now,
            principal=principal,
            scopes=scopes,
            quota=None if "admin" in scopes else self.settings.artifact_quota,
            glossary=self.glossary,
            credential=credential,
            doorway=doorway,
            request_id=request_id or str(uuid4()),
            watches=self.watches,
            closing=self.draining.closing.is_set,
            deployer=self.deployer,
        )


def open_runtime(settings: Settings) -> Runtime:
    """Make the data folder where it is missing, bring the database up to date and open it."""
    settings.artifact_folder.mkdir(parents=True, exist_ok=True)
    store = open_store(settings.store_url)
    store.teller = Teller(store.transaction)
    return Runtime(
        settings=settings,
        store=store,
        live=Live(store),
        artifacts=open_artifacts(settings.artifact_place),
        uploads=Uploads(settings.data.resolve() / "uploads"),
        glossary=read_glossary(ROOT / "GLOSSARY.md"),
    )


def utc_now() -> datetime:
    """The present moment, aware UTC."""
    return datetime.now(UTC)


def read_glossary(file: Path) -> dict[str, str]:
    """term -> meaning, from lines of the form `- **term**: meaning`."""
    return dict(re.findall(r"^- \*\*(.+?)\*\*: (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE))
