from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from db import tokens
from db.store import run
from db.tables import TOKEN
from errors import InvalidValue, UnknownName


def make(world, name="ann", scopes=("submit", "read"), expires_at=None):
    return world.do(tokens.create, name, scopes, world.now, expires_at)


def who(world, secret):
    return world.look(tokens.verify, secret, world.now)


def test_a_secret_verifies_as_its_principal_and_its_scopes(world):
    secret, view = make(world)
    assert secret.startswith("igla_") and len(secret) == 5 + 43 and secret.startswith(view.prefix)
    assert who(world, secret) == tokens.Principal(name="ann", scopes=frozenset({"read", "submit"}))
    assert (view.name, view.scopes, view.expires_at, view.revoked_at) == ("ann", ("read", "submit"), None, None)


def test_the_secret_is_not_in_the_database(world):
    secret, view = make(world)
    assert secret[len(view.prefix) :] not in str(world.dump())
    with world.store.reading() as session:
        assert len(run(session, select(TOKEN.c.digest)).scalar_one()) == 64


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_other_text_verifies(world, data):
    if not world.look(tokens.any_exists):
        world.secret, _ = make(world)
    other = data.draw(
        st.text(st.characters(exclude_characters="\0")) | st.just(world.secret[:-1]) | st.just(world.secret + "x")
    )
    assert who(world, other) is None
    assert who(world, world.secret) is not None


def test_a_token_expires(world):
    secret, _ = make(world, expires_at=world.now + timedelta(seconds=10))
    assert who(world, secret)
    world.wait(10)
    assert who(world, secret) is None


def test_a_token_is_revoked_by_prefix_or_by_name(world):
    (first, view), (second, _), (third, _) = make(world), make(world), make(world, "bob")
    world.do(tokens.revoke, view.prefix, world.now)
    assert (who(world, first), who(world, second) is None) == (None, False)
    world.wait(5)
    revoked = world.do(tokens.revoke, "ann", world.now)
    assert sorted((world.now - one.revoked_at).total_seconds() for one in revoked) == [0, 5]
    assert (who(world, second), who(world, third).name) == (None, "bob")


def test_tokens_are_listed_oldest_first_revoked_ones_included(world):
    assert not world.look(tokens.any_exists)
    for name in ("b", "a"):
        make(world, name)
        world.wait(1)
    world.do(tokens.revoke, "b", world.now)
    assert [(one.name, one.revoked_at is None) for one in world.look(tokens.listing)] == [("b", False), ("a", True)]
    assert world.look(tokens.any_exists)


def test_an_unknown_scope_or_token_is_refused_with_the_nearest_name(world, unchanged):
    with unchanged(UnknownName, "'submit'"):
        make(world, scopes=("submitt",))
    make(world, "ann")
    with unchanged(UnknownName, "'ann'"):
        world.do(tokens.revoke, "anne", world.now)


def test_a_token_without_scopes_or_name_or_future_is_refused(world, unchanged):
    for wrong in ({"scopes": ()}, {"name": ""}, {"name": "n" * 65}, {"expires_at": world.now}):
        with unchanged(InvalidValue):
            make(world, **wrong)


@pytest.mark.parametrize("scope", tokens.SCOPES)
def test_every_scope_can_be_given(world, scope):
    secret, _ = make(world, scopes=(scope,))
    assert who(world, secret).scopes == {scope}
