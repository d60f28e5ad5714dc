import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError, StatementError

from db import migrate, workers
from db.migrate import StoreTooNew
from db.store import Answer, connect, insert_missing, open_store, run
from db.tables import WORKER, Base

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def row(name="w", **changes):
    return {"kind": "engine", "name": name, "first_seen": NOW, "last_seen": NOW, "detail": "", **changes}


def names(store):
    with store.reading() as session:
        return sorted(run(session, select(WORKER.c.name)).scalars())


def test_what_a_transaction_wrote_stays(world):
    with world.store.transaction() as session:
        run(session, insert(WORKER), [row("a"), row("b")])
    assert names(world.store) == ["a", "b"]


def note_and_raise(store, error):
    with store.transaction() as session:
        run(session, insert(WORKER), [row()])
        raise error


def test_an_exception_undoes_the_whole_transaction(world):
    with pytest.raises(ZeroDivisionError):
        note_and_raise(world.store, ZeroDivisionError)
    assert names(world.store) == []


def test_an_answer_that_is_raised_keeps_what_was_noted_on_the_way(world):
    with pytest.raises(Answer):
        note_and_raise(world.store, Answer("nothing to do"))
    assert names(world.store) == ["w"]


def test_a_reading_session_cannot_write(world):
    with pytest.raises(DBAPIError), world.store.reading() as session:
        run(session, insert(WORKER), [row()])
    assert names(world.store) == []


def test_a_reading_session_sees_one_moment(world):
    with world.store.reading() as session:
        before = run(session, select(WORKER.c.name)).all()
        with world.store.transaction() as other:
            run(other, insert(WORKER), [row()])
        assert run(session, select(WORKER.c.name)).all() == before == []
    assert names(world.store) == ["w"]


def test_transactions_that_read_before_they_write_wait_for_each_other(world):
    world.do(workers.seen, "w", "engine", NOW, "0")

    def count():
        for _ in range(10):
            with world.store.transaction() as session:
                seen = run(session, select(WORKER.c.detail).with_for_update()).scalar_one()
                run(session, update(WORKER).values(detail=str(int(seen) + 1)))

    with ThreadPoolExecutor(6) as pool:
        for call in [pool.submit(count) for _ in range(6)]:
            call.result()
    (seen,) = world.look(workers.alive, "engine", NOW, 1)
    assert seen.detail == "60"


def test_inserting_a_row_that_is_there_changes_nothing(world):
    with world.store.transaction() as session:
        assert insert_missing(session, WORKER, row(detail="first"))
        assert not insert_missing(session, WORKER, row(detail="second"))
        assert run(session, select(WORKER.c.detail)).scalar_one() == "first"


def test_times_come_back_as_aware_utc_and_naive_ones_are_refused(world):
    world.do(workers.seen, "w", "engine", NOW)
    (seen,) = world.look(workers.alive, "engine", NOW, 1)
    assert seen.last_seen == NOW and seen.last_seen.utcoffset().total_seconds() == 0
    with pytest.raises(StatementError):
        world.do(workers.seen, "w", "engine", datetime(2030, 1, 1))


def test_the_migrations_lead_to_the_tables_that_the_code_describes(world):
    with world.store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrations_make_the_same_constraints_as_the_code(world, tmp_path):
    plain = connect(f"sqlite:///{tmp_path / 'plain.db'}")
    Base.metadata.create_all(plain)
    migrated, described = inspect(world.store.engine), inspect(plain)
    for table in Base.metadata.tables:
        assert checks(migrated, table).keys() == checks(described, table).keys()
        if world.store.engine.dialect.name == "sqlite":
            assert checks(migrated, table) == checks(described, table)
            assert indexes(migrated, table) == indexes(described, table)
    plain.dispose()


def checks(inspector, table):
    return {one["name"]: " ".join(one["sqltext"].split()) for one in inspector.get_check_constraints(table)}


def indexes(inspector, table):
    found = inspector.get_indexes(table)
    return {one["name"]: (one["column_names"], one["unique"], where(one)) for one in found}


def where(index):
    return {name: str(value) for name, value in index["dialect_options"].items()}


def test_jobs_of_the_first_version_get_the_places_that_they_had(world):
    race = world.race(seeds=(3, 1, 2))
    for digest in "ba":
        world.submit(race, digest)
        world.wait(1)
    with world.store.engine.begin() as connection:
        before = names_in_order(connection, "created_at, id")
        connection.execute(text("UPDATE job SET position = -position"))
        step(connection, "downgrade", "0001")
        step(connection, "upgrade", "head")
        assert names_in_order(connection, "position") == before
    assert [job.state for job in world.submit(race, "c")] == ["queued"] * 3
    assert [ticket.recipe_digest for ticket in world.claim(n=9)] == list("bbbaaaccc")


def names_in_order(connection, order):
    return connection.execute(text(f"SELECT id FROM job ORDER BY {order}")).scalars().all()


def step(connection, direction, revision):
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    config.attributes["connection"] = connection
    getattr(command, direction)(config, revision)


def test_the_newest_script_is_where_alembic_ends(world):
    with world.store.engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == migrate.versions()[-1]


def test_a_database_that_is_up_to_date_is_opened_without_alembic(new_url, monkeypatch):
    url = new_url()
    monkeypatch.setattr(migrate, "run_scripts", None)
    open_store(url).close()


def test_a_database_of_a_later_version_is_refused(new_url):
    url = new_url()
    store = open_store(url)
    with store.transaction() as session:
        run(session, text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(StoreTooNew, match="9999"):
        open_store(url)
    open_store(url, migrate=False).close()


def open_and_note(url, name):
    store = open_store(url)
    with store.transaction() as session:
        workers.seen(session, name, "engine", NOW)
    store.close()


def test_processes_that_start_together_migrate_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'new.db'}"
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload(["db.store", "alembic.command"])
    with forked.Pool(3) as pool:
        for call in [pool.apply_async(open_and_note, (url, f"e{i}")) for i in range(3)]:
            call.get()
    store = open_store(url)
    assert names(store) == ["e0", "e1", "e2"]
    store.close()


def test_what_was_acknowledged_survives_the_kill_of_its_process(tmp_path):
    url = f"sqlite:///{tmp_path / 'killed.db'}"
    script = f"""
import os, signal
from datetime import UTC, datetime
from db import workers
from db.store import open_store
store = open_store({url!r})
with store.transaction() as session:
    workers.seen(session, "kept", "engine", datetime.now(UTC))
with store.transaction() as session:
    workers.seen(session, "lost", "engine", datetime.now(UTC))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=os.getcwd()).returncode == -signal.SIGKILL
    store = open_store(url)
    assert names(store) == ["kept"]
    store.close()


def test_sqlite_connections_are_set_up_for_many_processes(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'new.db'}")
    with store.reading() as session:
        ask = lambda pragma: run(session, text(f"PRAGMA {pragma}")).scalar_one()  # noqa: E731
        assert (ask("journal_mode"), ask("foreign_keys"), ask("synchronous")) == ("wal", 1, 1)
        assert ask("busy_timeout") >= 5000
    store.close()


def test_a_writer_that_waits_too_long_is_told_so_and_its_connection_goes_on(tmp_path):
    url = f"sqlite:///{tmp_path / 'new.db'}"
    first, second = open_store(url), open_store(url, connections=1)
    with second.reading() as session:
        run(session, text("PRAGMA busy_timeout=1"))
    with first.transaction():
        with pytest.raises(OperationalError, match="locked"), second.transaction():
            pass
        assert names(second) == []
    with second.transaction() as session:
        run(session, insert(WORKER), [row("later")])
    with second.reading() as session, pytest.raises(OperationalError, match="readonly"):
        run(session, insert(WORKER), [row("never")])
    assert names(second) == ["later"]
    first.close()
    second.close()


def test_a_url_as_platforms_give_it_gets_the_driver_that_is_installed():
    for url in ("postgres://u:p@h/d?sslmode=require", "postgresql://u:p@h/d?sslmode=require"):
        engine = connect(url)
        assert (engine.dialect.name, engine.dialect.driver) == ("postgresql", "psycopg")
        assert engine.url.query == {"sslmode": "require"}
