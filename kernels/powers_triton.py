"""Exact products of float64: the Triton form of `kernels.powers.product`. Compile with enable_fp_fusion=False."""

import triton
import triton.language as tl


@triton.jit
def product(a, b):
    """(p, e) with p = fl(a b) and p + e = a b."""
    splitter = tl.full(a.shape, 134217729.0, tl.float64)
    p = a * b
    c = splitter * a
    a_high = c - (c - a)
    a_low = a - a_high
    d = splitter * b
    b_high = d - (d - b)
    b_low = b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low
