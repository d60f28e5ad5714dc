import json
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from errors import UnknownName
from training.artifact_kinds import HEAD, KINDS, WrongKind, check_kind, kind_of
from training.checkpoint import Meta, pack


def test_a_checkpoint_is_told_by_its_first_bytes():
    meta = Meta(recipe={}, seed=1, step=2, total_steps=3, environment={})
    check_kind("checkpoint", pack(meta, {"w": torch.zeros(3)})[:HEAD])


@given(st.binary(max_size=200))
def test_other_bytes_are_no_checkpoint(head):
    with pytest.raises(WrongKind):
        check_kind("checkpoint", head)


def test_the_header_of_another_program_is_no_checkpoint():
    for header in ({}, {"__metadata__": {"format": "pt"}}, [], {"__metadata__": None}):
        text = json.dumps(header).encode()
        with pytest.raises(WrongKind):
            check_kind("checkpoint", struct.pack("<Q", len(text)) + text)


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_is_an_entry_or_a_report(text):
    for kind in ("entry", "report"):
        check_kind(kind, text.encode())


@pytest.mark.parametrize("head", [b"\xff\xfe", b"a\0b", b"a" * 5 + b"\xe4"])
def test_what_is_no_text_is_neither(head):
    with pytest.raises(WrongKind):
        check_kind("entry", head)


def test_a_character_may_be_cut_at_the_end_of_a_long_head():
    check_kind("report", (b"a" + "ä".encode() * HEAD)[:HEAD])


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="checkpoint"):
        kind_of("chekpoint")
    assert kind_of("file") is KINDS["file"]
