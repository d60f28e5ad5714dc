import pytest
import torch

from training.retentions import retentions


def built(name, **changes):
    fields = retentions.about(name).get("fields", {})
    return retentions[name]({key: spec["default"] for key, spec in fields.items()} | changes)


def matrix(seed=0):
    return torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", retentions)
def test_what_has_settled_stays_and_its_weights_are_finite(name):
    retention = built(name)
    settled = retention.settle(retention.start(matrix()))
    assert retention.weights(settled).isfinite().all()
    again = retention.settle(settled)
    if name == "elastic_net":
        again = again + 0.0001 * again.sign()  # every settling shrinks by the threshold
    torch.testing.assert_close(again, settled)


@pytest.mark.parametrize(("link", "q"), [("printed", 4.0), ("printed", 2.5), ("mirror", 4.0), ("mirror", 2.5)])
def test_an_lq_link_gives_back_the_weights_that_it_started_from(link, q):
    lq = built("lq", link=link, q=q)
    torch.testing.assert_close(lq.weights(lq.start(matrix())), matrix(), rtol=1e-4, atol=1e-6)


def test_the_mirror_link_of_lq_is_the_minimum_that_it_stands_for():
    lq, A = built("lq", link="mirror"), matrix()
    W = lq.weights(A).requires_grad_()
    norm = W.abs().pow(4).sum((-2, -1)).pow(1 / 4)
    (gradient,) = torch.autograd.grad((norm.square() / 2 - (A * W).sum((-2, -1))).sum(), W)
    assert gradient.abs().max() < 1e-5


def test_the_printed_link_of_lq_at_two_is_weight_decay():
    torch.testing.assert_close(built("lq", q=2.0).weights(matrix()), matrix())


def test_kl_weights_are_one_on_average_and_descent_is_on_the_distribution():
    kl = built("kl")
    A = kl.start(matrix())
    W = kl.weights(A)
    torch.testing.assert_close(W.mean(-1), torch.ones(2, 5, dtype=torch.float64))
    torch.testing.assert_close(kl.direct(W, matrix(1)), 7 * matrix(1))
    torch.testing.assert_close(kl.weights(A + 3.0), W)


def test_a_sphere_follows_only_what_lies_across_its_rows():
    sphere = built("sphere")
    W = sphere.start(matrix())
    torch.testing.assert_close(W.norm(dim=-1), torch.ones(2, 5, dtype=torch.float64))
    assert (sphere.direct(W, matrix(1)) * W).sum(-1).abs().max() < 1e-12


def test_an_elastic_net_shrinks_by_its_threshold_and_not_beyond_zero():
    net = built("elastic_net", threshold=0.5)
    torch.testing.assert_close(net.settle(torch.tensor([2.0, -0.4, -1.0])), torch.tensor([1.5, 0.0, -0.5]))
