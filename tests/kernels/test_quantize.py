"""`quantize`: its forms, shapes, strides, buffers, gradients, random rounding, and what it refuses."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import ImpossibleCombination, InvalidValue, UnknownName
from kernels import passes
from kernels.formats import format_named, formats
from kernels.passes import PIECE
from kernels.quantize import quantize, quantize_, quantize_all
from tests.quantizing import FLOATS, LAYOUTS, choices, finite, hard_numbers, mixed, patterns, same_bits, wrong

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FORMS = ["torch", "triton"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=FORMS)
def form(request):
    if request.param == "triton":
        pytest.importorskip("triton", reason="Triton is not installed")
    return request.param


@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
def test_triton_gives_the_bits_of_the_torch_form_under_every_switch(carrier):
    pytest.importorskip("triton", reason="Triton is not installed")
    for name in (
        FLOATS if carrier == torch.float32 else ["fp32", "fp8_e4m3", "gf64", "vax_g", "ibm_hfp", "bf16", "gf24"]
    ):
        f = formats[name]
        x = mixed(carrier)
        if name in LAYOUTS and f.bits <= 6:
            x = torch.cat([x, hard_numbers(finite(name), carrier)])
        x = x.to(DEVICE)
        for options in choices(f, "rounding", "overflow", "underflow"):
            options |= {"scaling": f.admits["scaling"][0], "seed": 5, "offset": 3}
            found = quantize(x, f, form="triton", out=torch.full_like(x, math.nan), **options)
            wanted = quantize(x, f, form="torch", **options)
            bad = wrong(found, wanted)
            assert not bad.any(), (name, options, x[bad][:5], found[bad][:5], wanted[bad][:5])


def layouts_of(x):
    """The same numbers in other shapes and strides."""
    return {"line": x.flatten(), "rows": x, "columns": x.t(), "holes": x[::2, 3:], "row": x[1], "one": x[0, 0]}


@pytest.mark.parametrize("scaling", ["none", "pow2", "amax", "row"])
def test_shapes_strides_and_buffers_change_no_bit(form, scaling):
    x = torch.randn(7, 33, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    for rounding in ("rne", "sr"):
        options = {"rounding": rounding, "scaling": scaling, "seed": 11, "step": 2, "offset": 5}
        for layout, view in layouts_of(x).items():
            wanted = quantize(view.contiguous(), "gf8", form="torch", **options)
            found = quantize(view, "gf8", form=form, **options)
            assert same_bits(found, wanted), (layout, rounding)
            buffer = torch.full((80, 80), math.nan, device=DEVICE)
            out = buffer.as_strided(view.shape, {0: (), 1: (3,), 2: (1, 40)}[view.ndim])
            assert quantize(view, "gf8", out=out, form=form, **options) is out
            assert same_bits(out.contiguous(), wanted), (layout, rounding)
            base = x.clone()
            inside = layouts_of(base)[layout]
            quantize_(inside, "gf8", form=form, **options)
            assert same_bits(inside.contiguous(), wanted), (layout, rounding)
            assert (base != x).sum() == (wanted != view).sum()


def test_no_element_is_left_out_of_an_output_that_held_nan(form):
    for size in (0, 1, 3, 1023, 1024, 1025, 70001 if form == "torch" else 2049):
        x = torch.randn(size, device=DEVICE)
        out = torch.full_like(x, math.nan)
        quantize(x, "bf16", out=out, form=form)
        assert torch.equal(out, x.bfloat16().float())


def test_out_may_overlap_its_input(form):
    x = torch.randn(PIECE + 300 if form == "torch" else 2100, device=DEVICE)
    wanted = quantize(x[:-7].clone(), "fp8_e4m3", form="torch")
    quantize(x[:-7], "fp8_e4m3", out=x[7:], form=form)
    assert torch.equal(x[7:], wanted)


@pytest.mark.parametrize("rounding", ["rne", "sr"])
def test_pieces_and_threads_change_no_bit(monkeypatch, rounding):
    x = torch.randn(5003)
    wanted = quantize(x, "gf8", form="torch", rounding=rounding, offset=3)
    monkeypatch.setattr(passes, "PIECE", 256)
    monkeypatch.setattr(passes, "SHARED", 1000)
    for threads in (1, 2, 3, 64):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                found = x.clone()
                quantize_(found, "gf8", form="torch", rounding=rounding, offset=3)
                assert same_bits(found, wanted), threads


@pytest.mark.parametrize("options", [{}, {"scaling": "amax"}, {"rounding": "sr", "seed": 3, "step": 1 << 33}])
def test_many_tensors_at_once_are_each_quantised_as_alone(form, options):
    tensors = [
        torch.randn(5),
        torch.randn(0),
        torch.randn(33, 40).t(),
        torch.randn(1030)[3:],
        torch.randn(4, 4).double(),
    ]
    tensors = [tensor.to(DEVICE) for tensor in tensors]
    offset, wanted = 11, []
    for x in tensors:
        wanted.append(quantize(x, "gf12", form="torch", offset=offset, **options))
        offset += x.numel()
    quantize_all(tensors, "gf12", form=form, offset=11, **options)
    assert all(same_bits(x, y) for x, y in zip(tensors, wanted, strict=True))


def test_identity_is_only_what_the_carrier_cannot_show():
    x = torch.cat([patterns(2000), torch.randn(2000)])
    assert same_bits(quantize(x, "fp32", overflow="ieee"), x)
    changed = {name for name in FLOATS if wrong(quantize(x[2000:], name), x[2000:]).any()}
    assert set(FLOATS) - changed == {"fp32", "fp64", "gf64", "cray", "gft32", "vax_f", "vax_g", "mbf"}
    wide = torch.randn(2000, dtype=torch.float64)
    assert {name for name in FLOATS if not wrong(quantize(wide, name), wide).any()} == {"fp64", "vax_g"}


@pytest.mark.parametrize("name", ["bf16", "fp8_e4m3", "gf16_grad", "fp4_e2m1", "dlfloat16", "ibm_hfp"])
def test_stochastic_rounding_is_unbiased(name):
    """A two-sided p-value above 1e-6 for the mean of 10^6 draws: at this seed it holds or it does not."""
    value = finite(name)[1:3].tolist() if name in LAYOUTS else [0.15, 0.15]
    for x in (0.0703125 * 1.2345, value[0] + 0.3 * (value[1] - value[0]), 0.2 * value[0]):
        wide = torch.full((1_000_000,), x)
        low = quantize(wide[:1], name, rounding="rtz").item()
        y = quantize(wide, name, rounding="sr", seed=1597)
        high = y.max().item()
        share = (wide[0].item() - low) / (high - low)
        assert set(y[:1000].tolist()) <= {low, high}
        deviation = ((y == high).double().mean().item() - share) * 1000 / math.sqrt(share * (1 - share))
        assert math.erfc(abs(deviation) / math.sqrt(2)) > 1e-6, (name, x, deviation)


def test_stochastic_rounding_never_moves_a_representable_value():
    for name in LAYOUTS:
        value = finite(name).float()
        for seed in range(3):
            assert same_bits(quantize(value, name, rounding="sr", seed=seed), value), name


def test_the_stochastic_rounding_of_the_catalogue_is_bf16_rounded_stochastically():
    x = torch.randn(1000)
    y = quantize(x, "stochastic_rounding", seed=4, step=9)
    assert same_bits(y, quantize(x, "bf16", rounding="sr", seed=4, step=9))
    assert not torch.equal(y, quantize(x, "stochastic_rounding", seed=4, step=10))


numbers = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=50)
some_float = st.sampled_from([name for name in FLOATS if formats[name].defaults.rounding == "rne"])


@settings(max_examples=60, deadline=None)
@given(some_float, numbers, st.sampled_from(["rne", "rna", "rtz"]))
def test_rounding_is_idempotent_monotone_and_odd(name, given_numbers, rounding):
    x = torch.tensor(sorted(given_numbers), dtype=torch.float32)
    options = {"rounding": rounding, "scaling": formats[name].admits["scaling"][0]}
    y = quantize(x, name, **options)
    assert same_bits(quantize(-x, name, **options) + 0.0, -y + 0.0)
    if options["scaling"] == "none":
        assert same_bits(quantize(y, name, **options), y)
    assert (y[1:] >= y[:-1]).all()


@settings(max_examples=40, deadline=None)
@given(some_float, numbers, st.integers(-20, 20))
def test_a_power_of_two_in_front_passes_through_power_of_two_scaling(name, given_numbers, power):
    x = torch.tensor(given_numbers, dtype=torch.float32)
    x = x[(x.abs() > 1e-20) & (x.abs() < 1e20)]
    if "pow2" in formats[name].admits["scaling"] and len(x):
        one, other = (quantize(z, name, scaling="pow2") for z in (x, x * 2.0**power))
        assert same_bits(one * 2.0**power, other)


def test_the_gradient_passes_straight_through():
    x = mixed()
    x = x[x.isfinite()].requires_grad_()
    g = torch.randn(len(x))
    (dx,) = torch.autograd.grad(quantize(x, "gf8"), x, g)
    assert torch.equal(dx, g)


def test_a_clipped_gradient_passes_inside_the_range_only():
    x = torch.tensor([1.0, 448.0, 448.1, -500.0, -1.0], requires_grad=True)
    (dx,) = torch.autograd.grad(quantize(x, "fp8_e4m3", clip_gradient=True).sum(), x)
    assert dx.tolist() == [1.0, 1.0, 0.0, 0.0, 1.0]
    (dx,) = torch.autograd.grad(quantize(x, "fp8_e4m3", clip_gradient=True, scaling="amax").sum(), x)
    assert dx.tolist() == [1.0] * 5


def test_the_forward_values_with_a_gradient_are_those_without(form):
    x = torch.randn(100, device=DEVICE)
    y = quantize(x.clone().requires_grad_(), "gf8", form=form, rounding="sr", seed=2)
    assert same_bits(y.detach(), quantize(x, "gf8", form=form, rounding="sr", seed=2))


def test_what_cannot_be_honoured_is_refused():
    x = torch.randn(4)
    with pytest.raises(UnknownName, match="no number format 'FP16'"):
        quantize(x, "FP16")
    with pytest.raises(InvalidValue, match=r"not in torch\.bfloat16"):
        quantize(x.bfloat16(), "fp16")
    with pytest.raises(InvalidValue, match="no form 'fast'"):
        quantize(x, "fp16", form="fast")
    with pytest.raises(ImpossibleCombination, match="does not take scaling 'pow2'"):
        quantize(x, "gf32", scaling="pow2")
    with pytest.raises(InvalidValue, match="out is"):
        quantize(x, "fp16", out=torch.empty(5))
    with pytest.raises(ImpossibleCombination, match="out takes no gradient"):
        quantize(x.requires_grad_(), "fp16", out=torch.empty(4))


def test_triton_without_a_gpu_or_its_interpreter_is_refused(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ImpossibleCombination, match="the tensor is on cpu"):
        quantize(torch.randn(4), "fp16", form="triton")


def test_formats_wider_than_the_carrier_are_refused():
    for f in formats.values():
        if f.precision_class in ("C", "D"):
            with pytest.raises(ImpossibleCombination, match=f.id):
                quantize(torch.randn(4, dtype=torch.float64), format_named(f.id))


def test_the_kernel_of_every_kind_compiles_for_a_gpu(tmp_path):
    pytest.importorskip("triton", reason="Triton is not installed")
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.compiling"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "floating" in done.stdout and "hexadecimal" in done.stdout and "mxfp8 in blocks" in done.stdout
