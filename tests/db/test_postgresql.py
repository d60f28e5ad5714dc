import string

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url, text

from db.postgresql import (
    PAUSE_SECONDS,
    RECYCLE_SECONDS,
    database_url,
    direct_url,
    engine_options,
    is_pooled,
    needs_ping,
)
from db.store import connect, open_store, run

NEON = "postgresql://u:p@ep-cool-1234-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require"
labels = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12)


def test_the_parameters_of_a_platforms_url_reach_the_driver():
    engine = connect(NEON)
    _, options = engine.dialect.create_connect_args(engine.url)
    assert (options["sslmode"], options["channel_binding"]) == ("require", "require")
    assert engine.dialect.driver == "psycopg"
    assert psycopg.conninfo.make_conninfo(direct_url(NEON))


@given(label=labels, domain=labels, pooled=st.booleans(), scheme=st.sampled_from(["postgres", "postgresql"]))
def test_the_direct_host_is_the_pooled_one_without_its_suffix(label, domain, pooled, scheme):
    url = f"{scheme}://u:p@{label}{'-pooler' if pooled else ''}.{domain}.tech/d?sslmode=require"
    assert is_pooled(url) == pooled
    assert direct_url(url) == f"postgresql://u:p@{label}.{domain}.tech/d?sslmode=require"
    assert ("prepare_threshold" in engine_options(url)["connect_args"]) == pooled


def test_a_pooler_under_another_name_is_said_in_the_url_and_the_driver_never_sees_it():
    url = "postgresql://u:p@bouncer:6432/d?pooled=true"
    assert is_pooled(url) and direct_url(url) is None
    assert direct_url(url + "&direct=db.internal:5432") == "postgresql://u:p@db.internal:5432/d"
    assert dict(database_url(url + "&direct=db.internal").query) == {}
    assert engine_options(url)["connect_args"] == {"prepare_threshold": None}
    assert not is_pooled(NEON + "&pooled=false")


def test_connections_are_renewed_before_a_platform_drops_them():
    assert engine_options(NEON)["pool_recycle"] == RECYCLE_SECONDS < 300
    assert not needs_ping(PAUSE_SECONDS) and needs_ping(PAUSE_SECONDS + 0.001)


def test_a_connection_that_died_while_nobody_used_it_is_replaced(postgresql, monkeypatch):
    monkeypatch.setattr("db.postgresql.PAUSE_SECONDS", -1.0)
    engine = connect(postgresql)
    with engine.connect() as connection:
        before = connection.scalar(text("SELECT pg_backend_pid()"))
    with psycopg.connect(postgresql, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", (before,))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != before
    engine.dispose()


@pytest.mark.parametrize("pooled", ["true", "false"])
def test_a_store_opens_through_a_pooler_and_migrates_beside_it(postgresql, new_postgresql_url, pooled):
    url = make_url(new_postgresql_url).update_query_dict({"pooled": pooled})
    store = open_store(url.render_as_string(hide_password=False))
    with store.reading() as session:
        assert run(session, text("SELECT version_num FROM alembic_version")).scalar_one()
    prepared = store.engine.raw_connection().driver_connection.prepare_threshold
    assert prepared == (None if pooled == "true" else 5)
    store.close()
