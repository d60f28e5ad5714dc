"""Access tokens of a real authorization server on this machine: keys over HTTP, real signatures."""

import asyncio
import base64
import hmac
import json
import logging
import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from db.tokens import SCOPES
from server.issuer_keys import FLOOR, FRESH, STALE, IssuerKeys, choice, is_secure
from server.oauth import principal_of, scopes_of
from server.settings import Settings
from tests.calling import calling
from tests.issuer import AUDIENCE, issuing


@pytest.fixture(scope="module")
def issuer():
    with issuing() as made:
        yield made


def trusting(folder, issuer, **settings):
    return calling(folder, oauth_issuer=issuer.url, oauth_audience=AUDIENCE, **settings)


@pytest.fixture(scope="module")
def caller(issuer, tmp_path_factory):
    with trusting(tmp_path_factory.mktemp("trusting"), issuer) as made:
        yield made


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


@pytest.mark.parametrize("kid", ["one", "two", "three"])
def test_a_token_of_the_issuer_opens_what_its_scopes_say(caller, issuer, kid):
    token = issuer.token(kid)
    assert caller.call("glossary", token).status_code == 200
    refused = caller.call("claim_job", token, worker="w")
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert 'scope="igla:work"' in refused.headers["www-authenticate"]


def confused(issuer):
    """A token whose HMAC key is the issuer's public key."""
    signed = part({"alg": "HS256", "kid": "one", "typ": "JWT"}) + b"." + part(issuer.claims())
    return (signed + b"." + base64.urlsafe_b64encode(hmac.digest(issuer.pem("one"), signed, "sha256"))).decode()


WRONG = {
    "another audience": lambda one: one.token(aud="https://other.example"),
    "no audience": lambda one: one.token(aud=None),
    "another issuer": lambda one: one.token(iss="https://evil.example"),
    "expired": lambda one: one.token(exp=time.time() - 60),
    "no end": lambda one: one.token(exp=None),
    "not yet": lambda one: one.token(nbf=time.time() + 120),
    "no subject": lambda one: one.token(sub=None),
    "HS512 with a secret of the caller's": lambda one: jwt.encode(one.claims(), "k" * 64, "HS512"),
    "another type": lambda one: one.token(headers={"typ": "logout+jwt"}),
    "no signature": lambda one: jwt.encode(one.claims(), None, "none", headers={"kid": "one"}),
    "HS256 with the public key": confused,
    "another key's signature": lambda one: one.token("two", headers={"kid": "three"}),
    "an unknown key": lambda one: one.token(headers={"kid": "four"}),
    "a changed claim": lambda one: changed(one.token()),
    "too long": lambda one: one.token(extra="x" * 9000),
    "no JWT": lambda one: "a.b.c",
    "a deep header": lambda one: (base64.urlsafe_b64encode(b"[" * 5000) + b".e30.e30").decode(),
}


def changed(token):
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    return f"{head}.{part({**claims, 'scope': 'igla:admin'}).decode()}.{signature}"


@pytest.mark.parametrize("what", WRONG)
def test_a_token_that_is_not_the_issuers_for_us_and_now_is_refused_and_not_repeated(caller, issuer, what, caplog):
    caplog.set_level(logging.DEBUG)
    token = WRONG[what](issuer)
    answer = caller.call("glossary", token)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert token not in answer.text + caplog.text + str(answer.headers)


def test_local_tokens_go_on_counting_beside_the_issuers(caller, issuer):
    local = caller.token("local-reader", "read")
    assert caller.call("glossary", local).status_code == 200
    assert caller.get("/openapi.json").status_code == 401


def test_a_new_key_counts_once_the_floor_between_fetches_has_passed_and_not_before(issuer, tmp_path, monkeypatch):
    with trusting(tmp_path, issuer) as caller:
        assert caller.call("glossary", issuer.token()).status_code == 200
        before = issuer.asked
        issuer.add("rotated", "ES256")
        assert caller.call("glossary", issuer.token("rotated")).status_code == 401
        assert issuer.asked == before
        monkeypatch.setattr("server.issuer_keys.FLOOR", 0.0)
        assert caller.call("glossary", issuer.token("rotated", sub="bob")).status_code == 200
        assert issuer.asked == before + 1


def test_where_the_keys_cannot_be_had_the_answer_is_not_that_the_token_is_wrong(issuer, tmp_path):
    issuer.status = 500
    try:
        with trusting(tmp_path, issuer, oauth_jwks_url=f"{issuer.url}/keys") as caller:
            answer = caller.call("glossary", issuer.token())
    finally:
        issuer.status = 200
    assert (answer.status_code, answer.json()["code"]) == (503, "issuer_unreachable")
    assert answer.headers["retry-after"] == "10"


@given(
    known=st.booleans(), failed=st.booleans(), age=st.floats(0, 2 * STALE) | st.just(float("inf")),
    since=st.floats(0, 2 * STALE) | st.just(float("inf")),
)  # fmt: skip
def test_keys_are_used_only_when_known_and_not_stale_and_fetched_no_more_often_than_the_floor(
    known, failed, age, since
):
    chosen = choice(known=known, age=age, since_try=since, failed=failed)
    if chosen == "use":
        assert known and age <= STALE
    if chosen == "fetch":
        assert since >= FLOOR and (not known or age > FRESH)
    if chosen == "unknown":
        assert not known and since < FLOOR and not failed
    if since >= FLOOR and not known:
        assert chosen == "fetch"


TEXTS = st.text(max_size=20)
CLAIMS = st.dictionaries(st.sampled_from(["scope", "scp", "x"]), TEXTS | st.lists(TEXTS | st.integers()) | st.none())


@given(CLAIMS, st.sampled_from(["", "igla:"]), st.sets(st.sampled_from(SCOPES)))
def test_no_scope_is_held_that_the_token_does_not_name_with_the_prefix(claims, prefix, granted):
    said = {**claims, "scope": " ".join(prefix + one for one in granted)}
    extra = scopes_of({"scp": claims.get("scp")}, prefix)
    assert granted <= scopes_of(said, prefix) <= granted | extra
    assert scopes_of({"scope": "read admin openid"}, "igla:") == frozenset()
    assert scopes_of({"scp": ["igla:read", "igla:root", 3]}, "igla:") == {"read"}


SETTINGS = Settings(oauth_issuer="https://login.example", oauth_audience="a")


@given(st.text(max_size=200), st.text(max_size=200))
def test_two_subjects_are_two_principals_with_plain_names(one, other):
    names = [principal_of({"sub": sub}, "t", SETTINGS).name for sub in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    assert all(name.isascii() and name.isprintable() and name.startswith("oauth:login.example:") for name in names)


def test_a_name_of_the_issuers_cannot_be_given_to_a_local_token(caller):
    from errors import InvalidValue

    with pytest.raises(InvalidValue, match="authorization server"):
        caller.token("oauth:127.0.0.1:ann", "read")


@pytest.mark.parametrize(
    "wrong",
    [
        {"oauth_issuer": "https://login.example"},
        {"oauth_issuer": "http://login.example", "oauth_audience": "a"},
        {"oauth_issuer": "login", "oauth_audience": "a"},
        {"oauth_issuer": "https://login.example", "oauth_audience": "a", "oauth_jwks_url": "file:///etc/passwd"},
    ],
)
def test_an_issuer_that_is_not_whole_or_not_safe_is_refused(wrong):
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_the_public_url_is_the_audience_where_none_is_named():
    settings = Settings(oauth_issuer="https://login.example", public_url="https://igla.example")
    assert settings.audiences == ["https://igla.example", "https://igla.example/mcp"]


@given(st.text(max_size=30))
def test_no_address_is_secure_but_https_and_this_machine(text):
    assert not is_secure(text) or text.lower().startswith(("https://", "http://"))
    assert not is_secure(f"http://host.{text}")


def test_nothing_is_fetched_before_a_token_asks_for_it(issuer):
    before = issuer.asked
    IssuerKeys(Settings(oauth_issuer=issuer.url, oauth_audience="a"))
    assert issuer.asked == before


class Hanging(IssuerKeys):
    """Keys of an issuer that answered once, some time ago, and hangs since."""

    def __init__(self, age):
        super().__init__(Settings())
        self.keys, self.asked, self.answers = {"a": {"kid": "a"}}, 0, asyncio.Event()
        self.came = self.tried = time.monotonic() - age

    async def fetch(self):
        self.asked += 1
        await self.answers.wait()
        self.came = self.tried = time.monotonic()


def test_nobody_waits_for_a_hanging_issuer_who_has_a_key_that_counts_still():
    async def whole():
        keys = Hanging(FRESH + 1)
        found = [await keys.find("a") for _ in range(3)]
        await asyncio.sleep(0)
        asked = keys.asked
        keys.answers.set()
        await keys.refreshing
        return found, asked, keys.choice("a")

    assert asyncio.run(whole()) == ([{"kid": "a"}] * 3, 1, "use")


def test_who_has_no_key_that_counts_waits_for_the_issuer():
    async def whole(age, kid):
        keys = Hanging(age)
        waiting = asyncio.create_task(keys.find(kid))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        keys.answers.set()
        return len(done), await waiting

    assert asyncio.run(whole(STALE + 1, "a")) == (0, {"kid": "a"})
    assert asyncio.run(whole(FRESH, "b")) == (0, None)
