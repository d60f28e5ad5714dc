import pytest
import torch

from training.memory import TAPS, Memory, sum_of_taps
from training.rules import rules


@pytest.fixture(params=rules)
def memory(request):
    torch.manual_seed(0)
    layer = Memory(8, 2, rules[request.param])
    with torch.no_grad():
        layer.taps.normal_()
        layer.gate.weight.normal_()
    return layer.double()


def test_the_short_convolution_is_the_sum_over_its_taps():
    p, taps = torch.randn(2, 9, 3), torch.randn(TAPS, 3)
    r = sum_of_taps(p, taps)
    for t in range(9 - (TAPS - 1)):
        expected = sum(taps[j] * p[:, t + TAPS - 1 - j] for j in range(TAPS))
        torch.testing.assert_close(r[:, t], expected)


def test_parts_with_carried_state_equal_the_whole(memory):
    x = torch.randn(2, 100, 8, dtype=torch.float64)
    whole, end = memory(x, None)
    parts, carried = [], None
    for part in torch.tensor_split(x, [1, 3, 50], dim=1):
        y, carried = memory(part, carried)
        parts.append(y)
    most = 1e-6 if memory.learned else 1e-9  # a network amplifies rounding from token to token
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=most, atol=most)
    for one, other in zip((carried.tail, *carried.state), (end.tail, *end.state), strict=True):
        torch.testing.assert_close(one, other, rtol=most, atol=most)


def test_rows_of_a_batch_do_not_share_a_memory(memory):
    x = torch.randn(2, 20, 8, dtype=torch.float64)
    both, _ = memory(x, None)
    alone, _ = memory(x[1:], None)
    torch.testing.assert_close(both[1:], alone)


def test_gates_start_at_the_biases_that_the_rule_declares():
    layer = Memory(8, 2, rules["delta"])
    gates = layer.gates(torch.randn(1, 5, 8))
    torch.testing.assert_close(gates["beta"], torch.full((1, 2, 5), 0.5))
    torch.testing.assert_close(gates["log_retain"].exp(), torch.full((1, 2, 5), torch.tensor(4.0).sigmoid().item()))
