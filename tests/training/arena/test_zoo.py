"""Every cheat is caught by the check that its header names; every honest entry comes through."""

import math
import os

import pytest

from tests.training.arena import scripts

SEED = 1597

BY_THE_SANDBOX = {"entry_failed", "forbidden_call", "artifact_links", "process_limit"}
"""Checks that rest on the sandbox, which differs for a plain user; its limits are attacked in test_sandbox."""

ANYWHERE = ("plain", "adaptive", "many_files", "subprocess_using", "threads", "blocks")


def pairs():
    cheats = scripts.names("zoo")
    yield from (("ours", cheat) for cheat in cheats)
    yield from (("plain", cheat) for cheat in cheats if scripts.about("zoo", cheat)["caught by"] in BY_THE_SANDBOX)


@pytest.fixture(scope="module")
def texts():
    return scripts.drawn()


def run(arena, folder, name, texts, *, private=True, planted=""):
    header = scripts.about(folder, name)
    return arena.trial(
        scripts.entry(folder, name, texts, planted),
        seed=SEED,
        train_text=texts.train,
        heldout=texts.heldout,
        private=private and "public" not in header,
        limits=scripts.limits(folder, name),
    )


@pytest.mark.parametrize(("arena", "cheat"), list(pairs()), indirect=["arena"])
def test_a_cheat_is_caught_by_its_check(arena, texts, cheat):
    header = scripts.about("zoo", cheat)
    planted = scripts.plant(b"".join(texts.heldout)) if "plants" in header else ""
    outcome = run(arena, "zoo", cheat, texts, planted=planted)
    if planted:
        os.unlink(planted)
    assert outcome.failed == header["caught by"], outcome
    assert outcome.provenance is outcome.bpb is outcome.nll_sum is outcome.byte_count is None
    assert [check.name for check in outcome.checks if not check.passed] == [outcome.failed]
    if "says" in header:
        assert any(words in outcome.log_tail for words in header["says"].split("|")), outcome.log_tail


@pytest.mark.parametrize(
    ("arena", "name"),
    [*(("ours", name) for name in scripts.names("honest")), *(("plain", name) for name in ANYWHERE)],
    indirect=["arena"],
)
def test_an_honest_entry_comes_through(arena, texts, name):
    header = scripts.about("honest", name)
    outcome = run(arena, "honest", name, texts)
    assert outcome.failed is None, outcome
    assert all(check.passed for check in outcome.checks)
    assert outcome.mode == header.get("mode", "predict")
    assert outcome.provenance == ("claimed" if outcome.mode == "block" else "measured")
    assert outcome.byte_count == sum(map(len, texts.heldout))
    assert outcome.bpb == outcome.nll_sum / (math.log(2) * outcome.byte_count)
    assert 0.5 < outcome.bpb < 20


def test_the_zoo_is_large():
    assert len(scripts.names("zoo")) >= 25
    assert len(scripts.names("honest")) >= 10
