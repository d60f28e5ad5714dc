"""`igla build` and `igla generate` as people type them."""

import hashlib
import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from errors import ImpossibleCombination, InvalidValue, UnknownName
from server.build_command import ConfigUnreadable
from server.cli import app, main
from server.generate_command import NoCheckpoint, PromptUnreadable
from tests.serving import ROOT, TINY
from training.artifacts import ArtifactFolder
from training.checkpoint import CheckpointCorrupt
from training.recipe import recipe_from
from training.serving import SessionUnsupported


def igla(*words, code=0, stdin=None):
    """Standard output of a command, as bytes."""
    done = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout_bytes


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    (folder / "tiny.json").write_text(json.dumps(TINY))
    igla("build", folder / "tiny.json", "--seconds", 0, "--out", folder / "fresh.safetensors")
    return folder / "fresh.safetensors"


def test_a_recipe_is_told_complete_with_digest_size_and_speed(tmp_path):
    config, out = tmp_path / "tiny.json", tmp_path / "fresh.safetensors"
    config.write_text(json.dumps(TINY))
    found = json.loads(igla("build", config, "--seconds", 0.05, "--budget", "100kB", "--out", out, "--json"))
    recipe = recipe_from(TINY)
    assert (found["recipe"], found["digest"]) == (recipe.as_json(), recipe.digest)
    assert found["total_steps"] == recipe.steps(100_000)
    assert found["bytes_per_second"] > 0
    assert found["checkpoint"] == hashlib.sha256(out.read_bytes()).hexdigest()
    shown = igla("build", config, "--seconds", 0).decode()
    assert recipe.digest in shown
    assert f"{found['weights']:,}" in shown


def test_toml_with_tables_and_json_tell_one_recipe(tmp_path):
    for name, text in (("a.toml", 'optimizer = "muon"\n[muon]\nlr = 0.01\n'), ("a.json", '{"muon.lr": 0.01}')):
        (tmp_path / name).write_text(text)
    digests = {json.loads(igla("build", tmp_path / f"a.{kind}", "--seconds", 0, "--json"))["digest"]
               for kind in ("toml", "json")}  # fmt: skip
    assert digests == {recipe_from({"muon.lr": 0.01}).digest}


@pytest.mark.parametrize(
    ("name", "content", "refusal"),
    [
        ("a.json", b"{", ConfigUnreadable),
        ("a.json", b"[1]", ConfigUnreadable),
        ("a.json", b"\xff\xfe", ConfigUnreadable),
        ("a.json", b"[" * 100_000, ConfigUnreadable),
        ("a.toml", b"width: 3", ConfigUnreadable),
        ("a.json", b'{"widht": 64}', UnknownName),
        ("a.json", b'{"width": "64"}', InvalidValue),
        ("a.json", b'{"width": 65}', ImpossibleCombination),
        (".", None, ConfigUnreadable),
        ("missing.json", None, ConfigUnreadable),
    ],
)
def test_a_wrong_file_or_recipe_is_refused_and_nothing_is_written(tmp_path, name, content, refusal):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(refusal):
        igla("build", tmp_path / name, "--out", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_budget_of_a_run_is_text(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(InvalidValue):
        igla("build", tmp_path / "a.json", "--budget", "3m")


def test_the_bytes_written_are_those_drawn_and_equal_seeds_draw_equal_ones(checkpoint):
    first = igla("generate", checkpoint, "--prompt", "def ", "--bytes", 40, "--seed", 7)
    assert len(first) == 40
    told = json.loads(igla("generate", checkpoint, "--prompt", "def ", "-n", 40, "--seed", 7, "--json"))
    assert bytes.fromhex(told["hex"]) == first
    assert (told["prompt_bytes"], told["decode"]["count"], told["prefill"]["count"]) == (4, 40, 1)
    assert told["decode"]["p99_ms"] <= told["decode"]["worst_ms"]
    assert igla("generate", checkpoint, "--prompt", "def ", "-n", 40, "--seed", 8) != first


def test_a_checkpoint_is_named_by_digest_too_and_the_prompt_may_be_a_file(checkpoint, tmp_path):
    digest = ArtifactFolder(tmp_path / "artifacts").put(checkpoint.read_bytes())
    prompt = tmp_path / "prompt"
    prompt.write_bytes(b"def \xff")
    options = ("-n", 20, "--temperature", 0.5, "--top-k", 9)
    by_file = igla("generate", checkpoint, "--prompt-file", prompt, *options)
    assert igla("generate", digest, "--data", tmp_path, "--prompt-file", prompt, *options) == by_file
    assert igla("generate", checkpoint, "--prompt-file", "-", *options, stdin=b"def \xff") == by_file


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("nowhere.safetensors",), NoCheckpoint),
        (("0" * 64,), NoCheckpoint),
        ((ROOT / "README.md",), CheckpointCorrupt),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path, words, refusal):
    with pytest.raises(refusal):
        igla("generate", *words, "--data", tmp_path)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        (("--temperature", -1), InvalidValue),
        (("--top-k", 0), InvalidValue),
        (("--prompt", "a", "--prompt-file", "b"), PromptUnreadable),
        (("--prompt-file", "nowhere"), PromptUnreadable),
    ],
)
def test_options_outside_their_ranges_are_refused(checkpoint, options, refusal):
    with pytest.raises(refusal):
        igla("generate", checkpoint, *options)


def test_a_recipe_with_test_time_training_is_served_only_still(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({**TINY, "ttt": "sgd"}))
    igla("build", tmp_path / "a.json", "--seconds", 0, "--out", tmp_path / "a.safetensors")
    with pytest.raises(SessionUnsupported):
        igla("generate", tmp_path / "a.safetensors")
    assert len(igla("generate", tmp_path / "a.safetensors", "--still", "-n", 3)) == 3


def test_a_reader_that_stops_reading_ends_the_command_without_noise(checkpoint):
    command = [sys.executable, "-m", "server.cli", "generate", str(checkpoint), "--bytes", "1000000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert len(process.stdout.read(10)) == 10
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_a_refusal_is_one_line_with_its_code_and_the_next_step(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["igla", "build", str(tmp_path / "missing.toml")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("config_unreadable: missing.toml cannot be read")
    assert len(said.splitlines()) == 1


def test_help_shows_examples():
    for command in ("build", "generate"):
        assert b"Examples" in igla(command, "--help")
