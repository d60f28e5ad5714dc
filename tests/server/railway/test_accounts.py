import json

import pytest

from errors import InvalidValue, UnknownName
from server.railway.accounts import DeployNotConfigured, accounts, named
from server.settings import Settings

FIELDS = {"kind": "project", "project": "p" * 36, "environment": "e" * 36, "image": "i"}
SECRET = "planted-in-the-settings"


def test_the_token_stands_in_the_json_or_in_a_variable_of_its_own():
    text = json.dumps({"one": {**FIELDS, "token": "a"}, "two": {**FIELDS, "kind": "workspace"}})
    found = accounts(text, {"IGLA_RAILWAY_TOKEN_TWO": "b"})
    assert {alias: one.headers for alias, one in found.items()} == {
        "one": {"Project-Access-Token": "a"},
        "two": {"Authorization": "Bearer b"},
    }


def test_there_is_no_default_account():
    with pytest.raises(DeployNotConfigured):
        named({}, "main")
    found = accounts(json.dumps({"main": {**FIELDS, "token": "a"}}), {})
    with pytest.raises(UnknownName, match="Did you mean 'main'"):
        named(found, "mian")


@pytest.mark.parametrize(
    "text",
    [
        f'{{"main": "{SECRET}"',
        json.dumps([SECRET]),
        json.dumps({"main": SECRET}),
        json.dumps({"main": {**FIELDS, "token": SECRET, "kind": SECRET}}),
        json.dumps({"main": {**FIELDS, "token": [SECRET]}}),
        json.dumps({"main": {**FIELDS, "token": SECRET, SECRET: 1}}),
        json.dumps({"main": {**FIELDS, "token": SECRET, "project": "short"}}),
        json.dumps({SECRET: {**FIELDS, "token": SECRET}}),
        json.dumps({"main": FIELDS}),
    ],
)
def test_what_cannot_be_read_is_refused_without_showing_it(text):
    with pytest.raises(InvalidValue, match="IGLA_RAILWAY_ACCOUNTS") as refused:
        accounts(text, {})
    assert SECRET not in f"{refused.value} {refused.value!r} {refused.value.__cause__!r}"


def test_settings_do_not_show_what_they_hold(monkeypatch):
    monkeypatch.setenv("IGLA_RAILWAY_ACCOUNTS", json.dumps({"main": {**FIELDS, "token": SECRET}}))
    settings = Settings()
    assert settings.accounts["main"].token.get_secret_value() == SECRET
    assert SECRET not in f"{settings!r} {settings.accounts!r} {settings.model_dump_json()} {settings.accounts['main']}"
