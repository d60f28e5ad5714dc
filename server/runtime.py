"""Runtime: the store, the artifacts and the corpora of one process, and the contexts that tools are called with."""

import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from db.store import Store, open_store
from server.settings import Settings
from tools import Context
from training import corpus
from training.artifacts import ArtifactFolder
from training.corpora import resolve

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What a process of igla holds open. Close it at the end."""

    settings: Settings
    store: Store
    artifacts: ArtifactFolder
    glossary: dict[str, str]
    corpora: dict[str, tuple[str, corpus.Manifest]] = field(default_factory=dict)
    building: threading.Lock = field(default_factory=threading.Lock)

    def corpus(self, name: str) -> tuple[str, corpus.Manifest]:
        """Digest and manifest of a corpus by name or path, built once a process. Building it again changes nothing."""
        with self.building:
            if name not in self.corpora:
                source = resolve(name)
                built = corpus.build(source.name, source.documents(), source=source.note)
                self.corpora[name] = (corpus.save(built, self.artifacts), built.manifest)
            return self.corpora[name]

    def context(self, principal: str = "local", scopes: frozenset[str] = frozenset({"admin"})) -> Context:
        """The context of one call."""
        return Context(
            store=self.store,
            artifacts=self.artifacts,
            corpus=self.corpus,
            clock=utc_now,
            principal=principal,
            scopes=scopes,
            glossary=self.glossary,
        )


def open_runtime(settings: Settings) -> Runtime:
    """Make the data folder where it is missing, bring the database up to date and open it."""
    settings.artifact_folder.mkdir(parents=True, exist_ok=True)
    return Runtime(
        settings=settings,
        store=open_store(settings.store_url),
        artifacts=ArtifactFolder(settings.artifact_folder),
        glossary=read_glossary(ROOT / "GLOSSARY.md"),
    )


def utc_now() -> datetime:
    """The present moment, aware UTC."""
    return datetime.now(UTC)


def read_glossary(file: Path) -> dict[str, str]:
    """term -> meaning, from lines of the form `- **term**: meaning`."""
    return dict(re.findall(r"^- \*\*(.+?)\*\*: (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE))
