import json
import os
import stat
import tomllib
from datetime import UTC, datetime

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from errors import InvalidValue, UnknownName
from server.cli import app
from server.host_entries import Server
from server.host_files import OURS, HostFileUnreadable, installed, uninstalled
from server.host_install import HostFileChanged, apply, change, place
from server.hosts import HOSTS

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ELSEWHERE = Server(url="https://igla.example.org/mcp", variable="IGLA_TOKEN")
WITH_SECRET = Server(url="https://igla.example.org/mcp", secret="igla_abcdef")
LOCAL = Server(command=("/opt/igla", "mcp", "--data", "/data"))
SERVERS = st.sampled_from([ELSEWHERE, WITH_SECRET, LOCAL, Server(url="http://127.0.0.1:8000/mcp")])
JSON_HOSTS = st.sampled_from([host for host in HOSTS.values() if not host.is_toml])
CODEX = HOSTS["codex"]

words = st.text("ab.\"'#[]=\n é\\", max_size=8)
keys = st.sampled_from(["a", "b c", "é", "enabled", "mcpServers", "servers"]) | words
scalars = st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | words
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))
entries = st.dictionaries(st.sampled_from(["url", "command", "headers", "enabled", "timeout"]), scalars, max_size=4)
tables = st.dictionaries(st.sampled_from(["igla", "other", "x y"]), entries, max_size=3)
files = st.dictionaries(keys, values | st.none(), max_size=4)
toml_files = st.dictionaries(keys.filter(bool), values, max_size=4)


def without_igla(told, host):
    """All that a file says about anything but igla, empty tables left out."""
    servers = {name: entry for name, entry in told.get(host.key, {}).items() if name != "igla"}
    rest = {key: value for key, value in told.items() if key not in (host.key, "inputs")}
    return {**rest, **({host.key: servers} if servers else {})}


@settings(max_examples=50)
@given(JSON_HOSTS, files, st.none() | tables, SERVERS, st.sampled_from([None, 2, 4, "\t"]))
def test_json_keeps_everything_else_and_twice_is_once(host, rest, servers, server, indent):
    told = {
        **{key: value for key, value in rest.items() if key != host.key},
        **({host.key: servers} if servers else {}),
    }
    text = json.dumps(told, indent=indent, ensure_ascii=False) + "\n"
    made = installed(text, host, server)
    assert without_igla(json.loads(made), host) == without_igla(told, host)
    mine, before = json.loads(made)[host.key]["igla"], (servers or {}).get("igla", {})
    assert {key: mine[key] for key in mine if key in OURS} == host.entry(server)
    assert {key: mine[key] for key in mine if key not in OURS} == {
        key: before[key] for key in before if key not in OURS
    }
    assert installed(made, host, server) == made
    removed = uninstalled(made, host)
    assert "igla" not in json.loads(removed).get(host.key, {})
    assert without_igla(json.loads(removed), host) == without_igla(told, host)
    assert uninstalled(removed, host) == removed


@settings(max_examples=50)
@given(toml_files, st.none() | tables, SERVERS, st.booleans())
def test_toml_keeps_everything_else_and_its_comments_and_twice_is_once(rest, servers, server, comments):
    told = {
        **{key: value for key, value in rest.items() if key != CODEX.key},
        **({CODEX.key: servers} if servers else {}),
    }
    text = tomlkit.dumps(told)
    if comments:
        text = "# first\n" + text + "\n# last\n"
    made = installed(text, CODEX, server)
    assert without_igla(tomllib.loads(made), CODEX) == without_igla(told, CODEX)
    mine = tomllib.loads(made)[CODEX.key]["igla"]
    assert {key: mine[key] for key in mine if key in OURS} == CODEX.entry(server)
    assert installed(made, CODEX, server) == made
    removed = uninstalled(made, CODEX)
    assert "igla" not in tomllib.loads(removed).get(CODEX.key, {})
    assert without_igla(tomllib.loads(removed), CODEX) == without_igla(told, CODEX)
    if comments:
        assert all(line in text.splitlines() for text in (made, removed) for line in ("# first", "# last"))


COMMENTED = """\
model = "gpt-5"  # the one we pay for

[mcp_servers.igla]
url = "http://old/mcp"
tool_timeout_sec = 600  # chunks are long

# our wiki
[mcp_servers.wiki]
command = "wiki"

[profiles.fast]
model = "small"
"""


def test_toml_is_edited_in_place_and_comments_stay_where_they_are():
    made = installed(COMMENTED, CODEX, ELSEWHERE)
    assert made.replace('bearer_token_env_var = "IGLA_TOKEN"\n', "") == COMMENTED.replace(
        "http://old/mcp", ELSEWHERE.url
    )
    removed = uninstalled(made, CODEX)
    assert "igla" not in removed
    assert "\n# our wiki\n[mcp_servers.wiki]\n" in removed


@pytest.mark.parametrize(
    "text", ['mcp_servers = {a = {url = "x"}}\n', 'mcp_servers.igla.url = "x"\n', "[mcp_servers]\n"]
)
def test_other_spellings_of_toml_tables_are_edited_too(text):
    made = installed(text, CODEX, ELSEWHERE)
    assert tomllib.loads(made)["mcp_servers"]["igla"] == CODEX.entry(ELSEWHERE)
    assert tomllib.loads(uninstalled(made, CODEX)).get("mcp_servers", {}) == {
        name: entry for name, entry in tomllib.loads(text)["mcp_servers"].items() if name != "igla"
    }


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("claude", '{"mcpServers": {}, // mine\n "x": 1}'),
        ("claude", '{"mcpServers": {}'),
        ("claude", '{"a": 1, "a": 2}'),
        ("claude", '{"a": 1e999}'),
        ("claude", '{"mcpServers": []}'),
        ("claude", '{"mcpServers": {"igla": "secret"}}'),
        ("claude", '["secret"]'),
        ("claude", "[" * 100_000),
        ("vscode", '{"inputs": {"secret": 1}}'),
        ("codex", "mcp_servers = [secret"),
        ("codex", "mcp_servers = 3"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_not_quoted(host, text):
    with pytest.raises(HostFileUnreadable) as refused:
        installed(text, HOSTS[host], ELSEWHERE)
    assert "secret" not in str(refused.value)


def test_line_ends_and_lone_surrogates_of_a_json_file_survive():
    made = installed('{\r\n    "a": "\\ud800"\r\n}\r\n', HOSTS["cursor"], ELSEWHERE)
    assert made.count("\n") == made.count("\r\n")
    assert '\r\n    "a": "\\ud800"' in made
    made.encode()


def test_a_prompt_of_vscode_joins_those_that_are_there():
    mine = {"id": "mine", "type": "promptString"}
    made = json.loads(installed(json.dumps({"inputs": [mine]}), HOSTS["vscode"], ELSEWHERE))
    assert [one["id"] for one in made["inputs"]] == ["mine", "igla-token"]


def test_a_file_keeps_its_mode_and_what_was_there_is_kept_beside_it(tmp_path):
    file = tmp_path / "hosts" / ".claude.json"
    file.parent.mkdir()
    file.write_text('{"theme": "dark"}')
    file.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(file)
    copy = apply(change(link.resolve(), lambda text: installed(text, HOSTS["claude"], ELSEWHERE)), NOW)
    assert copy.read_text() == '{"theme": "dark"}'
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(copy.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert json.loads(file.read_text())["theme"] == "dark"
    assert sorted(os.listdir(file.parent)) == sorted([file.name, copy.name])


def test_a_new_file_is_readable_by_its_owner_alone(tmp_path):
    file = tmp_path / "new" / "config.toml"
    assert apply(change(file, lambda text: installed(text, CODEX, WITH_SECRET)), NOW) is None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_somebody_wrote_in_between_is_left_alone(tmp_path):
    file = tmp_path / "mcp.json"
    file.write_text("{}")
    made = change(file, lambda text: installed(text, HOSTS["cursor"], ELSEWHERE))
    file.write_text('{"new": 1}')
    with pytest.raises(HostFileChanged):
        apply(made, NOW)
    assert file.read_text() == '{"new": 1}'
    assert os.listdir(tmp_path) == ["mcp.json"]


def test_places_follow_the_variables_of_the_hosts(tmp_path):
    def at(host, environ=None, project=False):
        file = place(HOSTS[host], project=project, environ=environ or {}, home=tmp_path, here=tmp_path / "repo")
        return str(file.relative_to(tmp_path.resolve()))

    assert at("claude") == ".claude.json"
    assert at("claude", {"CLAUDE_CONFIG_DIR": str(tmp_path / "c")}) == "c/.claude.json"
    assert at("codex", {"CODEX_HOME": str(tmp_path / "x")}) == "x/config.toml"
    assert at("cursor", project=True) == "repo/.cursor/mcp.json"
    with pytest.raises(InvalidValue, match="--project"):
        at("vscode")


@pytest.fixture
def igla(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("CODEX_HOME", "CLAUDE_CONFIG_DIR", "IGLA_SERVER", "IGLA_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words, **more: CliRunner().invoke(app, ["mcp", *words], **more)


def test_the_command_installs_shows_and_removes(igla, tmp_path):
    file = tmp_path / ".cursor" / "mcp.json"
    dry = igla("install", "cursor", "--url", "https://igla.example.org/", "--dry-run")
    assert '+      "url": "https://igla.example.org/mcp"' in dry.stdout
    assert not file.exists()
    assert "export IGLA_TOKEN" in igla("install", "cursor", "--url", "https://igla.example.org").stdout
    assert "nothing to do" in igla("install", "cursor", "--url", "https://igla.example.org/mcp").stdout
    assert json.loads(file.read_text())["mcpServers"]["igla"]["headers"] == {
        "Authorization": "Bearer ${env:IGLA_TOKEN}"
    }
    assert igla("uninstall", "cursor").exit_code == 0
    assert json.loads(file.read_text()) == {}


def test_a_token_for_the_file_comes_from_standard_input_and_is_not_shown(igla, tmp_path):
    words = ("install", "codex", "--url", "https://igla.example.org", "--token", "-")
    dry = igla(*words, "--dry-run", input="igla_verysecret\n")
    assert "igla_verysecret" not in dry.output
    assert "igla_verysecret" not in igla(*words, input="igla_verysecret\n").output
    assert "igla_verysecret" in (tmp_path / ".codex" / "config.toml").read_text()


def test_a_server_on_this_machine_gets_no_token_unless_a_variable_is_named(igla, tmp_path):
    igla("install", "claude")
    file = tmp_path / ".claude.json"
    assert json.loads(file.read_text())["mcpServers"]["igla"] == {"type": "http", "url": "http://127.0.0.1:8000/mcp"}
    igla("install", "claude", "--token-env", "MINE")
    assert "${MINE}" in file.read_text()
    igla("install", "claude", "--stdio")
    assert json.loads(file.read_text())["mcpServers"]["igla"]["args"] == ["mcp", "--data", str(tmp_path / "igla-data")]


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("install", "curser"), UnknownName),
        (("install", "claude", "--project", "--token", "igla_x"), InvalidValue),
        (("install", "claude", "--token", "igla_x", "--token-env", "X"), InvalidValue),
        (("install", "claude", "--stdio", "--token-env", "X"), InvalidValue),
        (("install", "claude", "--url", "nowhere"), InvalidValue),
        (("install", "vscode"), InvalidValue),
    ],
)
def test_the_command_refuses_with_a_code(igla, words, refused):
    assert isinstance(igla(*words).exception, refused)


def test_what_show_prints_is_what_install_writes(igla, tmp_path):
    shown = igla("show", "claude", "--url", "https://igla.example.org").stdout
    igla("install", "claude", "--url", "https://igla.example.org")
    assert json.loads(shown) == json.loads((tmp_path / ".claude.json").read_text())


@pytest.mark.parametrize("text", [
    '{"mcpServers":{"other":{"env":{"KEY":"sk-of-another"}}}}',
    '{\n "a": [1, 2],\n "key": "sk-of-another"}',
    '{"mcpServers": {"igla": {"url": "http://x/mcp", "headers": {"Authorization": "Bearer sk-of-another"}}}}',
])  # fmt: skip
def test_what_would_change_is_shown_without_the_secrets_of_the_file(igla, tmp_path, text):
    (tmp_path / ".claude.json").write_text(text)
    shown = igla("install", "claude", "--dry-run").output
    assert '+      "url": "http://127.0.0.1:8000/mcp"' in shown and "sk-of-another" not in shown
