"""Kullback-Leibler: every row is a distribution times its length, and forgetting tends to the uniform one."""

from torch import Tensor

from training.retentions import Retention

about = {
    "help": "rows on the scaled simplex, kept in the log domain",
    "source": "Behrouz et al. 2025, arXiv:2504.13173, equation 27 (MEMORA)",
    "combines": {"rule": ["*"]},
}


FLOOR = -30.0
"""Smallest log of a probability that is kept."""


class Kl(Retention):
    """A is the log of a distribution; W = I softmax(A) for rows of I weights, so that weights are one on average."""

    def start(self, W_OI: Tensor) -> Tensor:
        """W are logits, brought to a mean square of one in each row."""
        return (W_OI * (W_OI.square().mean(-1, keepdim=True) + 1e-12).rsqrt()).log_softmax(-1)

    def weights(self, A_OI: Tensor) -> Tensor:
        """I softmax(A)"""
        return A_OI.softmax(-1) * A_OI.shape[-1]

    def settle(self, A_OI: Tensor) -> Tensor:
        """log softmax(A), which changes no weight but those that are all but zero: they can come back."""
        return A_OI.log_softmax(-1).clamp(min=FLOOR)

    def gain(self, inputs: int) -> float:
        """I: descent is on the distribution W / I, by which the gradient is I times that by W."""
        return float(inputs)

    def scale(self, A_OI: Tensor) -> None:
        """A softmax is not linear: a frozen segment reads its start."""
        return


kl = Kl
