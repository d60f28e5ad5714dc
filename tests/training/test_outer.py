"""The outer gradient against its definition: every inner step unrolled, autograd through all of them, in float64."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from training.adapting import adaptation
from training.model import ByteModel
from training.outer import Chunk, Inner, chunk_loss, outer_gradients, through_clip
from training.run import Run
from training.windows import as_tensor


def model_of(small, dtype=torch.float64, **fields):
    torch.manual_seed(0)
    model = ByteModel(small(blocks=2, window=8, softcap=5.0, **fields))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.to(dtype)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def chunks_of(lengths, seed=0):
    random = torch.Generator().manual_seed(seed)
    made = []
    for length, count in lengths:
        ids = torch.randint(256, (1, length + 1), generator=random)
        made.append(Chunk(ids[:, :-1], ids[:, 1:], count))
    return made


CHUNKS = [(24, 24), (24, 16), (24, 16), (24, 11)]


def unrolled(model, fast, chunks, inner, first_order=False):
    """Mean loss and its gradient by every parameter, through all inner steps as they are written."""
    total, loss = sum(chunk.count for chunk in chunks), 0.0
    names = dict(model.named_parameters())
    weights = {name: names[name] for name in fast}
    for chunk in chunks:
        for step in range(inner.steps):
            value = chunk_loss(model, weights, chunk)
            loss = loss + value * (chunk.count / total if step == 0 else 0.0)
            gradients = torch.autograd.grad(
                value, list(weights.values()), retain_graph=True, create_graph=not first_order
            )
            length = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
            scale = (inner.clip / length).clamp(max=1.0)
            moved = zip(weights.items(), gradients, strict=True)
            weights = {name: w - inner.lr * (g.detach() * scale.detach() if first_order else g * scale)
                       for (name, w), g in moved}  # fmt: skip
    found = torch.autograd.grad(loss, list(names.values()))
    return loss.item(), {name: g.to_dense() for name, g in zip(names, found, strict=True)}


def far(one, other):
    """Distance of two gradients over all parameters, relative to the second's length."""
    apart = sum((one[name].to_dense() - other[name]).double().square().sum() for name in other)
    return float((apart / sum(g.double().square().sum() for g in other.values())).sqrt())


@pytest.mark.parametrize("clip", [1e6, 0.05], ids=["free", "clipped"])
@pytest.mark.parametrize("steps", [1, 2])
def test_the_adjoint_is_the_gradient_through_every_inner_step(small, clip, steps):
    model, inner = model_of(small), Inner(steps=steps, lr=0.4, clip=clip)
    fast, chunks = adaptation(small(ttt="e2e", blocks=2), model).start().fast, chunks_of(CHUNKS)
    with sdpa_kernel(SDPBackend.MATH):
        expected_loss, expected = unrolled(model, fast, chunks, inner)
        loss, found = outer_gradients(model, fast, chunks, inner, "adjoint")
        plain = outer_gradients(model, fast, chunks, inner, "first_order")[1]
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    assert far(found, expected) < 1e-9
    assert far(plain, expected) > 1e-3


@pytest.mark.parametrize("clip", [1e6, 0.05], ids=["free", "clipped"])
def test_first_order_is_the_gradient_with_the_inner_gradients_taken_as_constants(small, clip):
    model, inner = model_of(small), Inner(steps=1, lr=0.4, clip=clip)
    fast, chunks = adaptation(small(ttt="e2e", blocks=2), model).start().fast, chunks_of(CHUNKS)
    expected = unrolled(model, fast, chunks, inner, first_order=True)[1]
    assert far(outer_gradients(model, fast, chunks, inner, "first_order")[1], expected) < 1e-12


@pytest.mark.parametrize("aggregation", ["chain", "parallel"])
def test_with_levels_the_adjoint_is_still_the_gradient_through_every_inner_step(small, aggregation):
    fields = {"cms": "basic", "cms.levels": 3, "cms.aggregation": aggregation}
    model, inner = model_of(small, **fields), Inner(steps=1, lr=0.4, clip=0.05)
    fast, chunks = adaptation(small(ttt="e2e", blocks=2, **fields), model).start().fast, chunks_of(CHUNKS)
    assert sum("slower" in name for name in fast) == 4
    with sdpa_kernel(SDPBackend.MATH):
        expected = unrolled(model, fast, chunks, inner)[1]
        found = outer_gradients(model, fast, chunks, inner, "adjoint")[1]
    assert far(found, expected) < 1e-9


def test_in_float32_the_adjoint_is_near_the_true_gradient(small):
    inner = Inner(steps=1, lr=0.4, clip=1.0)
    found, expected = {}, {}
    for into, dtype in ((found, torch.float32), (expected, torch.float64)):
        model = model_of(small, dtype)
        fast = adaptation(small(ttt="e2e", blocks=2), model).start().fast
        into |= outer_gradients(model, fast, chunks_of(CHUNKS), inner, "adjoint")[1]
    assert far(found, {name: g.to_dense() for name, g in expected.items()}) < 5e-3


def test_the_derivative_of_the_clip_is_that_of_autograd():
    g = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    a = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for limit in (0.5, 100.0):
        (expected,) = torch.autograd.grad(g * (limit / g.norm()).clamp(max=1.0), g, grad_outputs=a)
        torch.testing.assert_close(through_clip({"w": a}, {"w": g.detach()}, limit)["w"], expected, rtol=1e-12, atol=0)


def test_only_the_last_quarter_of_the_blocks_adapts(small):
    for blocks, expected in ((1, {0}), (3, {2}), (4, {3}), (8, {6, 7})):
        model = ByteModel(small(blocks=blocks))
        fast = adaptation(small(ttt="e2e", blocks=blocks), model).start().fast
        assert {int(name.split(".")[1]) for name in fast} == expected
        assert {name.split(".", 2)[2] for name in fast} == {"up.weight", "down.weight"}


@pytest.mark.parametrize("kind", ["adjoint", "first_order"])
def test_the_last_part_of_the_budget_trains_through_the_inner_steps(small, texts, kind):
    text = as_tensor(texts.split("train"))

    def train(**fields):
        recipe = small(ttt="e2e", context=50, batch=6, **{"e2e.outer_fraction": 0.5, "ttt.stride": 16, **fields})
        run = Run(recipe, 0, 4)
        return [run.train(text) for _ in range(4)], run

    losses, run = train(**{"e2e.outer": kind})
    plain, _ = train(**{"e2e.outer": "none"})
    again, other = train(**{"e2e.outer": kind})
    assert losses == again
    assert all(torch.equal(tensor, other.tensors()[name]) for name, tensor in run.tensors().items())
    assert losses[:2] == plain[:2]
    assert losses[2] != plain[2]
    assert run.finite()
    assert run.step == 4
