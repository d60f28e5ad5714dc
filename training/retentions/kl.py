"""Kullback-Leibler: every row is a distribution times its length, and forgetting tends to the uniform one."""

from torch import Tensor

from training.retentions import Retention

about = {
    "help": "rows on the scaled simplex, kept in the log domain",
    "source": "Behrouz et al. 2025, arXiv:2504.13173, equation 27 (MEMORA)",
    "combines": {"rule": ["*"]},
}


class Kl(Retention):
    """A is the log of a distribution; W = I softmax(A) for rows of I weights, so that weights are one on average."""

    def start(self, W_OI: Tensor) -> Tensor:
        """log softmax(W): W are logits."""
        return W_OI.log_softmax(-1)

    def weights(self, A_OI: Tensor) -> Tensor:
        """I softmax(A)"""
        return A_OI.softmax(-1) * A_OI.shape[-1]

    def settle(self, A_OI: Tensor) -> Tensor:
        """log softmax(A): a shift of a row changes no weight."""
        return A_OI.log_softmax(-1)

    def scale(self, A_OI: Tensor) -> None:
        """A softmax is not linear: a frozen segment reads its start."""
        return


kl = Kl
