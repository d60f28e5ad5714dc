"""Numbers that are hard to round, the same on every machine, and comparison by bits."""

import hashlib
import math
from pathlib import Path

import numpy as np
import torch

FIRST = (
    0.0,
    -0.0,
    math.inf,
    -math.inf,
    1.0,
    -1.0,
    1e-45,
    -3e-45,
    1e-40,
    1.1754944e-38,
    3.4028235e38,
    -3.4e38,
    6.0,
    2.5,
)

DIGESTS = Path(__file__).parent / "oracles.json"
"""Of what public implementations answer; `record_oracles.py` made it."""

POSITS = {"posit8": 200_000, "posit16": 200_000, "posit32": 1_000_000, "posit8_es0": 200_000, "posit16_es1": 200_000}
"""How many numbers of each were asked."""

MICRO = ("mxfp8", "mxfp8_e5m2", "mxfp6", "mxfp6_e2m3", "mxfp4")


def blocks(reach=60):
    """float32 [4096, 32]: rows of every size from 2^-reach to 2^reach, the last of them zeros."""
    x = spread(4096 * 32, 11, torch.float32, reach=8).reshape(4096, 32).clone()
    x *= torch.tensor(np.ldexp(1.0, np.arange(4096) % (2 * reach) - reach), dtype=torch.float32)[:, None]
    x[-64:] = 0
    return x


def digest(y):
    """SHA-256 of the numbers as float64, minus zero as zero."""
    return hashlib.sha256((y.double() + 0.0).contiguous().numpy().tobytes()).hexdigest()


def same_bits(a, b):
    """Equal patterns; any NaN equals any NaN."""
    whole = torch.int32 if a.dtype == torch.float32 else torch.int64
    return bool(((a.view(whole) == b.view(whole)) | (a.isnan() & b.isnan())).all())


def spread(count, seed, carrier=torch.float64, reach=140):
    """Finite numbers: a quarter near one, patterns of any exponent, ties, neighbours of powers of two.

    Only the raw words of the generator are used, which its documentation promises not to change.
    """
    raw = np.random.PCG64(seed).random_raw(count).astype(np.uint64)
    quarter = count // 4
    unit = (raw >> 11).astype(np.float64) * 2.0**-53
    exponent = (raw % (2 * reach)).astype(np.int64) - reach
    sign = np.where(raw & 1, -1.0, 1.0)
    near = (sign * unit * 4)[:quarter]
    patterns = np.ldexp(sign * (1 + unit), exponent)[quarter : 2 * quarter]
    ties = np.ldexp(sign * (raw >> 54).astype(np.float64), exponent)[2 * quarter : 3 * quarter]
    found = [near, patterns, ties]
    powers = torch.tensor(np.ldexp(sign, exponent)[3 * quarter :]).to(carrier)
    beside = torch.where(torch.tensor(raw[3 * quarter :] & 2 > 0), powers.nextafter(0 * powers), powers)
    x = torch.cat([torch.tensor(np.concatenate(found)).to(carrier), beside])
    return x[x.isfinite()]


def hard(carrier, count=64, seed=1):
    """A few of each, and the special numbers but NaN."""
    return torch.cat([torch.tensor(FIRST, dtype=torch.float64).to(carrier), spread(count, seed, carrier)])


def from_table(x, values, ties):
    """The definition of rounding to nearest by a sorted table: float64 arrays; an exact tie goes to the even index."""
    below, upto = np.searchsorted(ties, x, "left"), np.searchsorted(ties, x, "right")
    return values[np.where(below == upto, below, below + below % 2)]
