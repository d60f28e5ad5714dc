import torch

from tests.optimizing import newton_schulz


def rule(w, gradients, rates, beta1=0.9, beta2=0.8, decay=0.1):
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    for t, (g, lr) in enumerate(zip(gradients, rates, strict=True), start=1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        update = newton_schulz(m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + 1e-8)
        w = w - lr * (0.2 * w.numel() ** 0.5 / update.norm() * update + decay * w)
        yield w


def test_it_follows_the_equations_of_the_variant(follows):
    follows("adamuon_g2", matrices=rule, lr=0.05, beta1=0.9, beta2=0.8, weight_decay=0.1, rtol=2e-4, atol=2e-5)


def test_it_is_another_optimizer_than_the_published_one(problem, built):
    start = problem.parameters["square"].detach().clone()
    moved = []
    for name in ("adamuon", "adamuon_g2"):
        with torch.no_grad():
            problem.parameters["square"].copy_(start)
        problem.set_gradients(0)
        built(name, lr=0.05).step(1.0)
        moved.append((problem.parameters["square"].detach() - start).flatten())
    assert torch.nn.functional.cosine_similarity(*moved, dim=0) < 0.99
