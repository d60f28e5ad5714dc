import pytest
import torch

from benchmarks.rates import BLOCKS, HEADS, PROMISED, WIDTH, ours, pairs, saved_mib, size
from benchmarks.transformer import Transformer, transformer_of
from training.rules import rules


@pytest.mark.parametrize("pair", [pair for pair in PROMISED if pair[1] in rules])
def test_the_transformer_has_the_weights_of_the_model_that_it_is_measured_against(pair):
    assert pair in pairs()
    weights = size(ours(*pair))
    assert size(transformer_of(weights, WIDTH, HEADS, BLOCKS)) == pytest.approx(weights, rel=0.02)


def test_the_transformer_sees_the_whole_past_and_nothing_of_the_future():
    torch.manual_seed(0)
    model = Transformer(16, 2, 2, 32)
    ids = torch.randint(256, (2, 200))
    other = ids.clone()
    other[:, 50] = (other[:, 50] + 1) % 256
    one, changed = model(ids), model(other)
    assert torch.equal(one[:, :50], changed[:, :50])
    assert (one[:, 50:] != changed[:, 50:]).any(-1).all()


def test_what_a_pass_holds_is_counted_once():
    x = torch.ones(2**18, requires_grad=True)
    assert saved_mib(lambda: (x * x * x).sum()) == 2
