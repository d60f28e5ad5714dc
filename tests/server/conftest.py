from collections.abc import Iterator

import pytest

from server.runtime import open_runtime
from server.settings import Settings
from tests.serving import ENGINE, Served, serving
from tests.working import started


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served"), *ENGINE, fresh=True) as server:
        yield server


@pytest.fixture
def runtime(tmp_path):
    opened = open_runtime(Settings(data=tmp_path))
    yield opened
    opened.store.close()


@pytest.fixture
def work():
    """A function that starts `igla work`; what still runs at the end of the test is killed."""
    made = []

    def start(*words):
        made.append(started(*words))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.wait()
        process.stderr.close()
