import shutil

import pytest

from server.runtime import open_runtime
from server.settings import Settings
from tests.sites import EVIL, Site


@pytest.fixture(scope="session")
def blank(tmp_path_factory):
    """A data folder whose empty database is up to date."""
    folder = tmp_path_factory.mktemp("blank")
    open_runtime(Settings(data=folder)).store.close()
    return folder


@pytest.fixture
def site(blank, tmp_path):
    """A server on loopback without tokens: everything is open. It offers no tools, which take a while to describe."""
    runtime = open_runtime(Settings(data=shutil.copytree(blank, tmp_path / "data"), toolsets=""))
    yield Site(runtime=runtime)
    runtime.store.close()


@pytest.fixture
def hosted(blank, tmp_path):
    """A server that others can reach: it wants tokens."""
    data = shutil.copytree(blank, tmp_path / "data")
    runtime = open_runtime(Settings(data=data, host="0.0.0.0", admin_token="operator-secret", toolsets=""))
    yield Site(runtime=runtime)
    runtime.store.close()


@pytest.fixture
def full(site):
    """A site with a race that has ranked and running jobs, all named with hostile text."""
    return filled(site)


@pytest.fixture
def full_on_postgresql(new_postgresql_url, tmp_path):
    """The same, on PostgreSQL."""
    runtime = open_runtime(Settings(data=tmp_path, database_url=new_postgresql_url, toolsets=""))
    yield filled(Site(runtime=runtime))
    runtime.store.close()


def filled(site):
    race = site.race()
    site.submit(race, name=EVIL)
    site.finish(race, [2.5, 2.6])
    site.submit(race, {"width": 32}, name=EVIL + "2")
    site.finish(race, [2.7, 2.8])
    site.submit(race, {"weights": "bf16"}, name=EVIL + "3")
    ticket = site.claim(race, worker=EVIL)[0]
    site.write(ticket, (ticket.total_steps // 2, 3.0))
    return site, race, ticket
