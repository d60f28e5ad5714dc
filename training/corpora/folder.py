"""Folder: text files below a folder, or one file of text; each may be packed with xz."""

import lzma
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from errors import shown
from training.corpora import CorpusMissing, CorpusUnreadable, Source
from training.corpus import Document
from training.splits import Part

about = {
    "help": "the text files below a folder, or one file of text; each may end in .xz",
    "where": "path",
    "source": "files of the operator",
}

SUFFIXES = frozenset(
    {".c", ".cpp", ".go", ".h", ".html", ".java", ".js", ".md", ".py", ".rs", ".rst", ".tex", ".ts", ".txt"}
)
"""What the name of a text file ends in, before a possible .xz. A file that is named itself may end in anything."""

WHOLE = 256 * 1024
"""Bytes up to which a file is one document. A longer one is cut, or it could never be held out."""

PIECE = 16 * 1024
"""Bytes that a piece of a longer file has at most."""

GIVEN_SPLIT: Mapping[str, Part] = MappingProxyType({"train.txt": "train", "valid.txt": "heldout"})
"""Where a folder holds these two files of text, packed or not, and no other, its author has split it already."""


def folder(where: str) -> Source:
    """The text at a path. Raises CorpusMissing where there is none, and CorpusUnreadable when it is read.

    Of a folder with the two files `train.txt` and `valid.txt`, packed or not, the first is trained on and the second
    held out: what is left of it is trained on by nobody.
    """
    files = text_files(Path(where).resolve()) if where and Path(where).exists() else []
    if not files:
        raise CorpusMissing(f"There is no text at {shown(where)}.")
    root = Path(where).resolve()
    given = sorted(unpacked(file).name for file in files) == sorted(GIVEN_SPLIT)
    return Source(
        name=unpacked(root).stem if root.is_file() else root.name,
        note=f"{root.name}, files of text: {len(files)}",
        documents=lambda: (
            document
            for file in files
            for document in documents(file, root, GIVEN_SPLIT[unpacked(file).name] if given else "any")
        ),
    )


def text_files(root: Path) -> list[Path]:
    """The files of text at a path, in the order of their names, without hidden ones."""
    if root.is_file():
        return [root]
    found = [file.relative_to(root) for file in root.rglob("*") if unpacked(file).suffix in SUFFIXES and file.is_file()]
    return [root / file for file in sorted(found) if not any(part.startswith(".") for part in file.parts)]


def unpacked(file: Path) -> Path:
    """The name that a file has without a last .xz."""
    return file.with_suffix("") if file.suffix == ".xz" else file


def documents(file: Path, root: Path, part: Part) -> Iterator[Document]:
    """The documents in one file: itself, or its pieces where it is longer than WHOLE."""
    data = read(file)
    texts = cut(data) if len(data) > WHOLE else [data]
    for number, text in enumerate(texts):
        yield Document(name=f"{file.relative_to(root.parent).as_posix()}#{number}", data=text, part=part)


def read(file: Path) -> bytes:
    """The bytes of a file, unpacked. Raises CorpusUnreadable for a damaged .xz."""
    data = file.read_bytes()
    if file.suffix != ".xz":
        return data
    try:
        return lzma.decompress(data)
    except lzma.LZMAError as error:
        raise CorpusUnreadable(f"{shown(file.name)} is no whole .xz file: {error}.") from None


def cut(data: bytes, size: int = PIECE) -> Iterator[bytes]:
    """Cut text into pieces of at most `size` bytes and, but for the last, at least half of that."""
    start = 0
    while len(data) - start > size:
        end = cut_at(data, start + size // 2, start + size)
        yield data[start:end]
        start = end
    yield data[start:]


def cut_at(data: bytes, low: int, high: int) -> int:
    """Where to cut in (low, high]: after the last blank line, else the last line, else between two characters."""
    for mark in (b"\n\n", b"\n"):
        if (at := data.rfind(mark, low, high)) >= 0:
            return at + len(mark)
    return next((at for at in range(high, max(low, high - 4), -1) if data[at] & 0xC0 != 0x80), high)
