import torch


def rule(decay):
    """Shazeer and Stern 2018, algorithms 4 and 5, without a first moment."""

    def steps(w, gradients, rates):
        r, c, v = torch.zeros(w.shape[0]).double(), torch.zeros(w.shape[-1]).double(), torch.zeros_like(w)
        for t, (g, lr) in enumerate(zip(gradients, rates, strict=True), start=1):
            newest = t**-0.8
            size = max(1e-3, w.square().mean().sqrt().item()) * min(lr, t**-0.5)
            w = w * (1 - lr * decay)
            if w.ndim == 2:
                r, c = (old + newest * (g.square().mean(d) - old) for old, d in ((r, 1), (c, 0)))
                v = torch.outer(r, c) / r.mean()
            else:
                v = v + newest * (g.square() - v)
            u = g / v.sqrt()
            w = w - size * u / max(1.0, u.square().mean().sqrt().item() / 1.0)
            yield w

    return steps


def test_it_follows_the_equations_of_adafactor(follows):
    follows("adafactor", matrices=rule(0.1), dense=rule(0.0), lr=0.05, weight_decay=0.1)


def test_it_keeps_one_number_a_row_and_one_a_column(built):
    state = built("adafactor").state()
    assert state["tall.row_var"].numel() + state["tall.col_var"].numel() == 12 + 5
    assert state["gain.variance"].shape == (7,)
