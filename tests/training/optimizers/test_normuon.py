import torch

from tests.optimizing import newton_schulz


def rule(w, gradients, rates, momentum=0.9, beta2=0.8, decay=0.1):
    m, v = torch.zeros_like(w), torch.zeros(len(w), 1).double()
    for g, lr in zip(gradients, rates, strict=True):
        m = momentum * m + (1 - momentum) * g
        o = newton_schulz(momentum * m + (1 - momentum) * g)
        v = beta2 * v + (1 - beta2) * o.square().mean(1, keepdim=True)
        update = o / v.sqrt()
        update = update * o.norm() / update.norm() * max(1, w.shape[0] / w.shape[1]) ** 0.5
        w = (1 - lr * decay) * w - lr * update
        yield w


def test_it_follows_the_equations_of_normuon(follows):
    follows("normuon", matrices=rule, lr=0.05, momentum=0.9, beta2=0.8, weight_decay=0.1, rtol=1e-4, atol=1e-5)


def test_rows_of_the_first_update_are_equally_long(problem, built):
    before = problem.parameters["wide"].detach().clone()
    problem.set_gradients(0)
    built("normuon", lr=0.05).step(1.0)
    rows = (problem.parameters["wide"].detach() - before).norm(dim=1)
    torch.testing.assert_close(rows, rows.mean().expand(5), rtol=1e-4, atol=0)
