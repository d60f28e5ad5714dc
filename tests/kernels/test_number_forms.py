"""Definition, PyTorch form and Triton form of every format that is no plain float; properties of rounding."""

import math
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import ImpossibleCombination
from kernels.formats import formats
from kernels.quantize import quantize, quantize_
from tests.kernels.numbers import hard, same_bits, spread

KINDS = ("posit", "takum", "logarithmic", "codebook", "integer", "decimal")
NAMES = [f.id for f in formats.values() if (f.kind in KINDS or f.block) and f.precision_class not in "CD"]
ODD = [
    name
    for name in NAMES
    if "uint" not in name and name not in ("shared_exp", "q7", "q15", "q31", "q_format", "nf4", "nf8")
]
NAN = float("nan")


REPRESENTATIVES = ("posit8", "tapered_fp", "takum8", "lns8", "nf4", "int8", "uint8", "bcd", "decimal32", "q_format")


def uses(f, carrier):
    """Every value of each switch of a few formats in float32; of the others every rounding, or the default alone."""
    switches = ("rounding", "overflow", "underflow", "scaling") if f.id in REPRESENTATIVES else ("rounding",)
    if (carrier == torch.float64 and f.id not in REPRESENTATIVES) or f.id.endswith(("ceil", "even")):
        return [{}]
    return [{switch: value} for switch in switches for value in f.admits[switch]]


@pytest.fixture
def device():
    """Where Triton runs. The interpreter computes with numpy, whose warnings of IEEE overflow are no news."""
    pytest.importorskip("triton")
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        yield "cpu" if os.environ.get("TRITON_INTERPRET") else "cuda"


@pytest.mark.parametrize("name", NAMES)
def test_the_torch_form_is_the_definition_under_every_switch(name):
    f = formats[name]
    for carrier in (torch.float32, torch.float64):
        x = torch.cat([hard(carrier, 24, 3), torch.tensor([NAN], dtype=carrier)])
        for use in uses(f, carrier):
            assert same_bits(quantize(x, f, form="definition", **use), quantize(x, f, form="torch", **use)), (
                carrier,
                use,
            )


@pytest.mark.parametrize("name", NAMES)
def test_the_triton_form_is_the_torch_form_under_every_switch(name, device):
    f = formats[name]
    for carrier in (torch.float32, torch.float64):
        x = torch.cat([hard(carrier, 45, 5), torch.tensor([NAN], dtype=carrier), torch.zeros(40, dtype=carrier)])
        for use in uses(f, carrier):
            plain = quantize(x, f, form="torch", **use)
            out = torch.full_like(x, NAN, device=device)
            with torch.no_grad():
                quantize(x.to(device), f, form="triton", out=out, **use)
            assert same_bits(out.cpu(), plain), (carrier, use)


def test_ties_of_fine_logarithms_are_decided_on_triton_as_well(device):
    code = torch.arange(0, 2**23, 41941)
    tie = torch.exp2((code.double() + 0.5) / 2**23)
    x = torch.cat([tie, tie.nextafter(tie * 0), tie.nextafter(tie * 2)])
    assert same_bits(quantize(x.to(device), "lns32", form="triton").cpu(), quantize(x, "lns32", form="torch"))


def test_blocks_of_any_axis_and_tail_are_the_same_in_the_fused_kernel(device):
    x = spread(700, 8, torch.float32, reach=30)[:518].reshape(2, 37, 7)
    x[0, 3, 0] = NAN
    x[1, :30] = 0
    x[0, :, 2] = torch.linspace(0.3, 1, 37) * 1.17e-38  # below 2^-126
    x[0, :, 4] = torch.linspace(0.3, 1, 37) * 5e-39  # below 2^-127
    for name, axis, rounding in (
        ("mxfp4", 0, "rne"),
        ("mxfp8_e5m2_rceil", 1, "sr"),
        ("mxfp6_e2m3_even", 1, "rtz"),
        ("mxint8_ceil", 1, "rna"),
        ("mxint8", 1, "rne"),
        ("mxint8_even", 1, "rne"),
        ("mxfp4_rceil", 1, "rne"),
        ("nvfp4", 1, "sr"),
        ("nf4", -1, "rne"),
        ("block_fp", -1, "sr"),
        ("int4", 1, "rne"),
    ):
        use = {"scaling": "block", "axis": axis, "rounding": rounding, "seed": 5}
        found = quantize(x.to(device), name, form="triton", **use)
        assert same_bits(found.cpu(), quantize(x, name, form="torch", **use)), (name, use)
    turned = quantize(x.to(device).mT, "mxfp8", form="triton", axis=1)
    assert same_bits(turned.mT.contiguous().cpu(), quantize(x, "mxfp8"))


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_of_any_shape_and_stride_gives_its_elements(name):
    x = spread(300, 9, torch.float32, reach=6)[:240].reshape(4, 6, 10)
    use = {} if "none" not in formats[name].admits["scaling"] else {"scaling": "none"}
    plain = quantize(x, name, **use)
    assert same_bits(quantize(x.transpose(0, 2), name, axis=0, **use).transpose(0, 2).contiguous(), plain)
    assert quantize(x[:, :0], name).shape == (4, 0, 10) and quantize(x[0, 0, 0], name).shape == ()
    if use:
        assert same_bits(quantize(x[:, ::2, 1::3], name, **use).contiguous(), plain[:, ::2, 1::3].contiguous())
    held = x.clone().transpose(0, 2)
    quantize_(held, name, axis=0, **use)
    assert same_bits(held.transpose(0, 2).contiguous(), plain)


NUMBERS = st.lists(
    st.floats(width=32, allow_nan=False, allow_infinity=False) | st.floats(-8, 8, width=32), min_size=2, max_size=16
)


def unscaled(name, x):
    return quantize(x, name, **({"scaling": "none"} if "none" in formats[name].admits["scaling"] else {}))


@settings(max_examples=15, deadline=None)
@given(numbers=NUMBERS)
def test_rounding_keeps_order_and_sign_and_what_is_representable(numbers):
    x = torch.tensor(sorted(numbers), dtype=torch.float64)  # at most one block of any format
    for name in NAMES:
        y = unscaled(name, x)
        assert (y[1:] >= y[:-1]).all(), name
        if "none" in formats[name].admits["scaling"]:
            assert torch.equal(unscaled(name, y), y), name
        if name in ODD:
            assert torch.equal(unscaled(name, -x), -y), name
        assert (y * x >= 0).all() and y.isfinite().all(), name


@settings(max_examples=15, deadline=None)
@given(numbers=NUMBERS)
def test_blocks_of_a_power_of_two_keep_what_they_hold(numbers):
    x = torch.tensor(numbers, dtype=torch.float64)
    for name in ("mxfp8", "mxfp6", "mxfp4", "block_fp", "nf4"):
        y = quantize(x, name)
        assert torch.equal(quantize(y, name), y), name


BETWEEN = {
    "posit8": 1.03,
    "posit8_es0": 40.0,
    "tapered_fp": 3.00013,
    "takum8": 2.6,
    "lns8": 1.04,
    "lns16": -0.30001,
    "nf4": 0.1,
    "gfternary": 0.3,
    "unum2": -1.1,
    "int8": 1.3,
    "q7": 0.301,
    "bcd": 12.3,
    "decimal32": 0.12345678,
}


def test_stochastic_rounding_is_fair_between_neighbours_and_leaves_values_alone():
    draws = 1 << 16
    for name, x in BETWEEN.items():
        y = quantize(torch.full((draws,), x, dtype=torch.float64), name, rounding="sr", scaling="none", seed=3)
        low, high = y.min().item(), y.max().item()
        assert low < x < high and y.unique().numel() == 2, name
        share = (y == high).double().mean().item()
        p = (x - low) / (high - low)
        assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / draws), name
        assert torch.equal(quantize(y, name, rounding="sr", scaling="none", seed=4), y), name


def test_triton_is_refused_where_it_cannot_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ImpossibleCombination):
        quantize(torch.ones(3), "posit8", form="triton")
