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
    principal = tokens.Principal(name="ann", scopes=frozenset({"read", "submit"}), credential=view.prefix)
    assert who(world, secret) == principal
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
    texts = (world.secret[:-1], world.secret + "x", world.secret[:12] + "\0", "\ud800")
    other = data.draw(st.text(st.characters()) | st.sampled_from(texts))
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


def test_a_rotated_token_has_a_new_secret_and_the_old_one_ends_after_the_grace(world):
    old, before = make(world, expires_at=world.now + timedelta(days=30))
    world.wait(86_400)
    new, made, ended = world.do(tokens.rotate, "ann", world.now, 3600)
    assert (made.name, made.scopes, made.expires_at) == ("ann", before.scopes, world.now + timedelta(days=30))
    assert (ended.prefix, ended.expires_at) == (before.prefix, world.now + timedelta(hours=1))
    assert who(world, old).name == who(world, new).name == "ann"
    assert {one.prefix for one in world.look(tokens.listing)} == {before.prefix, made.prefix}
    world.wait(3600)
    assert who(world, old) is None and who(world, new) is not None


def test_a_rotation_without_grace_revokes_and_no_grace_lengthens_a_life(world):
    old, _ = make(world)
    world.do(tokens.rotate, "ann", world.now, 0)
    assert who(world, old) is None
    make(world, "bob", expires_at=world.now + timedelta(seconds=10))
    _, _, ended = world.do(tokens.rotate, "bob", world.now, 3600)
    assert ended.expires_at == world.now + timedelta(seconds=10)


def test_a_name_of_several_living_tokens_or_of_none_is_not_rotated(world, unchanged):
    (_, first), (_, second) = make(world), make(world)
    with unchanged(InvalidValue, first.prefix):
        world.do(tokens.rotate, "ann", world.now, 0)
    world.do(tokens.revoke, first.prefix, world.now)
    world.do(tokens.rotate, "ann", world.now, 0)
    world.do(tokens.revoke, "ann", world.now)
    with unchanged(UnknownName):
        world.do(tokens.rotate, second.prefix, world.now, 0)


def test_a_use_is_noted_once_a_minute(world):
    secret, view = make(world)
    assert view.last_used_at is None and tokens.is_due(None, world.now)
    for wait, noted in [(0, 0), (59, 0), (1, 60), (59, 60)]:
        world.wait(wait)
        world.do(tokens.used, view.prefix, world.now)
        (listed,) = world.look(tokens.listing)
        assert listed.last_used_at == view.created_at + timedelta(seconds=noted)
    assert not tokens.is_due(world.look(tokens.look_up, secret, world.now).last_used_at, world.now)
