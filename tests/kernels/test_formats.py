"""The catalogue of number formats."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ImpossibleCombination, UnknownName
from kernels.formats import SWITCHES, families, format_named, formats


def test_a_name_is_known_by_its_exact_spelling_only():
    for name in [*formats, *formats.aliases]:
        changed = {name.upper(), name.title(), f" {name}", f"{name} ", name.replace("_", "-"), name + "\u200b"}
        for other in changed - {*formats, *formats.aliases}:
            with pytest.raises(UnknownName):
                format_named(other)


@given(st.text(max_size=12))
def test_no_other_text_names_a_format(text):
    if text in formats or text in formats.aliases:
        assert format_named(text).id in formats
    else:
        with pytest.raises(UnknownName, match="number format"):
            format_named(text)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'fp8_e4m3'"):
        format_named("fp8_e4m33")


def test_aliases_mean_one_format():
    same = {"binary16": "fp16", "bfloat16": "bf16", "float32": "fp32", "float8_e4m3fn": "fp8_e4m3", "fp16": "fp16"}
    assert {alias: format_named(alias).id for alias in same} == same


def test_every_default_is_admitted_and_every_admitted_value_is_a_value_of_its_switch():
    for f in formats.values():
        for switch, known in SWITCHES.items():
            assert set(f.admits[switch]) <= set(known)
            assert getattr(f.defaults, switch) in f.admits[switch]


def test_a_switch_that_a_format_does_not_admit_is_refused_by_name():
    with pytest.raises(ImpossibleCombination, match="fp4_e2m1 does not take overflow 'ieee', only sat"):
        format_named("fp4_e2m1").switches(overflow="ieee")
    with pytest.raises(ImpossibleCombination, match="rounding 'native'"):
        format_named("fp16").switches(rounding="native")
    with pytest.raises(UnknownName, match="no rounding 'nearest'"):
        format_named("fp16").switches(rounding="nearest")


def test_a_switch_left_out_is_the_formats_own():
    assert format_named("gf16").switches().underflow == "ftz"
    assert format_named("gf16").switches(underflow="grad").underflow == "grad"
    assert format_named("stochastic_rounding").switches().rounding == "sr"
    assert format_named("afp").switches().scaling == "pow2"


PHI = {
    "gf4": 0.118034, "gf8": 0.131966, "gf12": 0.046605, "gf16": 0.048633, "gf20": 0.034701, "gf24": 0.024823,
    "gf32": 0.013545, "gf64": 0.002649, "fp32": 0.270208, "fp64": 0.406496, "tf32": 0.181966, "fp8_e4m3": 0.715299,
    "fp8_e5m2": 1.881966, "fp6_e3m2": 0.881966, "fp6_e2m3": 0.048633, "fp4_e2m1": 1.381966, "fp8_e3m4": 0.131966,
    "afp": 0.131966, "dlfloat16": 0.048633, "ibm_hfp": 0.326367, "cray": 0.305534, "fp16": 0.118034, "bf16": 0.524823,
    "vax_f": 0.270208, "mbf": 0.270208, "vax_g": 0.406496, "minifloat": 0.715299,
}  # fmt: skip


def test_phi_distances_are_the_known_ones_to_six_digits():
    assert {name: round(format_named(name).phi_distance, 6) for name in PHI} == PHI


def test_formats_without_exponent_and_fraction_fields_have_no_phi_distance():
    assert [format_named(name).phi_distance for name in ("unum1", "gft4", "gft8", "gft16", "gft32")] == [None] * 5


def test_goldenfloats_follow_the_sizing_rule():
    phi = (1 + 5**0.5) / 2
    for bits in (4, 8, 12, 16, 20, 24, 32, 64):
        f = format_named(f"gf{bits}")
        exponent_bits = round((bits - 1) / phi**2)
        assert (f.exponent_bits, f.fraction_bits) == (exponent_bits, bits - 1 - exponent_bits)
        assert f.parameters["bias"] == 2 ** (exponent_bits - 1) - 1


def test_every_family_has_its_source_and_its_formats():
    for name, family in families.items():
        assert family.name == name and family.about["source"]
        assert all(f.family == name for f in family.formats.values())


def test_reading_the_catalogue_imports_no_torch():
    code = "import sys; from kernels.formats import format_named; format_named('gf16').switches(); "
    done = subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], capture_output=True)
    assert done.returncode == 0, done.stderr
