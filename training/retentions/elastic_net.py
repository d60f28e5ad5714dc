"""Elastic net: weight decay, then a soft threshold that sets small weights to exactly zero."""

from torch import Tensor
from torch.nn import functional

from training.retentions import Retention

about = {
    "help": "weight decay and soft threshold: hard forgetting",
    "source": "Behrouz et al. 2025, arXiv:2504.13173, section 5.2",
    "combines": {"rule": ["*"]},
    "fields": {"threshold": {"default": 0.0001, "min": 0.0, "max": 1.0, "help": "by how much every weight shrinks"}},
}


class ElasticNet(Retention):
    """The proximal step of threshold |W|_1 after the decayed gradient step; in a frozen segment, at its end."""

    def start(self, W_OI: Tensor) -> Tensor:
        """W itself."""
        return W_OI

    def settle(self, A_OI: Tensor) -> Tensor:
        """sign(A) max(|A| - threshold, 0)"""
        return functional.softshrink(A_OI, float(self.options["threshold"]))


elastic_net = ElasticNet
