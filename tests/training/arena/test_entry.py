import hashlib
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import Refusal
from training.arena.entry import LARGEST, BadScript, Entry, check, check_script, entry_id

SCRIPT = b"print(1)\n"


def entry(script=SCRIPT, **changes):
    return Entry(**{"name": "mine", "script": script, "sha256": hashlib.sha256(script).hexdigest(), **changes})


def code(made):
    with pytest.raises(Refusal) as refused:
        check(made)
    return refused.value.code


def test_a_script_in_normal_form_with_its_hash_is_an_entry():
    check(entry())
    check(entry(env={"TTT_INNER_STEPS": "4", "WIDTH": ""}, golden_state="0" * 64))
    check(entry("# π\nprint(1)\n".encode()))


@pytest.mark.parametrize(
    "script",
    [
        b"\xef\xbb\xbfprint(1)\n",
        b"print(1)\r\n",
        b"print(1)\r",
        b"print(1)",
        b"print(1)\n\n",
        b"\n",
        b"",
        b"print(\xff)\n",
        b"print(1)\0\n",
        b"#" * LARGEST + b"\n",
    ],
)
def test_a_script_in_any_other_form_is_refused(script):
    assert code(entry(script)) == "bad_script"


@given(st.binary(max_size=40), st.integers(0, 400))
def test_one_flipped_bit_of_a_script_is_refused(body, at):
    script = b"# " + body.hex().encode() + b"\n"
    at %= 8 * len(script)
    flipped = bytearray(script)
    flipped[at // 8] ^= 1 << at % 8
    with pytest.raises(Refusal):
        check(entry(bytes(flipped), sha256=hashlib.sha256(script).hexdigest()))


@given(st.binary(max_size=100))
def test_any_bytes_are_either_in_normal_form_or_refused(script):
    normal = script.removeprefix(b"\xef\xbb\xbf").decode(errors="ignore").replace("\r", "").replace("\0", "")
    normal = normal.rstrip("\n").encode() + b"\n"
    if script == normal and script != b"\n":
        check_script(script)
    else:
        with pytest.raises(BadScript):
            check_script(script)


@pytest.mark.parametrize("sha256", ["", "0" * 64, hashlib.sha256(SCRIPT).hexdigest().upper(), "0x"])
def test_another_hash_is_refused(sha256):
    assert code(entry(sha256=sha256)) == "wrong_hash"


@pytest.mark.parametrize("state", ["", "golden", "F" * 64])
def test_a_golden_state_is_a_hash(state):
    assert code(entry(golden_state=state)) == "wrong_hash"


@pytest.mark.parametrize("name", ["", ".", "-x", "a b", "a/b", "x" * 65, "é", "a\n"])
def test_a_name_is_plain(name):
    assert code(entry(name=name)) == "bad_name"


@pytest.mark.parametrize(
    "env",
    [
        *({"LD_PRELOAD": "x"}, {"LD_LIBRARY_PATH": "x"}, {"PYTHONPATH": "x"}, {"PATH": "x"}, {"HOME": "x"}),
        *({"TORCH_HOME": "x"}, {"OMP_NUM_THREADS": "99"}, {"IGLA_ADMIN_TOKEN": "x"}, {"TMPDIR": "x"}, {"LC_ALL": "x"}),
        *({"lower": "x"}, {"A-B": "x"}, {"": "x"}, {"1A": "x"}, {"A" * 65: "x"}, {"A\n": "x"}, {"A": "x\ny"}),
        *({"A": "x" * 1025}, {"A": "\0"}, {"A": "\udcff"}, {f"A{number}": "" for number in range(65)}),
    ],
)
def test_variables_that_the_arena_sets_or_that_are_misspelt_are_refused(env):
    assert code(entry(env=env)) == "bad_environment"


def test_the_same_entry_has_the_same_identity_everywhere():
    first = entry(env={"A": "1", "B": "2"})
    assert entry_id(first) == entry_id(entry(env={"B": "2", "A": "1"}))
    assert uuid.UUID(entry_id(first)).version == 5
    others = [
        *(replace(first, name="other"), replace(first, sha256="0" * 64), replace(first, env={"A": "1"})),
        replace(first, env={"A": "1", "B": "3"}),
    ]
    assert len({entry_id(first), *map(entry_id, others)}) == 5


def test_the_identity_of_an_entry_stays_what_it_was():
    assert entry_id(entry()) == "4c9cdd8f-8e93-5a7e-bc7a-625637a8cc87"
