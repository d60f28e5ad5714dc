"""Files in and out of a real server process over HTTP."""

import hashlib
import http.client
import os
import random
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from db import artifacts, races
from db.races import RaceSpec
from server.runtime import open_runtime
from server.settings import Settings
from tests.buckets import bucket_server
from tests.serving import serving
from tests.tokens import token
from training import corpus
from training.corpus import Document

MIB = 1024 * 1024
LIMIT, QUOTA = 96 * MIB, 100 * MIB


class Store:
    """A server with tokens, and what tests ask of it."""

    def __init__(self, url, data):
        self.url, self.data = url, data
        self.secrets = {}

    def headers(self, who, *scopes):
        if who not in self.secrets:
            self.secrets[who] = token(self.data, who, *(scopes or ("work",)))
        return {"Authorization": f"Bearer {self.secrets[who]}"}

    def put(self, data, who="worker", digest=None, kind="file", **headers):
        digest = digest or digest_of(data)
        every = {**self.headers(who), **{key.replace("_", "-"): value for key, value in headers.items()}}
        return httpx.put(
            f"{self.url}/artifacts/{digest}", content=data, params={"kind": kind}, headers=every, timeout=60
        )

    def get(self, digest, who="worker", **headers):
        return httpx.get(f"{self.url}/artifacts/{digest}", headers={**self.headers(who), **headers}, timeout=60)

    def head(self, digest, who="worker"):
        return httpx.head(f"{self.url}/artifacts/{digest}", headers=self.headers(who))


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    data = tmp_path_factory.mktemp("artifacts")
    limits = {"IGLA_ARTIFACT_LIMIT": str(LIMIT), "IGLA_ARTIFACT_QUOTA": str(QUOTA), "IGLA_ADMIN_TOKEN": "operator"}
    with serving(data, "--engines", "0", env=limits) as server:
        made = Store(server.url, data)
        made.secrets["operator"] = "operator"
        made.process = psutil.Process(server.process.pid)
        yield made


def test_what_was_put_comes_back_to_whoever_may_read(store):
    data = random.Random(1).randbytes(3 * MIB)
    assert store.put(data).status_code == 201
    assert store.put(data).status_code == 200
    store.headers("reader", "read")
    answer = store.get(digest_of(data), who="reader")
    assert answer.content == data
    assert (answer.headers["etag"], answer.headers["accept-ranges"]) == (f'"{digest_of(data)}"', "bytes")
    head = store.head(digest_of(data), who="reader")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(data)))


def test_an_empty_file_is_an_artifact(store):
    assert store.put(b"").status_code == 201
    assert store.get(digest_of(b"")).content == b""


def test_a_download_goes_on_where_it_stopped(store):
    data = bytes(range(256)) * 10
    store.put(data)
    rest = store.get(digest_of(data), Range="bytes=1000-")
    assert (rest.status_code, rest.content) == (206, data[1000:])
    assert rest.headers["content-range"] == "bytes 1000-2559/2560"
    assert store.get(digest_of(data), Range="bytes=-5").content == data[-5:]
    beyond = store.get(digest_of(data), Range="bytes=9999-")
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    other = store.get(digest_of(data), Range="bytes=5-", **{"If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, data)


def test_an_upload_goes_on_where_it_stopped(store):
    data = random.Random(2).randbytes(5000)
    digest = digest_of(data)
    assert store.put(data[:2000], digest=digest, content_range="bytes 0-1999/5000").status_code == 202
    half = store.head(digest)
    assert (half.status_code, half.headers["upload-offset"]) == (404, "2000")
    assert store.get(digest).json()["code"] == "artifact_missing"
    gap = store.put(data[3000:], digest=digest, content_range="bytes 3000-4999/5000")
    assert (gap.status_code, gap.json()["code"]) == (409, "wrong_offset")
    assert store.put(data[2000:], digest=digest, content_range="bytes 2000-4999/5000").status_code == 201
    assert store.get(digest).content == data


def test_an_upload_of_another_principal_is_its_own(store):
    data = random.Random(3).randbytes(5000)
    digest = digest_of(data)
    store.put(data[:2000], digest=digest, content_range="bytes 0-1999/5000")
    assert store.head(digest, who="second").headers["upload-offset"] == "0"
    assert store.put(b"x" * 5000, digest=digest, who="second").json()["code"] == "digest_mismatch"
    assert store.put(data[2000:], digest=digest, content_range="bytes 2000-4999/5000").status_code == 201


def test_a_broken_connection_leaves_what_had_come(store):
    data = random.Random(4).randbytes(2 * MIB)
    digest = digest_of(data)
    address = urlsplit(store.url)
    connection = http.client.HTTPConnection(address.hostname, address.port)
    connection.putrequest("PUT", f"/artifacts/{digest}")
    for name, value in {**store.headers("worker"), "Content-Length": str(len(data))}.items():
        connection.putheader(name, value)
    connection.endheaders(data[: MIB + 10])
    connection.close()
    offset = came(store, digest, MIB)
    rest = store.put(data[offset:], digest=digest, content_range=f"bytes {offset}-{len(data) - 1}/{len(data)}")
    assert rest.status_code == 201
    assert store.get(digest).content == data


def came(store, digest, least):
    """The offset of an upload, as soon as the server has noticed that its connection is gone."""
    while (offset := int(store.head(digest).headers["upload-offset"])) < least:
        pass
    return offset


def test_bytes_with_another_digest_never_appear(store):
    wrong = digest_of(b"something else")
    answer = store.put(b"bytes", digest=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    assert (store.head(wrong).status_code, store.head(wrong).headers["upload-offset"]) == (404, "0")


@pytest.mark.parametrize("digest", ["x" * 64, "A" * 64, "a" * 63, "..%2f..%2figla.db"])
def test_a_name_that_is_no_digest_is_refused(store, digest):
    for answer in (store.put(b"bytes", digest=digest), store.get(digest)):
        assert answer.status_code in (404, 422)


def test_a_damaged_file_is_replaced_by_putting_it_again(store):
    data = b"weights" * 1000
    store.put(data)
    (store.data / "artifacts" / digest_of(data)).write_bytes(b"damage!" * 1000)
    assert store.put(data).status_code == 201
    assert store.get(digest_of(data)).content == data


def test_scopes_say_who_may_do_what(store):
    refused = store.put(b"text", who="reader")
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert store.put(b"text", kind="corpus").json()["code"] == "scope_missing"
    assert store.put(b"text", who="operator", kind="corpus").status_code == 201
    assert httpx.get(f"{store.url}/artifacts/{'0' * 64}").status_code == 401
    assert httpx.put(f"{store.url}/artifacts/{digest_of(b'a')}", content=b"a").status_code == 401


def test_a_file_of_another_kind_than_it_says_is_refused(store):
    assert store.put(b"no checkpoint", kind="checkpoint").json()["code"] == "wrong_kind"
    assert store.put(b"bytes", kind="chekpoint").json()["code"] == "unknown_name"
    assert store.put(b"x" * (MIB + 1), kind="entry").json()["code"] == "artifact_too_large"


def test_a_file_beyond_the_limit_is_refused_whether_it_says_its_size_or_not(store):
    declared = store.put(b"x", digest="0" * 64, content_range=f"bytes 0-0/{LIMIT + 1}")
    assert (declared.status_code, declared.json()["code"]) == (413, "artifact_too_large")

    def stream():
        for _ in range(LIMIT // MIB + 1):
            yield b"x" * MIB

    address = f"{store.url}/artifacts/{'0' * 64}"
    try:
        answer = httpx.put(address, content=stream(), headers=store.headers("worker"), timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (413, "artifact_too_large")
    except (httpx.WriteError, httpx.ReadError):  # the server hung up before it was all sent
        pass
    head = store.head("0" * 64)
    assert (head.status_code, head.headers["upload-offset"]) == (404, "0")


def test_a_principal_may_hold_its_quota_and_an_operator_what_it_likes(store):
    sizes = [60 * MIB, 41 * MIB]
    first, second = (b"%d" % size + bytes(size - 8) for size in sizes)
    assert store.put(first, who="hoarder").status_code == 201
    refused = store.put(second, who="hoarder")
    assert (refused.status_code, refused.json()["code"]) == (403, "quota_exceeded")
    assert store.put(first, who="hoarder").status_code == 200
    assert store.put(second, who="operator").status_code == 201
    store.data.joinpath("artifacts", digest_of(second)).unlink()


def test_memory_stays_flat_both_ways(store):
    data = b"flat" * (24 * MIB - 1)
    before = store.process.memory_info().rss
    assert store.put(data, who="operator").status_code == 201
    with httpx.stream("GET", f"{store.url}/artifacts/{digest_of(data)}", headers=store.headers("operator")) as answer:
        hashed = hashlib.sha256()
        for block in answer.iter_bytes(MIB):
            hashed.update(block)
    assert hashed.hexdigest() == digest_of(data)
    assert store.process.memory_info().rss - before < 32 * MIB


def test_tools_still_take_small_bodies_only(store):
    answer = httpx.post(f"{store.url}/artifacts/x", content=b" " * (4 * MIB + 1), headers=store.headers("worker"))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def private_corpus(runtime):
    """A private corpus in the store, and its manifest."""
    pick = random.Random(5)
    texts = [" ".join(f"{pick.random():.12f}" for _ in range(100)).encode() for _ in range(40)]
    built = corpus.build(
        "secret", [Document(name=str(i), data=text) for i, text in enumerate(texts)],
        validation_bytes=8000, test_bytes=8000, heldout="private",
    )  # fmt: skip
    return corpus.save(built, runtime.artifacts), built


def test_held_out_text_of_a_private_corpus_is_for_the_operator_alone(store):
    runtime = open_runtime(Settings(data=store.data))
    digest, built = private_corpus(runtime)
    spec = RaceSpec(
        name="secret", corpus=digest, corpus_name="secret", budget_bytes=9000, seeds=(1,), heldout="private"
    )
    with runtime.store.transaction() as session:
        races.create(session, spec, runtime.context().now)
    runtime.store.close()
    splits = built.manifest.splits
    assert store.get(digest).content == built.manifest.canonical
    assert store.get(splits["train"].sha256).content == built.texts["train"]
    for name in ("validation", "test"):
        for answer in (store.get(splits[name].sha256), store.head(splits[name].sha256)):
            assert answer.status_code == 403
        assert store.get(splits[name].sha256, Range="bytes=0-9").json()["code"] == "artifact_private"
        assert store.get(splits[name].sha256, who="operator").content == built.texts[name]


def test_a_private_corpus_is_private_before_any_race_has_it(runtime):
    from db.tokens import Principal
    from server.heldout import ArtifactPrivate, refuse_private

    digest, built = private_corpus(runtime)
    runtime.pin(digest, built)
    worker = Principal(name="w", scopes=frozenset({"work"}))
    refuse_private(runtime, worker, built.manifest.splits["train"].sha256)
    with pytest.raises(ArtifactPrivate):
        refuse_private(runtime, worker, built.manifest.splits["test"].sha256)


def test_files_that_the_server_holds_are_noted_with_their_bringer(store):
    data = os.urandom(100)
    store.put(data, who="bringer")
    runtime = open_runtime(Settings(data=store.data))
    with runtime.store.reading() as session:
        assert artifacts.used(session, "bringer") == 100
        assert artifacts.kind(session, digest_of(data)) == "file"
    runtime.store.close()


def test_a_bucket_serves_as_well_as_a_folder(tmp_path):
    data = random.Random(9).randbytes(MIB + 3)
    with bucket_server() as (address, environment):
        settings = {**environment, "IGLA_ARTIFACTS": f"{address}/race", "IGLA_ADMIN_TOKEN": "operator"}
        with serving(tmp_path, "--engines", "0", env=settings) as server:
            store = Store(server.url, tmp_path)
            store.secrets["worker"] = "operator"
            part = store.put(data[:MIB], digest=digest_of(data), content_range=f"bytes 0-{MIB - 1}/{MIB + 3}")
            rest = store.put(data[MIB:], digest=digest_of(data), content_range=f"bytes {MIB}-{MIB + 2}/{MIB + 3}")
            assert (part.status_code, rest.status_code, store.put(data).status_code) == (202, 201, 200)
            assert store.get(digest_of(data)).content == data
            assert store.get(digest_of(data), Range="bytes=5-9").content == data[5:10]
            assert store.head(digest_of(data)).headers["content-length"] == str(MIB + 3)
    assert list((tmp_path / "artifacts").iterdir()) == []
