"""Triton kernels against their plain definitions, run by Triton's interpreter where there is no GPU."""

import importlib

import pytest
import torch

from kernels import mlp as plain_mlp
from kernels import softcap_loss as plain_loss

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture
def kernel():
    """kernel(name) -> the module of that kernel."""
    pytest.importorskip("triton", reason="Triton is not installed; without it the plain definitions are what runs")
    return lambda name: importlib.import_module(f"kernels.{name}_triton")


@pytest.fixture
def nan_buffers(monkeypatch):
    """Memory that a kernel is given to write to holds NaN before: what it leaves out shows."""
    empty, empty_like = torch.empty, torch.empty_like
    monkeypatch.setattr(torch, "empty", lambda *size, **how: empty(*size, **how).fill_(float("nan")))
    monkeypatch.setattr(torch, "empty_like", lambda like, **how: empty_like(like, **how).fill_(float("nan")))


def leaves(*shapes, scale=1.0):
    random = torch.Generator().manual_seed(sum(map(sum, shapes)))
    return [(scale * torch.randn(shape, generator=random)).to(DEVICE).requires_grad_() for shape in shapes]


def both(forms, inputs, upstream):
    """Value and gradients of each form."""
    found = []
    for form in forms:
        y = form(*inputs)
        found.append([y, *torch.autograd.grad((y * upstream.to(y.device)).sum(), inputs)])
    return zip(*found, strict=True)


@pytest.mark.parametrize("shape", [(1, 2), (5, 256), (37, 257), (3, 1000)])
@pytest.mark.usefixtures("nan_buffers")
def test_the_fused_loss_and_its_gradient_are_those_of_the_definition(kernel, shape):
    module = kernel("softcap_loss")
    (z,) = leaves(shape, scale=20.0)
    target = torch.arange(shape[0], device=DEVICE) * 7 % shape[1]
    forms = [lambda z: module.softcap_loss(z, target, 15.0), lambda z: plain_loss.softcap_loss(z, target, 15.0)]
    for fused, plain in both(forms, [z], torch.tensor(3.0)):
        torch.testing.assert_close(fused, plain, rtol=2e-5, atol=1e-6)


@pytest.mark.usefixtures("nan_buffers")
def test_the_fused_loss_of_logits_beyond_the_cap_is_finite(kernel):
    module = kernel("softcap_loss")
    z = torch.tensor([[1e30, -1e30, 0.0]], device=DEVICE).requires_grad_()
    loss = module.softcap_loss(z, torch.tensor([1], device=DEVICE), 15.0)
    (gradient,) = torch.autograd.grad(loss, z)
    assert loss.item() == pytest.approx(30.0, rel=1e-5)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("sizes", [(1, 16, 16), (33, 48, 100), (70, 64, 192)])
@pytest.mark.usefixtures("nan_buffers")
def test_the_fused_mlp_and_every_gradient_are_those_of_the_definition(kernel, sizes):
    module = kernel("mlp")
    N, D, F = sizes
    x, up, down = leaves((N, D), (F, D), (D, F), scale=0.3)
    upstream = torch.randn(N, D, generator=torch.Generator().manual_seed(1))
    for fused, plain in both([module.mlp, plain_mlp.mlp], [x, up, down], upstream):
        torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-4)


def test_the_plain_mlp_is_the_one_of_a_block_of_the_model():
    from training.model import Block
    from training.recipe import recipe_from

    block = Block(recipe_from({"composition": "attention", "rule": "none", "width": 16}))
    torch.nn.init.normal_(block.down.weight)
    x = torch.randn(2, 5, 16)
    y, _ = block(x, None)
    torch.testing.assert_close(y - x, plain_mlp.mlp(x, block.up.weight, block.down.weight))


def test_the_plain_loss_is_the_one_that_training_takes():
    from training.model import head

    x, embedding, target = torch.randn(9, 16), torch.randn(256, 16), torch.arange(9)
    ours = torch.nn.functional.cross_entropy(head(x, embedding, 15.0), target)
    torch.testing.assert_close(plain_loss.softcap_loss(x @ embedding.mT, target, 15.0), ours)
