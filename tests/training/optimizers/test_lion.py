import torch


def rule(decay):
    def steps(w, gradients, rates):
        m = torch.zeros_like(w)
        for g, lr in zip(gradients, rates, strict=True):
            w = w - lr * ((0.8 * m + 0.2 * g).sign() + decay * w)
            m = 0.95 * m + 0.05 * g
            yield w

    return steps


def test_it_follows_the_equations_of_lion(follows):
    follows("lion", matrices=rule(0.1), dense=rule(0.0), lr=0.01, weight_decay=0.1, beta1=0.8, beta2=0.95)
