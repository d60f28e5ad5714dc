"""Shards: the byte-level export of FineWeb, `.bin` files of ids, as openai/parameter-golf publishes it (byte260)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from errors import shown
from training.corpora import CorpusMissing, CorpusUnreadable, Source
from training.corpus import Document
from training.shards import NotAShard, read_shard
from training.splits import Part

about = {
    "help": "a folder of byte260 shards: *_train_*.bin, of which any number, and *_val_*.bin",
    "where": "path",
    "source": "files of the operator; published as fineweb10B_byte260 for openai/parameter-golf",
}

SPECIAL = 4
"""Ids below this are padding, begin, end and unknown; byte b has the id b + 4."""

BEGIN = 1
"""Stands before each document."""

NAMES: tuple[tuple[str, Part], ...] = (("*_train_*.bin", "train"), ("*_val_*.bin", "heldout"))


def shards(where: str) -> Source:
    """The text in the shards of a folder: train shards are trained on, the others held out as far as it is wanted.

    Raises CorpusMissing where one of the two kinds is not there, and CorpusUnreadable when a shard is read.
    """
    root = Path(where)
    files = [(file, part) for pattern, part in NAMES for file in sorted(root.glob(pattern))] if where else []
    if {part for _, part in files} != {part for _, part in NAMES}:
        raise CorpusMissing(f"There are no shards to train on and to hold out at {shown(where)}.")
    return Source(
        name=root.resolve().name,
        note=f"{root.resolve().name}, shards: {len(files)}",
        documents=lambda: (document for file, part in files for document in documents(file, part)),
    )


def documents(file: Path, part: Part) -> Iterator[Document]:
    """The documents of a shard. One that goes on in the next shard is two."""
    try:
        ids = read_shard(file.read_bytes())
    except NotAShard as error:
        raise CorpusUnreadable(f"{shown(file.name)} is no shard: {error.message}") from None
    if ids.max(initial=0) >= SPECIAL + 256:
        raise CorpusUnreadable(f"{shown(file.name)} holds tokens of more than one byte; take the byte260 export.")
    for number, piece in enumerate(np.split(ids, np.flatnonzero(ids == BEGIN))):
        data = (piece[piece >= SPECIAL] - SPECIAL).astype(np.uint8).tobytes()
        if data:
            yield Document(name=f"{file.name}#{number}", data=data, part=part)
