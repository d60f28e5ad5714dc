from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.expansions import (
    exponents,
    grown,
    normal,
    power,
    quantum_exactly,
    quick_two_sum,
    rounded_exactly,
    to_bits,
    to_multiple,
    two_sum,
)
from kernels.kinds import exponent

COUNT = 400


def values(parts):
    """Each element as a rational number."""
    return [
        sum(map(Fraction, element), Fraction(0)) for element in zip(*(part.tolist() for part in parts), strict=True)
    ]


def doubles(seed, count=COUNT, spread=20):
    """Random float64, and hard ones: powers of two, few bits, neighbours of powers of two, zeros."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(count, dtype=torch.float64, generator=random)
    x *= power(torch.randint(-spread, spread, (count,), generator=random))
    hard = torch.randint(0, 6, (count,), generator=random)
    x = torch.where(hard == 0, power(torch.randint(-9, 9, (count,), generator=random)) * x.sign(), x)
    x = torch.where(hard == 1, x.bfloat16().double(), x)
    x = torch.where(hard == 2, torch.nextafter(power(torch.zeros(count, dtype=torch.int64)), -x), x)
    return torch.where((hard == 3) & (x < -1), torch.zeros_like(x), x)


def expansion(seed, count, tails=True):
    """Normal expansions whose parts lie close together, far apart, or end early, with ties at many places."""
    parts, random = [doubles(seed)], torch.Generator().manual_seed(seed + 99)
    for i in range(1, count):
        far = power(-53 - torch.randint(0, 3, (COUNT,), generator=random) * 20) * parts[-1].abs()
        part = far * (doubles(seed + i, spread=1).clamp(-1, 1) if tails else 1.0)
        ended = torch.randint(0, 4, (COUNT,), generator=random) == 0
        parts.append(torch.where(ended, far.sign() * power(torch.frexp(far)[1].long() - 1), part))
    return normal(parts)


@given(st.floats(-1e100, 1e100), st.floats(-1e100, 1e100))
def test_a_sum_of_two_is_exact_in_two_parts(a, b):
    x, y = (torch.tensor(value, dtype=torch.float64) for value in (a, b))
    s, e = two_sum(x, y)
    assert Fraction(s.item()) + Fraction(e.item()) == Fraction(a) + Fraction(b)
    assert s.item() == a + b
    large, small = (x, y) if abs(a) >= abs(b) else (y, x)
    assert [part.item() for part in quick_two_sum(large, small)] == [s.item(), e.item()]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_growing_is_exact_and_parts_do_not_overlap(count):
    parts, d = expansion(count, count), doubles(7, spread=40)
    found = grown(parts, d)
    assert values(found) == [x + y for x, y in zip(values(parts), values([d]), strict=True)]
    for one, other in pairwise(found):
        assert bool((one + other == one).all())
        assert not bool(((one == 0) & (other != 0)).any())


@pytest.mark.parametrize("count", [1, 2, 4])
def test_exponents_are_those_of_the_sums(count):
    parts = expansion(count + 20, count)
    found = exponents(parts).tolist()
    assert found == [exponent(abs(x)) if x else 0 for x in values(parts)]


@pytest.mark.parametrize(("count", "bits"), [(2, 30), (2, 56), (2, 64), (2, 100), (3, 113), (3, 64), (5, 237), (1, 24)])
def test_rounding_to_bits_is_that_of_rational_numbers(count, bits):
    parts = expansion(count + bits, count + 1)
    for tied in (parts, ties(parts, bits)):
        found, changed = to_bits(tied, bits, count)
        exact = [rounded_exactly(x, quantum_exactly(x, bits)) if x else x for x in values(tied)]
        assert values(found) == exact
        assert changed.tolist() == [x != y for x, y in zip(values(tied), exact, strict=True)]
        again, moved = to_bits(found, bits, count)
        assert values(again) == exact
        assert not bool(moved.any())


def ties(parts, bits):
    """Numbers half-way between two of that many bits, or next to it."""
    down = to_bits(parts, bits, len(parts))[0]
    half = power(exponents(down) - bits)
    near = torch.where(torch.arange(COUNT) % 3 == 0, torch.zeros_like(half), half * 2.0**-60)
    return normal([*down, half, torch.where(torch.arange(COUNT) % 3 == 1, near, -near)])


@settings(max_examples=20, deadline=None)
@given(st.integers(-60, 20), st.integers(0, 2**31))
def test_rounding_to_a_multiple_is_that_of_rational_numbers(e, seed):
    parts = [part[:64] for part in expansion(seed % 1000, 3)]
    q = power(torch.full((64,), e))
    assert values(to_multiple(parts, q, 3)[0]) == [rounded_exactly(x, Fraction(2) ** e) for x in values(parts)]
