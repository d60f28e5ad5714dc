"""What public implementations answer, by digest; `record_oracles.py` asked them."""

import json

import pytest

from kernels.quantize import quantize
from tests.kernels.numbers import DIGESTS, POSITS, blocks, digest, spread

STORED = json.loads(DIGESTS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", POSITS)
def test_posits_are_those_of_softposit(name):
    assert digest(quantize(spread(POSITS[name], 7), name)) == STORED[name]


def test_blocks_are_those_of_torchao_in_every_format_and_way_to_choose_a_scale():
    found = {name: digest(quantize(blocks(), name)) for name in STORED if name.startswith("mx")}
    assert found == {name: stored for name, stored in STORED.items() if name.startswith("mx")}
    assert len(found) == 20


def test_blocks_of_two_levels_are_those_of_torchao():
    assert digest(quantize(blocks(6)[:1024], "nvfp4")) == STORED["nvfp4"]


def test_normal_quantiles_are_those_of_bitsandbytes():
    assert digest(quantize(blocks().reshape(-1, 64), "nf4")) == STORED["nf4"]
