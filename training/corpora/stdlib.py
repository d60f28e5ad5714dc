"""Standard library: the Python text of the library of the interpreter that runs this. Real bytes without a download."""

import os
import platform
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from errors import shown
from training.corpora import CorpusMissing, Source
from training.corpus import Document

about = {
    "help": "the .py files of the running interpreter's standard library",
    "where": "",
    "heldout": "public",
    "source": "Python standard library, PSF License Agreement",
}

NOT_LIBRARY = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"})
"""Folders whose text is other people's, made for tests, or compiled."""


def stdlib(where: str = "") -> Source:
    """The standard library's text. It is one thing, so `where` stays empty."""
    if where:
        raise CorpusMissing(f"stdlib is one corpus and has no part {shown(where)}.")
    note = f"{platform.python_implementation()} {platform.python_version()} standard library"
    return Source(name="stdlib", note=note, documents=lambda: library(Path(sysconfig.get_path("stdlib"))))


def library(root: Path) -> Iterator[Document]:
    """Every .py file below `root` that is UTF-8, in the order of the paths.

    Left out are the folders NOT_LIBRARY and `config-*`, and `_sysconfigdata*.py`, which is written by the build and
    tells of the machine that it ran on.
    """
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(each for each in folders if each not in NOT_LIBRARY and not each.startswith("config-"))
        for file in sorted(each for each in files if each.endswith(".py") and not each.startswith("_sysconfigdata")):
            data = Path(folder, file).read_bytes()
            if is_utf8(data):
                yield Document(name=Path(folder, file).relative_to(root).as_posix(), data=data)


def is_utf8(data: bytes) -> bool:
    """Whether the bytes are UTF-8 text."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
