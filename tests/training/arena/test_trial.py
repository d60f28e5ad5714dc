import sys
from dataclasses import replace

import pytest

from errors import InvalidValue
from tests.training.arena import driving, scripts
from training.arena.outcome import provenance_of
from training.arena.sandbox import ArenaUnavailable, why_not

HEARD = b'\n\ndef learn(counts, told):\n    print("heard", told.decode("latin-1"), file=sys.stderr)\n\n\n'


@pytest.fixture
def ready():
    if reason := why_not():
        pytest.skip(f"no sandbox here: {reason}")


def run(entry, texts, **changes):
    given = {
        "seed": 3,
        "train_text": texts.train,
        "heldout": texts.heldout,
        "private": True,
        "limits": driving.QUICK,
        "python": sys.executable,
        **changes,
    }
    return driving.trial(entry, **given)


def gossip(texts):
    """An entry that prints whatever it hears."""
    entry = scripts.entry("honest", "plain", texts)
    script = entry.script.replace(b'KIND = "plain"', HEARD.strip())
    return replace(entry, script=script, sha256=driving.digest(script))


def test_a_number_is_measured_only_where_the_text_is_private_and_every_byte_was_told_after_the_rows():
    assert provenance_of("predict", True) == "measured"
    for mode, private in (("predict", False), ("block", True), ("block", False), ("log", True), ("log", False)):
        assert provenance_of(mode, private) == "claimed"


@pytest.mark.usefixtures("ready")
def test_what_an_entry_prints_about_a_private_text_stays_here():
    texts = scripts.drawn()
    outcome = run(gossip(texts), texts)
    assert outcome.failed is None
    assert outcome.provenance == "measured"
    assert "heard" not in outcome.log_tail


@pytest.mark.usefixtures("ready")
def test_what_an_entry_prints_about_a_public_text_is_shown():
    texts = scripts.drawn()
    outcome = run(gossip(texts), texts, private=False)
    assert outcome.provenance == "claimed"
    assert "heard" in outcome.log_tail


@pytest.mark.usefixtures("ready")
def test_two_trials_of_an_entry_give_the_same_number_to_the_last_bit():
    texts = scripts.drawn()
    entry = scripts.entry("honest", "adaptive", texts)
    first, second = run(entry, texts), run(entry, texts)
    assert first.failed is second.failed is None
    assert (first.nll_sum, first.bpb, first.entry_id) == (second.nll_sum, second.bpb, second.entry_id)


@pytest.mark.usefixtures("ready")
def test_what_it_costs_is_counted():
    texts = scripts.drawn()
    entry = scripts.entry("honest", "golden", texts)
    outcome = run(entry, texts)
    assert outcome.code_bytes == len(entry.script)
    assert outcome.artifact_bytes > 70
    assert 0 < outcome.train_seconds < 20
    assert 0 < outcome.predict_seconds < 20
    assert outcome.golden_state == entry.golden_state


@pytest.mark.usefixtures("ready")
def test_what_an_entry_prints_cannot_drive_a_terminal():
    texts = scripts.drawn()
    entry = scripts.entry("honest", "plain", texts)
    script = entry.script.replace(b'KIND = "plain"', b'print("\\x1b[2J\\u202e", flush=True)')
    outcome = run(replace(entry, script=script, sha256=driving.digest(script)), texts, private=False)
    assert outcome.failed == "bad_hello"
    assert r"\x1b[2J\u202e" in outcome.log_tail


@pytest.mark.usefixtures("ready")
def test_a_text_without_a_byte_cannot_be_predicted():
    texts = scripts.drawn()
    with pytest.raises(InvalidValue):
        run(scripts.entry("honest", "plain", texts), replace(texts, heldout=(b"", b"")))


def test_a_system_that_cannot_do_it_refuses(tmp_path):
    texts = scripts.drawn()
    with pytest.raises(ArenaUnavailable) as refused:
        run(scripts.entry("honest", "plain", texts), texts, python=str(tmp_path / "none"))
    assert refused.value.code == "arena_unavailable"
