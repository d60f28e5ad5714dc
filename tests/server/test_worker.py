"""A remote worker as a process against a real server: how it ends, what it refuses, what it never tells."""

import json
import signal
import struct

import pytest

from db import races
from server.client import Client
from server.client_steps import PART
from server.runtime import open_runtime
from server.settings import Settings
from tests.forked import run
from tests.remote import small_race, use
from tests.serving import serving
from tests.tokens import token
from tests.working import ended, jobs, until
from training.artifacts import ArtifactFolder
from training.corpus import manifest_from


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("worked")


@pytest.fixture(scope="module")
def runtime(data):
    opened = open_runtime(Settings(data=data))
    yield opened
    opened.store.close()


@pytest.fixture(scope="module")
def secret(data):
    return token(data, "fleet", "work")


@pytest.fixture(scope="module")
def url(data, secret):
    with serving(data, "--engines", "0", "--scorers", "0") as server:
        yield server.url


def test_a_stopped_worker_gives_its_job_back_and_says_nothing_of_its_token(runtime, url, secret, tmp_path, work):
    small_race(runtime, name="stopped", steps=100_000, chunks=1)
    worker = work(url, secret, tmp_path / "home", "--race", "stopped")
    until(lambda: [job for job in jobs(runtime, "stopped") if job.state == "running"])
    code, said = ended(worker)
    (job,) = jobs(runtime, "stopped")
    assert (code, job.state, job.worker) == (0, "queued", None)
    assert secret not in said
    assert "has ended" in said


def test_a_machine_on_which_every_job_fails_stops_itself(runtime, url, secret, tmp_path, work):
    small_race(runtime, name="sick", steps=1000, chunks=1)
    home = tmp_path / "home"
    (home / "cache" / "corpora").mkdir(parents=True)
    (home / "cache" / "corpora" / use_corpus(runtime, "sick")).write_bytes(b"damaged here")
    worker = work(url, secret, home, "--race", "sick", "--max-failures", "2", "--cache", str(home / "cache"))
    said = worker.communicate(timeout=60)[1]
    assert worker.returncode == 2
    assert "too_many_failures: 2 jobs in a row failed." in said
    assert "artifact_corrupt" in said
    (job,) = jobs(runtime, "sick")
    assert (job.state, job.attempt) == ("queued", 2)


def use_corpus(runtime, race):
    with runtime.store.reading() as session:
        return races.find(session, race).corpus


def test_a_worker_says_that_it_cannot_score_private_text(runtime, url, secret, tmp_path, work):
    small_race(runtime, name="secret", heldout="private")
    worker = work(url, secret, tmp_path / "home", "--race", "secret")
    said = worker.communicate(timeout=60)[1]
    assert worker.returncode == 2
    assert "private_heldout: Race secret:" in said
    (job,) = jobs(runtime, "secret")
    assert (job.state, job.worker) == ("queued", None)
    held = {split.sha256 for name, split in private_splits(runtime).items() if name != "train"}
    assert not {path.name for path in (tmp_path / "home").rglob("*")} & held


def private_splits(runtime):
    return manifest_from(runtime.artifacts.get(use_corpus(runtime, "secret"))).splits


def test_a_wrong_token_ends_the_worker_at_once(url, tmp_path, work):
    worker = work(url, "igla_wrong", tmp_path / "home")
    said = worker.communicate(timeout=60)[1]
    assert worker.returncode == 2
    assert "unauthorized" in said
    assert "igla_wrong" not in said


def test_a_worker_without_work_ends_when_it_is_told_how_long_to_wait(runtime, url, secret, tmp_path, work):
    small_race(runtime, name="empty", recipes=())
    worker = work(url, secret, tmp_path / "home", "--race", "empty", "--idle-exit", "0.5")
    assert worker.wait(60) == 0


def test_a_key_is_made_once_kept_private_and_its_public_part_printed(tmp_path):
    said = [run(["work", "--key", str(tmp_path / "worker.key")]).stdout for _ in range(2)]
    assert said[0] == said[1]
    assert said[0].startswith("public key: ")
    assert (tmp_path / "worker.key").stat().st_mode & 0o777 == 0o600


def test_an_enrolled_worker_measures_by_itself_until_it_is_revoked(data, runtime, url, tmp_path, work):
    both = token(data, "gpu-owner", "work", "measure")
    home = tmp_path / "home"
    home.mkdir()
    public = run(["work", "--key", str(home / "key")]).stdout.split()[-1]
    igla(data, "enroll", "gpu-box", "--public-key", public)
    assert "gpu-box" in igla(data, "list")
    small_race(runtime, name="signed", steps=30)
    assert provenances(runtime, "signed", url, both, home, work) == {("measured", "gpu-box")}
    igla(data, "revoke", "gpu-box")
    small_race(runtime, name="revoked", steps=30)
    assert provenances(runtime, "revoked", url, both, home, work) == {("claimed", "gpu-owner")}
    assert len(use(runtime, "leaderboard", race="signed")["rows"]) == 1


def provenances(runtime, race, url, secret, home, work):
    """Who measured the samples of a race, after a worker with the key has done it."""
    worker = work(url, secret, home, "--race", race, "--key", str(home / "key"))
    until(lambda: all(job.state == "done" for job in jobs(runtime, race)))
    ended(worker)
    curves = [use(runtime, "job_status", job_id=job.id)["curve"] for job in jobs(runtime, race)]
    return {(one["provenance"], one["measured_by"]) for curve in curves for one in curve}


def igla(data, *words):
    return run(["worker", *words, "--data", str(data)]).stdout


def test_a_checkpoint_of_several_parts_arrives_whole(runtime, url, secret, tmp_path):
    folder = ArtifactFolder(tmp_path)
    hand_made = checkpoint_of(PART * 2 + 77)
    digest = folder.put(hand_made)
    with Client.at(url, secret) as client:
        assert client.upload(tmp_path / digest, "checkpoint") == digest
        assert client.upload(tmp_path / digest, "checkpoint") == digest
        client.download(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == hand_made == runtime.artifacts.get(digest)


def checkpoint_of(size):
    """A file that begins like a checkpoint."""
    header = json.dumps({"__metadata__": {"igla": "{}"}}).encode()
    return (struct.pack("<Q", len(header)) + header).ljust(size, b"x")


def test_a_killed_workers_folder_is_removed_by_the_next(runtime, url, secret, tmp_path, work):
    small_race(runtime, name="killed", steps=100_000, chunks=1)
    worker = work(url, secret, tmp_path / "home", "--race", "killed")
    until(lambda: [job for job in jobs(runtime, "killed") if job.state == "running"])
    runs = tmp_path / "home" / ".cache" / "igla" / "runs"
    ended(worker, signal.SIGKILL)
    assert len(list(runs.iterdir())) == 1
    small_race(runtime, name="nothing", recipes=())
    after = work(url, secret, tmp_path / "home", "--race", "nothing", "--idle-exit", "0.1")
    assert after.wait(60) == 0
    assert list(runs.iterdir()) == []
