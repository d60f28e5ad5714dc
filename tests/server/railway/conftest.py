import json

import pytest
from pydantic import SecretStr

from server.railway.accounts import Account
from server.runtime import open_runtime
from server.settings import Settings
from tests.railway_fake import ENVIRONMENT, PROJECT, simulated_railway

TOKEN = "railway-token-planted-4711"


@pytest.fixture
def railway():
    with simulated_railway(token=TOKEN) as made:
        yield made


@pytest.fixture
def account():
    return Account(
        alias="main", kind="project", project=PROJECT, environment=ENVIRONMENT, token=SecretStr(TOKEN), image="igla:1"
    )


@pytest.fixture
def opened(railway, tmp_path):
    """A function that opens the runtime with an account whose fields may differ."""
    made = []

    def open_with(off=False, **fields):
        usual = {"kind": "project", "project": PROJECT, "environment": ENVIRONMENT, "token": TOKEN, "image": "igla:1"}
        settings = Settings(
            data=tmp_path / "data",
            railway_accounts=SecretStr(json.dumps({"main": {**usual, **fields}})),
            railway_url=railway.url,
            railway_gap=0,
            deploy_off=off,
        )
        made.append(open_runtime(settings))
        return made[-1]

    yield open_with
    for one in made:
        for deployer in one.deployers:
            deployer.close()
        one.store.close()
