import pytest
import torch

from training.conductor import continuum
from training.levels import Levels, earlier_means


@pytest.fixture
def levels(small):
    def make(depth=3, **fields):
        recipe = small(**{"cms": "basic", "cms.levels": depth, "cms.gate_chunk": 4, **fields})
        torch.manual_seed(0)
        made = Levels(16, 48, continuum(recipe), depth)
        with torch.no_grad():
            for level in made.slower:
                level.down.weight.normal_().mul_(0.1)
        return made

    return make


def states(length=18):
    return torch.randn(2, length, 16, generator=torch.Generator().manual_seed(2))


def fast(x):
    return x.sin()


def test_a_chain_runs_each_level_on_what_the_faster_one_gave(levels):
    made, x = levels(), states()
    y = x + fast(x)
    y = y + made.slower[0](y)
    y = y + made.slower[1](y)
    assert torch.equal(made(x, fast, None)[0], y)


def test_side_by_side_levels_read_the_same_and_count_the_same_at_the_start(levels):
    made, x = levels(**{"cms.aggregation": "parallel"}), states()
    expected = x + (fast(x) + made.slower[0](x) + made.slower[1](x)) / 3
    torch.testing.assert_close(made(x, fast, None)[0], expected)


@pytest.mark.parametrize("chunk", [1, 4, 18, 50])
def test_the_mean_is_that_of_the_whole_chunk_before(chunk):
    x = states()
    means, _ = earlier_means(x, chunk, None)
    for t in range(18):
        begin = t // chunk * chunk
        expected = x[:, begin - chunk : begin].mean(1) if begin else torch.zeros(2, 16)
        torch.testing.assert_close(means[:, t], expected)


def test_gates_that_are_forced_open_give_the_ungated_levels_bit_for_bit(levels):
    plain, gated = levels(), levels(**{"cms.gates": "learned"})
    gated.load_state_dict(plain.state_dict(), strict=False)
    assert torch.equal(gated(states(), fast, None)[0], plain(states(), fast, None)[0])


def test_closed_gates_leave_the_fast_level_alone_and_slower_ones_start_closed(levels):
    gated = levels(**{"cms.gates": "learned"})
    gated.always = False
    assert gated.gate_bias.tolist() == [-1.0, -2.0]
    assert torch.equal(gated(states(), fast, None)[0], states() + fast(states()))


def test_the_gradient_of_a_gate_is_that_of_its_soft_form(levels):
    gated = levels(depth=2, **{"cms.gates": "learned", "cms.aggregation": "parallel"}).double()
    gated.always = False
    x, y_weight = states().double(), torch.randn(2, 18, 16, dtype=torch.float64)
    (gated(x, fast, None)[0] * y_weight).sum().backward()
    share = gated.shares.softmax(0)[1].item()
    gain = (y_weight * gated.slower[0](x)).sum(-1) * share
    reach = 1e-6
    mean, _ = earlier_means(torch.nn.functional.rms_norm(x, (16,)), 4, None)
    for d in (0, 7):
        soft = [(torch.sigmoid(mean[..., d] * sign * reach + gated.gate_bias) * gain).sum().item() for sign in (1, -1)]
        assert gated.gate.grad[0, d].item() == pytest.approx((soft[0] - soft[1]) / (2 * reach), rel=1e-4)


def test_each_row_of_a_batch_opens_by_itself(levels):
    gated = levels(depth=2, **{"cms.gates": "learned"})
    gated.always = False
    with torch.no_grad():
        gated.gate.normal_().mul_(5)
    both, _ = gated(states(), fast, None)
    alone, _ = gated(states()[1:], fast, None)
    torch.testing.assert_close(both[1:], alone)
    opened = gated.gates(states(), None)[0]
    assert set(opened[:, 4:].unique().tolist()) == {0.0, 1.0}
