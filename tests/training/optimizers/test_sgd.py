import pytest
import torch


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [True, False])
def test_it_follows_the_equations_of_sgd_with_momentum(follows, momentum, nesterov):
    def rule(decay):
        def steps(w, gradients, rates):
            b = torch.zeros_like(w)
            for g, lr in zip(gradients, rates, strict=True):
                g = g + decay * w
                b = momentum * b + g
                w = w - lr * (g + momentum * b if nesterov else b)
                yield w

        return steps

    options = {"lr": 0.5, "weight_decay": 0.01, "momentum": momentum, "nesterov": nesterov}
    optimizer = follows("sgd", matrices=rule(0.01), dense=rule(0.0), **options)
    assert optimizer.echo().items() >= options.items()
