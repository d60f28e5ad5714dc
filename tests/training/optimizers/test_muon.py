import torch

from tests.optimizing import newton_schulz


def rule(w, gradients, rates, momentum=0.9, decay=0.1):
    m = torch.zeros_like(w)
    for g, lr in zip(gradients, rates, strict=True):
        m = momentum * m + (1 - momentum) * g
        o = newton_schulz(momentum * m + (1 - momentum) * g)
        w = (1 - lr * decay) * w - lr * max(1, w.shape[0] / w.shape[1]) ** 0.5 * o
        yield w


def test_it_follows_the_equations_of_muon(follows):
    follows("muon", matrices=rule, lr=0.05, momentum=0.9, weight_decay=0.1, rtol=1e-4, atol=1e-5)
