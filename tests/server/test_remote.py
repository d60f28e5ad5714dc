"""The client of a remote worker against a real HTTP server that misbehaves."""

import hashlib
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.queue import QueueEmpty
from errors import Refusal
from server.remote import FIRST_PAUSE, LONGEST_PAUSE, Remote, Unreachable, backoff
from training.artifacts import ArtifactFolder

DATA = random.Random(1).randbytes(300_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
REFUSAL = b'{"code": "queue_empty", "message": "No job is queued or running.", "next_step": ""}'


class Flaky(BaseHTTPRequestHandler):
    """Answers with what the test has put into `plan`: (status, body) or, for a download, a number of bytes to send."""

    plan: list
    seen: list

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        step = self.plan.pop(0)
        self.seen.append(self.headers.get("Range"))
        if isinstance(step, int):
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(DATA) - start))
            self.end_headers()
            self.wfile.write(DATA[start : start + step])
            self.close_connection = True
            return
        status, body = step
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def remote():
    """A function that makes a client of a server with this plan; `waits` are the pauses that it took."""
    made = []

    def make(*plan, patience=60.0, stop=False):
        handler = type("Planned", (Flaky,), {"plan": list(plan), "seen": []})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        waits = []

        def wait(seconds):
            waits.append(seconds)
            return stop

        client = httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}")
        made.append((server, client))
        remote = Remote(client, random.Random(0), wait, patience)
        remote.waits, remote.seen = waits, handler.seen
        return remote

    yield make
    for server, client in made:
        client.close()
        server.shutdown()
        server.server_close()


@given(st.integers(0, 1000), st.integers())
def test_a_pause_is_never_longer_than_its_bound_which_doubles(attempt, seed):
    pause = backoff(attempt, random.Random(seed))
    assert 0 <= pause <= min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)


def test_workers_that_lost_one_server_do_not_come_back_together():
    pauses = {backoff(8, random.Random(seed)) for seed in range(50)}
    assert len(pauses) == 50
    assert max(pauses) - min(pauses) > LONGEST_PAUSE / 2


def test_what_passes_is_tried_again(remote):
    client = remote((503, b""), (502, b"<html>"), (429, REFUSAL), (200, b'{"x": 1}'))
    assert client.call("claim_job") == {"x": 1}
    assert len(client.waits) == 3


def test_a_refusal_is_raised_at_once_and_as_itself(remote):
    client = remote((404, REFUSAL))
    with pytest.raises(QueueEmpty, match="No job"):
        client.call("claim_job")
    assert client.waits == []


def test_an_answer_that_makes_no_sense_is_no_reason_to_go_on(remote):
    with pytest.raises(Refusal, match="418"):
        remote((418, b"teapot")).call("claim_job")


def test_patience_has_an_end_and_a_worker_that_shall_stop_has_none(remote):
    with pytest.raises(Unreachable, match="1 tries"):
        remote((503, b""), patience=-1).call("claim_job")
    with pytest.raises(Unreachable, match="1 tries"):
        remote((503, b""), (200, b"{}"), stop=True).call("claim_job")


def test_a_server_that_is_not_there_is_unreachable():
    with httpx.Client(base_url="http://127.0.0.1:9") as http, pytest.raises(Unreachable, match="ConnectError"):
        Remote(http, random.Random(0), lambda seconds: False, patience=-1).call("claim_job")


def test_a_download_goes_on_where_it_broke_off(remote, tmp_path):
    client = remote(100_000, 50_000, len(DATA))
    folder = ArtifactFolder(tmp_path)
    client.fetch(DIGEST, folder)
    assert folder.get(DIGEST) == DATA
    assert client.seen[0] is None
    offsets = [int(one[6:-1]) for one in client.seen[1:]]
    assert 0 < offsets[0] <= 100_000 < offsets[1] <= 150_000
    assert [path.name for path in tmp_path.iterdir()] == [DIGEST]


def test_bytes_with_another_digest_are_dropped_and_fetched_again(remote, tmp_path):
    client = remote((200, b"something else"), len(DATA))
    folder = ArtifactFolder(tmp_path)
    client.fetch(DIGEST, folder)
    assert folder.get(DIGEST) == DATA
    assert client.seen == [None, None]


def test_what_is_there_is_not_fetched(remote, tmp_path):
    folder = ArtifactFolder(tmp_path)
    folder.put(DATA)
    remote().fetch(DIGEST, folder)
