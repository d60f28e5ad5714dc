"""The examples of docs/sessions.md run as they stand there."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.training.conftest import SMALL
from tests.training.sessions import checkpoint_of
from training.build import built
from training.recipe import recipe_from
from training.session import Session

PAGE = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_recipe_file_is_a_recipe(text):
    told, _ = built(tomllib.loads(text), seed=0, total_steps=1, seconds=0)
    assert (told.recipe["width"], told.recipe["muon.lr"]) == (96, 0.01)


def test_the_python_blocks_run_one_after_the_other(tmp_path, monkeypatch):
    (tmp_path / "fresh.safetensors").write_bytes(checkpoint_of(recipe_from(SMALL)))
    monkeypatch.chdir(tmp_path)
    names = {"text": b"one document" + b"another", "document_lengths": (12, 7)}
    for block in blocks("python"):
        exec(block, names)
    assert names["rows"].shape == (9, 256)
    restored = Session.restore(names["model"], names["blob"])
    assert (restored.position, restored.cursor) == (19, names["chunk"].after)
