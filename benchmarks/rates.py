"""Tokens a second, forward and backward, of every rule and composition beside a plain transformer of equal size.

All with d 256, 6 layers, T 512, eager, one thread, float32; the transformer's attention is full, by PyTorch's fused
kernel. What is taken is processor time, which other programs hardly change; models take turns; ratios are of medians.
"""

import argparse
import importlib.util
from collections.abc import Callable, Mapping
from statistics import median
from time import process_time

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import tell
from benchmarks.transformer import transformer_of
from training.compositions import compositions
from training.memory import Memory
from training.model import ByteModel
from training.recipe import NONE, recipe_from
from training.rules import rules

WIDTH, HEADS, BLOCKS, BATCH, LENGTH = 256, 4, 6, 8, 512

PROMISED = {("mag", "delta"): "engine.delta_vs_transformer", ("mag", "titans"): "engine.titans_vs_transformer"}
LIMIT = 0.5


def pairs() -> list[tuple[str, str]]:
    """Every composition with every rule that it takes."""
    return [
        (composition, rule)
        for composition in compositions
        for rule in (rules if "*" in compositions.about(composition)["combines"]["rule"] else [NONE])
    ]


def size(model: nn.Module) -> int:
    """Weights of a model."""
    return sum(weight.numel() for weight in model.parameters())


def ours(composition: str, rule: str) -> ByteModel:
    """The engine's model, shaken so that no branch is still zero, without n-gram tables: those are no work."""
    fields = {"width": WIDTH, "heads": HEADS, "blocks": BLOCKS, "context": LENGTH, "batch": BATCH, "ngram": 0}
    torch.manual_seed(0)
    model = ByteModel(recipe_from({**fields, "composition": composition, "rule": rule}))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.02)
    return model


def loss_of(logits_of: Callable[[Tensor], Tensor], batch: int) -> Tensor:
    """The mean loss over random bytes."""
    ids_2BT = torch.randint(256, (2, batch, LENGTH), generator=torch.Generator().manual_seed(0))
    return functional.cross_entropy(logits_of(ids_2BT[0]).flatten(0, 1), ids_2BT[1].flatten())


def seconds(form: Callable[[], Tensor]) -> float:
    """Processor time of one forward and backward pass."""
    began = process_time()
    form().backward()
    return process_time() - began


def saved_mib(form: Callable[[], Tensor]) -> int:
    """Memory that a forward pass holds for the backward pass, weights included; what is shared counts once."""
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = form()
    del loss
    return round(sum(held.values()) / 2**20)


def in_turns(forms: Mapping[str, Callable[[], Tensor]], rounds: int) -> dict[str, float]:
    """Median seconds of a forward and backward pass of each form, after a first round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    for at in range(rounds + 1):
        for name, form in forms.items():
            took = seconds(form)
            times[name] += [took] if at else []
    return {name: median(each) for name, each in times.items()}


def against_transformer(composition: str, rule: str, batch: int, rounds: int) -> None:
    """One model beside the transformer with its number of weights."""
    model = ours(composition, rule)
    peer = transformer_of(size(model), WIDTH, HEADS, BLOCKS)
    forms = {"ours": lambda: loss_of(lambda ids: model(ids)[0], batch), "peer": lambda: loss_of(peer, batch)}
    found = in_turns(forms, rounds)
    name = PROMISED.get((composition, rule), f"engine.{composition}_{rule}_vs_transformer")
    limit = LIMIT if (composition, rule) in PROMISED else None
    ratio = found["peer"] / found["ours"]
    tell(
        name, ratio, "ratio", limit, ratio >= limit if limit else None,
        tokens_per_second=round(batch * LENGTH / found["ours"]), weights=size(model), peer_weights=size(peer),
        peer_tokens_per_second=round(batch * LENGTH / found["peer"]), batch=batch, length=LENGTH,
        saved_mib=saved_mib(forms["ours"]), peer_saved_mib=saved_mib(forms["peer"]),
    )  # fmt: skip


def beside_titans_pytorch(batch: int, rounds: int) -> None:
    """Our memory layer beside the neural memory of titans-pytorch (extra `bench`), where that is installed."""
    if importlib.util.find_spec("titans_pytorch") is None:
        return
    from titans_pytorch import NeuralMemory

    torch.manual_seed(0)
    x_BTD = torch.randn(batch, LENGTH, WIDTH)
    theirs = NeuralMemory(dim=WIDTH, heads=HEADS, dim_head=WIDTH // HEADS, chunk_size=32)
    layers: dict[str, Callable[[], Tensor]] = {"titans_pytorch": lambda: theirs(x_BTD)[0].square().sum()}
    for rule in [each for each in ("delta", "titans", "titans_mlp_frozen") if each in rules]:
        layer = Memory(WIDTH, HEADS, rules[rule])
        layers[rule] = lambda layer=layer: layer(x_BTD, None)[0].square().sum()
    for name, took in in_turns(layers, rounds).items():
        tell(f"engine.layer.{name}", batch * LENGTH / took, "tok/s", batch=batch, length=LENGTH)


def rates(options: argparse.Namespace) -> None:
    """The promised pairs; without `--quick` all of them, at B 8, and titans-pytorch beside."""
    batch, rounds = (2, 2) if options.quick else (BATCH, 5)
    for composition, rule in pairs():
        if not options.quick or (composition, rule) in PROMISED:
            against_transformer(composition, rule, batch, rounds)
    if not options.quick:
        beside_titans_pytorch(batch, rounds)
