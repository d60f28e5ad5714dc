"""Posits: a run of equal bits gives the coarse exponent, what is left of the code holds fine exponent and fraction.

Parameters: `n` bits, `es` exponent bits. Sources: Gustafson, Yonemoto 2017 (any es); Standard for Posit Arithmetic
2022 (es = 2).
"""

from fractions import Fraction
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from kernels.bit_strings import LAYOUTS, Layout, cut, every, nearest, pattern, signed
from kernels.formats import Format, Switches
from kernels.kinds import Number


def decode(es: int, n: int, code: int) -> Fraction:
    """The value of a code in 1 .. 2^(n-1)-1: 2^(k 2^es + x) (1 + f). Bits that the string lacks count as zeros."""
    bits = f"{code:0{n - 1}b}"
    run = len(bits) - len(bits.lstrip(bits[0]))
    k = run - 1 if bits[0] == "1" else -run
    rest = bits[run + 1 :]
    x = int(rest[:es].ljust(es, "0") or "0", 2)
    fraction = Fraction(int("1" + rest[es:], 2), 1 << len(rest[es:]))
    return fraction * Fraction(2) ** ((k << es) + x)


def values(format: Format) -> list[Fraction]:
    """Every real value, sorted."""
    row: Any = format.parameters
    return every(partial(decode, row["es"]), row["n"])


def largest(format: Format) -> Fraction:
    """maxpos = 2^((n-2) 2^es)"""
    row: Any = format.parameters
    return Fraction(1 << ((row["n"] - 2) << row["es"]))


def exact(format: Format, x: Number, switches: Switches, random: Fraction | None = None) -> Number:
    """One number, by the definition."""
    row: Any = format.parameters
    return nearest(partial(decode, row["es"]), row["n"], x, switches.rounding, random)


def fast(format: Format, x: Tensor, switches: Switches, random_bits: Tensor | None = None) -> Tensor:
    """Elementwise in PyTorch, float32 or float64: no regime is ever built.

    With the exponent e = k 2^es + x, the string after the regime is x and the fraction, which stand together in
    pattern - (k 2^es + bias); a carry out of them lands in the next regime by itself.
    """
    row: Any = format.parameters
    n, es, layout = row["n"], row["es"], LAYOUTS[x.dtype]
    least, last = ends(format, x.dtype)
    u = (x.view(layout.integer) & ~torch.iinfo(layout.integer).min).clamp_(least, last)
    if switches.rounding == "rne" and n % 2 == 0 and n < es + layout.fraction + 3:
        return signed(to_even(u, n, es, layout), x)
    k = ((u >> layout.fraction) - layout.bias) >> es
    left = n - 1 - torch.where(k >= 0, k + 2, 1 - k)
    drop = es + layout.fraction - left
    tail = u - (((k << es) + layout.bias) << layout.fraction)
    odd = torch.where(left > 0, (tail >> drop.clamp(min=0)) & 1, (k < 0).to(k.dtype))
    return signed(cut(u, drop, odd, switches.rounding, random_bits, tail), x)


def to_even(u: Tensor, n: int, es: int, layout: Layout) -> Tensor:
    """What `cut` gives under rne where every string loses bits and n is even, in place and in fewer steps.

    The exponent and the fraction stay one number: its multiples of 2^es in front are multiples of what is dropped.
    """
    string = es + layout.fraction
    w = u.sub_(layout.bias << layout.fraction)
    k = w >> string
    drop = (k >> 31).bitwise_xor_(k).add_(string + 3 - n)
    odd = torch.where(drop < string, (w >> drop).bitwise_and_(1), k >> 31 & 1)
    half = torch.ones_like(drop).bitwise_left_shift_(drop - 1)
    w.add_(half).add_(odd).sub_(1)
    return w.bitwise_right_shift_(drop).bitwise_left_shift_(drop).add_(layout.bias << layout.fraction)


@cache
def ends(format: Format, carrier: torch.dtype) -> tuple[int, int]:
    """Patterns of minpos and maxpos."""
    return pattern(1 / largest(format), carrier), pattern(largest(format), carrier)
