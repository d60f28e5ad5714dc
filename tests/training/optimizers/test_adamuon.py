import torch

from tests.optimizing import newton_schulz


def rule(w, gradients, rates, momentum=0.9, beta2=0.8, decay=0.1):
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    for g, lr in zip(gradients, rates, strict=True):
        m = momentum * m + g
        o = newton_schulz(m.sign())
        v = beta2 * v + (1 - beta2) * o**2
        update = o / (v.sqrt() + 1e-8)
        w = w - lr * (0.2 * w.numel() ** 0.5 / update.norm() * update + decay * w)
        yield w


def test_it_follows_the_published_equations(follows):
    follows("adamuon", matrices=rule, lr=0.05, momentum=0.9, beta2=0.8, weight_decay=0.1, rtol=1e-4, atol=1e-5)
