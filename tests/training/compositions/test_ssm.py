import pytest
import torch

from training.compositions.ssm import Ssm
from training.model import ByteModel
from training.recurrence import recur
from training.run import Run


@pytest.fixture
def recipe(small):
    return lambda **changes: small(composition="ssm", rule="none", **changes)


def test_the_layer_is_the_recurrence_of_its_source_written_out(recipe):
    torch.manual_seed(0)
    layer = Ssm(recipe(**{"ssm.expand": 2, "ssm.state": 3})).double()
    x = torch.randn(2, 11, 16, dtype=torch.float64)
    with torch.no_grad():
        layer.out.weight.normal_()
        layer.taps.normal_()
    z, p, dt = layer.inward(x).split([32, 38, 2], -1)
    padded = torch.cat([torch.zeros(2, 3, 38), p], 1)
    mixed = torch.stack([sum(layer.taps[j] * padded[:, t + 3 - j] for j in range(4)) for t in range(11)], 1)
    u, k, q = (mixed * mixed.sigmoid()).split([32, 3, 3], -1)
    dt = torch.log1p((dt + layer.dt_bias).exp()).transpose(1, 2)
    u = u.view(2, 11, 2, 16).transpose(1, 2)
    a = torch.exp(-dt * layer.A_log.exp()[:, None])
    y, _ = recur(torch.zeros(2, 2, 3, 16).double(), q[:, None], k[:, None], dt[..., None] * u, a.log())
    y = (y + layer.skip[:, None, None] * u).transpose(1, 2).reshape(2, 11, 32) * z * z.sigmoid()
    y = layer.gain * y / (y.square().mean(-1, keepdim=True) + torch.finfo(torch.float64).eps).sqrt()
    torch.testing.assert_close(layer(x, None)[0], layer.out(y), rtol=1e-9, atol=1e-10)


def test_it_remembers_further_back_than_any_window(recipe):
    torch.manual_seed(0)
    model = ByteModel(recipe())
    with torch.no_grad():
        model.blocks[0].mix.out.weight.normal_()
    one = torch.randint(256, (1, 60))
    other = one.clone()
    other[:, 5] = (other[:, 5] + 1) % 256
    assert not torch.equal(model(one)[0][:, -1], model(other)[0][:, -1])


@pytest.mark.parametrize("attention", [False, True])
def test_every_option_reaches_the_engine(recipe, attention):
    wanted = recipe(heads=4, window=5, **{"ssm.state": 7, "ssm.expand": 3, "ssm.attention": attention})
    assert Run(wanted, 0, 1).effective().digest == wanted.digest


def test_attention_runs_beside_it_when_asked(recipe):
    names = {name for name, _ in Ssm(recipe(**{"ssm.attention": True})).named_parameters()}
    assert names - {name for name, _ in Ssm(recipe()).named_parameters()} == {"attention.qkv.weight"}
