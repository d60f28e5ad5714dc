"""Newton-Schulz: bring every singular value of a matrix near one, with products alone."""

from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic step: fast rather than exact. Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/"""

STEPS = 5

SMALL = 1e-7
"""Added to the norm: a matrix of zeros stays one."""


def near_orthogonal(x_RC: Tensor) -> Tensor:
    """X <- a X + (b A + c A^2) X with A = X X^T, five times, from X over its Frobenius norm; on the smaller side.

    Singular values above 3e-3 of the norm end in [0.68, 1.20], smaller ones below.
    """
    a, b, c = COEFFICIENTS
    tall = x_RC.shape[-2] > x_RC.shape[-1]
    x = x_RC.mT if tall else x_RC
    x = x / (x.square().sum((-2, -1), keepdim=True) + SMALL**2).sqrt()
    for _ in range(STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if tall else x
