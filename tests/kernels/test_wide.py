from fractions import Fraction

import pytest
import torch

from kernels.expansions import normal
from kernels.formats import Switches, formats
from kernels.kinds import kind_of
from kernels.wide import parts_of, to_format
from tests.kernels.test_expansions import COUNT, expansion, ties, values
from training.format_fields import FINE, WIDE_KINDS

NAMES = [name for name, one in formats.items() if one.precision_class in FINE and one.kind in WIDE_KINDS]


def test_formats_of_every_class_finer_than_float32_are_held_wide_with_enough_parts():
    parts = {name: parts_of(formats[name]) for name in NAMES}
    wanted = {"fp64": 1, "posit32": 1, "fp80": 2, "vax_d": 2, "posit64": 2, "ibm_hfp_long": 2, "double_double": 2,
              "binary128": 3, "vax_h": 3, "ibm_hfp_ext": 3, "quad_double": 4, "binary256": 5}  # fmt: skip
    assert wanted.items() <= parts.items()


@pytest.mark.parametrize("name", NAMES)
def test_an_exact_sum_is_rounded_to_the_value_that_the_definition_gives(name):
    one, count = formats[name], parts_of(formats[name])
    exact, switches = kind_of(one).exact, Switches(underflow=one.defaults.underflow)
    for parts in (expansion(NAMES.index(name), count + 1), ties(expansion(7, count + 1), 53 * count - 4)):
        found, changed = to_format(one, parts, count)
        wanted = [Fraction(exact(one, x, switches)) if x else x for x in values(parts)]
        if one.kind == "expansion":  # dropping what is left over may leave a neighbour of the nearest sum
            assert all(abs(x - y) <= abs(x) / 2 ** (53 * count - 3) for x, y in zip(values(found), wanted, strict=True))
            continue
        assert values(found) == wanted
        assert changed.tolist() == [x != y for x, y in zip(values(parts), wanted, strict=True)]
        again, moved = to_format(one, normal(found), count)
        assert values(again) == wanted
        assert not bool(moved.any())
        assert len(found[0]) == COUNT


def test_zeros_stay_zero():
    nothing = [torch.zeros(3, dtype=torch.float64) for _ in range(6)]
    for name in NAMES:
        found, changed = to_format(formats[name], nothing, parts_of(formats[name]))
        assert not any(bool(part.any()) for part in found)
        assert not bool(changed.any())
