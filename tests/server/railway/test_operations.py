"""Every text that is sent, held to the schema that Railway publishes."""

import pytest
from graphql import OperationType, parse, validate

from server.railway.operations import MUTATIONS, QUERIES
from tests.contracts.trim import read
from tests.serving import ROOT

SCHEMA = read(ROOT / "tests" / "contracts" / "railway" / "schema.graphql")
OPERATIONS = {**QUERIES, **MUTATIONS}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_schema_takes_the_operation(name):
    assert validate(SCHEMA, parse(OPERATIONS[name])) == []


def test_what_changes_something_is_among_the_mutations_and_nothing_else():
    kinds = {name: parse(text).definitions[0].operation for name, text in OPERATIONS.items()}
    assert {name for name, kind in kinds.items() if kind is OperationType.MUTATION} == set(MUTATIONS)


def test_no_operation_uses_what_the_schema_calls_deprecated():
    from graphql.validation import NoDeprecatedCustomRule

    for text in OPERATIONS.values():
        assert validate(SCHEMA, parse(text), [NoDeprecatedCustomRule]) == []


def test_a_field_that_does_not_exist_is_found():
    assert validate(SCHEMA, parse("query { projectToken { secret } }"))
