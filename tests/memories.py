"""Memory rules ready to be tested, and random tokens for them."""

import torch

from training.rules import MAPS, rules


def ready(name, seed=0, dtype=torch.float64, **options):
    """The rule of that name with options, over learned tensors for three heads."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        rule = rules[name].with_options(**options) if options else rules[name]
        learned = {key: tensor.to(dtype) for key, tensor in rule.learned(3, *sizes(rule)).items()}
    return rule.with_learned(learned)


def sizes(rule):
    """K and V; a network that adds to its input needs equal ones, and so does what holds keys against values."""
    return (4, 4) if "wrap" in rule.about.get("fields", {}) or rule.about.get("square") else (4, 5)


def inputs(rule, length, seed=0, dtype=torch.float64, spread=1.0):
    """Random q, k (unit length), v and gates of two rows and three heads."""
    random = torch.Generator().manual_seed(seed)
    shape, (K, V) = (2, 3, length), sizes(rule)
    q, k, v = (torch.randn(*shape, size, generator=random, dtype=dtype) for size in (K, K, V))
    q, k = q / q.norm(dim=-1, keepdim=True), k / k.norm(dim=-1, keepdim=True)
    gates = {
        name: MAPS[spec["map"]](spread * torch.randn(shape, generator=random, dtype=dtype) + spec["bias"])
        for name, spec in rule.about["gates"].items()
    }
    return q, k, v, gates
