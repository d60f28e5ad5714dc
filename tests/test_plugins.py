import subprocess
import sys

import pytest

from errors import UnknownName
from plugins import Plugins, read_about


@pytest.fixture
def animals(tmp_path, monkeypatch):
    folder = tmp_path / "zoo" / "animals"
    folder.mkdir(parents=True)
    (tmp_path / "zoo" / "__init__.py").write_text("")
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "cat.py").write_text("import nowhere\n\nabout = {'legs': 4}\n")
    (folder / "ant.py").write_text("about = {'legs': 6}\n\nant = 'an ant'\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield Plugins("zoo.animals")
    for name in [name for name in sys.modules if name.split(".")[0] == "zoo"]:
        del sys.modules[name]


def test_headers_are_listed_in_order_without_importing_anything(animals):
    assert animals.abouts == {"ant": {"legs": 6}, "cat": {"legs": 4}}
    assert list(animals) == ["ant", "cat"]


def test_a_new_file_is_a_new_plug_in(animals, tmp_path):
    (tmp_path / "zoo" / "animals" / "__init__.py").write_text("")
    assert animals["ant"] == "an ant"


def test_a_broken_plug_in_stops_the_program_with_its_own_error(animals, tmp_path):
    (tmp_path / "zoo" / "animals" / "__init__.py").write_text("")
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        animals["cat"]


def test_an_unknown_name_names_the_nearest(animals):
    with pytest.raises(UnknownName, match=r"no animal 'cta'.*'cat'"):
        animals["cta"]


@pytest.mark.parametrize("text", ["x = 1\n", "about = 3\n", "about = dict(a=1)\n"])
def test_a_file_without_a_literal_header_is_a_mistake_of_its_author(tmp_path, text):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises((AssertionError, ValueError)):
        read_about(tmp_path / "bad.py")


def test_options_that_all_share_are_read_from_the_package_without_importing_it(animals, tmp_path):
    assert animals.shared == {}
    (tmp_path / "zoo" / "animals" / "__init__.py").write_text("import nowhere\nabout = {'fields': {'age': 1}}\n")
    assert Plugins("zoo.animals").shared == {"age": 1}


def test_listing_and_checking_recipes_does_not_import_torch():
    code = (
        "import sys; from training.recipe import recipe_from, json_schema; recipe_from({}); json_schema(); "
        "import training.pruners, training.plan, training.corpus; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
