"""The exact segment form of a matrix memory whose errors are affine in it, with momentum and any number of writes.

Letters: N segments of C tokens, R writes a token (a row is a pair of token and write, in that order), K, V as always.
"""

import torch
from torch import Tensor

from training.coefficients import Coefficients, before
from training.scans import starts_and_end
from training.segments import inverted, through


def affine(
    M_BHKV: Tensor,
    S_BHKV: Tensor,
    q_NCK: Tensor,
    k_NRK: Tensor,
    v_NRV: Tensor,
    weights_NR: Tensor | None,
    c: Coefficients,
    faded_NC: Tensor | None,
    *,
    hebbian: bool,
    reads_before: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """All segments -> (y_BHTV, M, S); the leading axes B, H of the inputs are not named.

    The errors E of a segment that begins with M_0, S_0 solve
    (I + strict_lower(G' * K K^T)) E = V - b' K M_0 - f' K S_0, with G, b, f the writes, retained and carried of
    `coefficients`, ' their values where the error is taken, before the token's own decay or after it (faded), and the
    second K times the weights of writes. Hebbian errors are V. Only the states at the ends of segments are a loop.
    """
    b, f, m, G, N = c
    b_before, f_before, G_before = before(b, 1.0, -1), before(f, 0.0, -1), before(G, 0.0, -2)
    read_b, read_f, read_G = (b_before, f_before, G_before) if reads_before else (b, f, G)
    w_NRK = k_NRK if weights_NR is None else weights_NR[..., None] * k_NRK
    if hebbian:
        recalled, own = None, v_NRV
    else:
        faded = 1.0 if faded_NC is None else faded_NC
        A_NRR = each_write(G_before if faded_NC is None else faded_NC[..., None] * G_before, k_NRK @ w_NRK.mT)
        inverse = inverted(A_NRR)
        recalled, own = inverse @ beside(k_NRK, faded * b_before, faded * f_before), inverse @ v_NRV
    last = beside(w_NRK, G[..., -1, :], N[..., -1, :]).mT
    both = torch.cat([M_BHKV, S_BHKV], -2)
    starts, errors, both = through(both, recalled, own, last, companion(b, f, m))
    M_BHKV, S_BHKV = both.chunk(2, -2)
    y = beside(q_NCK, read_b, read_f) @ starts + each_write(read_G, q_NCK @ w_NRK.mT) @ errors
    return y.flatten(2, 3), M_BHKV, S_BHKV


def companion(b: Tensor, f: Tensor, m: Tensor) -> Tensor:
    """What a whole segment keeps of (M, S): (b M + f S, m S), from [.., N, C] -> [.., N, 2, 2]."""
    b, f, m = b[..., -1], f[..., -1], m[..., -1]
    return torch.stack([torch.stack([b, f], -1), torch.stack([torch.zeros_like(m), m], -1)], -2)


def scanned(
    M_BHKV: Tensor,
    S_BHKV: Tensor,
    q_NCK: Tensor,
    k_NCK: Tensor,
    v_NCV: Tensor,
    c: Coefficients,
    *,
    reads_before: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same where gradients do not depend on the state (hebbian, one write a token), by an associative scan.

    A segment takes (M, S) to (b M + f S + written, m S + written): a 2 x 2 companion of scalars.
    """
    b, f, m, G, N = c
    A = companion(b, f, m)
    written = beside(k_NCK, G[..., -1, :], N[..., -1, :]).mT @ v_NCV
    first = torch.stack([M_BHKV, S_BHKV], 2).flatten(3)
    starts, end = starts_and_end(A, written.view(*written.shape[:3], 2, -1), first)
    read_b, read_f, read_G = (before(b, 1.0, -1), before(f, 0.0, -1), before(G, 0.0, -2)) if reads_before else (b, f, G)
    y = beside(q_NCK, read_b, read_f) @ starts.view(written.shape) + (read_G * (q_NCK @ k_NCK.mT)) @ v_NCV
    M_BHKV, S_BHKV = end.view(*M_BHKV.shape[:2], 2, *M_BHKV.shape[2:]).unbind(2)
    return y.flatten(2, 3), M_BHKV, S_BHKV


def each_write(G_NCC: Tensor, products: Tensor) -> Tensor:
    """Products of tokens or writes with writes, times the coefficient of their tokens: [.., R or C, R]."""
    C = G_NCC.shape[-1]
    split = products.reshape(*products.shape[:-2], C, products.shape[-2] // C, C, products.shape[-1] // C)
    return (split * G_NCC[..., :, None, :, None]).flatten(-2, -1).flatten(-3, -2)


def beside(x: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """[.., R, K] -> [.., R, 2 K]: the rows scaled by one of [.., C], and beside them scaled by the other."""
    C = one.shape[-1]
    split = x.reshape(*x.shape[:-2], C, x.shape[-2] // C, x.shape[-1])
    return torch.cat([one[..., None, None] * split, other[..., None, None] * split], -1).flatten(-3, -2)
