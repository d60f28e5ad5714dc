"""Sphere: every row has unit length; a step goes along the sphere and is drawn back onto it."""

from torch import Tensor
from torch.nn import functional

from training.retentions import Retention

about = {
    "help": "rows of unit length, moved along the sphere",
    "source": "Karami, Mirrokni 2025, arXiv:2504.05646 (Lattice)",
    "combines": {"rule": ["*"]},
}


class Sphere(Retention):
    """Riemannian gradient descent on a sphere for each row: projection, then retraction. A zero row stays zero."""

    def start(self, W_OI: Tensor) -> Tensor:
        """W with rows of unit length."""
        return self.settle(W_OI)

    def settle(self, A_OI: Tensor) -> Tensor:
        """A row over its length."""
        return functional.normalize(A_OI, dim=-1, eps=1e-12)

    def direct(self, W_OI: Tensor, gradient_OI: Tensor) -> Tensor:
        """The gradient without its part along the row."""
        return gradient_OI - W_OI * (W_OI * gradient_OI).sum(-1, keepdim=True)


sphere = Sphere
