import pytest
import torch

from training.attention import Cache, attend
from training.compositions.mal import Mal
from training.run import Run


@pytest.fixture
def layer(small):
    def make(**fields):
        torch.manual_seed(0)
        made = Mal(small(composition="mal", window=5, **fields)).double()
        with torch.no_grad():
            made.out.weight.normal_()
        return made

    return make


@pytest.mark.parametrize("inner_residual", [False, True])
def test_attention_reads_what_the_memory_gave_and_nothing_else(layer, inner_residual):
    mal = layer(**{"mal.inner_residual": inner_residual, "mal.persistent": 3})
    x = torch.randn(2, 20, 16, dtype=torch.float64)
    text = torch.cat([mal.persistent.tokens.expand(2, 3, 16), x], 1)
    z, _ = mal.memory(text, None)
    z = z + text if inner_residual else z
    q, k, v = mal.attention.project(z)
    expected, _ = attend(q[:, :, 3:], k[:, :, 3:], v[:, :, 3:], 5, None, Cache(k[:, :, :3], v[:, :, :3]))
    torch.testing.assert_close(mal(x, None)[0], mal.out(expected.transpose(1, 2).reshape(2, 20, 16)))


def test_a_memory_that_gives_nothing_leaves_nothing_to_attend_to(layer):
    mal = layer(**{"mal.persistent": 0})
    with torch.no_grad():
        mal.memory.qkv.weight[32:] = 0
    y, _ = mal(torch.randn(2, 20, 16, dtype=torch.float64), None)
    assert y.abs().max() == 0


def test_every_option_reaches_the_engine(small):
    recipe = small(composition="mal", window=5, heads=4, **{"mal.inner_residual": True, "mal.persistent": 9})
    assert Run(recipe, 0, 1).effective().digest == recipe.digest
