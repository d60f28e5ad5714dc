"""The example of CONTRIBUTING.md is a whole plug-in: put in its place, it is listed, offered and tested."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("server", "tools", "bots", "db", "training", "kernels", "tests")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the tree with the example's file in it."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in PARTS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("plugins.py", "errors.py", "pyproject.toml", "GLOSSARY.md"):
        shutil.copy(ROOT / file, copy)
    found = re.search(
        r"For example, `(\S+)`, whole:\n\n```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S
    )
    assert found
    (copy / found[1]).write_text(found[2])
    return copy


def run(checkout, *command):
    environment = {**os.environ, "PYTHONPATH": str(checkout), "COLUMNS": "200", "IGLA_DATA": str(checkout / "data")}
    return subprocess.run(
        [sys.executable, *command], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )


def test_the_new_optimizer_is_listed_in_the_manual_with_its_options(checkout):
    shown = run(checkout, "-m", "server.cli", "race", "--help").stdout
    assert re.search(r"sign: sign of the momentum \(sign\.lr=0\.002, sign\.momentum=0\.9, sign\.table_lr=0\.1\)", shown)


def test_the_new_optimizer_is_in_the_schema_and_in_a_digest(checkout):
    code = (
        "import json; from training.recipe import json_schema, recipe_from; "
        "print(json.dumps([json_schema()['properties']['optimizer']['enum'], "
        "recipe_from({'optimizer': 'sign'}).as_json()]))"
    )
    names, recipe = json.loads(run(checkout, "-c", code).stdout)
    assert "sign" in names
    assert recipe["sign.momentum"] == 0.9


@pytest.mark.slow
def test_the_new_optimizer_passes_the_tests_that_run_over_the_folder(checkout):
    done = run(
        checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/training/test_optimizers.py", "-k", "sign"
    )
    assert re.search(r"^1\d passed", done.stdout, re.M), done.stdout
    assert done.returncode == 0, done.stdout
