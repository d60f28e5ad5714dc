"""The files that platforms read: each held to its published schema, or to what igla itself takes."""

import asyncio
import json
import os
import pwd
import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import httpx
import jsonschema_rs
import psutil
import pytest
import yaml
from typer.testing import CliRunner

from db.store import connect
from server.cli import app
from server.serve import web_config
from server.settings import Settings, platform_hosts
from tests.serving import ROOT

CONTRACTS = ROOT / "tests" / "contracts" / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
ADMIN = "planted-admin-token"


def environment_of_image():
    """What ENV sets."""
    (found,) = re.findall(r"^ENV (.*)$", DOCKERFILE, re.M)
    return dict(word.split("=", 1) for word in shlex.split(found))


def commands():
    """Every command line that a platform would run, by where it stands."""
    procfile = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    (image,) = re.findall(r"^CMD exec (.*)$", DOCKERFILE, re.M)
    render = yaml.safe_load((ROOT / "render.yaml").read_text())["services"][0]["startCommand"]
    return {**{f"Procfile {name}": line for name, line in procfile.items()}, "Dockerfile": image, "render": render}


@pytest.mark.parametrize("place", commands())
def test_igla_takes_the_command_line(place):
    program, command, *options = shlex.split(commands()[place])
    assert program == "igla"
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert all(option in shown.output for option in options if option.startswith("--"))


def test_the_procfile_has_every_kind_of_process():
    kinds = {place.removeprefix("Procfile ") for place in commands() if place.startswith("Procfile")}
    assert kinds == {"web", "worker", "scorer", "arena", "clock"}
    assert "--engines 0" in commands()["Procfile web"]


def known_variables(names):
    """Refuse a variable that igla would never read."""
    fields = {f"IGLA_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in names if name.startswith("IGLA_")} <= fields


def test_heroku_takes_app_json():
    file = json.loads((ROOT / "app.json").read_text())
    schema = json.loads((CONTRACTS / "heroku-app-json.schema.json").read_text())
    jsonschema_rs.validator_for(schema).validate({**file, "stack": "heroku-24"})  # it does not know stack `container`
    known_variables(file["env"])
    assert file["env"]["IGLA_ADMIN_TOKEN"]["generator"] == "secret"
    built = yaml.safe_load((ROOT / "heroku.yml").read_text())
    assert file["stack"] == "container"
    assert (ROOT / built["build"]["docker"]["web"]).is_file()


def test_fly_takes_fly_toml():
    file = tomllib.loads((ROOT / "fly.toml").read_text())
    schema = json.loads((CONTRACTS / "fly.schema.json").read_text())
    jsonschema_rs.validator_for(schema).validate(file)
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validator_for(schema).validate({**file, "kill_signal": "SIGNONE"})
    known_variables(file["env"])
    assert int(file["env"]["PORT"]) == file["http_service"]["internal_port"]
    assert file["http_service"]["checks"][0]["path"] == "/healthz"
    assert file["http_service"]["auto_stop_machines"] == "off"
    assert file["mounts"]["destination"] == environment_of_image()["IGLA_DATA"]


def test_render_yaml_is_whole():
    file = yaml.safe_load((ROOT / "render.yaml").read_text())
    (service,) = file["services"]
    assert (service["type"], service["healthCheckPath"]) == ("web", "/healthz")
    given = {one["key"]: one for one in service["envVars"]}
    known_variables(given)
    assert given["IGLA_ADMIN_TOKEN"] == {"key": "IGLA_ADMIN_TOKEN", "generateValue": True}
    assert given["DATABASE_URL"]["fromDatabase"]["name"] in {one["name"] for one in file["databases"]}
    assert given["IGLA_DATA"]["value"] == service["disk"]["mountPath"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert re.findall(r"\.\[(\w+)\]", service["buildCommand"]) == ["engine"]
    assert "engine" in extras


def test_the_railway_project_is_a_plain_dict_with_a_database_a_volume_and_a_secret_that_is_kept(monkeypatch):
    monkeypatch.delenv("IGLA_FIRST_APPLY", raising=False)
    main = runpy.run_path(str(ROOT / ".railway" / "railway.py"))["main"]
    project = json.loads(json.dumps(main()))
    database, service = project["resources"]
    assert (database["type"], database["engine"]) == ("database", "postgres")
    variables = service["variables"]
    known_variables(variables)
    assert variables["DATABASE_URL"] == {
        "type": "reference", "resource": f"database.{database['name']}", "output": "DATABASE_URL"
    }  # fmt: skip
    assert variables["IGLA_ADMIN_TOKEN"] == {"type": "preserve"}
    assert service["volumeAttachments"]["data"]["mountPath"] == environment_of_image()["IGLA_DATA"]
    assert (service["deploy"]["healthcheckPath"], service["deploy"]["drainingSeconds"]) == ("/healthz", 60)
    assert "startCommand" not in service["deploy"], "it would go round the entrypoint, which gives the volume to igla"
    monkeypatch.setenv("IGLA_FIRST_APPLY", "1")
    assert main()["resources"][1]["variables"]["IGLA_ADMIN_TOKEN"]["value"] == {"generator": "secret(32)"}


def test_the_image_installs_what_pyproject_names_and_nothing_else():
    (line,) = re.findall(r"^RUN (python -c .*?) +> /tmp/requirements.txt", DOCKERFILE, re.M)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extras in ("", "engine,s3"):
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=ROOT,
            env={**os.environ, "EXTRAS": extras},
            capture_output=True,
            text=True,
            check=True,
        )
        wanted = [one for extra in extras.split(",") if extra for one in project["optional-dependencies"][extra]]
        assert done.stdout.splitlines() == [*project["dependencies"], *wanted]
    version = (ROOT / ".python-version").read_text().strip()
    assert f"FROM python:{version}-slim" in DOCKERFILE


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A folder with just the files that the image gets, of those that git has."""
    folder = tmp_path_factory.mktemp("image")
    known = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    files = known.stdout.split() or [str(one.relative_to(ROOT)) for one in ROOT.rglob("*") if one.is_file()]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    for words in re.findall(r"^COPY (.*)$", DOCKERFILE, re.M):
        *sources, target = words.split()
        for source in sources:
            assert source in kept, f".dockerignore keeps {source} out"
            for file in files:
                if file == source or file.startswith(f"{source}/"):
                    place = folder / target / file.removeprefix(f"{source}/") if file != source else folder / file
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / file, place)
    return folder


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def wait_for(url, process, deadline):
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return httpx.get(f"{url}/healthz", headers={"Host": "healthcheck.railway.app"})
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"no answer; the process ended with {process.poll()}")


def test_the_image_comes_up_on_port_behind_a_foreign_host_and_writes_only_its_data(image, tmp_path):
    (start,) = re.findall(r"^CMD (.*)$", DOCKERFILE, re.M)
    port, host = free_port(), "igla-test.up.railway.app"
    environment = {
        **environment_of_image(),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(image),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PORT": str(port),
        "IGLA_DATA": str(tmp_path / "data"),
        "IGLA_ADMIN_TOKEN": ADMIN,
        "IGLA_ENGINES": "0",
        "RAILWAY_PUBLIC_DOMAIN": host,
    }
    before = sorted(image.rglob("*"))
    process = subprocess.Popen(["/bin/sh", "-c", start], cwd=image, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{port}"
        health = wait_for(url, process, time.monotonic() + 60)
        used = psutil.Process(process.pid).cpu_times()
        assert (health.status_code, health.json()) == (200, {"status": "ok"})
        assert used.user + used.system < 10
        forwarded = {"Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
        assert httpx.get(f"{url}/readyz", headers=forwarded).status_code == 200
        admin = {**forwarded, "Authorization": f"Bearer {ADMIN}"}
        assert httpx.post(f"{url}/api/glossary", headers=admin, json={}).status_code == 200
        assert httpx.post(f"{url}/api/glossary", headers=forwarded, json={}).json()["code"] == "unauthorized"
        other = httpx.post(f"{url}/api/glossary", headers={**admin, "Host": "other.example"}, json={})
        assert other.json()["code"] == "wrong_origin"
    finally:
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert ADMIN not in said
    assert sorted(image.rglob("*")) == before
    assert (tmp_path / "data" / "igla.db").exists()


def test_the_entrypoint_never_goes_on_as_root(tmp_path):
    environment = {**os.environ, "IGLA_DATA": str(tmp_path / "data"), "IGLA_USER": "nobody"}
    tmp_path.chmod(0o755)
    script = ["sh", str(ROOT / "entrypoint.sh"), "/bin/sh", "-c", "id -u; echo $HOME"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=True)
    user, home = done.stdout.split()
    assert user != "0"
    if os.getuid() == 0:
        assert home == pwd.getpwnam("nobody").pw_dir
        assert (tmp_path / "data").owner() == "nobody"
    assert re.search(r"^USER igla$", DOCKERFILE, re.M)


def test_every_platform_s_name_for_the_server_is_answered(monkeypatch):
    given = {
        "RAILWAY_PUBLIC_DOMAIN": "a.up.railway.app",
        "RAILWAY_PRIVATE_DOMAIN": "igla.railway.internal",
        "RENDER_EXTERNAL_HOSTNAME": "a.onrender.com",
        "FLY_APP_NAME": "a",
        "HEROKU_APP_DEFAULT_DOMAIN_NAME": "a-1.herokuapp.com",
    }
    wanted = [*list(given.values())[:3], "a.fly.dev", "a-1.herokuapp.com"]
    assert platform_hosts(given) == wanted
    assert platform_hosts({"FLY_APP_NAME": ""}) == []
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert set(wanted) <= set(Settings().hosts)


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [
        ("*", ("https", "198.51.100.1")),
        ("127.0.0.1", ("http", "10.0.0.1")),
        (environment_of_image()["IGLA_TRUSTED_PROXIES"], ("https", "203.0.113.9")),
    ],
)
def test_forwarded_headers_count_from_named_proxies_only(trusted, seen):
    found = []

    async def spy(scope, receive, send):
        found.append((scope["scheme"], scope["client"][0]))

    config = web_config(spy, Settings(trusted_proxies=trusted))
    config.load()
    headers = [(b"x-forwarded-proto", b"https"), (b"x-forwarded-for", b"198.51.100.1, 203.0.113.9")]
    scope = {"type": "http", "scheme": "http", "client": ("10.0.0.1", 1), "headers": headers}
    asyncio.run(config.loaded_app(scope, None, None))
    assert found == [seen]


def test_a_database_as_platforms_name_it_is_opened_with_the_driver_that_is_installed():
    engine = connect("postgres://user:pass@host/db")
    assert (engine.dialect.name, engine.dialect.driver) == ("postgresql", "psycopg")
    engine.dispose()
