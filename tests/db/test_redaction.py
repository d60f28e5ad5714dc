"""What looks like a secret never stays in a text, and the quick look agrees with the thorough one."""

import json
import re
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from db import tokens
from db.redaction import HIDDEN, SHAPES, redacted, redactor, suspicious

WORD = st.text(string.ascii_letters + string.digits + "-_", min_size=8, max_size=60)
AROUND = st.text(string.ascii_letters + string.digits + " .,:;()[]{}'\"\n", max_size=20)
SHAPED = re.compile("|".join(SHAPES))


@given(AROUND, WORD, AROUND)
def test_a_token_of_ours_and_an_authorization_header_lose_their_secret(before, secret, after):
    redact = redactor()
    assume(secret not in before + after)
    assert secret not in redact(f"{before} igla_{secret} {after}")
    for kind in ("Bearer", "bearer", "BASIC"):
        assert secret not in redact(f"{before} Authorization: {kind} {secret} {after}")


@given(AROUND, WORD, WORD, WORD, AROUND)
def test_a_json_web_token_is_hidden_whole(before, head, body, signature, after):
    said = redactor()(f"{before} eyJ{head}.{body}.{signature} {after}")
    assert HIDDEN in said
    assert f"{body}.{signature}" not in said


PASSWORD = st.text(string.ascii_letters + string.digits + "!$%&*()-_+=/?#:@.,|~", min_size=3, max_size=30)


@given(AROUND, PASSWORD)
def test_the_password_of_an_address_is_hidden_and_its_host_is_not(before, password):
    said = redactor()(f"{before} postgresql+psycopg://igla:xx{password}yy@db.example.org/igla")
    assert f"xx{password}yy" not in said
    assert f"igla:{HIDDEN}@db.example.org/igla" in said


@given(st.text(min_size=4, max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_a_known_secret_is_hidden_wherever_it_stands(secret, before, after):
    said = redactor([secret])(before + secret + after)
    assert said.count(HIDDEN) >= (before + after).count(HIDDEN) + 1 - said.count(secret)
    assert secret in HIDDEN or secret not in said.replace(HIDDEN, "\x00") or secret in before + "\x00" + after


@given(st.text(max_size=60) | st.from_regex(SHAPED, fullmatch=True).filter(lambda text: len(text) < 200))
def test_the_quick_look_misses_nothing_that_the_patterns_find(text):
    if SHAPED.search(text):
        assert suspicious(text, ())


@given(AROUND)
def test_what_has_no_secret_is_left_alone(text):
    assert redactor(["a-known-secret"])(text) == text


@given(st.recursive(st.none() | st.booleans() | st.integers() | WORD, lambda inner: st.lists(inner) | st.dictionaries(
    WORD, inner), max_leaves=5))  # fmt: skip
def test_values_keep_their_shape_and_become_what_json_can_write(value):
    plain = redacted(value, lambda text: text)
    assert json.loads(json.dumps(plain)) == plain == value


def test_secrets_within_lists_objects_and_errors_are_hidden():
    redact = redactor(["swordfish"])
    value = {"swordfish": ["x swordfish", ("igla_0123456789abcdef",)], "error": ValueError("it was swordfish")}
    said = json.dumps(redacted(value, redact))
    assert "swordfish" not in said
    assert "igla_0" not in said


def test_a_real_token_is_hidden(world):
    secret, _ = world.do(tokens.create, "someone", ["read"], world.now, None)
    assert redactor()(f"they sent {secret}, twice {secret}") == f"they sent {HIDDEN}, twice {HIDDEN}"


@pytest.mark.parametrize("name", ["PGPASSWORD", "client_secret", "AWS_SECRET_ACCESS_KEY", "X_API_KEY", "access_token"])
def test_a_setting_is_known_by_the_end_of_its_name(name):
    assert redactor()(f"cannot start: {name}=hunter22&more") == f"cannot start: {name}={HIDDEN}&more"


def test_the_cookie_of_a_session_is_hidden():
    assert redactor()(f"igla_session=iglas_{'a' * 43}; path=/") == f"igla_session={HIDDEN}; path=/"
