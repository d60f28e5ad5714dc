"""Corpora: where the text of a corpus comes from. One file, one kind of source; no torch.

A plug-in's object opens a source: it takes what stands behind the colon in `kind:where` and gives a `Source`. A path
alone is a folder or a file of text.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from errors import Refusal
from plugins import Plugins
from training.corpus import Document


class CorpusMissing(Refusal):
    """Name a corpus that is there: `stdlib`, or a folder or a file of text. No other text is taken in its place."""

    code = "corpus_missing"
    status = 404


class CorpusUnreadable(Refusal):
    """Replace the damaged file and build the corpus again."""

    code = "corpus_unreadable"
    status = 422


@dataclass(frozen=True, kw_only=True)
class Source:
    """Text that a corpus can be built of: a short name, where it comes from, and a function that reads it."""

    name: str
    note: str
    documents: Callable[[], Iterator[Document]]


Open = Callable[[str], Source]
"""What the object of a plug-in is: where -> source. Raises CorpusMissing where there is nothing."""

corpora = Plugins("training.corpora")


def resolve(name: str) -> Source:
    """The source of that name: `stdlib`, `kind:where`, or the path of a folder or a file. Raises CorpusMissing."""
    kind, _, where = name.partition(":")
    opened: Source = corpora[kind](where) if kind in corpora else corpora["folder"](name)
    return opened
