"""Weight decay: what was known fades by the factor that the retention gate says."""

from torch import Tensor

from training.retentions import Retention

about = {
    "help": "weight decay by the retention gate",
    "source": "Behrouz, Zhong, Mirrokni 2025, arXiv:2501.00663, equation 13",
    "combines": {"rule": ["*"]},
}


class L2(Retention):
    """A is W."""

    def start(self, W_OI: Tensor) -> Tensor:
        """W itself."""
        return W_OI


l2 = L2
