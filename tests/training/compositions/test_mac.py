import pytest
import torch
from torch.nn import functional

from training.attention import rotate
from training.compositions.mac import Mac
from training.run import Run

READS = ["token", "segment_start"]


@pytest.fixture(params=[("token", 0), ("segment_start", 0), ("token", 3)], ids=lambda param: f"{param[0]}-{param[1]}")
def layer(request, small):
    """A MAC layer with segments of 7 tokens, every branch shaken."""
    torch.manual_seed(0)
    fields = {"mac.segment": 7, "mac.persistent": 2, "mac.read": request.param[0]}
    fields |= {"mac.summaries": request.param[1]}
    mac = Mac(small(composition="mac", window=5, **fields)).double()
    with torch.no_grad():
        for parameter in mac.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return mac


def states(length=33):
    return torch.randn(2, length, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def by_definition(mac, x):
    """One position after the other: what it may see is listed, and softmax is taken over that."""
    outputs, before, memory, start = [], None, None, 0
    for t in range(x.shape[1]):
        if t % mac.segment == 0:
            before, start = memory, t
        seen = range(max(start, t - mac.attention.window + 1), t + 1)
        q, k, v = mac.attention.project(x)
        asked = (
            [x[:, j : j + 1] for j in seen] if not mac.summaries else [each.expand(2, 1, -1) for each in mac.queries]
        )
        _, hk, hv = mac.attention.project(torch.cat([mac.memory.recall(each, before) for each in asked], 1))
        _, pk, pv = mac.attention.project(mac.persistent.tokens.expand(2, -1, -1))
        turned = rotate(q[:, :, t : t + 1], t - start)
        scores = [
            q[:, :, t : t + 1] @ pk.mT,
            *([q[:, :, t : t + 1] @ hk.mT] if mac.summaries else []),
            *(turned @ rotate(hk[:, :, i : i + 1], j - start).mT for i, j in enumerate(seen) if not mac.summaries),
            *(turned @ rotate(k[:, :, j : j + 1], j - start).mT for j in seen),
        ]
        values = torch.cat([pv, hv, v[:, :, seen.start : seen.stop]], 2)
        y = (torch.cat(scores, -1) / q.shape[-1] ** 0.5).softmax(-1) @ values
        y = y.transpose(1, 2).reshape(2, 1, 16)
        z, memory = mac.memory(y, memory)
        z = mac.memory.recall(y, before) if mac.read == "segment_start" else z
        gate = torch.sigmoid(functional.rms_norm(z, (16,), mac.memory_gain) + mac.gate_bias)
        outputs.append(mac.out(functional.rms_norm(y, (16,), mac.attention_gain) * gate))
    return torch.cat(outputs, 1)


def test_segments_equal_the_definition_position_by_position(layer):
    torch.testing.assert_close(layer(states(), None)[0], by_definition(layer, states()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("cuts", [[1], [6, 7, 8], [3, 10, 11, 30], [7, 14, 21, 28], list(range(1, 33))])
def test_a_text_cut_within_segments_equals_the_whole(layer, cuts):
    whole, _ = layer(states(), None)
    carried, parts = None, []
    for part in torch.tensor_split(states(), cuts, dim=1):
        y, carried = layer(part, carried)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("changed", [1, 6, 7, 20])
def test_neither_read_lets_a_later_token_of_the_segment_through(layer, changed):
    layer = layer.float()
    x = states().float()
    other = x.clone()
    other[:, changed:] += 1
    before, after = layer(x, None)[0], layer(other, None)[0]
    assert torch.equal(before[:, :changed], after[:, :changed])
    assert not torch.equal(before[:, changed], after[:, changed])


def test_the_memory_reaches_back_over_segments_that_attention_cannot_see(layer):
    x = states()
    other = x.clone()
    other[:, 2] += 1
    assert (layer(x, None)[0][:, -1] - layer(other, None)[0][:, -1]).abs().max() > 1e-9


def test_what_is_carried_does_not_grow_with_the_text(layer):
    def size(carried):
        return sum(tensor.numel() for tensor in torch.utils._pytree.tree_leaves(carried) if tensor is not None)

    assert size(layer(states(7 * 3 + 2), None)[1]) == size(layer(states(7 * 9 + 2), None)[1])


@pytest.mark.parametrize("read", READS)
def test_every_option_reaches_the_engine(small, read):
    recipe = small(composition="mac", **{"mac.read": read, "mac.segment": 9, "mac.persistent": 6, "mac.summaries": 5})
    assert Run(recipe, 0, 1).effective().digest == recipe.digest
