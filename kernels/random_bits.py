"""Random bits by counter: Philox 4x32-10.

Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". The bits of an element depend on
(seed, step, index) alone, not on shapes, blocks or threads. Key: seed. Counter: (index // 4, step), 64 bits each; the
element takes word index % 4 and of it the upper 24 bits.
"""

import torch
from torch import Tensor

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
"""Constants of the paper's table 2 and section 4."""

WORD = 0xFFFFFFFF


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """The definition: four 32-bit words of a counter under a key."""
    a, b, c, d = counter
    k, m = key
    for _ in range(ROUNDS):
        p, q = MULTIPLIERS[0] * a, MULTIPLIERS[1] * c
        a, b, c, d = (q >> 32) ^ b ^ k, q & WORD, (p >> 32) ^ d ^ m, p & WORD
        k, m = (k + WEYL[0]) & WORD, (m + WEYL[1]) & WORD
    return a, b, c, d


def draw(x: Tensor, seed: int, step: int, offset: int = 0) -> Tensor:
    """int32 of x's shape, 24 random bits each; the elements are numbered from offset in row-major order."""
    first, skipped = divmod(offset, 4)
    block = torch.arange(first, (offset + x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
    bits = torch.stack([(word >> 8).to(torch.int32) for word in _words(block, seed % 2**64, step % 2**64)], dim=-1)
    return bits.flatten()[skipped : skipped + x.numel()].reshape(x.shape)


def _words(block: Tensor, seed: int, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`philox` of counters (block, step), in int64; b and d may carry bits above the 32nd in between."""
    a, b = block & WORD, block >> 32
    c, d = torch.full_like(a, step & WORD), torch.full_like(a, step >> 32)
    k, m = seed & WORD, seed >> 32
    for _ in range(ROUNDS):
        p, q = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a = (q >> 32).bitwise_xor_(b).bitwise_xor_(k).bitwise_and_(WORD)
        c = (p >> 32).bitwise_xor_(d).bitwise_xor_(m).bitwise_and_(WORD)
        b, d = q, p
        k, m = (k + WEYL[0]) & WORD, (m + WEYL[1]) & WORD
    return a, b.bitwise_and_(WORD), c, d.bitwise_and_(WORD)
