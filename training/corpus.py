"""Corpus: the text of a race, in three splits that share nothing, named by a digest. No torch, no network.

A corpus is a manifest, a JSON artifact whose SHA-256 names the corpus, and one artifact of raw bytes for each split.
Where documents come from is told by the plug-ins of `training.corpora`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, combinations, pairwise
from typing import Literal, Self

from errors import InvalidValue, Refusal, unknown
from training.artifacts import DIGEST, Artifacts
from training.overlap import NGRAM, overlap
from training.splits import LARGEST_SHARE, PARTS, SMALLEST, SPLITS, Part, choose

Heldout = Literal["public", "private"]
"""Whether anybody can read the held-out text."""


class NotACorpus(Refusal):
    """Name a corpus by the digest of its manifest, as every row of a leaderboard does."""

    code = "not_a_corpus"
    status = 422


class CorpusTooSmall(Refusal):
    """Give more text in more documents, or ask for smaller validation and test splits."""

    code = "corpus_too_small"
    status = 422


class SplitOverlap(Refusal):
    """Build the corpus again from its documents: no run starts while held-out text occurs in another split."""

    code = "split_overlap"
    status = 409


@dataclass(frozen=True, kw_only=True)
class Document:
    """A piece of text that is kept whole. part: what its source allows it to be used for."""

    name: str
    data: bytes
    part: Part = "any"


@dataclass(frozen=True, kw_only=True)
class Split:
    """What a split is: SHA-256 and number of its bytes, and the length of each document in it, in order."""

    sha256: str
    byte_count: int
    lengths: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a corpus is. Its `digest` names the corpus.

    source: where the text comes from, for people. heldout: whether anybody can read the held-out text. ngram: no two
    splits share that many bytes in a row. Of the documents given, `repeated` were equal to another one, `passed_over`
    were not held out when their turn came because their text occurs elsewhere, and `left_out` are in no split because
    their source keeps them from training.
    """

    name: str
    source: str
    heldout: Heldout
    ngram: int
    splits: Mapping[str, Split]
    repeated: int = 0
    passed_over: int = 0
    left_out: int = 0

    @classmethod
    def unbuilt(cls, name: str) -> Self:
        """The manifest of a corpus whose text nobody has looked at yet: for previews."""
        return cls(name=name, source="", heldout="public", ngram=NGRAM, splits={})

    @property
    def canonical(self) -> bytes:
        """The one JSON text of this manifest: sorted keys, no spaces, ASCII."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """SHA-256 of `canonical`, 64 hexadecimal characters: the name of the corpus."""
        return hashlib.sha256(self.canonical).hexdigest()


@dataclass(frozen=True, kw_only=True)
class BuiltCorpus:
    """A corpus in memory, before `save`. texts: the bytes of each split."""

    manifest: Manifest
    texts: Mapping[str, bytes]


def build(
    name: str,
    documents: Iterable[Document],
    *,
    source: str = "",
    validation_bytes: int = 64 * 1024,
    test_bytes: int = 256 * 1024,
    heldout: Heldout = "public",
) -> BuiltCorpus:
    """Make a corpus of documents. Their names and order do not matter: they are put in the order of their SHA-256.

    `training.splits.choose` says which are held out. Equal documents count once, in the first of PARTS that one of
    them is in. Raises InvalidValue, and CorpusTooSmall where the held-out text does not come together or is more than
    what is trained on.
    """
    wanted = {"validation": validation_bytes, "test": test_bytes}
    if min(wanted.values()) < SMALLEST * LARGEST_SHARE:
        raise InvalidValue(f"A held-out split has at least {SMALLEST * LARGEST_SHARE} bytes, got {wanted}.")
    given = sorted((each for each in documents if each.data), key=lambda each: PARTS.index(each.part), reverse=True)
    unique = {hashlib.sha256(each.data).digest(): each for each in given}
    ordered = [unique[key] for key in sorted(unique)]
    splits, passed = choose([each.data for each in ordered], [each.part for each in ordered], wanted)
    texts = {split: [ordered[index].data for index in indexes] for split, indexes in splits.items()}
    refuse_too_small(texts, wanted, len(passed))
    last = max(splits["validation"] + splits["test"])
    manifest = Manifest(
        name=name,
        source=source,
        heldout=heldout,
        ngram=NGRAM,
        splits={split: described(each) for split, each in texts.items()},
        repeated=len(given) - len(ordered),
        passed_over=sum(index < last for index in passed),
        left_out=len(ordered) - sum(map(len, splits.values())),
    )
    return BuiltCorpus(manifest=manifest, texts={split: b"".join(each) for split, each in texts.items()})


def refuse_too_small(texts: Mapping[str, Sequence[bytes]], wanted: Mapping[str, int], passed: int) -> None:
    """Raise CorpusTooSmall where a held-out split has less than is wanted, or the train split less than both."""
    sizes = {split: sum(map(len, each)) for split, each in texts.items()}
    if (
        any(sizes[split] < size for split, size in wanted.items())
        or sizes["train"] < sizes["validation"] + sizes["test"]
    ):
        raise CorpusTooSmall(
            f"The splits have {sizes} bytes; wanted of the held-out ones: {wanted}. {passed} documents "
            "were passed over because their text occurs elsewhere."
        )


def described(texts: Sequence[bytes]) -> Split:
    """The description of a split that holds these documents."""
    data = b"".join(texts)
    return Split(sha256=hashlib.sha256(data).hexdigest(), byte_count=len(data), lengths=tuple(map(len, texts)))


class Corpus:
    """A corpus in an artifact folder. A split is read, and checked against its digest, when it is first asked for."""

    def __init__(self, digest: str, manifest: Manifest, folder: Artifacts) -> None:
        self.digest = digest
        self.manifest = manifest
        self.folder = folder
        self.texts: dict[str, bytes] = {}

    @classmethod
    def load(cls, digest: str, folder: Artifacts) -> Self:
        """The corpus of that digest. Raises what `Artifacts.get` raises, and NotACorpus."""
        return cls(digest, manifest_from(folder.get(digest)), folder)

    def split(self, name: str) -> bytes:
        """All bytes of a split: its documents one after the other. Raises what `load` raises."""
        if name not in self.manifest.splits:
            raise unknown("split", name, self.manifest.splits)
        if name not in self.texts:
            text = self.folder.get(self.manifest.splits[name].sha256)
            if len(text) != self.manifest.splits[name].byte_count:
                raise NotACorpus(f"The {name} split has {len(text)} bytes and its manifest claims another number.")
            self.texts[name] = text
        return self.texts[name]

    def lengths(self, name: str) -> tuple[int, ...]:
        """The length of each document of a split, in order."""
        if name not in self.manifest.splits:
            raise unknown("split", name, self.manifest.splits)
        return self.manifest.splits[name].lengths

    def documents(self, name: str) -> list[bytes]:
        """The documents of a split, in order."""
        text = self.split(name)
        return [text[start:end] for start, end in pairwise(accumulate(self.lengths(name), initial=0))]


def refuse_overlap(corpus: Corpus) -> None:
    """Raise SplitOverlap where two splits of a corpus share NGRAM bytes in a row."""
    for one, other in combinations(SPLITS, 2):
        if count := overlap(corpus.split(one), corpus.split(other)):
            raise SplitOverlap(f"{count} stretches of {NGRAM} bytes in the {other} split occur in the {one} split.")


def save(built: BuiltCorpus, folder: Artifacts) -> str:
    """Store a corpus and give its digest. The manifest is stored last: where it is, its splits are."""
    for text in built.texts.values():
        folder.put(text)
    return folder.put(built.manifest.canonical)


def manifest_from(data: bytes) -> Manifest:
    """Read the bytes of a manifest. Raises NotACorpus for anything but the canonical text of a sound one."""
    try:
        given = json.loads(data)
        splits = {name: Split(**{**each, "lengths": tuple(each["lengths"])}) for name, each in given["splits"].items()}
        manifest = Manifest(**{**given, "splits": splits})
        sound = manifest.canonical == data and is_sound(manifest)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise NotACorpus(f"An artifact of {len(data)} bytes is not the manifest of a corpus.")
    return manifest


def is_sound(manifest: Manifest) -> bool:
    """Whether a manifest from outside has the right types and its splits the lengths that they claim."""
    splits = manifest.splits.values()
    return (
        isinstance(manifest.name, str)
        and isinstance(manifest.source, str)
        and manifest.heldout in ("public", "private")
        and set(manifest.splits) == set(SPLITS)
        and all(DIGEST.fullmatch(split.sha256) and sum(split.lengths) == split.byte_count for split in splits)
        and all(type(length) is int and length > 0 for split in splits for length in split.lengths)
    )
