import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from db.store import run
from db.tables import JOB, SAMPLE, Base, Canonical

jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=50)
@given(jsons.filter(lambda value: value is not None))
def test_json_comes_back_as_it_went_in_and_has_one_text(value):
    column = Canonical()
    text = column.process_bind_param(value, None)
    assert column.process_result_value(text, None) == value
    assert text == column.process_bind_param(column.process_result_value(text, None), None)


def test_the_order_of_keys_does_not_show_and_nan_is_no_json():
    column = Canonical()
    assert column.process_bind_param({"b": 1, "a": 2}, None) == '{"a":2,"b":1}'
    with pytest.raises(ValueError, match="JSON"):
        column.process_bind_param({"bpb": float("nan")}, None)


@pytest.fixture
def finished(world):
    """A world with one finished job and its sample."""
    world.submit(world.race(seeds=(1,)))
    ticket = world.claim_one()
    world.write(ticket, (50, 3.0))
    world.finish(ticket, 2.0)
    return world


@pytest.mark.parametrize(
    "values",
    [
        {"state": "sleeping"},
        {"state": "running"},
        {"state": "queued"},
        {"priority": 101},
        {"priority": -1},
        {"final_bpb": float("inf")},
        {"final_bpb": -1.0},
        {"last_step": 101},
        {"checkpoint_step": 101},
        {"provenance": "believed"},
        {"recipe_digest": "nobody's"},
        {"rung": 7},
    ],
)
def test_the_database_refuses_a_job_that_cannot_be(finished, unchanged, values):
    with unchanged(IntegrityError), finished.store.transaction() as session:
        run(session, update(JOB).values(**values))


@pytest.mark.parametrize(
    "values",
    [
        {"bpb": float("inf")},
        {"bpb": float("nan")},
        {"ema": float("inf")},
        {"nll_sum": -1.0},
        {"byte_count": 0},
        {"provenance": "believed"},
        {"checkpoint": "nowhere"},
    ],
)
def test_the_database_refuses_a_sample_that_cannot_be(finished, unchanged, values):
    with unchanged(IntegrityError), finished.store.transaction() as session:
        run(session, update(SAMPLE).values(**values))


def test_the_database_holds_a_recipe_once_for_each_seed_and_rung(finished, unchanged):
    with finished.store.reading() as session:
        row = run(session, select(JOB)).one()._asdict()
    with unchanged(IntegrityError), finished.store.transaction() as session:
        run(session, insert(JOB).values({**row, "id": "another"}))


def test_every_constraint_and_index_has_a_name():
    for table in Base.metadata.tables.values():
        assert all(one.name for one in (*table.constraints, *table.indexes))
