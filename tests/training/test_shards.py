import struct

import numpy as np
import pytest

from training.shards import NotAShard, read_shard, write_shard


def shard(magic=20240520, version=1, count=3, ids=(1, 513, 65535)):
    return struct.pack("<256i", magic, version, count, *[0] * 253) + struct.pack(f"<{len(ids)}H", *ids)


def test_a_shard_written_byte_by_byte_is_read():
    assert read_shard(shard()).tolist() == [1, 513, 65535]


def test_what_is_written_is_what_is_read():
    ids = np.arange(1000, dtype=np.uint16)
    assert write_shard(np.array([1, 513, 65535], dtype=np.uint16)) == shard()
    assert np.array_equal(read_shard(write_shard(ids)), ids)


@pytest.mark.parametrize("bad", [b"", shard(magic=1), shard(version=2), shard(count=4), shard(count=-1), shard()[:-1]])
def test_anything_else_is_refused(bad):
    with pytest.raises(NotAShard):
        read_shard(bad)
