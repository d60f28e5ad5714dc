"""The outer gradient of end-to-end test-time training: how the loss after inner steps depends on the trained weights.

A text is read in chunks i = 0..n-1. Chunk i costs l_i(W_i), then W_{i+1} = W_i - lr clip(grad l_i(W_i)), with W_0 among
the trained weights (several inner steps repeat the update). The outer loss is the mean of the l_i over all bytes.
Nothing but W passes from chunk to chunk: each window is read anew, so there is no cache whose adjoint were needed.

Backwards, with the adjoint a of W (Tandon et al. 2025, arXiv:2512.23675, for the loop):
a <- a - lr H a' over every inner step and a <- a + share_i grad l_i(W_i) over every chunk, where a' = J a is a through
the clip and H a' = (grad l(W + e a') - grad l(W - e a')) / 2e. All is first order: two backward passes stand for a
Hessian product, so any kernel with a gradient will do. The other weights collect the same two terms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from training.ttt import Tensors, clipped, descended, norm

KINDS = ("none", "first_order", "adjoint")
"""none: plain training. first_order: without the Hessian (Finn et al. 2017, arXiv:1703.03400). adjoint: with it."""

REACH: Mapping[torch.dtype, float] = {torch.float32: 1e-2, torch.float64: 1e-5}
"""Length of the difference step e a' over the length of W: small against W, large against the rounding."""


@dataclass(frozen=True)
class Chunk:
    """One window of a text: ids before each position, the bytes there, and how many of the last are the chunk's."""

    ids: Tensor
    targets: Tensor
    count: int


@dataclass(frozen=True, kw_only=True)
class Inner:
    """The inner update: steps on a chunk, learning rate, largest gradient norm."""

    steps: int
    lr: float
    clip: float


def outer_gradients(
    model: nn.Module, fast: Tensors, chunks: Sequence[Chunk], inner: Inner, kind: str
) -> tuple[float, dict[str, Tensor]]:
    """Mean loss in nats over all bytes of the chunks, and its gradient by every parameter of the model, by name."""
    total = sum(chunk.count for chunk in chunks)
    loss, trail = 0.0, []
    for chunk in chunks:
        for step in range(max(1, inner.steps)):
            value, by_fast = gradients(model, fast, chunk, list(fast))
            loss += value * chunk.count / total if step == 0 else 0.0
            trail.append((fast, by_fast, chunk, step == 0))
            fast = descended(fast, clipped(by_fast, inner.clip), inner.lr)
    names = [name for name, _ in model.named_parameters()]
    adjoint: dict[str, Tensor] = {name: torch.zeros_like(weight) for name, weight in fast.items()}
    rest: dict[str, Tensor] = {}
    for weights, by_fast, chunk, scored in reversed(trail):
        terms = []
        if kind == "adjoint" and norm(adjoint) > 0:
            through = through_clip(adjoint, by_fast, inner.clip)
            terms.append((-inner.lr, hessian_product(model, weights, chunk, names, through)))
        if scored:
            terms.append((chunk.count / total, gradients(model, weights, chunk, names)[1]))
        for share, gradient in terms:
            adjoint = {name: value + share * gradient[name] for name, value in adjoint.items()}
            others = {name: g for name, g in gradient.items() if name not in adjoint}
            rest = {name: rest[name] + share * g if name in rest else share * g for name, g in others.items()}
    return loss, {**rest, **adjoint}


def through_clip(adjoint: Tensors, gradient: Tensors, limit: float) -> dict[str, Tensor]:
    """J a, J the (symmetric) derivative of the clip at g: a, or (limit / |g|) (a - u (u . a)) with u = g / |g|."""
    length = float(norm(gradient))
    if length <= limit:
        return dict(adjoint)
    along = sum(float((g.double() * adjoint[name].double()).sum()) for name, g in gradient.items()) / length**2
    return {name: (a - gradient[name] * along) * (limit / length) for name, a in adjoint.items()}


def hessian_product(
    model: nn.Module, fast: Tensors, chunk: Chunk, names: Sequence[str], direction: Tensors
) -> dict[str, Tensor]:
    """Derivative of the chunk's gradient, by every parameter, along a direction of the fast weights."""
    length = float(norm(direction))
    if length == 0:
        return {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    reach = REACH[next(iter(fast.values())).dtype] * float(norm(fast)) / length
    up, down = (gradients(model, descended(fast, direction, sign * reach), chunk, names)[1] for sign in (-1, 1))
    return {name: (up[name] - down[name]) * (0.5 / reach) for name in names}


def gradients(model: nn.Module, fast: Tensors, chunk: Chunk, names: Sequence[str]) -> tuple[float, dict[str, Tensor]]:
    """Loss of a chunk with these fast weights, and its gradient by the named parameters."""
    leaves = {name: weight.detach().requires_grad_() for name, weight in fast.items()}
    own = dict(model.named_parameters())
    loss = chunk_loss(model, leaves, chunk)
    found = torch.autograd.grad(loss, [leaves.get(name, own[name]) for name in names])
    return loss.item(), dict(zip(names, found, strict=True))


def chunk_loss(model: nn.Module, weights: dict[str, Tensor], chunk: Chunk) -> Tensor:
    """Mean -ln p of a chunk's bytes with some of the model's parameters replaced."""
    logits_1TV = logits(model, weights, chunk.ids)
    return functional.cross_entropy(logits_1TV[0, -chunk.count :], chunk.targets[0, -chunk.count :])


def logits(model: nn.Module, weights: dict[str, Tensor], ids_BT: Tensor) -> Tensor:
    """The model's logits with some of its parameters replaced."""
    result: Tensor = functional_call(model, weights, (ids_BT,))[0]
    return result
