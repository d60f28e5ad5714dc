import json
import shlex
import tomllib
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidValue, UnknownName
from server.address import address, is_local
from server.host_entries import Server
from server.hosts import HOSTS, configs, host_of

URL = "https://igla.example.org"
SECRETS = st.text("abcXYZ019_-", min_size=8, max_size=50).map(lambda text: f"igla_{text}")


def entry(name, config):
    parsed = tomllib.loads(config.text) if name == "codex" else json.loads(config.text)
    return parsed[HOSTS[name].key]["igla"]


def test_every_host_is_told_the_address_and_the_variable_in_its_own_words():
    made = configs(URL)
    assert entry("claude", made["claude"]) == {
        "type": "http", "url": f"{URL}/mcp", "headers": {"Authorization": "Bearer ${IGLA_TOKEN}"},
    }  # fmt: skip
    assert entry("cursor", made["cursor"])["headers"] == {"Authorization": "Bearer ${env:IGLA_TOKEN}"}
    assert entry("codex", made["codex"]) == {"url": f"{URL}/mcp", "bearer_token_env_var": "IGLA_TOKEN"}
    asked = json.loads(made["vscode"].text)
    assert asked["servers"]["igla"]["headers"] == {"Authorization": "Bearer ${input:igla-token}"}
    assert [(one["id"], one["password"]) for one in asked["inputs"]] == [("igla-token", True)]


def test_commands_survive_a_shell_and_leave_the_variable_to_the_host():
    words = {name: shlex.split(config.command) for name, config in configs(URL).items()}
    assert words["claude"][-2:] == ["--header", "Authorization: Bearer ${IGLA_TOKEN}"]
    assert words["codex"] == ["codex", "mcp", "add", "igla", "--url", f"{URL}/mcp",
                              "--bearer-token-env-var", "IGLA_TOKEN"]  # fmt: skip
    assert json.loads(words["vscode"][2])["name"] == "igla"
    assert words["curl"][-1] == f"{URL}/api/glossary"


def test_links_hold_the_entry_that_the_file_would():
    import base64

    made = configs(URL)
    query = parse_qs(urlsplit(made["cursor"].link).query)
    assert json.loads(base64.b64decode(query["config"][0])) == entry("cursor", made["cursor"])
    packed = json.loads(unquote(urlsplit(made["vscode"].link).query))
    assert entry("vscode", made["vscode"]).items() <= packed.items()


@given(SECRETS)
def test_a_secret_stands_in_the_line_that_sets_the_variable_and_nowhere_else(secret):
    for config in configs(URL, secret).values():
        assert secret not in config.file + config.text + config.command + config.link
        assert config.setup in ("", f"export IGLA_TOKEN={secret}")


@given(SECRETS)
def test_a_secret_for_the_file_stands_in_the_file_but_in_no_command_and_no_link(secret):
    for name, config in configs(URL, secret, in_file=True).items():
        assert (secret in config.text) == (name != "curl")
        assert secret not in config.command + config.link


def test_an_open_server_gets_no_token_at_all():
    for config in configs(URL, variable="").values():
        assert "Bearer" not in config.text + config.command + unquote(config.link)
        assert "TOKEN" not in config.text + config.setup


def test_a_local_server_is_a_command():
    server = Server(command=("/opt/my igla/bin/igla", "mcp", "--data", "/tmp/a b"))
    assert json.loads(HOSTS["claude"].text(server))["mcpServers"]["igla"] == {
        "type": "stdio", "command": "/opt/my igla/bin/igla", "args": ["mcp", "--data", "/tmp/a b"],
    }  # fmt: skip
    assert tomllib.loads(HOSTS["codex"].text(server))["mcp_servers"]["igla"]["args"] == ["mcp", "--data", "/tmp/a b"]
    assert shlex.split(HOSTS["codex"].command(server))[-4:] == list(server.command)


@pytest.mark.parametrize(
    "url", ["", "igla.example.org", "ftp://x", "https://u:pw@x", "https://x/?token=1", "http://x'y"]
)
def test_what_is_no_address_is_refused_without_its_password(url):
    with pytest.raises(InvalidValue) as refused:
        configs(url)
    assert "pw" not in refused.value.message


@pytest.mark.parametrize("written", [URL, URL + "/", URL + "/mcp", URL + "/mcp/"])
def test_people_copy_addresses_with_tails(written):
    assert address(written) == URL


def test_names_and_secrets_that_could_break_out_are_refused():
    for bad in ({"variable": "A B"}, {"token": "a'; rm"}, {"token": "a\nb"}, {"in_file": True}):
        with pytest.raises(InvalidValue):
            configs(URL, **bad)


def test_an_unknown_host_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="'cursor'"):
        host_of("curser")


def test_an_address_of_this_machine_is_known():
    assert [is_local(url) for url in ("http://127.0.0.1:8000", "http://[::1]:1", "http://localhost", URL)] == [
        True, True, True, False,
    ]  # fmt: skip
