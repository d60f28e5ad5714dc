import hashlib
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from errors import ArtifactMissing, InvalidValue
from training import artifacts
from training.artifacts import ArtifactCorrupt, ArtifactFolder

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    return ArtifactFolder(tmp_path / "artifacts")


def test_what_was_put_comes_back_under_its_sha256(folder):
    digest = folder.put(b"weights")
    assert digest == hashlib.sha256(b"weights").hexdigest()
    assert folder.get(digest) == b"weights"
    assert digest in folder
    assert folder.path(digest).name == digest


def test_an_empty_artifact_is_an_artifact(folder):
    assert folder.get(folder.put(b"")) == b""


def test_putting_twice_writes_once(folder):
    path = folder.path(folder.put(b"weights"))
    before = path.stat()
    folder.put(b"weights")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_missing_artifact_is_refused(folder):
    digest = hashlib.sha256(b"nobody put this").hexdigest()
    assert digest not in folder
    with pytest.raises(ArtifactMissing, match=f"artifact_missing: There is no artifact {digest}"):
        folder.get(digest)


@pytest.mark.parametrize("damage", [b"weighty", b"weight", b""])
def test_damage_is_noticed_and_mended_by_putting_again(folder, damage):
    digest = folder.put(b"weights")
    folder.path(digest).write_bytes(damage)
    with pytest.raises(ArtifactCorrupt, match="artifact_corrupt"):
        folder.get(digest)
    assert folder.put(b"weights") == digest
    assert folder.get(digest) == b"weights"


@pytest.mark.parametrize(
    "name", ["", "../secret", "/etc/passwd", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", "\0" * 64]
)
def test_a_name_that_is_no_digest_reaches_no_file(folder, name):
    folder.put(b"weights")
    (folder.root.parent / "secret").write_bytes(b"secret")
    assert name not in folder
    for use in (folder.get, folder.path):
        with pytest.raises(InvalidValue):
            use(name)


def test_many_writers_of_the_same_bytes_leave_one_file(folder):
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(folder.put, [b"weights" * 1000] * 40))
    assert [path.name for path in folder.root.iterdir()] == list(digests)


def test_bytes_reach_the_disk_before_their_name_and_the_name_before_the_answer(folder, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def seen_fsync(handle):
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def seen_replace(source, target):
        calls.append("rename")
        assert Path(source).parent == Path(target).parent == folder.root
        replace(source, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", seen_replace)
    folder.put(b"weights")
    assert calls == ["file", "rename", "folder"]


def test_a_failed_write_leaves_nothing(folder, monkeypatch):
    def full(handle):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        folder.put(b"weights")
    assert list(folder.root.iterdir()) == []


def test_sweeping_removes_old_leftovers_and_no_artifact(folder):
    digest = folder.put(b"weights")
    for name, age in (("old.part", 3601), ("young.part", 3599)):
        (folder.root / name).write_bytes(b"half")
        os.utime(folder.root / name, times=((NOW - timedelta(seconds=age)).timestamp(),) * 2)
    os.utime(folder.path(digest), times=(0, 0))
    assert folder.sweep(3600, NOW) == 1
    assert {path.name for path in folder.root.iterdir()} == {"young.part", digest}


def test_sweeping_passes_by_a_file_that_its_writer_has_just_renamed(folder):
    folder.put(b"weights")
    (folder.root / "gone.part").symlink_to(folder.root / "nowhere")
    assert folder.sweep(0, NOW) == 0


def test_sweeping_before_anything_was_stored_finds_nothing(folder):
    assert folder.sweep(0, NOW) == 0


KILLED_AT_EACH_LINE = """
import os, signal, sys
from pathlib import Path
from training import artifacts

def child(root, line):
    left = line
    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename != artifacts.__file__:
            return None
        left -= event == "line"
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    artifacts.ArtifactFolder(root).put(b"weights" * 100_000)
    os._exit(0)

line, status = 0, None
while status != 0:
    pid = os.fork()
    if pid == 0:
        child(Path(sys.argv[1]) / str(line), line)
    status = os.waitpid(pid, 0)[1]
    print(line, status)
    line += 1
"""


def test_a_writer_killed_at_any_line_leaves_no_half_file(tmp_path):
    root = Path(artifacts.__file__).parents[1]
    command = [sys.executable, "-c", KILLED_AT_EACH_LINE, str(tmp_path)]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=50).stdout
    statuses = [int(line.split()[1]) for line in told.splitlines()]
    assert statuses == [signal.SIGKILL] * (len(statuses) - 1) + [0]
    data = b"weights" * 100_000
    digest = hashlib.sha256(data).hexdigest()
    stored = [digest in ArtifactFolder(tmp_path / str(line)) for line in range(len(statuses))]
    assert stored == sorted(stored)
    assert stored.count(False) > 8
    assert stored.count(True) > 3
    for line, there in enumerate(stored):
        assert not there or ArtifactFolder(tmp_path / str(line)).get(digest) == data
